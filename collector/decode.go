package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/print"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func decodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "decode",
		Usage:     "print the flow records of packet captures",
		ArgsUsage: "CAPTURE...",
		Description: `Reads pcap and pcapng files and prints one JSON object for each flow record, as the exporter sent
it: nothing is scaled. Where the captures hold BGP or BMP sessions of routers too, a record has what the routes of its
exporter say at that time. It needs no configuration. What was seen and what could not be decoded is said at the end,
on standard error.

  collector decode router.pcap
  collector decode --format table router.pcap
  collector decode --stats router.pcap`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "json",
				Usage: "`FORMAT` of the records: json or table"},
			&cli.BoolFlag{Name: "stats",
				Usage: "print templates, options, sampling, sequence results and errors instead of records"},
			&cli.BoolFlag{Name: "decapsulate", Usage: "sampled headers: take the flow inside a tunnel"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Len() == 0 {
				return commandline.Usage("no capture given: collector decode FILE.pcap")
			}
			return decodeFiles(c.Args().Slice(), c.String("format"), c.Bool("stats"), c.Bool("decapsulate"),
				commandline.PlainTerminal(os.Stdout), os.Stderr)
		},
	}
}

// decodeFiles decodes captures one after the other with one decoder, as one worker would.
func decodeFiles(paths []string, format string, stats, decapsulate bool, out, notes io.Writer) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	routes := &capturedRoutes{}
	defer routes.close()
	receive, finish, err := print.Records(format, stats, routes.find, buffered)
	if err != nil {
		return err
	}
	var o decoder.Options
	o.SFlow.Inner, o.NetFlow.Inner = decapsulate, decapsulate
	d := decoder.New(o)
	batch := flow.NewBatch(receive)
	skipped, failed := capture.ReadStreams(paths, func(dg exporter.Datagram) {
		d.Decode(&dg, batch)
		d.Tick(dg.Received, batch)
	}, routes.take)
	d.Discard()
	finish()
	s := report.New(d.Exporters())
	if stats {
		report.PrintTemplates(buffered, d.NetFlow().Dump())
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("print records: %w", err)
	}
	if stats {
		s.Print(out)
		report.PrintSkipped(out, skipped)
	} else {
		if seen := s.Datagrams() > 0 || len(s.Losses) > 0 || skipped != (capture.Skipped{}); seen || failed == nil {
			printSeen(notes, s, skipped)
		}
		s.PrintLosses(notes)
	}
	routes.printSeen(notes)
	return errors.Join(failed, routes.failed)
}

// printSeen says what captures held, so that a capture without flow records explains itself.
func printSeen(out io.Writer, s *report.Summary, skipped capture.Skipped) {
	var templates, options, counters uint64
	for _, stream := range s.All() {
		templates += stream.Templates.Load()
		options += stream.Options.Load()
		counters += stream.Counters.Load()
	}
	fmt.Fprintf(out, "%s in %s of %s", commandline.Count(s.Records(), "flow record"),
		commandline.Count(s.Datagrams(), "datagram"), commandline.Count(len(s.Streams), "exporter"))
	for _, seen := range []struct {
		n    uint64
		what string
	}{{templates, "template"}, {options, "option record"}, {counters, "counter sample"}} {
		if seen.n > 0 {
			fmt.Fprint(out, ", ", commandline.Count(seen.n, seen.what))
		}
	}
	fmt.Fprintln(out)
	switch {
	case s.Records() > 0:
	case s.Datagrams() > 0:
		fmt.Fprintln(out, "no flow record could be read: --stats shows templates and options, and what data waits for")
	case len(s.Losses) > 0:
		fmt.Fprintln(out, "nothing in it is sFlow v5, NetFlow v5, NetFlow v9 or IPFIX")
	default:
		fmt.Fprintln(out, "no UDP datagram is in it")
	}
	report.PrintSkipped(out, skipped)
}
