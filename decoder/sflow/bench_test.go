package sflow

import (
	"encoding/binary"
	"net/netip"
	"testing"

	protoproducer "github.com/netsampler/goflow2/v2/producer/proto"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// benchSamples is how many samples with headers of 128 bytes fit a datagram of 1500.
const benchSamples = 6

// benchDatagram is what a switch sends: samples with a header of 128 bytes and the VLANs.
func benchDatagram() []byte {
	header := make([]byte, 128)
	var samples [][]byte
	for i := range uint32(benchSamples) {
		copy(header, tcp4(100))
		if i%2 == 1 {
			copy(header, ethernet6())
		}
		samples = append(samples, compact(sampleHead{sequence: i, source: 7 + i%2, rate: 1000, in: 3, out: 4},
			headerRecord(headerEthernet, 1518, header), switchRecord(100, 200)))
	}
	return datagramOf(head{agent: agentAddress, sequence: 1, uptime: 1000}, samples...)
}

// routedDatagram is what a router with BGP sends.
func routedDatagram() []byte {
	header := make([]byte, 128)
	copy(header, tcp4(100))
	path := []segment{{2, []uint32{64500, 64501, 64502}}}
	var samples [][]byte
	for i := range uint32(4) {
		samples = append(samples, compact(sampleHead{sequence: i, source: 7, rate: 1000, in: 3, out: 4},
			headerRecord(headerEthernet, 1518, header), switchRecord(100, 200), routerRecord("192.0.2.9", 24, 16),
			gatewayRecord("192.0.2.10", 64499, 64498, 64497, path, []uint32{64500<<16 | 1, 64500<<16 | 2}, 100)))
	}
	return datagramOf(head{agent: agentAddress, sequence: 1, uptime: 1000}, samples...)
}

func benchDecoder() (*Decoder, *flow.Batch) {
	return New(exporter.NewTable(16), Options{}), flow.NewBatch(func([]flow.Record) {})
}

func BenchmarkDecode(b *testing.B) {
	for _, bench := range []struct {
		name     string
		datagram []byte
		samples  int
	}{{"128-byte headers", benchDatagram(), benchSamples},
		{"128-byte headers with router and gateway", routedDatagram(), 4}} {
		b.Run(bench.name+"/ours", func(b *testing.B) {
			d, batch := benchDecoder()
			dg := exporter.Datagram{Payload: bench.datagram, Source: netip.MustParseAddrPort("192.0.2.1:40000"),
				Received: received}
			b.ReportAllocs()
			for n := uint32(0); b.Loop(); n++ {
				binary.BigEndian.PutUint32(bench.datagram[16:], n) // the same number again would be a duplicate
				d.Decode(&dg, batch)
			}
			perSample(b, bench.samples)
		})
		b.Run(bench.name+"/goflow2", func(b *testing.B) {
			pool, err := protoproducer.CreateProtoProducer(nil, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				messages, err := goflowMessages(bench.datagram)
				if err != nil || len(messages) != bench.samples {
					b.Fatalf("%d messages, %v", len(messages), err)
				}
				pool.Commit(messages)
			}
			perSample(b, bench.samples)
		})
	}
}

func perSample(b *testing.B, samples int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*samples), "ns/sample")
}
