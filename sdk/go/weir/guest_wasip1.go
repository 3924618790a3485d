package weir

import (
	"runtime"
	"strconv"
	"unsafe"
)

//go:wasmimport weir log
func hostLog(level int32, text string)

//go:wasmimport weir config_len
func hostConfigLength() int32

//go:wasmimport weir config_read
func hostConfigRead(to unsafe.Pointer)

// trap ends the event as the fault `trap`. It does not return.
func trap()

// Events are put one behind the other into pieces of memory of this size, larger ones each into its own: an event
// belongs to the transform, so its bytes are not used again, and asking for memory costs more than the bytes do.
const pieceBytes = 16 << 10

var (
	piece []byte // what is left of the current piece
	taken []byte // the event that is being processed
	// The answer, whose memory is used again.
	answer []byte
)

//go:wasmexport weir_alloc
func weirAlloc(length uint32) unsafe.Pointer {
	if length > pieceBytes/4 {
		taken = make([]byte, length)
		return unsafe.Pointer(unsafe.SliceData(taken))
	}
	if uint32(len(piece)) < length {
		piece = make([]byte, pieceBytes)
	}
	taken, piece = piece[:length:length], piece[length:]
	return unsafe.Pointer(unsafe.SliceData(taken))
}

//go:wasmexport weir_process
func weirProcess(_ unsafe.Pointer, _ uint32) uint64 {
	defer endByPanic()
	bytes := taken
	taken = nil
	answer = process(bytes, answer[:0])
	at := uintptr(unsafe.Pointer(unsafe.SliceData(answer)))
	return uint64(at)<<32 | uint64(len(answer))
}

func log(level Level, text string) { hostLog(int32(level), text) }

func config() string {
	text := make([]byte, hostConfigLength())
	if len(text) > 0 {
		hostConfigRead(unsafe.Pointer(unsafe.SliceData(text)))
	}
	return string(text)
}

// endByPanic writes a panic's value and place to standard error, which stands in the reason of the fault. Go's own
// end of a program would write the stacks of all goroutines after it and exit, which is another fault.
func endByPanic() {
	value := recover()
	if value == nil {
		return
	}
	print("panic: " + words(value) + places() + "\n")
	trap()
}

func words(value any) string {
	switch value := value.(type) {
	case error:
		return value.Error()
	case interface{ String() string }:
		return value.String()
	case string:
		return value
	case int:
		return strconv.Itoa(value)
	}
	return "(a value that is neither text nor an error)"
}

// places names the innermost functions of the transform, a line for each.
func places() (text string) {
	const (
		skipped = 3 // runtime.Callers, this function and endByPanic
		named   = 3
	)
	var counters [32]uintptr
	frames := runtime.CallersFrames(counters[:runtime.Callers(skipped, counters[:])])
	for count := 0; count < named; {
		frame, more := frames.Next()
		if hasSuffix(frame.Function, "weir.process") || !more {
			break
		}
		if !isRuntime(frame.Function) {
			text += "\n\tin " + frame.Function + " (" + base(frame.File) + ":" + strconv.Itoa(frame.Line) + ")"
			count++
		}
	}
	return text
}

func hasSuffix(text, suffix string) bool {
	return len(text) >= len(suffix) && text[len(text)-len(suffix):] == suffix
}

func isRuntime(function string) bool {
	const prefix = "runtime."
	return len(function) > len(prefix) && function[:len(prefix)] == prefix
}

func base(path string) string {
	for at := len(path) - 1; at >= 0; at-- {
		if path[at] == '/' {
			return path[at+1:]
		}
	}
	return path
}
