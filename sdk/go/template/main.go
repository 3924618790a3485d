// Sends every event on in capitals, with its headers.
package main

import (
	"bytes"

	"{{name}}/weir"
)

func init() { weir.Transform(transform) }

func transform(event weir.Event) ([]weir.Message, error) {
	if len(event.Payload) == 0 {
		return nil, weir.Reject("the payload is empty")
	}
	return []weir.Message{event.Message(bytes.ToUpper(event.Payload))}, nil
}

// main does not run: Weir calls the function that init names.
func main() {}
