package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/bench/layouts"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink/schema"
)

func storeCommand() *cli.Command {
	return &cli.Command{
		Name:      "store",
		Usage:     "measure what rows take in the local store: bytes by column, time to insert and to merge",
		ArgsUsage: "[FILE.pcap…]",
		Description: "The same rows go into tables that differ in their layout, one after the other on one " +
			"store: first all inserts, then one merge.\n" +
			"Times are those of the store's processes on a core. Without a capture one is generated, as `bench " +
			"gen` does; metadata is made up.\n" +
			"If nfdump is installed, nfcapd gets the same datagrams, and the bytes of its files stand beside.\n\n" +
			"   bench store                                     # v9 of 20 routers, sampled 1:1000, a million flows\n" +
			"   bench store --only default,sorted --flows 5000000\n" +
			"   bench store --protocol sflow\n" +
			"   bench store --only default --rollups all,each --clock 10000  # what rollups cost, and how they shrink",
		Flags: append(genFlags(),
			&cli.StringFlag{Name: "hostile",
				Usage: "rows of the flood `KIND` of bench hostile, as many datagrams as --datagrams"},
			&cli.IntFlag{Name: "datagrams", Usage: "`N` datagrams of --hostile", Value: 4000},
			&cli.IntFlag{Name: "rounds", Usage: "measure each layout `N` times, in turn; the least times count",
				Value: 1},
			&cli.StringSliceFlag{Name: "extensions",
				Usage: "measure also a layout with these flow extensions alone: `A+B`, none is -"},
			&cli.StringSliceFlag{Name: "settings",
				Usage: "measure also the default layout with these table settings: `NAME=VALUE+NAME=VALUE`"},
			&cli.StringSliceFlag{Name: "rollups",
				Usage: "measure also the default layout with these rollups: `A+B`, or all; each: with each one alone"},
			&cli.StringFlag{Name: "only", Usage: "only layouts whose names have one of these `WORDS`, with commas"},
			&cli.IntFlag{Name: "prefixes", Usage: "metadata is made up with `N` prefixes", Value: 300_000},
			&cli.StringFlag{Name: "collector", Usage: "the collector's program `FILE`", Value: "bin/collector"},
			&cli.StringFlag{Name: "engine", Usage: "the local store's engine `FILE`", Value: ".engine/libchdb.so"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"}),
		Action: measureStore,
	}
}

func measureStore(ctx context.Context, c *cli.Command) error {
	for name, value := range map[string]string{"exporters": "20", "sampling": "1000", "ipv6": "0.1"} {
		if !c.IsSet(name) {
			if err := c.Set(name, value); err != nil {
				return fmt.Errorf("store: %w", err)
			}
		}
	}
	dir, err := os.MkdirTemp("", "bench-store")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o, err := layoutOptions(c, dir)
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	bar, done := newBar("", max(o.Rounds, 1)*len(o.Layouts)+1), 0
	o.Log = func(what string) {
		bar.set(done)
		bar.say(what)
		done++
	}
	results, err := layouts.Run(ctx, o)
	if err != nil {
		bar.finish()
		return fmt.Errorf("store: %w", err)
	}
	o.Log("nfcapd")
	beside, flows, missing := layouts.Files(ctx, o.Datagrams, dir)
	bar.finish()
	if c.Bool("json") {
		return json.NewEncoder(os.Stdout).Encode(results)
	}
	printLayouts(os.Stdout, results)
	if missing != nil {
		fmt.Println("\nleft out: nfcapd:", missing)
		return nil
	}
	fmt.Printf("\nnfcapd's files (LZ4) have %.1f bytes a flow, of %s flows\n", beside, thousands(flows))
	return nil
}

// layoutOptions has the rows and the layouts to measure.
func layoutOptions(c *cli.Command, dir string) (o layouts.Options, err error) {
	o = layouts.Options{Collector: c.String("collector"), Engine: c.String("engine"), Dir: dir, Rounds: c.Int("rounds")}
	if o.Datagrams, err = storeDatagrams(c); err != nil {
		return o, err
	}
	o.Snapshot, err = stages.Metadata{Prefixes: c.Int("prefixes"), Exporters: max(1, c.Int("exporters"))}.Snapshot()
	if err != nil {
		return o, fmt.Errorf("make up metadata: %w", err)
	}
	o.Layouts = slices.DeleteFunc(layouts.All(),
		func(l layouts.Layout) bool { return !hasWord(l.Name, c.String("only")) })
	o.Layouts = append(o.Layouts, furtherLayouts(c)...)
	if len(o.Layouts) == 0 {
		return o, fmt.Errorf("--only %q: no layout is named so", c.String("only"))
	}
	return o, nil
}

// storeDatagrams are those of a flood, of captures, or generated ones.
func storeDatagrams(c *cli.Command) (all []exporter.Datagram, err error) {
	name := c.String("hostile")
	if name == "" {
		capture, err := captureOrGenerated(c)
		if err != nil {
			return nil, err
		}
		capture.Each(func(d exporter.Datagram) { all = append(all, d) })
		return all, nil
	}
	kind, ok := hostile.Named(name)
	if !ok {
		return nil, fmt.Errorf("%s is no kind of flood", name)
	}
	now := time.Now()
	flood := kind.Flood(1, now)
	for range c.Int("datagrams") {
		source, payload := flood.Next(netip.AddrFrom4([4]byte{127, 66, 0, 1}))
		all = append(all, exporter.Datagram{Source: netip.AddrPortFrom(source, 4000), Received: now.UnixNano(),
			Payload: bytes.Clone(payload)})
	}
	return all, nil
}

// furtherLayouts are those of --extensions and --settings.
func furtherLayouts(c *cli.Command) (all []layouts.Layout) {
	for _, list := range c.StringSlice("extensions") {
		l := layouts.Default()
		l.Name, l.Extensions = "ext with "+list, strings.Split(list, "+")
		if list == "-" {
			l.Extensions = nil
		}
		all = append(all, l)
	}
	for _, settings := range c.StringSlice("settings") {
		l := layouts.Default()
		l.Name, l.Settings = settings, strings.ReplaceAll(settings, "+", ", ")
		all = append(all, l)
	}
	for _, list := range c.StringSlice("rollups") {
		if list != "each" {
			all = append(all, layouts.WithRollups("rollups "+list, strings.Split(list, "+")...))
			continue
		}
		for _, name := range schema.RollupNames() {
			all = append(all, layouts.WithRollups("rollup "+name, name))
		}
	}
	return all
}

// hasWord reports whether a name has one of the words; without words every name has.
func hasWord(name, words string) bool {
	for word := range strings.SplitSeq(words, ",") {
		if strings.Contains(strings.ToLower(name), strings.ToLower(strings.TrimSpace(word))) {
			return true
		}
	}
	return false
}

func printLayouts(out io.Writer, results []layouts.Result) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "%s rows, CPU µs a row\tinserts\tinsert\tmerge\tboth\tunmerged B\tmerged B\n",
		thousands(results[0].Rows))
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%d\t%.2f\t%.2f\t%.2f\t%.1f\t%.1f\n", r.Layout.Name, r.Parts, r.Insert, r.Merge,
			r.Insert+r.Merge, r.Unmerged, r.Merged)
	}
	_ = table.Flush() // to standard output
	printRolled(out, results)
	first := results[0].Columns
	names := slices.SortedFunc(maps.Keys(first), func(a, b string) int {
		if first[a] > first[b] {
			return -1
		}
		return 1
	})
	fmt.Fprintln(out)
	fmt.Fprint(table, "bytes a row, merged")
	for _, r := range results {
		fmt.Fprint(table, "\t"+r.Layout.Name)
	}
	fmt.Fprintln(table)
	for _, name := range names {
		fmt.Fprint(table, name)
		for _, r := range results {
			if n, has := r.Columns[name]; has {
				fmt.Fprintf(table, "\t%.2f", n)
			} else {
				fmt.Fprint(table, "\t—")
			}
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush()
}

// printRolled prints how many flows a row of each rollup has.
func printRolled(out io.Writer, results []layouts.Result) {
	for _, r := range results {
		if len(r.Rolled) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s: flows in a row\n", r.Layout.Name)
		for _, name := range slices.Sorted(maps.Keys(r.Rolled)) {
			fmt.Fprintf(out, "  %s %.1f\n", name, r.Rolled[name])
		}
	}
}
