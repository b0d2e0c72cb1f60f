package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/query"
	"github.com/metranova/flow-collector/collector/explore"
)

func queryCommand() *cli.Command {
	return &cli.Command{
		Name:  "query",
		Usage: "measure the dashboards' panels and the presets of /explore on a store with many rows",
		Description: "Fills a local store with flows of a month, of 20 routers with metadata, and asks each panel " +
			"and preset over an hour, a day, a week and 30 days: the median of some runs, the rows read, the " +
			"table that was chosen. Then it asks those of a day and of 30 days while flows come in, and 20 panels at " +
			"once, one of them by every pair of addresses.\n" +
			"A million rows take some 40 MB of disk, and some ten seconds of a core with rollups.\n\n" +
			"   bench query --rows 10000000                       # a store that is deleted afterwards\n" +
			"   bench query --dir /data/bench --rows 100000000 --fill   # fills a store that stays\n" +
			"   bench query --dir /data/bench                     # measures it\n" +
			"   bench query --dir /data/bench --rollups=false     # the same from single flows alone",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "keep the store in `DIR`, and use it again if it is there"},
			&cli.IntFlag{Name: "rows", Usage: "`N` rows, of all days together", Value: 10_000_000},
			&cli.IntFlag{Name: "days", Usage: "`N` days", Value: 31},
			&cli.IntFlag{Name: "distinct", Usage: "make `N` days; those before repeat them", Value: 10},
			&cli.TimestampFlag{Name: "until", Usage: "`TIME` at which the last day ends (default: now)",
				Config: cli.TimestampConfig{Layouts: []string{time.RFC3339}}},
			&cli.BoolFlag{Name: "fill", Usage: "fill the store, measure nothing"},
			&cli.BoolFlag{Name: "rollups", Usage: "have all rollups", Value: true},
			&cli.BoolFlag{Name: "from-rows", Usage: "ask each preset of single flows too", Value: true},
			&cli.StringFlag{Name: "only", Usage: "only panels and presets whose names have this `WORD`"},
			&cli.StringSliceFlag{Name: "range", Usage: "ask for the last `TIME`; may be given several times",
				Value: []string{"1h", "24h", "7d", "30d"}},
			&cli.IntFlag{Name: "repeat", Usage: "ask each `N` times", Value: 5},
			&cli.DurationFlag{Name: "at-most", Usage: "do not repeat one that took so much `TIME` already",
				Value: 4 * time.Second},
			&cli.IntFlag{Name: "rate", Usage: "`N` flows a second that come in for the second part; 0: no second part",
				Value: 50_000},
			&cli.IntFlag{Name: "at-once", Usage: "`N` panels at once at the end", Value: 20},
			&cli.StringFlag{Name: "dashboards", Usage: "dashboards in `DIR`", Value: "conf.example/grafana/dashboards"},
			&cli.StringFlag{Name: "collector", Usage: "the collector's program `FILE`", Value: "bin/collector"},
			&cli.StringFlag{Name: "engine", Usage: "the local store's engine `FILE`", Value: ".engine/libchdb.so"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"},
			&cli.StringFlag{Name: "save", Usage: "write the figures as JSON to `FILE` too"},
		},
		Action: measureQueries,
	}
}

func measureQueries(ctx context.Context, c *cli.Command) error {
	began := time.Now()
	o := query.Options{
		Collector: c.String("collector"), Engine: c.String("engine"), Dashboards: c.String("dashboards"),
		Dir: c.String("dir"), Rows: c.Int("rows"), Days: c.Int("days"), Distinct: max(1, c.Int("distinct")),
		Until:   c.Timestamp("until"),
		Rollups: c.Bool("rollups"), FromRows: c.Bool("from-rows"),
		Only: c.String("only"), Repeat: c.Int("repeat"), AtMost: c.Duration("at-most"),
		Rate: c.Int("rate"), AtOnce: c.Int("at-once"),
		Busy: []time.Duration{24 * time.Hour, 30 * 24 * time.Hour},
		Log: func(format string, arguments ...any) {
			fmt.Fprintf(os.Stderr, "%6s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, arguments...))
		},
	}
	for _, text := range c.StringSlice("range") {
		length, err := explore.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("query: --range: %w", err)
		}
		o.Ranges = append(o.Ranges, length)
	}
	if c.IsSet("range") {
		o.Busy = o.Ranges
	}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "bench-query")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.Dir = dir
	}
	if err := query.Fill(ctx, o); err != nil {
		return fmt.Errorf("query: fill the store: %w", err)
	}
	if c.Bool("fill") {
		return nil
	}
	result, runErr := query.Run(ctx, o)
	if runErr != nil {
		runErr = fmt.Errorf("query: %w", runErr)
	}
	if result == nil {
		return runErr
	}
	data, err := json.MarshalIndent(result, "", "  ") // what was measured before an interruption too
	if err != nil {
		return err
	}
	if path := c.String("save"); path != "" {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		fmt.Println(string(data))
		return runErr
	}
	printAsked(os.Stdout, result)
	return runErr
}

func printAsked(out io.Writer, r *query.Result) {
	print := func(title string, all []query.Asked) {
		fmt.Fprintf(out, "%s, %s rows\n", title, thousands(int(r.Rows)))
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "of\tname\trange\tms\tfrom rows\truns\trows read\ttable\tpage B\tcached ms")
		for _, a := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\t%.0f\t%s\t%d\t%s\t%s\t%s\t%s", a.Of, a.Name, hours(a.Range), a.Milliseconds,
				orDash("%.0f", a.FromRows), a.Runs, thousands(int(a.Rows)), a.Table, orDash("%.0f", float64(a.Page)),
				orDash("%.1f", a.Cached))
			if a.Error != "" {
				fmt.Fprint(table, "\t"+a.Error)
			}
			fmt.Fprintln(table)
		}
		_ = table.Flush() // to standard output
	}
	print("idle", r.Idle)
	if r.Live != nil {
		fmt.Fprintln(out)
		print("while flows come in", r.Busy)
		l := r.Live
		fmt.Fprintf(out,
			"\n%s flows sent, %s rows; inserts took %.0f ms on average, at most %.0f ms between deliveries; "+
				"%.0f rows waited at most, %.0f on disk\n", thousands(int(l.Sent)), thousands(int(l.Rows)),
			l.InsertMean,
			l.Longest, l.Waiting, l.Spooled)
	}
	if r.AtOnce != nil {
		fmt.Fprintf(out, "%s\n", r.AtOnce)
		for _, reason := range r.AtOnce.Refused {
			fmt.Fprintf(out, "  refused: %s\n", reason)
		}
		if !r.AtOnce.Alive {
			fmt.Fprintln(out, "  the store does not answer any more")
		}
	}
}

func orDash(format string, n float64) string {
	if n == 0 {
		return "—"
	}
	return fmt.Sprintf(format, n)
}

func hours(d time.Duration) string {
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	return fmt.Sprintf("%dh", d/time.Hour)
}
