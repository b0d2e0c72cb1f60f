package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/store"
)

// storeCommand is the local store's process, which `collector run` starts and supervises.
func storeCommand() *cli.Command {
	return &cli.Command{
		Name:  "store",
		Usage: "show what the tables take on disk, with store usage",
		Description: "Without a command this is the process that opens the engine. `collector run` starts it and " +
			"watches over it; nobody else has to.",
		SkipFlagParsing: true,
		Commands:        []*cli.Command{usageCommand()},
		Action: func(ctx context.Context, c *cli.Command) error {
			o, err := store.OptionsFromArguments(c.Args().Slice(), os.Getenv)
			if errors.Is(err, flag.ErrHelp) {
				return cli.ShowSubcommandHelp(c)
			}
			if err != nil {
				return err
			}
			if err := setup.ServeStore(ctx, o); err != nil {
				fmt.Fprintln(os.Stderr, err) // for the parent, which says who it is
				return errReported
			}
			return nil
		},
	}
}
