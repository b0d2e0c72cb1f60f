package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/bench/compare"
	"github.com/metranova/flow-collector/bench/plot"
)

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "measure the collector and its peers side by side: CPU time for a flow, memory, loss",
		ArgsUsage: "[FILE.pcap…]",
		Description: "Each collector that is on this machine runs on one core, gets the same replay at the same rate " +
			"from another, and is stopped. Its\n" +
			"time is that of all its processes from the first datagram measured to its end, or until every flow is " +
			"in its database; datagrams\n" +
			"lost are those that the kernel dropped at its socket, and the time for a flow is shared among the " +
			"others. Without a capture one\n" +
			"is generated, as `bench gen` does.\n\n" +
			"   bench compare                                        # v9 with 20 fields, 200,000 hosts, medians of " +
			"5\n" +
			"   bench compare --protocol sflow --rate 50000\n" +
			"   bench compare --rate 100000,400000,1600000 --runs 1 --plot loss.svg\n" +
			"   bench compare --only nfcapd,ours router.pcap\n\n" +
			"Peers come from Debian (apt-get install pmacct nfdump nfdump-sflow) and the Go proxy\n" +
			"(go install github.com/netsampler/goflow2/v2/cmd/goflow2@latest); what is not there is named and left " +
			"out.\n" +
			"The receive buffers that peers ask for are bounded by net.core.rmem_max. As root ours are not.",
		Flags: append(genFlags(),
			&cli.StringFlag{Name: "rate", Aliases: []string{"r"},
				Usage: "send at `N` flows a second; several with commas are runs of their own", Value: "100000"},
			&cli.DurationFlag{Name: "duration", Aliases: []string{"d"}, Usage: "send for `TIME`",
				Value: 5 * time.Second},
			&cli.DurationFlag{Name: "warm-up", Usage: "send for `TIME` before what is measured", Value: time.Second},
			&cli.IntFlag{Name: "runs", Usage: "medians of `N` runs", Value: 5},
			&cli.StringFlag{Name: "only", Usage: "only collectors whose names have one of these `WORDS`, with commas"},
			&cli.IntFlag{Name: "prefixes", Usage: "our metadata is made up with `N` prefixes", Value: 1_000_000},
			&cli.IntFlag{Name: "collector-core", Usage: "collectors run on core `N`; -1: on all",
				Value: runtime.NumCPU() - 1},
			&cli.IntFlag{Name: "sender-core", Usage: "the replay runs on core `N`; -1: on all", Value: 0},
			&cli.StringFlag{Name: "collector", Usage: "our collector's program `FILE`", Value: "bin/collector"},
			&cli.StringFlag{Name: "engine", Usage: "the local store's engine `FILE`", Value: ".engine/libchdb.so"},
			&cli.StringFlag{Name: "kafka",
				Usage: "produce to the broker at `HOST:PORT` too (default: no row for Kafka)"},
			&cli.StringFlag{Name: "keep", Usage: "keep what collectors write in `DIR`"},
			&cli.StringFlag{Name: "plot", Usage: "draw loss against rate into `FILE` (.svg or .png)"},
			&cli.BoolFlag{Name: "json", Usage: "print all runs as JSON"}),
		Action: runCompare,
	}
}

func runCompare(ctx context.Context, c *cli.Command) error {
	o := compare.Options{
		Duration: c.Duration("duration"), WarmUp: c.Duration("warm-up"), Runs: max(1, c.Int("runs")),
		Keep:          c.String("keep"),
		CollectorCore: c.Int("collector-core"), SenderCore: c.Int("sender-core"),
	}
	var err error
	if o.Rates, err = numbers(c.String("rate")); err != nil {
		return fmt.Errorf("compare: --rate: %w", err)
	}
	if o.Protocol, err = protocolOf(c.String("protocol")); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if o.Capture, err = captureOrGenerated(c); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("compare: find this program: %w", err)
	}
	contenders, missing := compare.Taking(named(compare.Contenders(compare.Setting{
		Self: self, Collector: c.String("collector"), Engine: c.String("engine"), Prefixes: c.Int("prefixes"),
		Exporters: max(1, c.Int("exporters")), Broker: c.String("kafka"),
	}), c.String("only")), o)
	if len(contenders) == 0 {
		return fmt.Errorf("compare: no collector to run: %s",
			strings.Join(append(missing, "none named so takes "+o.Protocol.String()), "; "))
	}
	bar, done := newBar("", o.Runs*len(o.Rates)*len(contenders)), 0
	o.Log = func(what string) {
		bar.set(done)
		bar.say(what)
		done++
	}
	rows, err := compare.All(ctx, contenders, o)
	bar.finish()
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if file := c.String("plot"); file != "" {
		if err := plot.Loss(file, "Datagrams lost by one core, "+o.Protocol.String(), lossLines(rows)); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return json.NewEncoder(os.Stdout).Encode(struct {
			Rows    []compare.Row `json:"collectors"`
			Missing []string      `json:"missing,omitempty"`
		}{rows, missing})
	}
	fmt.Printf("%s, %s flows and %s datagrams in the capture, %s a run after %s of warming up, medians of %d; our "+
		"metadata: %s prefixes\n\n", o.Protocol,
		thousands(o.Capture.Flows()), thousands(o.Capture.Datagrams()), o.Duration, o.WarmUp, o.Runs,
		thousands(c.Int("prefixes")))
	printRows(os.Stdout, rows)
	for _, why := range missing {
		fmt.Println("left out  ", why)
	}
	return nil
}

// numbers reads a list of positive numbers with commas.
func numbers(text string) (list []float64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		var n float64
		if _, err := fmt.Sscan(strings.TrimSpace(part), &n); err != nil || n <= 0 {
			return nil, fmt.Errorf("%q is no number of flows a second", part)
		}
		list = append(list, n)
	}
	return list, nil
}

// named keeps the contenders whose names have one of the words.
func named(all []compare.Contender, words string) (list []compare.Contender) {
	for _, c := range all {
		for word := range strings.SplitSeq(words, ",") {
			if strings.Contains(strings.ToLower(c.Name), strings.ToLower(strings.TrimSpace(word))) {
				list = append(list, c)
				break
			}
		}
	}
	return list
}

func printRows(out io.Writer, rows []compare.Row) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "collector\tflows/s\tdatagrams\tlost\tlost %\tCPU µs/flow\tRSS MiB\trecords\tof it")
	for _, r := range rows {
		if len(r.Runs) == 0 {
			fmt.Fprintf(table, "%s\t%s\t\t\t\t\t\t\tfailed: %s\n", r.Name, thousands(int(r.Asked)), r.Failed)
			continue
		}
		m := r.Median
		records := "—"
		if m.Records > 0 {
			records = fmt.Sprintf("%.1f %%", 100*float64(m.Records)/float64(max(m.Flows, 1)))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.2f\t%.3f\t%.0f\t%s\t%s\n", r.Name, thousands(int(m.Rate)),
			thousands(m.Sent), thousands(int(m.Drops)),
			100*m.LostShare, m.PerFlow, float64(m.Peak)/(1<<20), records, r.Includes+parts(m))
	}
	_ = table.Flush() // to standard output
}

// parts says what the processes of a collector that has a database have of its figures.
func parts(m compare.Run) string {
	if m.First == m.CPU || m.Merging == 0 {
		return ""
	}
	perFlow := func(d time.Duration) float64 { return m.PerFlow * float64(d) / float64(m.CPU) }
	return fmt.Sprintf("; the collector %.3f µs and %.0f MiB, merging parts %.3f µs", perFlow(m.First),
		float64(m.PeakFirst)/(1<<20), perFlow(m.Merging))
}

// lossLines are the collectors' shares of datagrams lost by rate, in order of rate.
func lossLines(rows []compare.Row) (lines []plot.Line) {
	at := map[string]int{}
	for _, r := range rows {
		if len(r.Runs) == 0 {
			continue
		}
		i, found := at[r.Name]
		if !found {
			i = len(lines)
			at[r.Name] = i
			lines = append(lines, plot.Line{Name: r.Name})
		}
		lines[i].X, lines[i].Y = append(lines[i].X, r.Asked), append(lines[i].Y, r.Median.LostShare)
	}
	return lines
}
