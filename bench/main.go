// Command bench makes the captures that the project's tests stand on and measures the collector.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"
)

func main() {
	command := &cli.Command{
		Name:     "bench",
		Usage:    "make captures and measure the collector",
		Commands: []*cli.Command{trafficCommand(), talkCommand()},
	}
	if err := command.Run(context.Background(), os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
