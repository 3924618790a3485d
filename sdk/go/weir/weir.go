// Package weir makes a transform for Weir of a function: one event in, any number of messages out, or a reason why
// the event is refused.
//
//	package main
//
//	import (
//		"bytes"
//
//		"shout/weir"
//	)
//
//	func init() { weir.Transform(shout) }
//
//	func shout(event weir.Event) ([]weir.Message, error) {
//		if len(event.Payload) == 0 {
//			return nil, weir.Reject("the payload is empty")
//		}
//		return []weir.Message{event.Message(bytes.ToUpper(event.Payload))}, nil
//	}
//
//	func main() {}
//
// The package needs nothing beside itself, and is built by the stock compiler:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o shout.wasm
//
// On any other system the function is an ordinary one, to be called by tests.
package weir

// Event is what goes into a transform. It belongs to the function, which may keep and change it.
type Event struct {
	Subject string
	Payload []byte
	// Headers come in order; a name may come more than once.
	Headers []Header
	// Sequence is the event's place in the source, from 1.
	Sequence uint64
	// TimestampNs says when the source took it in, in nanoseconds since 1970. It is what time.Now shows, too.
	TimestampNs uint64
}

// Header is one header of an event or a message.
type Header struct {
	Name, Value string
}

// Header gives the first value of a header, and "" where there is none. Names are compared exactly.
func (event Event) Header(name string) string {
	for _, header := range event.Headers {
		if header.Name == name {
			return header.Value
		}
	}
	return ""
}

// Message makes a message with another payload and the headers of this event.
func (event Event) Message(payload []byte) Message {
	return Message{Payload: payload, Headers: event.Headers}
}

// Message is what comes out of a transform.
type Message struct {
	// Subject says where it goes, which the pipeline has to allow; "" where the pipeline's template says.
	Subject string
	Payload []byte
	Headers []Header
}

// With gives the same message with one header more. Names that begin with Nats- or Weir- are reserved.
func (message Message) With(name, value string) Message {
	count := len(message.Headers)
	message.Headers = append(message.Headers[:count:count], Header{name, value})
	return message
}

// Reject is an error with nothing but the reason why an event is refused. Any other error refuses it as well, with
// its text as the reason; a panic is a fault of the module.
type Reject string

func (reason Reject) Error() string { return string(reason) }

// Transform makes a function the transform of this module. It is called in init: main does not run.
func Transform(process func(Event) ([]Message, error)) {
	transform = process
}

// TransformWith makes a function the transform of this module that is given the step's configuration. It is read
// once for each instance, by a function such as json.Unmarshal; no configuration reads as {}. One that does not fit
// refuses every event, with the reason.
func TransformWith[S any](
	unmarshal func([]byte, any) error, process func(Event, *S) ([]Message, error),
) {
	var settings *S
	Transform(func(event Event) ([]Message, error) {
		if settings == nil {
			text, read := Config(), new(S)
			if text == "" {
				text = "{}"
			}
			if err := unmarshal([]byte(text), read); err != nil {
				return nil, Reject("the configuration is not as expected: " + err.Error())
			}
			settings = read
		}
		return process(event, settings)
	})
}

// Config gives the step's configuration as it is: JSON text with sorted keys, empty where there is none. Mostly
// TransformWith is what you want.
func Config() string { return config() }

// Level says how much a line of the log matters.
type Level int32

const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes a line to the node's log. Weir bounds what is kept for each event. What goes to standard output and
// error (fmt.Println, log.Print) comes there too.
func Log(level Level, text string) { log(level, text) }

var transform func(Event) ([]Message, error)

// process gives the answer to an event, both in MessagePack.
func process(bytes, answer []byte) []byte {
	if transform == nil {
		panic("weir.Transform was not called in an init function")
	}
	event, ok := readEvent(bytes)
	if !ok {
		panic("the event is not of the contract's shape")
	}
	messages, err := transform(event)
	if err != nil {
		return appendRefusal(answer, err.Error())
	}
	return appendMessages(answer, messages)
}
