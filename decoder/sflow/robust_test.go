package sflow

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// datagrams are the UDP payloads of a capture of Ethernet frames.
func datagrams(t testing.TB, path string) [][]byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("opening the capture: %v", err)
	}
	defer func() { _ = file.Close() }()
	capture, err := pcapgo.NewReader(file)
	if err != nil {
		t.Fatalf("reading the capture %s: %v", path, err)
	}
	var all [][]byte
	for {
		frame, _, err := capture.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("reading the capture %s: %v", path, err)
		}
		const link, udp = 14, 8
		network := 40
		if binary.BigEndian.Uint16(frame[12:]) == 0x0800 {
			network = 4 * int(frame[link]&0xf)
		}
		all = append(all, frame[link+network+udp:])
	}
}

// ownCapture is of an sFlow agent that we ran.
const ownCapture = "../../bench/testdata/sfprobe.pcap"

// everything is a datagram with samples and records of all kinds.
func everything() []byte {
	frame := headerRecord(headerEthernet, 1518, tcp4(100, 200))
	return datagramOf(head{agent: agentAddress, sequence: 1, uptime: 1000},
		compact(plainHead, frame, switchRecord(10, 20), routerRecord("2001:db8::9", 24, 16),
			gatewayRecord("192.0.2.10", 1, 2, 3, []segment{{2, []uint32{4, 5}}, {1, []uint32{6}}}, []uint32{7}, 8)),
		counterSampleOf(1, 7, ifCounters()),
		expanded(plainHead, ipRecord(sampledIPv4, 1500, 6, "10.0.0.1", "10.0.0.2", 1, 2, 3, 4),
			typed(sampledEthernet, words(1514), opaqueMAC("020000000001"), opaqueMAC("020000000002"), words(0x0800)),
			typed(extendedMPLS, address("192.0.2.9"), words(1, 0x1100, 0)), typed(extendedVLAN, words(1, 0x81000064))),
		discardSample(1, 2),
		expandedCounterSampleOf(1, 7, ifCounters()),
		compact(plainHead, headerRecord(headerIPv6, 1480, packet6()),
			ipRecord(sampledIPv6, 1480, 6, "2001:db8::1", "2001:db8::2", 1, 2, 3, 4)),
		typed(99, words(1, 2)))
}

func TestEverything(t *testing.T) {
	l := newLab(t, Options{})
	equal(t, "records", len(l.send(everything())), 3)
	equal(t, "counters", len(l.counters), 2)
	equal(t, "discards", len(l.discards), 1)
	l.failed(map[exporter.Reason]uint64{exporter.UnknownSet: 1})
}

// A datagram may end anywhere: the samples before stay, and what is missing is counted.
func TestDecode_TruncatedAnywhere(t *testing.T) {
	payload := everything()
	before := 0
	for n := range payload {
		l := newLab(t, Options{})
		records := len(l.send(payload[:n:n]))
		if records < before {
			t.Fatalf("%d bytes: %d records, and %d with one byte less", n, records, before)
		}
		before = records
		counted := l.table.UnattributedCount(exporter.Truncated) + l.stream(0).Failed(exporter.BadSet)
		if counted != 1 {
			t.Fatalf("%d of %d bytes: counted %d times", n, len(payload), counted)
		}
	}
}

// A sample or a record may end anywhere within its stated length too: it costs itself only.
func TestDecode_SampleCutAnywhere(t *testing.T) {
	frame := headerRecord(headerEthernet, 1518, tcp4(100))
	whole := compact(plainHead, frame, switchRecord(10, 20), routerRecord("192.0.2.9", 24, 16),
		gatewayRecord("192.0.2.10", 1, 2, 3, []segment{{2, []uint32{4, 5}}}, []uint32{7}, 8))[8:]
	for n := range whole {
		l := newLab(t, Options{})
		records := l.send(datagramOf(head{agent: agentAddress, sequence: 1}, typed(flowSample, whole[:n]), plain(2)))
		if len(records) == 0 || records[len(records)-1].Bytes != 1518 {
			t.Fatalf("%d bytes: the sample behind is lost", n)
		}
		if l.stream(0).Failed(exporter.BadSet) != 1 {
			t.Fatalf("%d bytes: counted %d times", n, l.stream(0).Failed(exporter.BadSet))
		}
	}
}

func TestDecode_AllocatesNothing(t *testing.T) {
	payloads := append(datagrams(t, ownCapture), everything(), benchDatagram(), routedDatagram())
	var counters, discards int
	d := New(exporter.NewTable(16), Options{
		Counters: func(*flow.InterfaceCounters) { counters++ },
		Discards: func(*Discard) { discards++ },
	})
	b := flow.NewBatch(func([]flow.Record) {})
	dg := exporter.Datagram{Source: netip.MustParseAddrPort("192.0.2.1:40000"), Received: received}
	decode := func() {
		for _, dg.Payload = range payloads {
			d.Decode(&dg, b)
		}
	}
	decode()
	if n := testing.AllocsPerRun(20, decode); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if counters == 0 || discards == 0 {
		t.Errorf("%d counters and %d discards handed on", counters, discards)
	}
}

func FuzzDecode(f *testing.F) {
	captured := datagrams(f, ownCapture)
	if len(captured) < 10 {
		f.Fatalf("the capture gave %d datagrams, want 10 and more", len(captured))
	}
	for _, payload := range captured {
		f.Add(payload)
	}
	f.Add(everything())
	f.Add(benchDatagram())
	f.Add(routedDatagram())
	f.Fuzz(func(t *testing.T, payload []byte) {
		table := exporter.NewTable(16)
		var records, numbers int
		b := flow.NewBatch(func(batch []flow.Record) {
			for i := range batch {
				r := &batch[i]
				records++
				numbers += len(r.ASPath) + len(r.Communities)
				if !r.Sent(flow.SrcAddr|flow.InIf|flow.OutIf|flow.Packets) || r.Protocol != flow.SFlow5 ||
					r.Received != received {
					t.Errorf("a record with %b", r.Has)
				}
				if int(r.MPLSCount) > len(r.MPLS) {
					t.Errorf("%d labels", r.MPLSCount)
				}
			}
		})
		for _, inner := range []bool{false, true} {
			records, numbers = 0, 0
			d := New(table, Options{Inner: inner, Counters: func(*flow.InterfaceCounters) {},
				Discards: func(*Discard) {}})
			d.Decode(&exporter.Datagram{Payload: payload, Source: netip.MustParseAddrPort("192.0.2.1:40000"),
				Received: received}, b)
			// A record takes its sample's head and addresses, a number of a list its 4 bytes.
			if records > len(payload)/48 || 4*numbers > len(payload) {
				t.Errorf("%d bytes made %d records with %d numbers", len(payload), records, numbers)
			}
		}
	})
}
