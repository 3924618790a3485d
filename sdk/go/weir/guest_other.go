//go:build !wasip1

package weir

import "os"

// TestConfig is what Config gives on other systems than Weir, in tests.
var TestConfig string

func log(_ Level, text string) { os.Stderr.WriteString(text + "\n") }

func config() string { return TestConfig }
