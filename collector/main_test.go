package main

import (
	"os"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// runEnv has the test binary be the collector, with these arguments, which are separated by US (0x1f) or by spaces.
const runEnv = "COLLECTOR_TEST_RUN"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(runEnv); arguments != "" {
		separator := " "
		if strings.Contains(arguments, "\x1f") {
			separator = "\x1f"
		}
		os.Args = append(os.Args[:1], strings.Split(arguments, separator)...)
		main()
		os.Exit(0)
	}
	testkit.Main(m)
}
