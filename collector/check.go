package main

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/check"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "say what is wrong with a configuration, its files, ports and connections",
		Description: `Tries everything that run would need, changes nothing, and exits with 1 if something would not work.

  collector check --config collector.yml
  collector check --env-file conf/envs/base.env --env-file conf/envs/data_flow.env`,
		Flags: configFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			if err := check.Run(ctx, cfg, os.Stdout); errors.Is(err, check.ErrProblems) {
				return errReported // each was printed
			} else {
				return err
			}
		},
	}
}
