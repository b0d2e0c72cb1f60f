package decoder

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
)

// words encodes 32-bit numbers as in datagrams.
func words(n ...uint32) (b []byte) {
	for _, w := range n {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return b
}

func TestDecodeTellsProtocolsApart(t *testing.T) {
	v5 := slices.Concat(words(5<<16, 0, 0, 0, 0, 0))
	v9 := words(9<<16, 0, 0, 0, 7)
	ipfix := words(10<<16|16, 0, 0, 7)
	sflow := words(5, 1, 0xc0000201, 7, 0, 0, 0)
	tests := []struct {
		name     string
		payload  []byte
		protocol flow.Protocol // of the stream; Unknown: there is no stream
		reason   exporter.Reason
	}{
		{"NetFlow v5", v5, flow.NetFlowV5, 0},
		{"NetFlow v9", v9, flow.NetFlowV9, 0},
		{"IPFIX", ipfix, flow.IPFIX, 0},
		{"sFlow v5", sflow, flow.SFlow5, 0},
		{"sFlow v4", words(4, 1, 0xc0000201, 7), flow.UnknownProtocol, exporter.UnknownVersion},
		{"NetFlow v7", words(7<<16, 0, 0, 0, 0, 0), flow.UnknownProtocol, exporter.UnknownVersion},
		{"nothing", nil, flow.UnknownProtocol, exporter.Truncated},
		{"3 bytes", []byte{0, 9, 0}, flow.UnknownProtocol, exporter.Truncated},
		{"a cut header of NetFlow v5", v5[:20], flow.UnknownProtocol, exporter.Truncated},
		{"a cut header of NetFlow v9", v9[:16], flow.UnknownProtocol, exporter.Truncated},
		{"a cut header of IPFIX", ipfix[:12], flow.UnknownProtocol, exporter.Truncated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := New(Options{})
			b := flow.NewBatch(func([]flow.Record) { t.Error("a record of an empty datagram") })
			d.Decode(&exporter.Datagram{Payload: test.payload, Source: netip.MustParseAddrPort("192.0.2.1:4000"),
				Received: 1}, b)
			streams := d.Exporters().Streams()
			if test.protocol == flow.UnknownProtocol {
				if n := d.Exporters().UnattributedCount(test.reason); n != 1 || len(streams) != 0 {
					t.Errorf("%s is %d, want 1; %d streams, want none", test.reason, n, len(streams))
				}
				return
			}
			if len(streams) != 1 || streams[0].Key.Protocol != test.protocol {
				t.Fatalf("streams are %v, want one of %s", streams, test.protocol)
			}
			if n := streams[0].Datagrams.Load(); n != 1 {
				t.Errorf("%d datagrams counted", n)
			}
		})
	}
}

// Data that waits for a template is dropped and counted by Discard, and by Tick when its time is over.
func TestWaitingDataIsCountedWhenItIsGivenUp(t *testing.T) {
	datagram := exporter.Datagram{Payload: words(10<<16|24, 0, 0, 7, 256<<16|8, 1),
		Source: netip.MustParseAddrPort("192.0.2.1:4000"), Received: 1}
	for name, giveUp := range map[string]func(*Decoder, *flow.Batch){
		"Discard": func(d *Decoder, _ *flow.Batch) { d.Discard() },
		"Tick":    func(d *Decoder, b *flow.Batch) { d.Tick(int64(time.Minute), b) },
	} {
		t.Run(name, func(t *testing.T) {
			d := New(Options{NetFlow: netflow.Options{HoldFor: 30 * time.Second}})
			b := flow.NewBatch(func([]flow.Record) {})
			d.Decode(&datagram, b)
			stream := d.Exporters().Streams()[0]
			if n := stream.Failed(exporter.NoTemplate); n != 0 || stream.Held.Load() != 1 {
				t.Errorf("before: %d sets lost, %d held; want 0, 1", n, stream.Held.Load())
			}
			giveUp(d, b)
			if n := stream.Failed(exporter.NoTemplate); n != 1 {
				t.Errorf("%d sets lost, want 1", n)
			}
		})
	}
}

func TestExportersAreCapped(t *testing.T) {
	d := New(Options{MaxExporters: 16})
	b := flow.NewBatch(func([]flow.Record) {})
	for domain := range uint32(100) {
		d.Decode(&exporter.Datagram{Payload: words(10<<16|16, 0, 0, domain),
			Source: netip.MustParseAddrPort("192.0.2.1:4000"), Received: int64(domain)}, b)
	}
	d.Tick(1000, b)
	if n := len(d.Exporters().Streams()); n > 16 {
		t.Errorf("%d streams are kept, want at most 16", n)
	}
	if n := d.Exporters().Evicted(); n != 84 {
		t.Errorf("%d streams were evicted, want 84", n)
	}
}
