package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	goflow2 "github.com/netsampler/goflow2/v2/decoders/netflow"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
)

// A loss is something that reached the collector and is not in the tables, and why.
type loss struct {
	count uint64
	what  string // what was lost, in which unit
	where string // exporter, sink or socket
}

// summary is what became of all that came in, on one screen.
type summary struct {
	streams       []*exporter.Stream
	evicted       []*exporter.Stream // the sums of those that were evicted, by worker
	unexplained   uint64             // records and rows of which the ledger does not know what became of them
	written       uint64             // rows that the store has confirmed
	pending       uint64             // rows that were encoded and are not confirmed
	spooled       uint64             // rows that wait on disk
	produced      produced
	took          time.Duration
	decoded       bool // only: no rows were meant to be written
	losses        []loss
	kept          []loss   // not in all tables, but in the quarantine
	clocks        []loss   // stored, with times that cannot be true
	twice         []loss   // what came again: nothing of it is missing
	notes         []string // how exporters were understood that leave room for it
	captureLosses []loss   // of what captures do not have whole
	warnings      []string
}

// newSummary adds up the streams and what each has lost.
func newSummary(tables ...*exporter.Table) *summary {
	s := &summary{}
	for _, t := range tables {
		s.evicted = append(s.evicted, t.Retired()) // first, see Retired
		s.streams = append(s.streams, t.Streams()...)
		for _, reason := range exporter.Reasons() {
			if n := t.UnattributedCount(reason); n > 0 {
				s.losses = append(s.losses, loss{n, reason.String(), "no exporter known"})
			}
		}
	}
	slices.SortFunc(s.streams, func(a, b *exporter.Stream) int {
		return cmp.Or(
			slices.Compare(a.Key.Exporter[:], b.Key.Exporter[:]),
			cmp.Compare(a.Key.Protocol, b.Key.Protocol),
			cmp.Compare(a.Key.Domain, b.Key.Domain),
		)
	})
	for _, stream := range s.streams {
		s.losses = append(s.losses, streamLosses(stream)...)
		s.clocks = append(s.clocks, wrongClocks(stream)...)
		s.twice = append(s.twice, cameTwice(stream)...)
		s.notes = append(s.notes, streamNotes(stream)...)
	}
	for _, stream := range s.evicted {
		s.losses = append(s.losses, streamLosses(stream)...)
		s.clocks = append(s.clocks, wrongClocks(stream)...)
		s.twice = append(s.twice, cameTwice(stream)...)
	}
	return s
}

// evictedStreams stands for the streams that were evicted. What they counted is added up.
const evictedStreams = "exporters that were evicted"

// wrongClocks are the records whose times cannot be true. They are rows all the same, in partitions of their own.
func wrongClocks(stream *exporter.Stream) []loss {
	var clocks []loss
	if n := stream.Ahead.Load(); n > 0 {
		clocks = append(clocks, loss{n, "records of the future", streamName(stream)})
	}
	if n := stream.Behind.Load(); n > 0 {
		clocks = append(clocks, loss{n, "records more than a day old", streamName(stream)})
	}
	if n := stream.Clamped.Load(); n > 0 {
		clocks = append(clocks, loss{n, "records with the time of receipt instead of the exporter's",
			streamName(stream)})
	}
	return clocks
}

// cameTwice are the datagrams of a stream that have the sequence number of an earlier one.
func cameTwice(stream *exporter.Stream) []loss {
	if n := stream.Duplicated.Load(); n > 0 {
		return []loss{{n, "duplicated, by sequence number", streamName(stream)}}
	}
	return nil
}

func streamName(stream *exporter.Stream) string {
	if stream.Key == (exporter.Key{}) {
		return evictedStreams
	}
	return fmt.Sprintf("%s %s domain %d", stream.Key.Exporter, stream.Key.Protocol, stream.Key.Domain)
}

func streamLosses(stream *exporter.Stream) []loss {
	where := streamName(stream)
	var losses []loss
	add := func(n uint64, what string) {
		if n > 0 {
			losses = append(losses, loss{n, what, where})
		}
	}
	for _, reason := range exporter.Reasons() {
		add(stream.Failed(reason), reason.String())
	}
	add(stream.Lost.Load(), "missing by sequence number")
	add(stream.SamplesLost.Load(), "samples missing by sequence number")
	add(stream.AgentDrops.Load(), "samples dropped by the agent itself")
	return losses
}

// all are the streams and the sums of those that were evicted.
func (s *summary) all() []*exporter.Stream { return slices.Concat(s.streams, s.evicted) }

func (s *summary) records() (n uint64) {
	for _, stream := range s.all() {
		n += stream.Records.Load()
	}
	return n
}

func (s *summary) datagrams() (n uint64) {
	for _, stream := range s.all() {
		n += stream.Datagrams.Load()
	}
	return n
}

// print writes the summary for people.
func (s *summary) print(out io.Writer) {
	if len(s.streams) == 0 {
		fmt.Fprintln(out, "no exporter was heard")
	} else {
		s.printStreams(out)
	}
	fmt.Fprintf(out, "\n%d datagrams, %d records", s.datagrams(), s.records())
	if !s.decoded {
		fmt.Fprintf(out, ", %d rows written in %s", s.written, s.took.Round(time.Millisecond))
	}
	fmt.Fprintln(out)
	if s.pending > 0 {
		fmt.Fprintf(out, "%d rows are not confirmed by the store\n", s.pending)
	}
	if s.spooled > 0 {
		fmt.Fprintf(out, "%d rows wait in the spool until the server takes them\n", s.spooled)
	}
	if s.produced.topic != "" {
		fmt.Fprintln(out, s.produced)
	}
	for _, c := range s.clocks {
		fmt.Fprintf(out, "clock is wrong: %d × %s (%s)\n", c.count, c.what, c.where)
	}
	for _, k := range s.kept {
		fmt.Fprintf(out, "in quarantine: %d × %s (%s)\n", k.count, k.what, k.where)
	}
	if s.unexplained > 0 {
		fmt.Fprintf(out, "the ledger does not balance: what became of %d records or rows is not known\n", s.unexplained)
	}
	if len(s.losses) == 0 && s.unexplained == 0 && s.pending == 0 && s.produced.waiting == 0 {
		fmt.Fprintln(out, "nothing lost")
	}
	s.printLosses(out)
	for _, w := range s.warnings {
		fmt.Fprintln(out, "warning:", w)
	}
}

// mostStreams fit on a screen.
const mostStreams = 20

// printStreams writes a line for each stream.
func (s *summary) printStreams(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table,
		"exporter\tprotocol\tdomain\tdatagrams\trecords\ttemplates\toptions\tsampling\tlost\ttwice\tlate\trestarts\t")
	for _, stream := range s.streams[:min(mostStreams, len(s.streams))] {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t\n",
			stream.Key.Exporter, stream.Key.Protocol, stream.Key.Domain, stream.Datagrams.Load(), stream.Records.Load(),
			stream.Templates.Load(), stream.Options.Load(), samplingText(stream),
			stream.Lost.Load(), stream.Duplicated.Load(), stream.Reordered.Load(), stream.Restarts.Load())
	}
	table.Flush()
	if more := len(s.streams) - mostStreams; more > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
	for _, e := range s.evicted {
		if e.Datagrams.Load() > 0 {
			fmt.Fprintf(out, "%s: %d streams, %d datagrams, %d records\n",
				evictedStreams, e.Failed(exporter.StreamEvicted), e.Datagrams.Load(), e.Records.Load())
		}
	}
}

// printLosses writes how odd exporters were understood, and what was lost, if anything was.
func (s *summary) printLosses(out io.Writer) {
	for _, n := range s.notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	for _, t := range s.twice {
		fmt.Fprintf(out, "twice: %d × %s (%s)\n", t.count, t.what, t.where)
	}
	for _, l := range s.losses {
		fmt.Fprintf(out, "lost: %d × %s (%s)\n", l.count, l.what, l.where)
	}
}

// samplingText is a stream's latest sampling rate and where it comes from.
func samplingText(s *exporter.Stream) string {
	if s.Records.Load() == 0 {
		return "-"
	}
	return fmt.Sprintf("1:%d %s", s.SamplingRate.Load(), flow.SamplingSource(s.SamplingSource.Load()))
}

// printTemplates writes what the decoder knows of templates and options.
func printTemplates(out io.Writer, domains []netflow.Domain) {
	for _, d := range domains {
		if len(d.Templates) == 0 {
			continue
		}
		fmt.Fprintf(out, "%s %s domain %d\n", d.Key.Exporter, d.Key.Protocol, d.Key.Domain)
		for _, t := range d.Templates {
			kind, length := "template", fmt.Sprintf("%d bytes", t.Length)
			if t.Options {
				kind = "options template"
			}
			if t.Variable {
				length = fmt.Sprintf("at least %d bytes", t.Length)
			}
			fmt.Fprintf(out, "  %s %d, %s:\n", kind, t.ID, length)
			printFields(out, t.Fields)
		}
		for _, r := range d.Rates {
			fmt.Fprintf(out, "  %s: 1 in %d\n", r.Of, r.Rate)
		}
		if d.DomainRate != 0 {
			fmt.Fprintf(out, "  domain: 1 in %d\n", d.DomainRate)
		}
		if d.Interfaces+d.VRFs > 0 {
			fmt.Fprintf(out, "  names of %d interfaces and %d VRFs\n", d.Interfaces, d.VRFs)
		}
	}
	fmt.Fprintln(out)
}

// printFields writes fields one after the other, in lines of the screen's width.
func printFields(out io.Writer, fields []netflow.TemplateField) {
	const width, indent = 120, "   "
	line := indent
	for _, f := range fields {
		text := fieldText(f)
		if len(line)+1+len(text) > width && line != indent {
			fmt.Fprintln(out, line)
			line = indent
		}
		line += " " + text
	}
	fmt.Fprintln(out, line)
}

// fieldText is element:length, with the element's name, and with a * where the value is used; v stands for a variable
// length.
func fieldText(f netflow.TemplateField) string {
	length := strconv.Itoa(f.Length)
	if f.Length < 0 {
		length = "v"
	}
	text := f.Name + ":" + length
	if name := goflow2.IPFIXTypeToString(f.IANA); f.IANA != 0 && name != "" && !strings.HasPrefix(name, "Unassigned") {
		text = name + "(" + f.Name + "):" + length
	}
	if f.Scope {
		text = "scope(" + text + ")"
	}
	if f.Used {
		text += "*"
	}
	return text
}
