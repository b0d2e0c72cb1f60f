package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/schema"
)

// rollupQuery is what `collector query --rollup` asks.
type rollupQuery struct {
	by, where string
	last      string // such as 30d
	from, to  time.Time
	step      string // such as 1h; "" is one sum
	top       int
}

func rollupFlags() []cli.Flag {
	const section = "with --rollup"
	times := cli.TimestampConfig{Layouts: []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02"}, Timezone: time.UTC}
	return []cli.Flag{
		&cli.BoolFlag{Name: "rollup",
			Usage: "instead of SQL: sums of flows, bits and packets, from the cheapest table that has them"},
		&cli.StringFlag{Name: "by", Usage: "group by these `COLUMNS` of data_flow, with commas between them",
			Category: section},
		&cli.StringFlag{Name: "where", Usage: "count flows that meet this `CONDITION` on columns of data_flow",
			Category: section},
		&cli.StringFlag{Name: "last", Usage: "the last `TIME`, such as 6h or 30d", Value: "1d", Category: section},
		&cli.TimestampFlag{Name: "from", Usage: "from this `TIME` on (UTC) instead of --last", Config: times,
			Category: section},
		&cli.TimestampFlag{Name: "to", Usage: "up to this `TIME` (UTC)", Config: times, Category: section},
		&cli.StringFlag{Name: "step", Usage: "a row for each `STEP`, such as 5m, 1h or 1d", Category: section},
		&cli.IntFlag{Name: "top", Usage: "the `N` rows with the most bits (0: all)", Value: 20, Category: section},
	}
}

func rollupQueryOf(c *cli.Command) rollupQuery {
	return rollupQuery{by: c.String("by"), where: c.String("where"), last: c.String("last"), from: c.Timestamp("from"),
		to: c.Timestamp("to"), step: c.String("step"), top: c.Int("top")}
}

// question turns the words of the command line into a question. Errors are for the user.
func (r *rollupQuery) question(s *schema.Settings, now time.Time) (schema.Question, error) {
	q := schema.Question{Filters: s.FiltersOf(r.where), From: r.from, To: r.to}
	for name := range strings.SplitSeq(r.by, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if s.Sources()[0].Columns[name] == "" {
			return q, commandline.Usage("--by: data_flow has no column %s", name)
		}
		q.Dimensions = append(q.Dimensions, name)
	}
	if q.To.IsZero() {
		q.To = now
	}
	if q.From.IsZero() {
		last, err := timeSpan(r.last)
		if err != nil {
			return q, commandline.Usage("--last: %v", err)
		}
		q.From = q.To.Add(-last)
	}
	if !q.From.Before(q.To) {
		return q, commandline.Usage("--from %s is not before --to %s", q.From.UTC().Format(time.DateTime),
			q.To.UTC().Format(time.DateTime))
	}
	if r.top < 0 {
		return q, commandline.Usage("--top %d is not a number of rows: 0 is all", r.top)
	}
	if r.step != "" {
		step, err := timeSpan(r.step)
		if err != nil {
			return q, commandline.Usage("--step: %v", err)
		}
		q.Step = step
	}
	return q, nil
}

// timeSpan reads a time such as 90s, 5m, 6h, 30d or 2w.
func timeSpan(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		var n int
		if _, err := fmt.Sscanf(text, "%d"+suffix, &n); err == nil && n > 0 && n < 100_000 &&
			text == fmt.Sprint(n)+suffix {
			return time.Duration(n) * unit, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second || d%time.Second != 0 {
		return 0, fmt.Errorf("%q is not a time such as 5m, 6h or 30d", text)
	}
	return d, nil
}

// run prints the table that is asked and why on notes, and the result on out.
func (r *rollupQuery) run(ctx context.Context, cfg *config.Config, format string, out, notes io.Writer) error {
	conn, done, err := setup.OpenForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	settings := setup.Tables(cfg, setup.ClickHouse(cfg))
	now := time.Now().UTC()
	q, err := r.question(&settings, now)
	if err != nil {
		return err
	}
	sources, err := schema.ReadSources(ctx, conn, settings)
	if err != nil {
		return err
	}
	choice := schema.Choose(q, sources, now)
	limit := r.top
	if q.Step > 0 {
		limit = 0
	}
	fmt.Fprintln(notes, choice.Line())
	if !choice.From.Equal(q.From) || !choice.To.Equal(q.To) {
		fmt.Fprintf(notes, "whole steps: from %s to %s\n", choice.From.Format(time.DateTime),
			choice.To.Format(time.DateTime))
	}
	return setup.Read(ctx, cfg, choice.SQL(&settings, q, r.where, limit), format, out)
}
