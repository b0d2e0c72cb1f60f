package netflow

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// payloads returns the UDP payloads of a capture that have the given version.
func payloads(t testing.TB, path string, version uint16) (all [][]byte) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcapgo.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, _, err := reader.ReadPacketData()
		if err != nil {
			return all
		}
		udp, _ := gopacket.NewPacket(data, reader.LinkType(), gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
		if udp != nil && len(udp.Payload) > 4 && binary.BigEndian.Uint16(udp.Payload) == version {
			all = append(all, bytes.Clone(udp.Payload))
		}
	}
}

func captures(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("../../bench/testdata/*.pcap")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures in bench/testdata: %v", err)
	}
	return paths
}

// seed adds the captures and the given datagrams. An input is several datagrams, each behind a length of two bytes.
func seed(f *testing.F, version uint16, more ...[]byte) {
	for _, path := range captures(f) {
		var input []byte
		for i, p := range payloads(f, path, version) {
			f.Add(join(p))
			if i < 4 {
				input = append(input, join(p)...)
			}
		}
		f.Add(input)
	}
	f.Add(join(more...))
}

func join(datagrams ...[]byte) (input []byte) {
	for _, p := range datagrams {
		input = append(append(input, u16(uint16(len(p)))...), p...)
	}
	return input
}

// split is join's reverse; the last datagram may be cut.
func split(input []byte) (all [][]byte) {
	for len(input) >= 2 {
		n := min(int(binary.BigEndian.Uint16(input)), len(input)-2)
		all = append(all, input[2:2+n])
		input = input[2+n:]
	}
	return all
}

// check decodes an input and asserts what holds for any: no panic, no more records than bytes, no end before its start.
func check(t *testing.T, input []byte, decode func(*Decoder, *exporter.Datagram, *flow.Batch)) {
	table := exporter.NewTable(16)
	o := Options{MaxTemplates: 64, HoldBytes: 1 << 16}
	d := New(table, o)
	records, total := 0, 0
	b := flow.NewBatch(func(all []flow.Record) {
		records += len(all)
		for i := range all {
			if r := &all[i]; r.EndMs < r.StartMs {
				t.Fatalf("start %d, end %d", r.StartMs, r.EndMs)
			}
		}
	})
	now := int64(received)
	for i, p := range split(input) {
		total += len(p)
		decode(d, &exporter.Datagram{Payload: p,
			Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i%3)), Received: now}, b)
		now += int64(time.Second)
		d.Tick(now, b)
		// A biflow is two records of one.
		if records > 2*total {
			t.Fatalf("%d records of %d bytes", records, total)
		}
		for _, src := range d.sources {
			if src.has.held.Used() < 0 || src.has.held.Used() > o.HoldBytes {
				t.Fatalf("%d bytes held", src.has.held.Used())
			}
			for _, s := range src.sessions {
				if len(s.byID) > o.MaxTemplates || len(s.byPort) > maxPorts {
					t.Fatalf("%d templates, %d ports", len(s.byID), len(s.byPort))
				}
			}
		}
	}
	d.Discard()
	for _, src := range d.sources {
		if src.has.held.Used() != 0 {
			t.Fatalf("%d bytes held when nothing is", src.has.held.Used())
		}
	}
	d.Dump()
}

func FuzzV5(f *testing.F) {
	seed(f, 5, v5(v5Header{count: -1, uptime: 1, sampling: 0xffff}, v5Flow{protocol: 1, first: 5}, v5Flow{}))
	f.Fuzz(func(t *testing.T, input []byte) { check(t, input, (*Decoder).DecodeV5) })
}

// everyElement is a template and a record with all elements that we know, at their usual widths.
func everyElement() (items []item) {
	for id := range uint16(512) {
		e := elements()[id]
		for n := 1; n <= 16 && e.op != opSkip; n++ {
			if fits(e.op, n) && (n >= 4 || !fits(e.op, 4)) {
				items = append(items, el(id, width(uint64(id), n)))
				break
			}
		}
	}
	return items
}

// reports are an update and the end of a firewall's connection, in a template without a protocol.
func reports() (sets []byte) {
	for n, event := range []uint8{connectionUpdated, connectionUpdated, connectionDeleted, connectionUpdated} {
		items := []item{el(8, u32(1)), el(12, u32(2)), el(176, u8(3)), el(178, u8(0)), el(182, u16(5)),
			el(233, u8(event)), el(323, u64(uint64(exportMs+n))), el(152, u64(1<<63)), el(150, u32(exportS)),
			el(231, u32(uint32(100+n*100))), el(232, u64(7)), el(298, u32(1)), el(299, u32(1))}
		if n == 0 {
			sets = set(setTemplateIPFIX, templateOf(256, items...))
		}
		sets = append(sets, set(256, dataOf(items...))...)
	}
	return sets
}

func FuzzV9(f *testing.F) {
	option := []item{el(2, u32(7)), el(82, text("eth0")), el(34, u32(10))}
	h := header{exportS: exportS, uptime: testUptime}
	seed(f, 9, v9(h, set(0, templateOf(256, everyElement()...)), set(256, dataOf(everyElement()...))),
		v9(h, set(300, dataOf(option...)), set(1, optionsV9(300, 1, option...))), v9(h, reports()))
	f.Fuzz(func(t *testing.T, input []byte) { check(t, input, (*Decoder).DecodeV9) })
}

func FuzzIPFIX(f *testing.F) {
	option := []item{el(10, u32(7)), variable(82, text("eth0")), el(302, u8(1)), el(305, u32(1)), el(306, u32(9))}
	flows := []item{el(302, u8(1)), el(390, u16(1)), el(396, u32(1)), el(397, u32(9)), el(310, u64(1<<64-1))}
	items := append(everyElement(), variable(315, frameIPv4(7)), variable(497, make([]byte, 32)), reversed(1, u32(5)),
		reversed(2, u32(1)))
	seed(f, 10, ipfix(ipfixHeader, set(2, templateOf(256, items...)), set(256, dataOf(items...))),
		ipfix(ipfixHeader, set(300, dataOf(option...)), set(3, optionsIPFIX(300, 1, option...)),
			set(2, u16(256), u16(0))),
		ipfix(ipfixHeader, set(3, optionsIPFIX(300, 1, flows...)), set(300, dataOf(flows...)), reports()))
	f.Fuzz(func(t *testing.T, input []byte) { check(t, input, (*Decoder).DecodeIPFIX) })
}
