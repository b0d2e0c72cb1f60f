package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pmacct"
)

func convertPmacctCommand() *cli.Command {
	return &cli.Command{
		Name:      "convert-pmacct",
		Usage:     "write our configuration from that of nfacctd and sfacctd",
		ArgsUsage: "FILE...",
		Description: `Reads configurations of nfacctd and sfacctd, and the files that they name. The configuration goes
to standard output, each setting below the lines that it comes from. Lines that have no counterpart, and lines that need
none, are named with the reason, on standard error and at the end of the configuration. It exits with 1 if lines or
files cannot be read, or the collector would not start with the result. collector/pmacct/README.md has all keys of
pmacct.

  collector convert-pmacct /etc/pmacct/nfacctd.conf
  collector convert-pmacct --output collector.yml nfacctd.conf sfacctd.conf && collector check --config collector.yml`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"},
				Usage: "write to `FILE`, which must not exist (it may have passwords: only its owner can read it)"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return commandline.Usage("convert-pmacct: name a configuration of nfacctd or sfacctd")
			}
			return convertPmacct(c.Args().Slice(), c.String("output"), os.Stdout, os.Stderr)
		},
	}
}

// convertPmacct writes the configuration to a file, or to out, and what was not taken to report.
func convertPmacct(paths []string, file string, out, report io.Writer) error {
	converted := pmacct.Convert(paths)
	if file == "" {
		if err := converted.WriteYAML(out); err != nil {
			return err
		}
	} else if err := writeNew(file, converted); err != nil {
		return err
	}
	counts := map[pmacct.Fate]int{}
	for _, r := range converted.Remarks {
		counts[r.Fate]++
		fmt.Fprintln(report, r)
	}
	for _, p := range converted.Problems {
		fmt.Fprintln(report, "collector:", p)
	}
	refused, err := refusedOf(converted)
	if err != nil {
		return err
	}
	for _, p := range refused {
		fmt.Fprintln(report, "collector:", p)
	}
	problems := len(converted.Problems) + len(refused)
	fmt.Fprintf(report, "%s; %s without a counterpart, %d that need none, %s\n",
		commandline.Count(len(converted.Settings), "setting"), commandline.Count(counts[pmacct.Missing], "line"),
		counts[pmacct.NotNeeded], commandline.Count(problems, "problem"))
	if problems > 0 {
		return errReported
	}
	return nil
}

// refusedOf returns why a collector would not start with the configuration: lines of pmacct's maps that have no
// counterpart, above all.
func refusedOf(converted *pmacct.Converted) (problems []config.Problem, err error) {
	dir, err := os.MkdirTemp("", "convert-pmacct")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "collector.yml")
	if err := writeNew(file, converted); err != nil {
		return nil, err
	}
	_, problems = config.Load(config.Source{File: file})
	for i := range problems { // the file is gone when it is read
		problems[i].Where = strings.TrimPrefix(problems[i].Where, dir+string(filepath.Separator))
	}
	return problems, nil
}

// writeNew writes the configuration to a file that is not there yet.
func writeNew(path string, converted *pmacct.Converted) error {
	var text bytes.Buffer
	if err := converted.WriteYAML(&text); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text.Bytes())
	return errors.Join(err, f.Close())
}
