package main

import (
	"os"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// runEnv has the test binary be the collector, with these arguments.
const runEnv = "COLLECTOR_TEST_RUN"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(runEnv); arguments != "" {
		os.Args = append(os.Args[:1], strings.Fields(arguments)...)
		main()
		os.Exit(0)
	}
	testkit.Main(m)
}
