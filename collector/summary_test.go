package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/tally"
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
	sum := newSummary(table)
	lost := uint64(0)
	for _, l := range sum.losses {
		if l.what == "missing by sequence number" {
			lost += l.count
		}
	}
	if sum.datagrams() != streams || sum.records() != 10*streams || lost != 5*streams {
		t.Errorf("%d datagrams, %d records, %d lost, want %d, %d, %d", sum.datagrams(), sum.records(), lost, streams,
			10*streams, 5*streams)
	}
}

// "nothing lost" is said only where the ledger balances and nothing waits.
func TestSummary_nothingLost(t *testing.T) {
	for name, test := range map[string]struct {
		sum  summary
		want bool
	}{
		"all is delivered":            {summary{written: 10}, true},
		"some waits on disk":          {summary{spooled: 10}, true},
		"some is not confirmed":       {summary{pending: 1}, false},
		"messages are not confirmed":  {summary{produced: produced{topic: "flows", waiting: 1}}, false},
		"the ledger does not balance": {summary{unexplained: 1}, false},
		"something is lost":           {summary{losses: []loss{{1, "rows", "here"}}}, false},
	} {
		var out strings.Builder
		test.sum.print(&out)
		if got := strings.Contains(out.String(), "nothing lost"); got != test.want {
			t.Errorf("%s: said %v:\n%s", name, got, &out)
		}
	}
}

func TestUnexplained(t *testing.T) {
	balanced := tally.Account{Taken: 10, Found: 2, Delivered: 12}
	for name, test := range map[string]struct {
		records, rows uint64
		flows         bool
		became        tally.Account
		want          uint64
	}{
		"it balances":                   {10, 10, true, balanced, 0},
		"a stream that is counted late": {8, 10, true, balanced, 0},
		"records that became no rows":   {13, 10, true, balanced, 3},
		"rows go to Kafka alone":        {10, 0, false, tally.Account{}, 0},
		"rows that became nothing":      {10, 10, true, tally.Account{Taken: 10, Delivered: 7}, 3},
		"rows that came from nowhere":   {10, 10, true, tally.Account{Taken: 10, Delivered: 11}, 1},
	} {
		if got := unexplained(test.records, test.rows, test.flows, test.became); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}
