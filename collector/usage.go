package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/schema"
)

// usageCommand prints what the tables take on disk, and for how long the disk is enough.
func usageCommand() *cli.Command {
	return &cli.Command{
		Name:  "usage",
		Usage: "what the tables take on disk, by day, and for how long it is enough",
		Description: `The tables of the local store, or of the ClickHouse server of the configuration. A day is the
last one that is over, or where there is none, what is there divided by its time.`,
		Flags: configFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			conn, done, err := setup.OpenForQuery(ctx, cfg)
			if err != nil {
				return err
			}
			defer done()
			settings := setup.Tables(cfg, setup.ClickHouse(cfg))
			usage, err := schema.ReadUsage(ctx, conn, &settings)
			if err != nil {
				return err
			}
			return printUsage(os.Stdout, usage, time.Now())
		},
	}
}

func printUsage(out io.Writer, u *schema.Usage, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "table\trows\ton disk\tbytes a row\ta day\tfirst row\tkept\twith all of that time\t")
	for _, t := range u.Tables {
		if t.Rows == 0 {
			continue
		}
		kept, full, day, first := "for good", "", "", ""
		switch {
		case t.TTL.Interval != "":
			kept = t.TTL.Interval
		case !t.KnownTTL:
			kept = "see its TTL"
		}
		if !t.First.IsZero() {
			first, day = t.First.Format(time.DateOnly), bytesText(t.BytesADay)
		}
		if t.WhenFull > 0 {
			full = bytesText(float64(t.WhenFull))
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%.1f\t%s\t%s\t%s\t%s\t\n", t.Table, t.Rows, bytesText(float64(t.Bytes)),
			float64(t.Bytes)/float64(t.Rows), day, first, kept, full)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	total, day := u.Total()
	fmt.Fprintf(out, "all: %s, %s a day; free: %s of %s\n", bytesText(float64(total)), bytesText(day),
		bytesText(float64(u.Free)), bytesText(float64(u.Disk)))
	days, fits := u.DaysLeft(now)
	if fits {
		_, err := fmt.Fprintln(out, "at this rate the disk is enough: rows go by their TTL before it is full")
		return err
	}
	_, err := fmt.Fprintf(out,
		"at this rate the disk is full in %s: shorten flow.ttl (collector schema apply), or add disk\n",
		commandline.Count(days, "day"))
	return err
}

// bytesText is a size in units of 1000.
func bytesText(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}
