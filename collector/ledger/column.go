package ledger

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
)

// Stages are where on its way something is counted, in the order of the way.
const (
	Received   = exporter.StageReceived
	Upstream   = exporter.StageUpstream
	Kernel     = "kernel"     // between the network and the collector
	Filter     = "filter"     // exporters that may not send
	Connection = "connection" // TCP connections that ended or were refused, by reason
	Overload   = "overload"   // sources that took more than their share while the collector was behind
	Decode     = "decode"     // what could not be read, by reason
	Hold       = exporter.StageHold
	SinkRows   = "sink" // rows, by what became of them
)

// What became of rows at a sink.
const (
	Taken       = "taken"
	Found       = "found" // on disk, left by an earlier run
	Delivered   = "delivered"
	Spooled     = "spooled" // went to disk, and is delivered or lost later
	Lost        = "lost"
	Quarantined = "quarantined"
)

// Column is one thing that is counted for every stream.
type Column struct {
	Stage   string
	What    string // of Received, Upstream, Hold: what is counted; of SinkRows: the outcome
	Reason  string // of Decode and of what a sink lost or quarantined
	Sink    string
	Unit    string // exporter.SequenceUnit: the protocol's own, see SequenceUnit
	Missing bool   // it is missing from the tables
}

// SequenceUnit is what the sequence numbers of a protocol count.
func SequenceUnit(p flow.Protocol) string {
	switch p {
	case flow.NetFlowV5:
		return "flows"
	case flow.IPFIX:
		return "records"
	}
	return "datagrams"
}

// UnitOf is the unit of a column for a protocol.
func (c *Column) UnitOf(p flow.Protocol) string {
	if c.Unit == exporter.SequenceUnit {
		return SequenceUnit(p)
	}
	return c.Unit
}

// streamColumn is a column and how it is read.
type streamColumn struct {
	Column
	read func(*exporter.Stream) uint64
}

// The places of the columns that this package itself looks at, in exporter.Counters.
const (
	datagramsColumn = iota
	bytesColumn
	recordsColumn
	_ // option records
	_ // templates
	samplesColumn
)

// streamColumns are what the decoder counts.
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

// accountColumn is a column of a sink and how it is read.
type accountColumn struct {
	Column
	read func(*tally.Account) uint64
}

// accountColumns are what a sink counts.
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
