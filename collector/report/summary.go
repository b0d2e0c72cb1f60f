// Package report describes for people what became of everything that was received: on one screen when a run ends, and
// line by line while it lasts. It reads counters and changes none.
package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink"
)

// Sink counts what happened to the rows of one sink.
type Sink struct {
	sink.Info
	Delivered uint64 // confirmed by the server
	Waiting   uint64 // in memory, or sent and not confirmed
	OnDisk    uint64 // in the spool
}

// String returns the counts as one line.
func (s *Sink) String() string {
	text := fmt.Sprintf("%d %s %s to %s", s.Delivered, s.Unit, s.Done, s.Place)
	if s.Waiting > 0 {
		text += fmt.Sprintf(", %d not confirmed", s.Waiting)
	}
	if s.OnDisk > 0 {
		text += fmt.Sprintf(", %d wait in the spool until it takes them", s.OnDisk)
	}
	return text
}

// Loss is data that reached the collector and is not in the tables, with the reason.
type Loss struct {
	Count uint64
	What  string // what was lost, with its unit
	Where string // exporter, sink or socket
}

// NewLoss returns a loss of n units of what, at where.
func NewLoss(n uint64, what, where string) Loss { return Loss{n, what, where} }

// Summary says on one screen what happened to everything that was received.
type Summary struct {
	Streams       []*exporter.Stream
	evicted       []*exporter.Stream // the sums of those that were evicted, by worker
	Unexplained   uint64             // records and rows of which the ledger does not know what became of them
	Sinks         []Sink
	Took          time.Duration
	Losses        []Loss
	Kept          []Loss   // in the quarantine, and not in all tables
	Clocks        []Loss   // stored, with impossible times
	twice         []Loss   // duplicates: nothing of it is missing
	notes         []string // interpretations of what exporters sent
	CaptureLosses []Loss   // of what captures do not have in full
	Warnings      []string
	LookUps       *LookUps // nil: there are no routes
}

// New returns a summary of the streams of all tables, and of their losses. The caller adds the rest.
func New(tables ...*exporter.Table) *Summary {
	s := &Summary{}
	for _, t := range tables {
		s.evicted = append(s.evicted, t.Retired()) // first, see Retired
		s.Streams = append(s.Streams, t.Streams()...)
		for _, reason := range exporter.Reasons() {
			if n := t.UnattributedCount(reason); n > 0 {
				s.Losses = append(s.Losses, Loss{n, reason.String(), "no exporter known"})
			}
		}
	}
	slices.SortFunc(s.Streams, func(a, b *exporter.Stream) int {
		return cmp.Or(
			slices.Compare(a.Key.Exporter[:], b.Key.Exporter[:]),
			cmp.Compare(a.Key.Protocol, b.Key.Protocol),
			cmp.Compare(a.Key.Domain, b.Key.Domain),
		)
	})
	for _, stream := range s.Streams {
		s.Losses = append(s.Losses, streamLosses(stream)...)
		s.Clocks = append(s.Clocks, wrongClocks(stream)...)
		s.twice = append(s.twice, cameTwice(stream)...)
		s.notes = append(s.notes, streamNotes(stream)...)
	}
	for _, stream := range s.evicted {
		s.Losses = append(s.Losses, streamLosses(stream)...)
		s.Clocks = append(s.Clocks, wrongClocks(stream)...)
		s.twice = append(s.twice, cameTwice(stream)...)
	}
	return s
}

// EvictedStreams is the name of all evicted streams together.
const EvictedStreams = "exporters that were evicted"

// wrongClocks returns the records with impossible times. They are stored, in partitions of their own.
func wrongClocks(stream *exporter.Stream) []Loss {
	var clocks []Loss
	for _, c := range exporter.Counters() {
		if n := c.Count(stream); n > 0 && c.Clock != "" {
			clocks = append(clocks, Loss{n, c.Clock, streamName(stream)})
		}
	}
	return clocks
}

// cameTwice returns the datagrams of a stream with the sequence number of an earlier one.
func cameTwice(stream *exporter.Stream) []Loss {
	if n := stream.Duplicated.Load(); n > 0 {
		return []Loss{{n, "duplicated, by sequence number", streamName(stream)}}
	}
	return nil
}

func streamName(stream *exporter.Stream) string {
	if stream.Key == (exporter.Key{}) {
		return EvictedStreams
	}
	return fmt.Sprintf("%s %s domain %d", stream.Key.Exporter, stream.Key.Protocol, stream.Key.Domain)
}

func streamLosses(stream *exporter.Stream) []Loss {
	where := streamName(stream)
	var losses []Loss
	add := func(n uint64, what string) {
		if n > 0 {
			losses = append(losses, Loss{n, what, where})
		}
	}
	for _, reason := range exporter.Reasons() {
		add(stream.Failed(reason), reason.String())
	}
	for _, c := range exporter.Counters() {
		if c.Loss != "" {
			add(c.Count(stream), c.Loss)
		}
	}
	return losses
}

// All returns the streams and the sums of evicted ones.
func (s *Summary) All() []*exporter.Stream { return slices.Concat(s.Streams, s.evicted) }

// Records returns the number of flow records of all streams.
func (s *Summary) Records() (n uint64) {
	for _, stream := range s.All() {
		n += stream.Records.Load()
	}
	return n
}

// Datagrams returns the number of datagrams of all streams.
func (s *Summary) Datagrams() (n uint64) {
	for _, stream := range s.All() {
		n += stream.Datagrams.Load()
	}
	return n
}

// Print writes the summary as text. It says "nothing lost" only if there are no losses, the ledger balances and no row
// waits for a confirmation.
func (s *Summary) Print(out io.Writer) {
	if len(s.Streams) == 0 {
		fmt.Fprintln(out, "no exporter was heard")
	} else {
		s.printStreams(out)
	}
	fmt.Fprintf(out, "\n%s, %s", commandline.Count(s.Datagrams(), "datagram"),
		commandline.Count(s.Records(), "record"))
	if s.Took > 0 {
		fmt.Fprintf(out, " in %s", s.Took.Round(time.Millisecond))
	}
	fmt.Fprintln(out)
	waiting := uint64(0)
	for i := range s.Sinks {
		fmt.Fprintln(out, &s.Sinks[i])
		waiting += s.Sinks[i].Waiting
	}
	if s.LookUps != nil {
		fmt.Fprintln(out, s.LookUps)
	}
	for _, c := range s.Clocks {
		fmt.Fprintf(out, "clock is wrong: %d × %s (%s)\n", c.Count, c.What, c.Where)
	}
	for _, k := range s.Kept {
		fmt.Fprintf(out, "in quarantine: %d × %s (%s)\n", k.Count, k.What, k.Where)
	}
	if s.Unexplained > 0 {
		fmt.Fprintf(out, "the ledger does not balance: it is unknown what became of %d records or rows\n",
			s.Unexplained)
	}
	if len(s.Losses) == 0 && s.Unexplained == 0 && waiting == 0 {
		fmt.Fprintln(out, "nothing lost")
	}
	s.PrintLosses(out)
	for _, w := range s.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
}

// mostStreams limits the lines to one screen.
const mostStreams = 20

// printStreams writes a line for each stream.
func (s *Summary) printStreams(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table,
		"exporter\tprotocol\tdomain\tdatagrams\trecords\ttemplates\toptions\tsampling\tlost\ttwice\tlate\trestarts\t")
	for _, stream := range s.Streams[:min(mostStreams, len(s.Streams))] {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t\n",
			stream.Key.Exporter, stream.Key.Protocol, stream.Key.Domain, stream.Datagrams.Load(), stream.Records.Load(),
			stream.Templates.Load(), stream.Options.Load(), samplingText(stream),
			stream.Lost.Load(), stream.Duplicated.Load(), stream.Reordered.Load(), stream.Restarts.Load())
	}
	table.Flush()
	if more := len(s.Streams) - mostStreams; more > 0 {
		fmt.Fprintf(out, "and %d more\n", more)
	}
	for _, e := range s.evicted {
		if e.Datagrams.Load() > 0 {
			fmt.Fprintf(out, "%s: %s, %s, %s\n", EvictedStreams,
				commandline.Count(e.Failed(exporter.StreamEvicted), "stream"),
				commandline.Count(e.Datagrams.Load(), "datagram"), commandline.Count(e.Records.Load(), "record"))
		}
	}
}

// PrintLosses writes interpretations and losses, if there are any.
func (s *Summary) PrintLosses(out io.Writer) {
	for _, n := range s.notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	for _, t := range s.twice {
		fmt.Fprintf(out, "twice: %d × %s (%s)\n", t.Count, t.What, t.Where)
	}
	for _, l := range s.Losses {
		fmt.Fprintf(out, "lost: %d × %s (%s)\n", l.Count, l.What, l.Where)
	}
}

// samplingText returns a stream's latest sampling rate and its source.
func samplingText(s *exporter.Stream) string {
	if s.Records.Load() == 0 {
		return "-"
	}
	return fmt.Sprintf("1:%d %s", s.SamplingRate.Load(), flow.SamplingSource(s.SamplingSource.Load()))
}
