package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/plot"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
)

func pipelineCommand() *cli.Command {
	return &cli.Command{
		Name:      "pipeline",
		Usage:     "measure decode, enrich, append and encode in-process, without sockets and with nothing behind",
		ArgsUsage: "[FILE.pcap…]",
		Description: "The datagrams of captures, or generated ones, are taken through the pipeline from memory, over " +
			"and over. What a stage takes is\n" +
			"the difference between runs with it and without it, medians of the thread's CPU time; then workers run " +
			"side by side.\n\n" +
			"What the README has, v9 with 20 fields, 200,000 hosts, a million prefixes:\n" +
			"   bench pipeline --prefixes 1000000\n" +
			"A capture of one's own, to messages instead of blocks:\n" +
			"   bench pipeline --to pmacct-json router.pcap\n" +
			"Throughput against cores, as a figure:\n" +
			"   bench pipeline --workers 8 --plot throughput.svg",
		Flags: append(genFlags(),
			&cli.StringFlag{Name: "to",
				Usage: "the last stage: decode, enrich, append, encode, pmacct-json, json, protobuf", Value: "encode"},
			&cli.IntFlag{Name: "prefixes", Usage: "metadata is made up with `N` prefixes, e.g. 1000000 (default: none)",
				HideDefault: true},
			&cli.IntFlag{Name: "workers", Usage: "1 to `N` workers side by side (default: as many as there are cores)",
				HideDefault: true},
			&cli.IntFlag{Name: "runs", Usage: "medians of `N` runs", Value: 5},
			&cli.DurationFlag{Name: "for", Usage: "each run takes `TIME`", Value: time.Second},
			&cli.StringFlag{Name: "plot", Usage: "draw throughput against workers into `FILE` (.svg or .png)"},
			&cli.BoolFlag{Name: "json", Usage: "print the figures as JSON"}),
		Action: measurePipeline,
	}
}

// pipelineReport is what `bench pipeline` found.
type pipelineReport struct {
	Datagrams   int                 `json:"datagrams"`
	Flows       int                 `json:"flows"`
	Prefixes    int                 `json:"prefixes"`
	Costs       []stages.Cost       `json:"stages"`
	Throughputs []stages.Throughput `json:"throughput"`
}

func measurePipeline(_ context.Context, c *cli.Command) error {
	last, err := stages.ParseStage(c.String("to"))
	if err != nil {
		return fmt.Errorf("pipeline: --to: %w", err)
	}
	capture, err := captureOrGenerated(c)
	if err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	snapshot, err := stages.Metadata{Prefixes: c.Int("prefixes"), Exporters: max(1, c.Int("exporters"))}.Snapshot()
	if err != nil {
		return fmt.Errorf("pipeline: make up metadata: %w", err)
	}
	workers := c.Int("workers")
	if workers <= 0 {
		workers = runtime.NumCPU()
	}
	b := newBench(capture, snapshot)
	b.Runs, b.For = max(1, c.Int("runs")), c.Duration("for")
	bar, done := newBar("measuring", b.Runs*(4+workers)), 0
	b.Progress = func() { done++; bar.set(done) }
	report := pipelineReport{Datagrams: capture.Datagrams(), Flows: capture.Flows(), Prefixes: c.Int("prefixes")}
	report.Costs = b.Costs(last)
	report.Throughputs = b.Throughputs(last, workers)
	bar.finish()
	if file := c.String("plot"); file != "" {
		rates := make([]float64, len(report.Throughputs))
		for i, t := range report.Throughputs {
			rates[i] = t.Rate
		}
		if err := plot.Throughput(file, "Throughput of the pipeline up to "+last.String(), rates); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return json.NewEncoder(os.Stdout).Encode(report)
	}
	report.print(os.Stdout)
	return nil
}

func newBench(capture *replay.Capture, snapshot *enrich.Snapshot) *stages.Bench {
	b := &stages.Bench{Snapshot: new(atomic.Pointer[enrich.Snapshot])}
	b.Snapshot.Store(snapshot)
	capture.Each(func(d exporter.Datagram) { b.Datagrams = append(b.Datagrams, d) })
	return b
}

func (r pipelineReport) print(out io.Writer) {
	fmt.Fprintf(out, "%s flows in %s datagrams, %s prefixes of metadata\n\n", thousands(r.Flows),
		thousands(r.Datagrams), thousands(r.Prefixes))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "stage\tns/record\tshare\tallocations/record\tbytes/record\t")
	total, allocations := 0.0, 0.0
	for _, c := range r.Costs {
		fmt.Fprintf(table, "%s\t%.1f\t%.1f %%\t%.5f\t%.1f\t\n", c.Stage, c.Nanoseconds, 100*c.Share, c.Allocations,
			c.Bytes)
		total += c.Nanoseconds
		allocations += c.Allocations
	}
	fmt.Fprintf(table, "all\t%.1f\t\t%.5f\t\t\n", total, allocations)
	_ = table.Flush() // to standard output
	fmt.Fprintln(out)
	fmt.Fprintln(table, "workers\trecords/s\ttimes one\t")
	for _, t := range r.Throughputs {
		fmt.Fprintf(table, "%d\t%s\t%.2f\t\n", t.Workers, thousands(int(t.Rate)), t.Scale)
	}
	_ = table.Flush()
}
