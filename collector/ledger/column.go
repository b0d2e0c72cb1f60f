package ledger

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
)

// The stages at which something is counted, in the order of a datagram's way.
const (
	Received   = exporter.StageReceived
	Upstream   = exporter.StageUpstream
	Kernel     = "kernel"               // between the network and the collector
	Filter     = exporter.StageFilter   // exporters that may not send, and flows that are too small
	Connection = "connection"           // TCP connections that ended or were refused, by reason
	Overload   = exporter.StageOverload // what exceeds a source's share of the worker's time, or of different texts
	Decode     = "decode"               // what could not be decoded, by reason
	Hold       = exporter.StageHold
	SinkRows   = "sink" // rows, by what became of them
)

// What became of rows at a sink.
const (
	Taken       = "taken"
	Found       = "found" // on disk, left by an earlier run
	Delivered   = "delivered"
	Spooled     = "spooled" // written to disk, and delivered or lost later
	Lost        = "lost"
	Quarantined = "quarantined"
)

// Column is one thing that is counted for every stream.
type Column struct {
	Stage   string
	What    string // for Received, Upstream, Hold: what is counted; for SinkRows: the result
	Reason  string // for Decode, and for what a sink lost or quarantined
	Sink    string
	Unit    string // exporter.SequenceUnit: the protocol's unit, see SequenceUnit
	Missing bool   // what it counts is missing from the tables
}

// SequenceUnit returns what a protocol's sequence numbers count.
func SequenceUnit(p flow.Protocol) string {
	switch p {
	case flow.NetFlowV5:
		return "flows"
	case flow.IPFIX:
		return "records"
	}
	return "datagrams"
}

// UnitOf returns the unit of a column for a protocol.
func (c *Column) UnitOf(p flow.Protocol) string {
	if c.Unit == exporter.SequenceUnit {
		return SequenceUnit(p)
	}
	return c.Unit
}

// streamColumn is a column of a stream and how its value is read.
type streamColumn struct {
	Column
	read func(*exporter.Stream) uint64
}

// The indexes in exporter.Counters of the columns that this package uses itself.
const (
	datagramsColumn = iota
	bytesColumn
	recordsColumn
	_ // option records
	_ // templates
	samplesColumn
)

// streamColumns returns the decoder's counters.
func streamColumns() []streamColumn {
	var all []streamColumn
	for _, c := range exporter.Counters() {
		all = append(all, streamColumn{Column{Stage: c.Stage, What: c.Name, Unit: c.Unit, Missing: c.Missing}, c.Count})
	}
	for _, r := range exporter.Reasons() {
		all = append(all, streamColumn{
			Column{Stage: Decode, Reason: r.String(), Unit: r.Unit(), Missing: r.Loses()},
			func(s *exporter.Stream) uint64 { return s.Failed(r) },
		})
	}
	return all
}

// accountColumn is a column of a sink and how its value is read.
type accountColumn struct {
	Column
	read func(*tally.Account) uint64
}

// accountColumns returns a sink's counters.
func accountColumns(s *Sink) []accountColumn {
	add := func(what string, read func(*tally.Account) uint64) accountColumn {
		return accountColumn{Column{Stage: SinkRows, What: what, Sink: s.Name, Unit: "rows"}, read}
	}
	all := []accountColumn{
		add(Taken, func(a *tally.Account) uint64 { return a.Taken }),
		add(Found, func(a *tally.Account) uint64 { return a.Found }),
		add(Delivered, func(a *tally.Account) uint64 { return a.Delivered }),
		add(Spooled, func(a *tally.Account) uint64 { return a.Spooled }),
	}
	for _, reason := range s.Reasons {
		lost := add(Lost, func(a *tally.Account) uint64 { return a.Lost[reason] })
		lost.Reason, lost.Missing = reason, true
		quarantined := add(Quarantined, func(a *tally.Account) uint64 { return a.Quarantined[reason] })
		quarantined.Reason, quarantined.Missing = reason, true
		all = append(all, lost, quarantined)
	}
	return all
}
