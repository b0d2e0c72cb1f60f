package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"github.com/metranova/flow-collector/bench/flooded"
	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/enrich"
)

func hostileCommand() *cli.Command {
	return &cli.Command{
		Name:      "hostile",
		Usage:     "measure what the datagrams of attackers cost a worker or a collector, or send them",
		ArgsUsage: "[KIND…]",
		Description: "Floods of all kinds, or of those named, through a worker with nothing behind it:\n" +
			"   bench hostile\n" +
			"The same through collectors of its own with their local stores, beside a router (make build engine):\n" +
			"   bench hostile --collector bin/collector --for 10s\n" +
			"Each kind for a minute, four collectors at a time (20 minutes on two cores, which they share):\n" +
			"   bench hostile --collector bin/collector --for 1m --at-once 4\n" +
			"The names of interfaces of a flood, sent to a collector on this host, from addresses of 127.0.0.0/8:\n" +
			"   bench hostile --to 127.0.0.1:2055 --for 20s names",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "datagrams", Usage: "`N` of each kind", Value: 500},
			&cli.StringFlag{Name: "to", Usage: "send to `HOST:PORT` of this host, which must be a loopback address"},
			&cli.StringFlag{Name: "from", Usage: "the first source `ADDRESS`, of 127.0.0.0/8", Value: "127.66.0.1"},
			&cli.DurationFlag{Name: "for", Usage: "send for `TIME`", Value: 20 * time.Second},
			&cli.FloatFlag{Name: "rate", Usage: "send `N` datagrams a second (default: the kind's)", HideDefault: true},
			&cli.StringFlag{Name: "collector",
				Usage: "flood a collector of this program `FILE`, a new one for each kind"},
			&cli.IntFlag{Name: "at-once", Usage: "flood `N` collectors at a time, one of each kind", Value: 1},
			&cli.BoolFlag{Name: "together", Usage: "flood one collector with all kinds, one after the other"},
			&cli.StringFlag{Name: "engine", Value: ".engine/libchdb.so", Usage: "the store's engine `FILE`"},
			&cli.DurationFlag{Name: "quiet", Usage: "measure the router alone for `TIME`", Value: 15 * time.Second},
			&cli.DurationFlag{Name: "settle", Usage: "wait for rows and merges at most `TIME`", Value: time.Minute},
			&cli.DurationFlag{Name: "store-away", Usage: "the store's process stands still for `TIME` of the flood"},
			&cli.StringFlag{Name: "config", Usage: "the collectors' configuration `FILE`, such as a small queue"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"},
		},
		Action: runHostile,
	}
}

func runHostile(ctx context.Context, c *cli.Command) error {
	kinds := hostile.Kinds()
	if c.NArg() > 0 {
		kinds = nil
		for _, name := range c.Args().Slice() {
			k, ok := hostile.Named(name)
			if !ok {
				return fmt.Errorf("hostile: %s is no kind of flood", name)
			}
			kinds = append(kinds, k)
		}
	}
	if to := c.String("to"); to != "" {
		for _, k := range kinds {
			if err := sendFlood(ctx, c, k, to); err != nil {
				return fmt.Errorf("hostile: %s: %w", k.Name, err)
			}
		}
		return nil
	}
	if c.String("collector") != "" {
		return floodCollectors(ctx, c, kinds)
	}
	return measureFloods(kinds, c.Int("datagrams"), c.Bool("json"))
}

func measureFloods(kinds []hostile.Kind, n int, asJSON bool) error {
	built, err := enrich.NewBuilder().Build()
	if err != nil {
		return fmt.Errorf("hostile: make up metadata: %w", err)
	}
	var snapshot atomic.Pointer[enrich.Snapshot]
	snapshot.Store(built)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	if !asJSON {
		fmt.Fprintln(table, "kind\tbytes\trows\tµs/datagram\tµs/row\tkept MiB\t")
	}
	for _, k := range kinds {
		h := stages.Flood(k, n, &snapshot)
		if asJSON {
			if err := json.NewEncoder(os.Stdout).Encode(h); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%.0f\t%.1f\t%.1f\t%.2f\t%.1f\t\n", h.Kind, h.Bytes, h.Rows, h.Micro,
			h.Micro/max(h.Rows, 1), h.Heap)
	}
	return table.Flush()
}

// sendFlood sends one kind to a collector.
func sendFlood(ctx context.Context, c *cli.Command, k hostile.Kind, to string) error {
	target, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	first, err := netip.ParseAddr(c.String("from"))
	if err != nil {
		return err
	}
	sent, err := k.Send(ctx, hostile.Sending{To: target, From: first, Rate: c.Float("rate"), For: c.Duration("for")})
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d datagrams, %.1f MB in %.1f s\n", k.Name, sent.Datagrams, float64(sent.Bytes)/1e6,
		sent.Took.Seconds())
	return nil
}

// floodCollectors starts a collector for each kind and prints what the flood costs it.
func floodCollectors(ctx context.Context, c *cli.Command, kinds []hostile.Kind) error {
	dir, err := os.MkdirTemp("", "flooded")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if !c.Bool("json") {
		printFloodHead()
	}
	runs := slices.Collect(slices.Chunk(kinds, 1))
	if c.Bool("together") {
		runs = [][]hostile.Kind{kinds}
	}
	failed := 0
	var printing sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(max(1, c.Int("at-once")))
	for _, some := range runs {
		all.Go(func() error {
			cost, err := floodOne(ctx, c, some, filepath.Join(dir, some[0].Name))
			if err != nil {
				return fmt.Errorf("hostile: %s: %w", some[0].Name, err)
			}
			printing.Lock()
			defer printing.Unlock()
			if cost.Unbalanced != "" || cost.RouterRows+cost.LostRows < cost.RouterSent {
				failed++
			}
			if c.Bool("json") {
				return json.NewEncoder(os.Stdout).Encode(cost)
			}
			printFlood(cost)
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("hostile: with %d kinds, flows of the router are missing or the counters do not balance",
			failed)
	}
	return nil
}

// floodOne floods a collector of its own with some kinds. What it writes goes to a directory, which is removed.
func floodOne(ctx context.Context, c *cli.Command, kinds []hostile.Kind, dir string) (*flooded.Cost, error) {
	cost, err := flooded.Run(ctx, kinds, flooded.Options{
		Collector: c.String("collector"), Engine: c.String("engine"), Dir: dir,
		For: c.Duration("for"), Rate: c.Float("rate"), Quiet: c.Duration("quiet"), Settle: c.Duration("settle"),
		StoreAway: c.Duration("store-away"), Config: c.String("config"),
	})
	if err != nil {
		return nil, err
	}
	return cost, os.RemoveAll(dir)
}

const floodHead = "%-16s%10s%11s%9s%10s%9s%16s%16s%15s  %s\n"

func printFloodHead() {
	fmt.Println(strings.TrimSpace(`
µs: time of a core that a datagram takes, without what a router of 200 flows/s beside it takes. MiB: resident memory
before the flood, at most, and when rows and merges are done.`) + "\n")
	fmt.Printf(floodHead, "", "", "collector", "engine", "together", "", "collector", "engine", "router's", "")
	fmt.Printf(floodHead, "kind", "datagrams", "µs", "µs", "µs", "rows", "MiB", "MiB", "rows", "counters")
}

func printFlood(x *flooded.Cost) {
	micro := func(n float64) string { return fmt.Sprintf("%.0f", n) }
	memory := func(m flooded.Memory) string { return fmt.Sprintf("%.0f/%.0f/%.0f", m.Before, m.Peak, m.After) }
	router, counters := fmt.Sprint("all ", x.RouterRows), "balance"
	if x.RouterRows != x.RouterSent {
		router = fmt.Sprintf("%d of %d", x.RouterRows, x.RouterSent)
	}
	if x.Unbalanced != "" {
		counters = x.Unbalanced
	}
	if x.LostRows+x.OverShare > 0 {
		counters += fmt.Sprintf(", %d rows and %d datagrams without room", x.LostRows, x.OverShare)
	}
	if x.Unsettled {
		counters += ", merges go on"
	}
	fmt.Printf(floodHead, x.Kind, fmt.Sprint(x.Taken), micro(x.Collector), micro(x.Engine), micro(x.Collector+x.Engine),
		fmt.Sprint(x.Rows), memory(x.CollectorMemory), memory(x.EngineMemory), router, counters)
}
