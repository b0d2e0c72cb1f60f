package exporter

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

func TestStreamsThatMadeRoomStayInTheSum(t *testing.T) {
	table := NewTable(16)
	var first *Stream
	const sources = 1000
	for n := range sources {
		source := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		s := table.Get(Key{Exporter: flow.AddrFrom(source), Protocol: flow.IPFIX}, flow.AddrFrom(source), int64(n))
		if first == nil {
			first = s
		}
		s.Saw(&Datagram{Payload: make([]byte, 100), Received: int64(n)})
		s.Restarts.Add(2)
		s.Fail(NoTemplate, 3)
	}
	if !first.Gone() {
		t.Fatal("the first stream made no room")
	}
	first.Fail(NoTemplate, 5) // what waited for a template is given up later
	all := append([]*Stream{table.Retired()}, table.Streams()...)
	var datagrams, bytes, restarts, failed uint64
	for _, s := range all {
		datagrams += s.Datagrams.Load()
		bytes += s.Bytes.Load()
		restarts += s.Restarts.Load()
		failed += s.Failed(NoTemplate)
	}
	if datagrams != sources || bytes != 100*sources || restarts != 2*sources || failed != 3*sources+5 {
		t.Errorf("%d datagrams, %d bytes, %d restarts, %d sets, of %d sources", datagrams, bytes, restarts, failed, sources)
	}
	if table.Evicted() != sources-uint64(len(table.Streams())) {
		t.Errorf("%d made room, %d are left, of %d", table.Evicted(), len(table.Streams()), sources)
	}
}

// Each loss says what it counts: metrics and the table of losses show it.
func TestReasonsHaveAUnit(t *testing.T) {
	units := map[string]bool{"datagrams": true, "sets": true, "templates": true, "records": true}
	for _, r := range Reasons() {
		if !units[r.Unit()] {
			t.Errorf("%s is counted in %q", r, r.Unit())
		}
	}
}
