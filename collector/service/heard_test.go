package service

import (
	"net/netip"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Each exporter is a line once, with its device; a flood of sources is bounded.
func TestHeard(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	builder := enrich.NewBuilder()
	builder.AddDevice(enrich.Device{ID: "core1", Ref: "core1__v1",
		Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	snapshot, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	stream := func(address string) *exporter.Stream {
		a := flow.AddrFrom(netip.MustParseAddr(address))
		return exporter.NewTable(16).Get(exporter.Key{Exporter: a, Protocol: flow.IPFIX, Domain: 7}, a, 1)
	}
	name := func(s *exporter.Stream) flow.Addr { return s.Key.Exporter }
	h := newHeard(zap.New(core))
	now := time.Unix(1_700_000_000, 0)
	streams := []*exporter.Stream{stream("192.0.2.1")}
	h.look(now, streams, snapshot, name)
	h.look(now.Add(time.Second), streams, snapshot, name)
	if logs.Len() != 1 {
		t.Fatalf("%d lines: %v", logs.Len(), logs.All())
	}
	got := logs.All()[0].ContextMap()
	if got["exporter"] != "192.0.2.1" || got["device"] != "core1" || got["protocol"] != "ipfix" ||
		got["domain"] != uint32(7) || got["source"] != nil {
		t.Errorf("said %v", got)
	}
	for n := range 100 {
		streams = append(streams, stream(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}).String()))
	}
	h.look(now.Add(2*time.Second), streams, snapshot, name)
	h.look(now.Add(2*time.Minute), streams, snapshot, name)
	if lines := logs.Len(); lines != maxHeard+1 {
		t.Errorf("%d lines of 101 exporters", lines)
	}
	if last := logs.All()[logs.Len()-1].ContextMap(); last["how many"] != int64(101-maxHeard) {
		t.Errorf("the rest: %v", last)
	}
}
