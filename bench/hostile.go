package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/enrich"
)

func hostileCommand() *cli.Command {
	return &cli.Command{
		Name:      "hostile",
		Usage:     "measure what the datagrams of attackers take of a worker, or send them",
		ArgsUsage: "[KIND…]",
		Description: "Floods of all kinds, or of those named, through a worker with nothing behind it:\n" +
			"   bench hostile\n" +
			"The names of interfaces of a flood, sent to a collector on this host, from addresses of 127.0.0.0/8:\n" +
			"   bench hostile --to 127.0.0.1:2055 --for 20s names",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "datagrams", Usage: "`N` of each kind", Value: 500},
			&cli.StringFlag{Name: "to", Usage: "send to `HOST:PORT` of this host, which must be a loopback address"},
			&cli.StringFlag{Name: "from", Usage: "the first source `ADDRESS`, of 127.0.0.0/8", Value: "127.66.0.1"},
			&cli.DurationFlag{Name: "for", Usage: "send for `TIME`", Value: 20 * time.Second},
			&cli.FloatFlag{Name: "rate", Usage: "send `N` datagrams a second (default: the kind's)", HideDefault: true},
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

// sendFlood sends one kind from loopback addresses: a socket for each, as many as are in use at a time.
func sendFlood(ctx context.Context, c *cli.Command, k hostile.Kind, to string) error {
	target, err := netip.ParseAddrPort(to)
	if err != nil {
		return err
	}
	first, err := netip.ParseAddr(c.String("from"))
	if err != nil {
		return err
	}
	if !target.Addr().IsLoopback() || !first.Is4() || !first.IsLoopback() {
		return fmt.Errorf("floods go from and to loopback addresses of IPv4 only, not from %s to %s", first, target)
	}
	rate := c.Float("rate")
	if rate <= 0 {
		rate = float64(k.Rate)
	}
	flood, sent, size := k.Flood(uint64(time.Now().UnixNano()), time.Now()), 0, 0
	var from netip.Addr
	var conn *net.UDPConn
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	began := time.Now()
	for time.Since(began) < c.Duration("for") && ctx.Err() == nil {
		source, payload := flood.Next(first)
		if source != from {
			if conn != nil {
				conn.Close()
			}
			if conn, err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(source, 0)),
				net.UDPAddrFromAddrPort(target)); err != nil {
				return err
			}
			from = source
		}
		// A full send buffer or a collector that is away is the flood's luck, not its end.
		if _, err := conn.Write(payload); err == nil {
			sent, size = sent+1, size+len(payload)
		}
		if wait := time.Until(began.Add(time.Duration(float64(sent) / rate * 1e9))); wait > time.Millisecond {
			time.Sleep(wait)
		}
	}
	took := time.Since(began).Seconds()
	fmt.Printf("%s: %d datagrams, %.1f MB in %.1f s\n", k.Name, sent, float64(size)/1e6, took)
	return nil
}
