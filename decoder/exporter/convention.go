package exporter

import "github.com/metranova/flow-collector/decoder/flow"

// Convention is what the sequence numbers of a stream count.
type Convention uint8

// The conventions. By their specifications NetFlow v5 counts flows, v9 datagrams (RFC 3954 §5.1), IPFIX data records
// (RFC 7011 §3.1), and sFlow datagrams. Exporters mix these up.
const (
	CountsUnknown   Convention = iota // too few datagrams so far, or no convention fits: losses are unknown
	CountsDatagrams                   // one for each datagram
	CountsFlows                       // flow records
	CountsRecords                     // data records: flows and options
	CountsAll                         // data records and template records
	CountsNothing                     // the number never moves
	CountsSamples                     // samples of sFlow
	conventions
)

// String describes what is counted.
func (c Convention) String() string {
	return [...]string{"unknown", "datagrams", "flow records", "data records", "data and template records",
		"nothing", "samples"}[c]
}

// Unit is the noun for one of what is counted.
func (c Convention) Unit() string {
	switch c {
	case CountsFlows:
		return "flow"
	case CountsRecords:
		return "data record"
	case CountsAll:
		return "record"
	case CountsSamples:
		return "sample"
	}
	return "datagram"
}

// ConventionOf returns the convention in a protocol's specification.
func ConventionOf(p flow.Protocol) Convention {
	switch p {
	case flow.NetFlowV5:
		return CountsFlows
	case flow.IPFIX:
		return CountsRecords
	}
	return CountsDatagrams
}

// Units are the numbers of countable things in one datagram.
type Units struct {
	Flows, Options, Templates uint32
	Samples                   uint32 // sFlow: of all kinds
	// Unknown is set if the datagram holds records that could not be counted.
	Unknown bool
}

// A way is a convention in detail: some exporters send the number after the last of a datagram's records instead of the
// number before the first (softflowd).
type way struct {
	counts Convention
	itself bool
}

// ways returns the ways in which exporters of a protocol count. The first is that of the specification; of ways that
// explain a stream equally well, the first is taken.
func ways(p flow.Protocol) []way {
	switch p {
	case flow.NetFlowV5:
		return waysV5[:]
	case flow.IPFIX:
		return waysIPFIX[:]
	case flow.SFlow5:
		return waysSFlow[:]
	}
	return waysV9[:]
}

// presumed reports whether the exporters of a protocol are taken to count as it specifies until they show otherwise.
// Those of sFlow nearly always do.
func presumed(p flow.Protocol) bool { return p == flow.SFlow5 }

// maxWays bounds the ways of a protocol.
const maxWays = 8

var (
	waysV5 = [...]way{{counts: CountsFlows}, {counts: CountsDatagrams}, {counts: CountsNothing},
		{counts: CountsFlows, itself: true}}
	waysV9 = [...]way{
		{counts: CountsDatagrams}, {counts: CountsRecords}, {counts: CountsFlows}, {counts: CountsAll},
		{counts: CountsNothing},
		{counts: CountsRecords, itself: true}, {counts: CountsFlows, itself: true}, {counts: CountsAll, itself: true},
	}
	waysIPFIX = [...]way{
		{counts: CountsRecords}, {counts: CountsRecords, itself: true}, {counts: CountsFlows},
		{counts: CountsFlows, itself: true},
		{counts: CountsAll}, {counts: CountsAll, itself: true}, {counts: CountsDatagrams}, {counts: CountsNothing},
	}
	waysSFlow = [...]way{
		{counts: CountsDatagrams}, {counts: CountsSamples}, {counts: CountsSamples, itself: true},
		{counts: CountsNothing},
	}
)

// increments returns by how much a datagram increases the number, by convention. If the datagram holds records that
// could not be counted, only those of fixed conventions are right.
func (u Units) increments() [conventions]uint32 {
	return [conventions]uint32{
		CountsDatagrams: 1,
		CountsFlows:     u.Flows,
		CountsRecords:   u.Flows + u.Options,
		CountsAll:       u.Flows + u.Options + u.Templates,
		CountsSamples:   u.Samples,
	}
}

// fixed reports whether every datagram increases the number alike, whatever it holds.
func (c Convention) fixed() bool { return c == CountsDatagrams || c == CountsNothing }
