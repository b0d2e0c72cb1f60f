package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/compare"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/enrich"
)

func collectCommand() *cli.Command {
	return &cli.Command{
		Name:  "collect",
		Usage: "receive as `collector run` does, and drop what becomes of it at a stage of the pipeline",
		Description: "The collector's sockets, decoder, enrichment and blocks, with no store behind them: what " +
			"`bench compare` starts for the collector's\n" +
			"own rows. SIGTERM or SIGINT ends it, with a line of JSON that says what came.\n\n" +
			"   bench collect --to encode --prefixes 1000000 --listen 127.0.0.1:2055 &\n" +
			"   bench replay --rewrite --rate 500000 --duration 10s --to 127.0.0.1:2055 /tmp/v9.pcap\n" +
			"   kill %1",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Usage: "receive on `HOST:PORT`", Value: "127.0.0.1:2055"},
			&cli.StringFlag{Name: "to",
				Usage: "the last stage: decode, enrich, append, encode, pmacct-json, json, protobuf", Value: "encode"},
			&cli.IntFlag{Name: "prefixes", Usage: "metadata is made up with `N` prefixes (default: none)",
				HideDefault: true},
			&cli.IntFlag{Name: "exporters", Usage: "metadata has the first `N` exporters of bench gen", Value: 1},
			&cli.IntFlag{Name: "workers", Usage: "`N` workers, each with a socket", Value: 1},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			stage, err := stages.ParseStage(c.String("to"))
			if err != nil {
				return fmt.Errorf("collect: --to: %w", err)
			}
			snapshot, err := stages.Metadata{Prefixes: c.Int("prefixes"), Exporters: c.Int("exporters")}.Snapshot()
			if err != nil {
				return fmt.Errorf("collect: make up metadata: %w", err)
			}
			count, err := collect(
				ctx, listen.Options{Addresses: []string{c.String("listen")}, Workers: c.Int("workers")},
				stage, snapshot)
			if err != nil {
				return fmt.Errorf("collect: %w", err)
			}
			return json.NewEncoder(os.Stdout).Encode(count)
		},
	}
}

// collect receives until ctx ends, and then what the sockets still hold.
func collect(ctx context.Context, o listen.Options, stage stages.Stage,
	snapshot *enrich.Snapshot) (compare.Count, error) {
	var current atomic.Pointer[enrich.Snapshot]
	current.Store(snapshot)
	listeners, err := listen.Open(o)
	if err != nil {
		return compare.Count{}, err
	}
	var running sync.WaitGroup
	chains, failures := make([]*stages.Chain, len(listeners)), make([]error, len(listeners))
	for i, l := range listeners {
		chains[i] = stages.NewChain(stage, &current)
		running.Go(func() { failures[i] = l.Run(chains[i].Process, chains[i].Tick) })
	}
	<-ctx.Done()
	for _, l := range listeners {
		l.Close()
	}
	running.Wait()
	var count compare.Count
	for i, l := range listeners {
		stats := l.Stats()
		count.Datagrams += stats.Datagrams
		count.Drops += stats.KernelDrops
		count.Records += chains[i].Records()
		for _, s := range chains[i].Exporters().Streams() {
			count.Missing += s.Lost.Load()
		}
		l.Free()
	}
	return count, errors.Join(failures...)
}
