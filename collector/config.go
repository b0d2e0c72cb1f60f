package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/config"
)

// configFlags are the flags of every command that needs the configuration.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"},
			Usage: "read settings from `FILE` (YAML; see conf.example/collector.yml)"},
		&cli.StringSliceFlag{Name: "env-file",
			Usage: "read environment variables from `FILE` too, such as the reference's conf/envs/base.env; may be given several times"},
	}
}

// loadConfig reads the configuration and prints all that is wrong with it.
func loadConfig(c *cli.Command) (*config.Config, error) {
	cfg, problems := config.Load(config.Source{
		File:     c.String("config"),
		EnvFiles: c.StringSlice("env-file"),
		Environ:  os.Environ(),
	})
	for _, n := range cfg.Notes() {
		fmt.Fprintln(os.Stderr, "collector: note:", n)
	}
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(os.Stderr, "collector: warning:", w)
	}
	if len(problems) == 0 {
		return cfg, nil
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "collector:", p)
	}
	return nil, errReported
}
