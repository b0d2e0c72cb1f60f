package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/outage"
)

func outageCommand() *cli.Command {
	return &cli.Command{
		Name:  "outage",
		Usage: "send numbered flows while the store suffers, and count what is in the tables",
		Description: `Starts a store and a collector of their own (make build engine), sends NetFlow at a rate, and
meanwhile stops the store, kills it, freezes it, slows it down, loses its answers after it has committed, and (as root)
fills its disk. Every flow has a number, so that the table says which are lost and which are there twice. Exit status 1
where any is.

  go run ./bench outage                          # ten minutes at 100,000 flows/s
  go run ./bench outage --for 60s --rate 20000
  go run ./bench outage --rollups all            # every rollup has to have the sums of data_flow too`,
		Flags: outageFlags(10 * time.Minute),
		Action: func(ctx context.Context, c *cli.Command) error {
			return runOutage(ctx, c, outage.Run)
		},
	}
}

func crashCommand() *cli.Command {
	return &cli.Command{
		Name:  "crash",
		Usage: "send numbered flows while the collector is killed -9 again and again, and count what that costs",
		Description: `Starts a store and a collector of their own (make build engine). After each kill the collector is
started again at once. What it had received and had neither delivered nor spooled is lost; nothing may be there twice.

  go run ./bench crash --kills 20 --for 3m`,
		Flags: append(outageFlags(3*time.Minute), &cli.IntFlag{Name: "kills", Value: 20, Usage: "kill it `N` times"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			return runOutage(ctx, c, func(ctx context.Context, o outage.Options) (*outage.Result, error) {
				return outage.Crash(ctx, o, c.Int("kills"))
			})
		},
	}
}

func outageFlags(duration time.Duration) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "collector", Value: "bin/collector", Usage: "the collector's program `FILE`"},
		&cli.StringFlag{Name: "engine", Value: ".engine/libchdb.so", Usage: "the store's engine `FILE`"},
		&cli.StringFlag{Name: "dir",
			Usage: "keep data and logs in `DIR`, which must be empty; without it they are removed"},
		&cli.IntFlag{Name: "rate", Value: 100_000, Usage: "flows a second"},
		&cli.DurationFlag{Name: "for", Value: duration, Usage: "send for `TIME`"},
		&cli.Int64Flag{Name: "disk-mb", Value: 6000,
			Usage: "size of the store's disk, which is mounted for this (root only); 0: not filled up"},
		&cli.StringFlag{Name: "rollups", Usage: "turn on these `SETS` of flow.rollups, with commas; all: every one"},
		&cli.BoolFlag{Name: "json", Usage: "print the result as JSON"},
	}
}

// runOutage prepares a run, does it and prints the result.
func runOutage(ctx context.Context, c *cli.Command,
	do func(context.Context, outage.Options) (*outage.Result, error)) error {
	dir := c.String("dir")
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "outage"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	begun := time.Now()
	o := outage.Options{
		Collector: c.String("collector"), Engine: c.String("engine"), Dir: dir, Rate: c.Int("rate"),
		For: c.Duration("for"), Rollups: strings.FieldsFunc(c.String("rollups"), func(r rune) bool { return r == ',' }),
		Log: func(format string, arguments ...any) {
			fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(begun).Round(time.Second), fmt.Sprintf(format, arguments...))
		},
	}
	if os.Geteuid() == 0 {
		o.DiskBytes = c.Int64("disk-mb") << 20
	} else {
		fmt.Fprintln(os.Stderr, "not root: the store's disk is not filled up")
	}
	result, err := do(ctx, o)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			return err
		}
	} else {
		printOutage(os.Stdout, result)
	}
	if problem := result.Problem(); problem != "" {
		return errors.New(problem)
	}
	return nil
}

func printOutage(out io.Writer, r *outage.Result) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\trows\tbytes\tpackets\t")
	fmt.Fprintf(table, "data_flow\t%d\t%d\t%d\t\n", r.Rows.Rows, r.Rows.Bits/8, r.Rows.Packets)
	for _, name := range slices.Sorted(maps.Keys(r.Views)) {
		v := r.Views[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t\n", name, v.Rows, v.Bits/8, v.Packets)
	}
	table.Flush()
	fmt.Fprintf(out,
		"\n%d flows sent in %s, %d datagrams dropped by the kernel, %d rows twice, %d answers lost after the commit\n",
		r.Sent, r.Sending.Round(time.Second), r.KernelDrops, r.Twice, r.Cuts)
	fmt.Fprintf(out, "the last row was there %s after the last flow; the collector took %d MiB at most\n",
		r.Catching.Round(100*time.Millisecond), r.PeakBytes>>20)
	if len(r.Kills) == 0 {
		fmt.Fprintf(out, "%d flows lost\n", r.Lost())
		return
	}
	for i, k := range r.Kills {
		fmt.Fprintf(out, "kill %2d: %6d flows lost that were received, %6d sent while nobody listened\n", i+1, k.Lost,
			k.Down)
	}
}
