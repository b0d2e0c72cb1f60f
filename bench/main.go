// Command bench makes captures, sends them, and measures the collector and its peers.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v3"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := &cli.Command{
		Name:  "bench",
		Usage: "make captures, send them, and measure the collector and its peers",
		Description: "A capture of a million flows, and the collector under it at 500,000 flows a second for a " +
			"minute:\n" +
			"   bench gen --protocol v9 --flows 1000000 /tmp/v9.pcap\n" +
			"   bench replay --rewrite --rate 500000 --duration 1m --to 127.0.0.1:2055 /tmp/v9.pcap",
		Commands: []*cli.Command{
			genCommand(),
			replayCommand(),
			pipelineCommand(),
			bgpCommand(),
			soakCommand(),
			compareCommand(),
			latencyCommand(),
			collectCommand(),
			outageCommand(),
			crashCommand(),
			trafficCommand(),
			talkCommand(),
			hostileCommand(),
			storeCommand(),
			queryCommand(),
			planCommand(),
		},
	}
	if err := command.Run(ctx, os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
