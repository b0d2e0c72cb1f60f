package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/sink/schema"
)

// rollupsCommand lists the rollups, and fills them with the rows that were there before them.
func rollupsCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollups",
		Usage: "which rollups there are, what they take, and whether they have all rows",
		Description: `Rollups are turned on with flow.rollups. They count rows from then on; rows that were there
before are counted by fill, up to a day at a time. It may be interrupted and called again, and the collector may be
running.

  collector schema rollups
  collector schema rollups fill`,
		Flags: configFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() > 0 {
				return fmt.Errorf("schema rollups takes no argument %q: fill counts rows that were there before",
					c.Args().First())
			}
			return withTables(ctx, c, func(conn driver.Conn, s schema.Settings) error {
				return listRollups(ctx, conn, s, os.Stdout)
			})
		},
		Commands: []*cli.Command{{
			Name: "fill", Usage: "count the rows that were there before a rollup was turned on", Flags: configFlags(),
			Action: func(ctx context.Context, c *cli.Command) error {
				return withTables(ctx, c, func(conn driver.Conn, s schema.Settings) error {
					return fillRollups(ctx, conn, s, os.Stdout)
				})
			},
		}},
	}
}

func withTables(ctx context.Context, c *cli.Command, use func(driver.Conn, schema.Settings) error) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	return use(conn, settings)
}

func listRollups(ctx context.Context, conn driver.Conn, s schema.Settings, out io.Writer) error {
	fillings, err := schema.Fillings(ctx, conn, s)
	if err != nil {
		return err
	}
	on := map[string]schema.Filling{}
	for _, f := range fillings {
		on[f.Rollup] = f
	}
	for _, r := range schema.RollupSets() {
		f, is := on[r.Name]
		if !is {
			fmt.Fprintf(out, "%-12s off  %s (%s)\n", r.Name, r.For, strings.Join(r.Steps, ", "))
			continue
		}
		var sizes []string
		for _, step := range r.Steps {
			size, err := schema.SizeOf(ctx, conn, &s, r.Table(step))
			if err != nil {
				return err
			}
			sizes = append(sizes, fmt.Sprintf("%s %s %.1f MB", step, commandline.Count(size.Rows, "row"),
				float64(size.Bytes)/1e6))
		}
		has := "has all rows"
		switch {
		case f.Unmade:
			has = "its view is not there yet; a collector that starts makes it"
		case f.Unclear && !f.Complete:
			has = fmt.Sprintf("has rows since %s; those before cannot be filled: it was on before, and its view was "+
				"dropped without collector schema apply", f.Since.UTC().Format(time.DateTime))
		case !f.Complete:
			has = fmt.Sprintf("has rows since %s; for those before: collector schema rollups fill",
				f.Since.UTC().Format(time.DateTime))
		}
		fmt.Fprintf(out, "%-12s on   %s: %s\n", r.Name, has, strings.Join(sizes, ", "))
	}
	return nil
}

func fillRollups(ctx context.Context, conn driver.Conn, s schema.Settings, out io.Writer) error {
	started, filled := time.Now(), 0
	err := schema.Fill(ctx, conn, s, func(f schema.Filling) {
		filled++
		if f.Hours == 0 {
			fmt.Fprintf(out, "%s: %s\n", f.Rollup, commandline.Count(f.Flows, "flow"))
			return
		}
		fmt.Fprintf(out, "%s: hour %s, %s (%d of %d)\n", f.Rollup, f.Hour.UTC().Format(time.DateTime),
			commandline.Count(f.Flows, "flow"), f.Done, f.Hours)
	})
	if err != nil {
		return fmt.Errorf("%w; what is filled stays: call it again to go on", err)
	}
	if filled == 0 {
		fmt.Fprintln(out, "nothing to do: all rollups that are on have all rows")
		return nil
	}
	fmt.Fprintf(out, "done in %s\n", time.Since(started).Round(time.Second))
	return nil
}
