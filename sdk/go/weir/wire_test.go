//go:build !wasip1

package weir

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

// golden gives the bytes of a vector of the contract's file.
func golden(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../runtime/engine/testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if digits, found := strings.CutPrefix(line, name+": "); found {
			vector, err := hex.DecodeString(digits)
			if err != nil {
				t.Fatal(err)
			}
			return vector
		}
	}
	t.Fatalf("there is no vector %s", name)
	return nil
}

func event(t *testing.T, name string) Event {
	t.Helper()
	event, ok := readEvent(golden(t, name))
	if !ok {
		t.Fatalf("%s is not read", name)
	}
	return event
}

func TestEventsAreRead(t *testing.T) {
	plain := event(t, "event-plain")
	wanted := Event{
		Subject:     "orders.new",
		Payload:     []byte("hello"),
		Headers:     []Header{{"a", "1"}, {"a", "2"}, {"b", ""}},
		Sequence:    7,
		TimestampNs: 1_700_000_000_000_000_000,
	}
	if !reflect.DeepEqual(plain, wanted) {
		t.Errorf("found %+v", plain)
	}
	if plain.Header("a") != "1" || plain.Header("A") != "" {
		t.Errorf("headers are looked up wrongly")
	}
	if empty := event(t, "event-empty"); len(empty.Payload) != 0 || len(empty.Headers) != 0 || empty.Sequence != 1 {
		t.Errorf("found %+v", empty)
	}
	long := event(t, "event-long")
	if !bytes.Equal(long.Payload, bytes.Repeat([]byte{0xff}, 300)) || long.Subject != strings.Repeat("s", 40) {
		t.Errorf("found %+v", long)
	}
	if long.Sequence != 65536 || long.TimestampNs != math.MaxUint64 {
		t.Errorf("found %+v", long)
	}
}

func TestAppendingToAPayloadLeavesHeadersAlone(t *testing.T) {
	plain := event(t, "event-plain")
	_ = append(plain.Payload, "overwritten"...)
	if plain.Headers[0].Name != "a" {
		t.Errorf("found %+v", plain)
	}
}

func TestDamagedEventsAreRefusedOrReadNeverBeyondTheirEnd(t *testing.T) {
	for _, name := range []string{"event-plain", "event-empty", "event-long"} {
		whole := golden(t, name)
		for length := range whole {
			if _, ok := readEvent(whole[:length:length]); ok {
				t.Errorf("%s is read with %d bytes", name, length)
			}
		}
		for at := range whole {
			altered := bytes.Clone(whole)
			for value := range 256 {
				altered[at] = byte(value)
				readEvent(altered)
			}
		}
	}
}

func TestAnswersAreWritten(t *testing.T) {
	defer Transform(nil)
	two := []Message{Message{Subject: "out.a", Payload: []byte("hello")}.With("k", "v"), {}}
	for vector, answer := range map[string]func(Event) ([]Message, error){
		"answer-none":   func(Event) ([]Message, error) { return nil, nil },
		"answer-two":    func(Event) ([]Message, error) { return two, nil },
		"answer-reject": func(Event) ([]Message, error) { return two, Reject("no amount") },
	} {
		Transform(answer)
		if found := process(golden(t, "event-plain"), nil); !bytes.Equal(found, golden(t, vector)) {
			t.Errorf("%s is written as %x", vector, found)
		}
	}
}

func TestEveryLengthIsWrittenInItsForm(t *testing.T) {
	for _, length := range []int{0, 1, 31, 32, 255, 256, 65535, 65536, 1 << 20} {
		many := strings.Repeat("x", length)
		// An event has the parts of a message in another order, so that the reader can read them.
		bytes := appendText([]byte{0x95}, many)
		bytes = append(appendLength(bytes, 0xc4, length), many...)
		bytes = append(appendText(appendText(append(bytes, 0x91, 0x92), many), many), 1, 1)
		found, ok := readEvent(bytes)
		if !ok || found.Subject != many || string(found.Payload) != many || found.Headers[0].Value != many {
			t.Errorf("a length of %d is not read", length)
		}
	}
	for count, head := range map[int]int{15: 1, 16: 3, 65535: 3, 65536: 5} {
		if found := appendMessages(nil, make([]Message, count)); len(found) != 2+head+5*count {
			t.Errorf("%d messages take %d bytes", count, len(found))
		}
	}
}

func TestAReasonIsUTF8(t *testing.T) {
	if found := appendRefusal(nil, "a\xffb"); string(found[3:]) != "a\uFFFDb" {
		t.Errorf("found %x", found)
	}
}

func TestWithLeavesTheEventsHeadersAlone(t *testing.T) {
	plain := event(t, "event-plain")
	one, two := plain.Message(nil).With("n", "1"), plain.Message(nil).With("n", "2")
	if one.Headers[3].Value != "1" || two.Headers[3].Value != "2" || len(plain.Headers) != 3 {
		t.Errorf("found %+v and %+v", one, two)
	}
}

func TestTheConfigurationIsReadOnceOrRefusesEveryEvent(t *testing.T) {
	defer Transform(nil)
	defer func() { TestConfig = "" }()
	type settings struct{ Times int }
	reads := 0
	count := func(text []byte, into any) error { reads++; return json.Unmarshal(text, into) }
	TransformWith(count, func(_ Event, settings *settings) ([]Message, error) {
		return make([]Message, settings.Times), nil
	})
	TestConfig = `{"Times": "many"}`
	found := string(process(golden(t, "event-plain"), nil))
	if !strings.Contains(found, "the configuration is not as expected: json: cannot unmarshal string") {
		t.Errorf("found %q", found)
	}
	TestConfig = `{"Times": 2}`
	for range 2 {
		if found := process(golden(t, "event-plain"), nil); found[2] != 0x92 {
			t.Errorf("found %x", found)
		}
	}
	if reads != 2 {
		t.Errorf("it was read %d times", reads)
	}
}
