package main

import (
	"context"
	"errors"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/check"
	"github.com/metranova/flow-collector/collector/commandline"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "say what is wrong with a configuration, its files, ports and connections",
		Description: `Tries everything that run would need, changes nothing, and exits with 1 if something would not
work. It names all that is wrong in one pass: settings with file and line, files, ports, directories, servers, SQL in
the settings, metadata records, and what run would change in existing tables.

  collector check --config collector.yml
  collector check --env-file conf/envs/base.env --env-file conf/envs/data_flow.env
  collector check --strict --json`,
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "strict", Usage: "exit with 1 for warnings too"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, problems, ofService := readConfig(c)
			o := check.Options{Strict: c.Bool("strict"), JSON: c.Bool("json"), User: check.Self()}
			if ofService {
				o.User = check.ServiceUser()
			}
			err := check.Run(ctx, cfg, problems, o, commandline.PlainTerminal(os.Stdout))
			if errors.Is(err, check.ErrProblems) {
				return errReported // each was printed
			}
			return err
		},
	}
}
