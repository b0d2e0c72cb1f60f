package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func genCommand() *cli.Command {
	return &cli.Command{
		Name:      "gen",
		Usage:     "write a capture of synthetic flows, the same for the same options",
		ArgsUsage: "FILE.pcap",
		Description: "Exporters have addresses from 127.16.0.1 on, so that `bench replay` can send from each of them " +
			"on this host. Each\n" +
			"numbers its datagrams and sends its templates again now and then.\n\n" +
			"NetFlow v9 of 20 fields from one exporter, 200,000 hosts, some of them far more often than others:\n" +
			"   bench gen --protocol v9 --flows 1000000 /tmp/v9.pcap\n" +
			"sFlow of 50 switches, one in 1,000 packets, a third of them IPv6:\n" +
			"   bench gen --protocol sflow --exporters 50 --sampling 1000 --ipv6 0.33 /tmp/sflow.pcap\n" +
			"IPFIX with wide templates, every host as likely as any other, its clock at 10,000 flows a second:\n" +
			"   bench gen --protocol ipfix --fields 30 --zipf 0 --clock 10000 /tmp/ipfix.pcap",
		Flags: append(genFlags(),
			&cli.TimestampFlag{Name: "start", Usage: "`TIME` of the first datagram (default: now)",
				Config: cli.TimestampConfig{Layouts: []string{time.RFC3339}}}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() != 1 {
				return errors.New("gen: name one file to write (bench gen --help)")
			}
			o, err := genOptions(c)
			if err != nil {
				return fmt.Errorf("gen: %w", err)
			}
			if start := c.Timestamp("start"); !start.IsZero() {
				o.Start = start
			}
			return writeCapture(ctx, c.Args().First(), o)
		},
	}
}

// genFlags are those of every command that generates flows.
func genFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "protocol", Aliases: []string{"p"}, Usage: "export `PROTOCOL`: v5, v9, ipfix, sflow",
			Value: "v9"},
		&cli.IntFlag{Name: "flows", Aliases: []string{"n"}, Usage: "`N` flow records, or flow samples of sFlow",
			Value: 1_000_000},
		&cli.Uint64Flag{Name: "seed", Usage: "seed of the random choices", Value: 1},
		&cli.IntFlag{Name: "hosts",
			Usage: "`N` different addresses, each of which appears (default: 200,000, at most a fifth of the " +
				"flows)",
			HideDefault: true},
		&cli.Float64Flag{Name: "zipf",
			Usage: "`EXPONENT` by which some hosts are met more often than others, more than 1; 0: all alike",
			Value: 1.1},
		&cli.Float64Flag{Name: "ipv6", Usage: "`SHARE` of flows and hosts of IPv6, 0 to 1 (not v5)"},
		&cli.IntFlag{Name: "fields", Usage: "`N` fields of the template, 8 to 30 (v9 and ipfix)", Value: 20},
		&cli.IntFlag{Name: "exporters", Usage: "`N` exporters, in turn", Value: 1},
		&cli.BoolFlag{Name: "homed", Usage: "a host sends through one exporter, an AS is behind one interface of each"},
		&cli.Uint32Flag{Name: "sampling", Usage: "one in `N` packets is sampled", Value: 1},
		&cli.IntFlag{Name: "per-datagram", Usage: "`N` flows in a datagram (default: as many as fit)",
			HideDefault: true},
		&cli.IntFlag{Name: "template-every", Usage: "an exporter sends its templates again after `N` datagrams",
			Value: 500},
		&cli.Float64Flag{Name: "clock", Usage: "the capture's own clock has `N` flows a second", Value: 100_000},
	}
}

func genOptions(c *cli.Command) (gen.Options, error) {
	protocol, err := protocolOf(c.String("protocol"))
	return gen.Options{
		Protocol: protocol, Flows: c.Int("flows"), Seed: c.Uint64("seed"), Hosts: c.Int("hosts"),
		Zipf: c.Float64("zipf"),
		IPv6: c.Float64("ipv6"), Fields: c.Int("fields"), Exporters: c.Int("exporters"), Sampling: c.Uint32("sampling"),
		Homed: c.Bool("homed"), PerDatagram: c.Int("per-datagram"), TemplateEvery: c.Int("template-every"),
		Rate:  c.Float64("clock"),
		Start: time.Now().UTC(),
	}, err
}

func protocolOf(name string) (flow.Protocol, error) {
	switch strings.ToLower(name) {
	case "v5", "netflow5", "nfv5":
		return flow.NetFlowV5, nil
	case "v9", "netflow9", "nfv9":
		return flow.NetFlowV9, nil
	case "ipfix", "v10":
		return flow.IPFIX, nil
	case "sflow", "sflow5":
		return flow.SFlow5, nil
	}
	return flow.UnknownProtocol, fmt.Errorf("--protocol %q: v5, v9, ipfix or sflow", name)
}

// writeCapture writes a capture and says what is in it.
func writeCapture(_ context.Context, path string, o gen.Options) error {
	datagrams, began := 0, time.Now()
	bar := newBar("writing", 0)
	err := gen.WriteFile(path, o, func(n int) {
		if datagrams = n; n&0x3ff == 0 {
			bar.set(n)
		}
	})
	bar.finish()
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %s flows of %s in %s datagrams, %.1f MB, %s\n", path, thousands(o.Flows), o.Protocol,
		thousands(datagrams),
		float64(info.Size())/1e6, time.Since(began).Round(time.Millisecond))
	return nil
}

// captureOrGenerated is the captures named, or one generated by the flags if there is none.
func captureOrGenerated(c *cli.Command) (*replay.Capture, error) {
	if c.Args().Len() > 0 {
		return replay.Load(c.Args().Slice()...)
	}
	o, err := genOptions(c)
	if err != nil {
		return nil, err
	}
	all := replay.NewCapture()
	err = gen.Each(o, func(d exporter.Datagram) error {
		all.Add(d)
		return nil
	})
	return all, err
}
