// The reference module in Go: does what the last token of the event's subject says, as the cases of
// tests/conformance ask of every SDK.
package main

import (
	"strconv"
	"strings"

	"weir-sdk/weir"
)

func init() { weir.Transform(operate) }

func main() {}

func operate(event weir.Event) ([]weir.Message, error) {
	operation := event.Subject[strings.LastIndexByte(event.Subject, '.')+1:]
	switch operation {
	case "echo":
		return one(event.Message(event.Payload))
	case "upper":
		return one(weir.Message{Payload: upper(event.Payload)})
	case "none":
		return nil, nil
	case "many":
		return many(event)
	case "subject":
		return one(weir.Message{Subject: string(event.Payload)})
	case "facts":
		return one(weir.Message{Payload: facts(event)})
	case "headers":
		return one(event.Message(nil).With("Added", "one").With("Added", "two"))
	case "reject":
		return nil, weir.Reject(event.Payload)
	case "config":
		return one(weir.Message{Payload: []byte(weir.Config())})
	case "log":
		weir.Log(weir.Info, string(event.Payload))
		return nil, nil
	case "throw":
		panic(string(event.Payload))
	case "memory":
		return memory()
	case "loop":
		for {
		}
	}
	return nil, weir.Reject("unknown operation: " + operation)
}

func one(message weir.Message) ([]weir.Message, error) {
	return []weir.Message{message}, nil
}

func facts(event weir.Event) []byte {
	text := append([]byte(event.Subject), '|')
	text = append(strconv.AppendUint(text, event.Sequence, 10), '|')
	text = append(strconv.AppendUint(text, event.TimestampNs, 10), '|')
	return strconv.AppendInt(text, int64(len(event.Headers)), 10)
}

// upper changes the letters a to z alone, whatever the bytes are.
func upper(text []byte) []byte {
	for at, b := range text {
		if 'a' <= b && b <= 'z' {
			text[at] = b - 'a' + 'A'
		}
	}
	return text
}

func many(event weir.Event) ([]weir.Message, error) {
	count, err := strconv.Atoi(string(event.Payload))
	if err != nil {
		return nil, err
	}
	messages := make([]weir.Message, count)
	for i := range messages {
		messages[i].Payload = strconv.AppendInt(nil, int64(i), 10)
	}
	return messages, nil
}

func memory() ([]weir.Message, error) {
	const page = 4096
	for kept := [][]byte{}; ; {
		more := make([]byte, 1<<20)
		for at := 0; at < len(more); at += page {
			more[at] = 1
		}
		kept = append(kept, more)
	}
}
