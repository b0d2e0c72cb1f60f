package exporter

import "github.com/metranova/flow-collector/decoder/flow"

// Convention says what the sequence numbers of a stream count.
type Convention uint8

// The conventions. NetFlow v5 is to count flows, v9 datagrams (RFC 3954 §5.1) and IPFIX records (RFC 7011 §3.1);
// exporters mix them up.
const (
	CountsUnknown   Convention = iota // not enough was seen, or none of these: nothing can be said of losses
	CountsDatagrams                   // one for each datagram
	CountsFlows                       // flow records
	CountsRecords                     // data records: of flows and of options
	CountsAll                         // data records and template records
	CountsNothing                     // the number never moves
)

// String says in words what is counted.
func (c Convention) String() string {
	return [...]string{"unknown", "datagrams", "flow records", "data records", "data and template records",
		"nothing"}[c]
}

// Unit is the word for one thing that is counted.
func (c Convention) Unit() string {
	switch c {
	case CountsFlows:
		return "flow"
	case CountsRecords:
		return "data record"
	case CountsAll:
		return "record"
	}
	return "datagram"
}

// ConventionOf is the convention that a protocol asks for.
func ConventionOf(p flow.Protocol) Convention {
	switch p {
	case flow.NetFlowV5:
		return CountsFlows
	case flow.IPFIX:
		return CountsRecords
	}
	return CountsDatagrams
}

// Units are what one datagram holds of the things that may be counted.
type Units struct {
	Flows, Options, Templates uint32
	// Unknown tells that the datagram holds records that could not be counted.
	Unknown bool
}

// A way is a convention in detail: some exporters put the number behind the last of a datagram's own records instead of
// before the first (softflowd).
type way struct {
	counts Convention
	itself bool
}

// ways returns the ways in which a protocol's exporters count, the protocol's own first: of ways that explain a stream
// equally well the first is taken.
func ways(p flow.Protocol) []way {
	switch p {
	case flow.NetFlowV5:
		return waysV5[:]
	case flow.IPFIX:
		return waysIPFIX[:]
	}
	return waysV9[:]
}

// mostWays is how many ways a protocol may have.
const mostWays = 8

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
)

// of returns how much a datagram adds to the number; false where that is not known.
func (w way) of(u Units) (n uint32, known bool) {
	switch w.counts {
	case CountsDatagrams:
		return 1, true
	case CountsNothing:
		return 0, true
	case CountsFlows:
		n = u.Flows
	case CountsRecords:
		n = u.Flows + u.Options
	case CountsAll:
		n = u.Flows + u.Options + u.Templates
	}
	return n, !u.Unknown
}
