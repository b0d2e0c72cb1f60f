package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func decodeCommand() *cli.Command {
	return &cli.Command{
		Name:      "decode",
		Usage:     "print the flow records of packet captures",
		ArgsUsage: "CAPTURE...",
		Description: `Reads pcap and pcapng files and prints one JSON object for each flow record, as the exporter sent it: nothing is scaled
or looked up. It needs no configuration. What was seen and what could not be decoded is said at the end, on standard
error.

  collector decode router.pcap
  collector decode -format table router.pcap
  collector decode -stats router.pcap`,
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
			return decodeFiles(c.Args().Slice(), c.String("format"), c.Bool("stats"), c.Bool("decapsulate"), os.Stdout,
				os.Stderr)
		},
	}
}

// decodeFiles decodes captures one after the other with one decoder, as one worker would.
func decodeFiles(paths []string, format string, stats, decapsulate bool, out, notes io.Writer) error {
	buffered := bufio.NewWriterSize(out, 1<<16)
	receive, finish, err := recordPrinter(format, stats, buffered)
	if err != nil {
		return err
	}
	var o decoder.Options
	o.SFlow.Inner, o.NetFlow.Inner = decapsulate, decapsulate
	d := decoder.New(o)
	batch := flow.NewBatch(receive)
	skipped, failed := readCaptures(paths, func(dg exporter.Datagram) {
		d.Decode(&dg, batch)
		d.Tick(dg.Received, batch)
	})
	d.Discard()
	finish()
	s := newSummary(d.Exporters())
	s.decoded = true
	if stats {
		printTemplates(buffered, d.NetFlow().Dump())
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("print records: %w", err)
	}
	if stats {
		s.print(out)
		printSkipped(out, skipped)
	} else {
		printSeen(notes, s, skipped)
		s.printLosses(notes)
	}
	return failed
}

// recordPrinter returns what prints records in a format, and what prints the rest at the end.
func recordPrinter(format string, stats bool, out io.Writer) (receive func([]flow.Record), finish func(), err error) {
	switch {
	case stats:
		return func([]flow.Record) {}, func() {}, nil
	case format == "json":
		var line []byte
		return func(records []flow.Record) {
			for i := range records {
				line = appendRecord(line[:0], &records[i])
				_, _ = out.Write(line)
			}
		}, func() {}, nil
	case format == "table":
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "EXPORTER\tSTART\tPROTO\tSOURCE\tDESTINATION\tBYTES\tPACKETS\tRATE\tIN\tOUT\tAS")
		return func(records []flow.Record) {
			for i := range records {
				printRow(table, &records[i])
			}
		}, func() { _ = table.Flush() }, nil
	}
	return nil, nil, commandline.Usage("--format %q is neither json nor table", format)
}

func printRow(out io.Writer, r *flow.Record) {
	fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d→%d\n",
		r.Exporter, time.UnixMilli(r.StartMs).UTC().Format("2006-01-02 15:04:05.000"), r.IPProtocol,
		hostPort(r.SrcAddr, r.SrcPort), hostPort(r.DstAddr, r.DstPort),
		r.Bytes, r.Packets, r.SamplingRate, r.InIf, r.OutIf, r.SrcAS, r.DstAS)
}

func hostPort(a flow.Addr, port uint16) string {
	if a.Is4() {
		return fmt.Sprintf("%s:%d", a, port)
	}
	return fmt.Sprintf("[%s]:%d", a, port)
}

// printSeen says what captures held, so that a capture without flow records explains itself.
func printSeen(out io.Writer, s *summary, skipped capture.Skipped) {
	var templates, options, counters uint64
	for _, stream := range s.all() {
		templates += stream.Templates.Load()
		options += stream.Options.Load()
		counters += stream.Counters.Load()
	}
	fmt.Fprintf(out, "%d flow records in %d datagrams of %d exporters", s.records(), s.datagrams(), len(s.streams))
	for _, seen := range []struct {
		n    uint64
		what string
	}{{templates, "templates"}, {options, "option records"}, {counters, "counter samples"}} {
		if seen.n > 0 {
			fmt.Fprintf(out, ", %d %s", seen.n, seen.what)
		}
	}
	fmt.Fprintln(out)
	switch {
	case s.records() > 0:
	case s.datagrams() > 0:
		fmt.Fprintln(out, "no flow record could be read: --stats shows templates and options, and what data waits for")
	case len(s.losses) > 0:
		fmt.Fprintln(out, "nothing in it is sFlow v5, NetFlow v5, NetFlow v9 or IPFIX")
	default:
		fmt.Fprintln(out, "no UDP datagram is in it")
	}
	printSkipped(out, skipped)
}

func printSkipped(out io.Writer, s capture.Skipped) {
	if s.NotUDP > 0 {
		fmt.Fprintf(out, "not UDP in the capture: %d packets\n", s.NotUDP)
	}
	if s.Fragments > 0 {
		fmt.Fprintf(out, "IP fragments in the capture: %d, reassembled where all parts were there\n", s.Fragments)
	}
	if s.Cut > 0 {
		fmt.Fprintf(out, "cut by the capture's snap length: %d datagrams\n", s.Cut)
	}
}

// appendJSONText appends a text as JSON has it.
func appendJSONText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, text...)
}
