package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/draft"
	"github.com/metranova/flow-collector/collector/setup"
)

func draftCommand() *cli.Command {
	return &cli.Command{
		Name:  "draft",
		Usage: "write meta_device.yml and meta_interface.yml from what was heard",
		Description: `Writes a device for each exporter that has none, and an interface for each ifIndex of its flows
that has none, with the name that the exporter says, if it does. Put names in, set edge: true where other networks
begin, and copy the files to metadata.dir. Files that are there are not overwritten.

  collector metadata draft
  collector metadata draft --dir /tmp/draft --days 1`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "dir", Value: "draft", Usage: "write the files to `DIR`"},
			&cli.IntFlag{Name: "days", Value: 7, Usage: "look at the flows of the last `N` days"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Int("days") < 1 {
				return commandline.Usage("--days: at least 1")
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			return draftMetadata(ctx, cfg, c.String("dir"), int(c.Int("days")), commandline.PlainTerminal(os.Stdout))
		},
	}
}

// draftMetadata writes the files. It says what is in them.
func draftMetadata(ctx context.Context, cfg *config.Config, dir string, days int, out io.Writer) (err error) {
	conn, done, err := setup.OpenForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	s := setup.Tables(cfg, setup.ClickHouse(cfg))
	heard, err := draft.Ask(ctx, conn, &s, days)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text func() (string, int)
		what string
	}{{"meta_device.yml", heard.DeviceFile, "devices"}, {"meta_interface.yml", heard.InterfaceFile, "interfaces"}} {
		text, n := f.text()
		if n == 0 {
			fmt.Fprintf(out, "%s: nothing to write: all %s of the last %s are known\n", f.name, f.what,
				commandline.Count(days, "day"))
			continue
		}
		path := filepath.Join(dir, f.name)
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = file.WriteString(text)
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %d %s\n", path, n, f.what)
	}
	return nil
}
