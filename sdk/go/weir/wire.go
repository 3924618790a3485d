package weir

import (
	"unicode/utf8"
	"unsafe"
)

// The fewest bytes that a header takes.
const headerBytesMin = 3

// readEvent reads [subject, payload, [[name, value], …], sequence, timestamp_ns]. Text and payload stay where they
// are: the bytes belong to the event from then on.
func readEvent(bytes []byte) (event Event, ok bool) {
	r := reader{bytes: bytes}
	if r.array() != 5 {
		return event, false
	}
	event.Subject = r.text()
	event.Payload = r.binary()
	count := r.array()
	if count > r.left()/headerBytesMin {
		return event, false
	}
	if count > 0 {
		event.Headers = make([]Header, count)
	}
	for at := range event.Headers {
		if r.array() != 2 {
			return event, false
		}
		header := &event.Headers[at]
		header.Name = r.text()
		header.Value = r.text()
	}
	event.Sequence = r.unsigned()
	event.TimestampNs = r.unsigned()
	return event, !r.bad && r.left() == 0
}

// reader reads MessagePack, one value after the other, never beyond its end. After the first thing that is not as
// it should be, bad stays set. Each method tries the shortest form first: in WebAssembly as Go makes it, calls and
// branches are what takes time.
type reader struct {
	bytes []byte
	at    int
	bad   bool
}

func (r *reader) left() int { return len(r.bytes) - r.at }

func (r *reader) fail() {
	r.bad, r.at = true, len(r.bytes)
}

func (r *reader) tag() byte {
	if r.at == len(r.bytes) {
		r.fail()
		return 0xc1 // which nothing begins with
	}
	tag := r.bytes[r.at]
	r.at++
	return tag
}

// number reads what follows a tag.
func (r *reader) number(width int) (value uint64) {
	if width > r.left() {
		r.fail()
		return 0
	}
	for _, b := range r.bytes[r.at : r.at+width] {
		value = value<<8 | uint64(b)
	}
	r.at += width
	return value
}

func (r *reader) unsigned() uint64 {
	tag := r.tag()
	if tag < 0x80 {
		return uint64(tag)
	}
	if tag < 0xcc || tag > 0xcf {
		r.fail()
		return 0
	}
	return r.number(1 << (tag - 0xcc))
}

func (r *reader) array() int {
	tag := r.tag()
	if tag&0xf0 == 0x90 {
		return int(tag & 0x0f)
	}
	if tag != 0xdc && tag != 0xdd {
		r.fail()
		return 0
	}
	return int(r.number(2 << (tag - 0xdc)))
}

func (r *reader) text() string {
	tag := r.tag()
	length := uint64(tag & 0x1f)
	if tag&0xe0 != 0xa0 {
		if tag < 0xd9 || tag > 0xdb {
			r.fail()
			return ""
		}
		length = r.number(1 << (tag - 0xd9))
	}
	if length == 0 || length > uint64(r.left()) {
		r.bad = r.bad || length > 0
		return ""
	}
	start := r.at
	r.at += int(length)
	// Nobody else has these bytes.
	return unsafe.String(&r.bytes[start], int(length))
}

func (r *reader) binary() []byte {
	tag := r.tag()
	if tag < 0xc4 || tag > 0xc6 {
		r.fail()
		return nil
	}
	length := r.number(1 << (tag - 0xc4))
	if length > uint64(r.left()) {
		r.fail()
		return nil
	}
	start := r.at
	r.at += int(length)
	// The capacity ends with the length, so that appending to a payload writes nowhere else.
	return r.bytes[start:r.at:r.at]
}

// appendMessages appends [0, [[subject or nil, payload, [[name, value], …]], …]].
func appendMessages(to []byte, messages []Message) []byte {
	to = append(to, 0x92, 0)
	to = appendArray(to, len(messages))
	for _, message := range messages {
		to = append(to, 0x93)
		if message.Subject == "" {
			to = append(to, 0xc0)
		} else {
			to = appendText(to, message.Subject)
		}
		to = append(appendLength(to, 0xc4, len(message.Payload)), message.Payload...)
		to = appendArray(to, len(message.Headers))
		for _, header := range message.Headers {
			to = append(to, 0x92)
			to = appendText(to, header.Name)
			to = appendText(to, header.Value)
		}
	}
	return to
}

// appendRefusal appends [1, reason]. A reason often has bytes of the event in it, so what is not UTF-8 is replaced.
func appendRefusal(to []byte, reason string) []byte {
	if !utf8.ValidString(reason) {
		reason = string([]rune(reason))
	}
	return appendText(append(to, 0x92, 1), reason)
}

func appendText(to []byte, text string) []byte {
	if len(text) < 32 {
		to = append(to, 0xa0|byte(len(text)))
	} else {
		to = appendLength(to, 0xd9, len(text))
	}
	return append(to, text...)
}

func appendArray(to []byte, count int) []byte {
	switch {
	case count < 1<<4:
		return append(to, 0x90|byte(count))
	case count < 1<<16:
		return append(to, 0xdc, byte(count>>8), byte(count))
	}
	return append(to, 0xdd, byte(count>>24), byte(count>>16), byte(count>>8), byte(count))
}

// appendLength appends a length after one of three tags, by how many bytes it takes.
func appendLength(to []byte, tag byte, length int) []byte {
	switch {
	case length < 1<<8:
		return append(to, tag, byte(length))
	case length < 1<<16:
		return append(to, tag+1, byte(length>>8), byte(length))
	}
	return append(to, tag+2, byte(length>>24), byte(length>>16), byte(length>>8), byte(length))
}
