// Command collector takes sFlow, NetFlow and IPFIX off the wire and puts enriched rows into ClickHouse.
//
// This package has the command line only, a file for each command. What commands do is in the packages beside it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
)

// version is set by the linker.
var version = "unknown"

// errReported ends the program with status 1 when everything has been said already.
var errReported = errors.New("already reported")

func main() {
	if status := commandline.Run(context.Background(), root(), os.Args, commandline.PlainTerminal(os.Stderr),
		errReported); status != 0 {
		os.Exit(status)
	}
}

func root() *cli.Command {
	return &cli.Command{
		Name:    "collector",
		Usage:   "native flow collector: sFlow v5, NetFlow v5/v9 and IPFIX to ClickHouse",
		Version: version,
		Description: `collector listens for flow exports on UDP, decodes and enriches them in-process (AS,
organization, location, Science Registry, devices, interfaces, policy) and writes rows to ClickHouse in batches.
Without a ClickHouse server configured it keeps them in a local store of its own.

Start:                collector run
Ask:                  collector query "SELECT count() FROM data_flow"
What a router sends:  collector decode capture.pcap
Before a change:      collector check --config collector.yml
What is in force:     collector config
Who sends, live:      collector top
Which route:          collector routes 192.0.2.7
Why is a row so:      collector metadata show 192.0.2.7`,
		DisableSliceFlagSeparator: true,
		EnableShellCompletion:     true,
		Commands: []*cli.Command{
			runCommand(),
			decodeCommand(),
			queryCommand(),
			exploreCommand(),
			checkCommand(),
			configCommand(),
			metadataCommand(),
			quarantineCommand(),
			schemaCommand(),
			compareCommand(),
			convertPmacctCommand(),
			topCommand(),
			routesCommand(),
			tailCommand(),
			bugreportCommand(),
			storeCommand(),
			exportCommand(),
			importCommand(),
			versionCommand(),
			manualCommand(),
		},
	}
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(context.Context, *cli.Command) error {
			fmt.Println("collector", version)
			return nil
		},
	}
}
