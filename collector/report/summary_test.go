package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Streams that were evicted are in every sum: datagrams, records and losses.
func TestSummary_evictedStreams(t *testing.T) {
	const streams = 40
	table := exporter.NewTable(16)
	for n := range streams {
		address := flow.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}))
		s := table.Get(exporter.Key{Exporter: address, Protocol: flow.IPFIX}, address, int64(n))
		s.Datagrams.Add(1)
		s.Records.Add(10)
		s.Lost.Add(5)
	}
	table.Publish()
	sum := New(table)
	lost := uint64(0)
	for _, l := range sum.Losses {
		if l.What == "lost before us (missing by sequence number)" {
			lost += l.Count
		}
	}
	if sum.Datagrams() != streams || sum.Records() != 10*streams || lost != 5*streams {
		t.Errorf("%d datagrams, %d records, %d lost, want %d, %d, %d", sum.Datagrams(), sum.Records(), lost, streams,
			10*streams, 5*streams)
	}
}

// "nothing lost" is said only where the ledger balances and nothing waits.
func TestSummary_nothingLost(t *testing.T) {
	for name, test := range map[string]struct {
		sum  Summary
		want bool
	}{
		"all is delivered":            {Summary{Sinks: []Sink{{Delivered: 10}}}, true},
		"some waits on disk":          {Summary{Sinks: []Sink{{OnDisk: 10}}}, true},
		"some is not confirmed":       {Summary{Sinks: []Sink{{Waiting: 1}}}, false},
		"another sink's are not":      {Summary{Sinks: []Sink{{Delivered: 1}, {Waiting: 1}}}, false},
		"the ledger does not balance": {Summary{Unexplained: 1}, false},
		"something is lost":           {Summary{Losses: []Loss{{1, "rows", "here"}}}, false},
	} {
		var out strings.Builder
		test.sum.Print(&out)
		if got := strings.Contains(out.String(), "nothing lost"); got != test.want {
			t.Errorf("%s: said %v:\n%s", name, got, &out)
		}
	}
}
