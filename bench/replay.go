package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/replay"
)

func replayCommand() *cli.Command {
	return &cli.Command{
		Name:      "replay",
		Usage:     "send the export datagrams of captures to a collector, at a rate or flat out",
		ArgsUsage: "FILE.pcap…",
		Description: "To an address of 127.0.0.0/8 every exporter sends from an address of its own: that of the " +
			"capture if it is of 127.0.0.0/8,\n" +
			"as those of `bench gen` are, else from 127.17.0.1 on. Elsewhere they send from this host's address, a " +
			"port each.\n\n" +
			"Ten minutes of live exporters at 100,000 flows a second, whatever times and numbers the capture has:\n" +
			"   bench replay --rewrite --rate 100000 --duration 10m --to 127.0.0.1:2055 /tmp/v9.pcap\n" +
			"The capture as it is, three times, 1,000 datagrams a second:\n" +
			"   bench replay --loop 3 --datagram-rate 1000 --to 192.0.2.7:6343 router.pcap\n" +
			"Without a rate it goes flat out; what the collector loses then is what `collector run` says at its end.",
		Flags: append(replayFlags(),
			&cli.StringFlag{Name: "to", Usage: "send to `HOST:PORT`", Value: "127.0.0.1:2055"},
			&cli.BoolFlag{Name: "json", Usage: "print the summary as JSON"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() == 0 {
				return errors.New("replay: name at least one capture (bench replay --help)")
			}
			to, err := netip.ParseAddrPort(c.String("to"))
			if err != nil {
				return fmt.Errorf("replay: --to: %w", err)
			}
			capture, err := replay.Load(c.Args().Slice()...)
			if err != nil {
				return fmt.Errorf("replay: %w", err)
			}
			result, err := replayWithBar(ctx, capture, replayOptions(c, to))
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return json.NewEncoder(os.Stdout).Encode(result)
			}
			printReplay(capture, result, to)
			return nil
		},
	}
}

// replayFlags are those of every command that sends a capture.
func replayFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "rate", Aliases: []string{"r"}, Usage: "`N` flows a second; default: flat out",
			HideDefault: true},
		&cli.Float64Flag{Name: "datagram-rate", Usage: "`N` datagrams a second; default: flat out", HideDefault: true},
		&cli.IntFlag{Name: "loop", Usage: "send it `N` times (default: once, or as often as --duration takes)",
			HideDefault: true},
		&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, Usage: "stop after `TIME`", HideDefault: true},
		&cli.BoolFlag{Name: "rewrite",
			Usage: "renumber datagrams and move all times to now, so that all laps are one exporter that never " +
				"stopped"},
	}
}

func replayOptions(c *cli.Command, to netip.AddrPort) replay.Options {
	return replay.Options{
		To: to, Rate: c.Float64("rate"), DatagramRate: c.Float64("datagram-rate"),
		Loops: c.Int("loop"), Duration: c.Duration("duration"), Rewrite: c.Bool("rewrite"),
	}
}

// replayWithBar shows on a terminal how far it is: by time where that ends it, else by datagrams.
func replayWithBar(ctx context.Context, capture *replay.Capture, o replay.Options) (replay.Result, error) {
	total := capture.Datagrams() * max(1, o.Loops)
	if o.Duration > 0 {
		total = int(o.Duration / time.Millisecond)
	}
	bar := newBar("sending", total)
	o.Progress = func(r replay.Result) {
		if o.Duration > 0 {
			bar.set(int(r.Took / time.Millisecond))
		} else {
			bar.set(r.Datagrams)
		}
		bar.say(fmt.Sprintf("sending, %s flows/s", thousands(int(r.FlowRate()))))
	}
	result, err := replay.Run(ctx, capture, o)
	bar.finish()
	return result, err
}

func printReplay(c *replay.Capture, r replay.Result, to netip.AddrPort) {
	seconds := max(r.Took.Seconds(), 1e-9)
	fmt.Printf("sent       %s datagrams, %s flows, %.1f MB, %s exporters, %s laps\n",
		thousands(r.Datagrams), thousands(r.Flows), float64(r.Bytes)/1e6, thousands(c.Exporters()), thousands(r.Laps))
	fmt.Printf("in         %s\n", r.Took.Round(time.Millisecond))
	fmt.Printf("rate       %s flows/s, %s datagrams/s, %.1f Mbit/s\n",
		thousands(int(r.FlowRate())), thousands(int(float64(r.Datagrams)/seconds)), float64(r.Bytes)*8/seconds/1e6)
	fmt.Printf("sender     %.3f µs of a core a flow, %.2f %% of a core\n",
		r.CPU.Seconds()*1e6/max(float64(r.Flows), 1), 100*r.CPU.Seconds()/seconds)
	if r.Behind > 0 {
		fmt.Printf("behind     %s: this host did not keep up with the rate\n", r.Behind.Round(time.Millisecond))
	}
	if r.Refused > 0 {
		fmt.Printf("refused    nobody listens at %s\n", to)
	}
	if r.Failed > 0 {
		fmt.Printf("failed     %s datagrams that the kernel did not take\n", thousands(r.Failed))
	}
	if n := c.Skipped(); n > 0 {
		fmt.Printf("left out   %s datagrams of the capture that are no export protocol or not whole\n", thousands(n))
	}
}
