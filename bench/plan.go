package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/plan"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:  "plan",
		Usage: "estimate the collectors, shards, cores and disks that a rate of flows takes",
		Description: "A model over figures that were measured on one machine. It prints them, and what it " +
			"assumes.\n\n" +
			"   bench plan                                       # 1, 10 and 100 million flows a second\n" +
			"   bench plan --flows 50000 --days 365 --rollups\n" +
			"   bench plan --flows 2000000 --cores 64 --disk 100 --replicas 2",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "flows", Usage: "`N` flows a second, the mean of a day; several with commas",
				Value: "1000000,10000000,100000000"},
			&cli.Float64Flag{Name: "peak", Usage: "the busiest minutes have `N` times the mean", Value: 2},
			&cli.Float64Flag{Name: "days", Usage: "rows are kept for `N` days", Value: 30},
			&cli.IntFlag{Name: "replicas", Usage: "each shard is there `N` times", Value: 1},
			&cli.IntFlag{Name: "cores", Usage: "a machine has `N` cores", Value: 16},
			&cli.Float64Flag{Name: "disk", Usage: "a machine has `N` TB of disk", Value: 30},
			&cli.BoolFlag{Name: "rollups", Usage: "with all of flow.rollups"},
			&cli.BoolFlag{Name: "json", Usage: "print the plans and the figures as JSON"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			o := plan.Options{Peak: c.Float64("peak"), Days: c.Float64("days"), Replicas: c.Int("replicas"),
				Cores: c.Int("cores"), DiskTB: c.Float64("disk"), Rollups: c.Bool("rollups"), Costs: plan.Measured()}
			if o.Peak < 1 || o.Days <= 0 || o.Replicas < 1 || o.Cores < 1 || o.DiskTB <= 0 {
				return fmt.Errorf("plan: --peak is 1 or more, and the others are more than 0")
			}
			var plans []plan.Plan
			for text := range strings.SplitSeq(c.String("flows"), ",") {
				flows, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
				if err != nil || !(flows > 0 && flows <= 1e12) {
					return fmt.Errorf("plan: --flows: %q is no number of flows a second", text)
				}
				o.Flows = flows
				plans = append(plans, plan.For(o))
			}
			if c.Bool("json") {
				return json.NewEncoder(os.Stdout).Encode(map[string]any{"plans": plans, "figures": o.Costs.List(),
					"assumptions": o.Assumptions()})
			}
			printPlans(os.Stdout, o, plans)
			return nil
		},
	}
}

func printPlans(out io.Writer, o plan.Options, plans []plan.Plan) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name string, of func(p *plan.Plan) string) {
		fmt.Fprint(table, name)
		for i := range plans {
			fmt.Fprint(table, "\t"+of(&plans[i]))
		}
		fmt.Fprintln(table)
	}
	line("flows/s, mean", func(p *plan.Plan) string { return thousands(int(p.Flows)) })
	line("network at the peak", func(p *plan.Plan) string { return fmt.Sprintf("%.3g Gbit/s", p.NetworkGbps) })
	line("collectors", func(p *plan.Plan) string {
		return fmt.Sprintf("%d × %d cores, %.1f busy", p.Collectors, o.Cores, p.CollectorCores)
	})
	line("servers", func(p *plan.Plan) string {
		if p.Together {
			return "on the collector's machine"
		}
		return fmt.Sprintf("%d (%d shards × %d) by %s", p.Servers, p.Shards, o.Replicas, p.Bound)
	})
	line("cores of the store, busy", func(p *plan.Plan) string { return fmt.Sprintf("%.1f", p.StoreCores) })
	line(fmt.Sprintf("disk for %g days", o.Days), func(p *plan.Plan) string { return fmt.Sprintf("%.1f TB", p.DiskTB) })
	line("rows a day", func(p *plan.Plan) string { return fmt.Sprintf("%.2f TB", p.DayTB) })
	line("written by each server", func(p *plan.Plan) string { return fmt.Sprintf("%.0f MB/s", p.WriteMBps) })
	line("batch.rows", func(p *plan.Plan) string { return thousands(p.BatchRows) })
	line("a query of a day's rows",
		func(p *plan.Plan) string { return p.DayQuery.Round(100 * time.Millisecond).String() })
	_ = table.Flush() // to standard output
	for _, p := range plans {
		for _, advice := range p.Advice {
			fmt.Fprintf(out, "\n%s flows/s: %s", thousands(int(p.Flows)), advice)
		}
	}
	fmt.Fprintln(out, "\n\nfigures, of two cores of one machine:")
	for _, f := range o.Costs.List() {
		fmt.Fprintf(table, "  %g %s\t%s\t%s\n", f.Value, f.Unit, f.Of, f.From)
	}
	_ = table.Flush()
	fmt.Fprintln(out, "\nassumed:")
	for _, text := range o.Assumptions() {
		fmt.Fprintln(out, "  "+text)
	}
}
