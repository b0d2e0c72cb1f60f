package flooded

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// What the router sends is decoded to one flow for each number, with one template in ten minutes.
func TestRouter(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	r := &router{started: start}
	next := uint64(0)
	batch := flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			if next++; records[i].Bytes != next || records[i].EndMs > records[i].Received/1e6 {
				t.Fatalf("flow %d is %+v", next, records[i])
			}
		}
	})
	d := decoder.New(decoder.Options{})
	for now := start; now.Before(start.Add(15 * time.Minute)); now = now.Add(sendEvery) {
		d.Decode(&exporter.Datagram{Source: netip.AddrPortFrom(routerAddress, 4000), Received: now.UnixNano(),
			Payload: r.datagram(now)}, batch)
	}
	streams := d.Exporters().Streams()
	if len(streams) != 1 || streams[0].Templates.Load() != 2 || streams[0].Lost.Load() != 0 || next != r.sent.Load() {
		t.Errorf("%d streams, %d templates, %d lost, %d flows of %d", len(streams), streams[0].Templates.Load(),
			streams[0].Lost.Load(), next, r.sent.Load())
	}
}
