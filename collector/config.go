package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/config"
)

// configFlags are the flags of every command that needs the configuration.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"},
			Usage: "read settings from `FILE` (YAML; see conf.example/collector.yml)"},
		&cli.StringSliceFlag{Name: "env-file",
			Usage: "read environment variables from `FILE` too, such as the reference's conf/envs/base.env; may be " +
				"given several times"},
	}
}

// Where the package installs the configuration of the service.
const (
	installedFile = "etc/flow-collector/collector.yml"
	installedEnv  = "etc/default/flow-collector"
)

// installed is the configuration of the installed service below root; the zero Source where there is none.
func installed(root string) config.Source {
	var source config.Source
	if file := filepath.Join(root, installedFile); isThere(file) {
		source.File = file
		if env := filepath.Join(root, installedEnv); isThere(env) {
			source.EnvFiles = []string{env}
		}
	}
	return source
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// configSource is where a command's settings come from: what its flags say, or else the installed service's.
func configSource(c *cli.Command, root string) (s config.Source, ofService bool) {
	if c.IsSet("config") || c.IsSet("env-file") {
		s = config.Source{File: c.String("config"), EnvFiles: c.StringSlice("env-file")}
	} else if c.Name != "run" { // which the service calls with its file; others collect with settings of their own
		s = installed(root)
		ofService = s.File != ""
	}
	s.Environ = os.Environ()
	return s, ofService
}

// readConfig reads the configuration. It says where that is from if nobody named it.
func readConfig(c *cli.Command) (cfg *config.Config, problems []config.Problem, ofService bool) {
	from, ofService := configSource(c, "/")
	if ofService {
		fmt.Fprintf(os.Stderr, "collector: using the settings of the service: %s", from.File)
		for _, env := range from.EnvFiles {
			fmt.Fprintf(os.Stderr, " and %s", env)
		}
		fmt.Fprintln(os.Stderr, " (--config names others)")
	}
	cfg, problems = config.Load(from)
	return cfg, problems, ofService
}

// loadConfig reads the configuration and prints all that is wrong with it. How settings were understood is only said by
// run and by check, which does not come here: before the result of a query it would be in the way.
func loadConfig(c *cli.Command) (*config.Config, error) {
	cfg, problems, _ := readConfig(c)
	if c.Name == "run" {
		for _, n := range cfg.Notes() {
			fmt.Fprintln(os.Stderr, "collector: note:", n)
		}
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

func configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "print the settings in force, and where each comes from",
		Description: `A setting comes from the configuration file, an environment file, the environment, or it has its
default. Passwords and keys are not shown.

  collector config                     what differs from the defaults
  collector config --all               every setting
  collector config --json`,
		Flags: append(configFlags(),
			&cli.BoolFlag{Name: "all", Usage: "print settings that have their default too"},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, with every setting"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			cfg, problems, _ := readConfig(c)
			for _, p := range problems {
				fmt.Fprintln(os.Stderr, "collector:", p)
			}
			var err error
			if c.Bool("json") {
				err = printSettingsJSON(os.Stdout, cfg)
			} else {
				err = printSettings(os.Stdout, cfg, c.Bool("all"))
			}
			if err == nil && len(problems) > 0 {
				err = errReported
			}
			return err
		},
	}
}

// printSettings prints a line for each setting.
func printSettings(out io.Writer, cfg *config.Config, all bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	shown := 0
	for _, s := range cfg.Settings() {
		if s.Origin == (config.Origin{}) && !all {
			continue
		}
		shown++
		fmt.Fprintf(table, "%s\t%s\t# %s\n", s.Key, s.Value, s.Origin)
	}
	if shown == 0 {
		fmt.Fprintln(table, "every setting has its default: collector config --all shows them")
	}
	return table.Flush()
}

func printSettingsJSON(out io.Writer, cfg *config.Config) error {
	type setting struct {
		Key      string `json:"key"`
		Value    string `json:"value"` // as the file would have it
		From     string `json:"from"`
		Variable string `json:"variable,omitempty"`
		Live     bool   `json:"live"`
		Secret   bool   `json:"secret,omitempty"`
	}
	var all []setting
	for _, s := range cfg.Settings() {
		all = append(all, setting{s.Key, s.Value, s.Origin.String(), s.Origin.Variable, s.Live, s.Secret})
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
