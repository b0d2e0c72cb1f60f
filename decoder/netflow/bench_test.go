package netflow

import (
	"bytes"
	"slices"
	"testing"

	goflow "github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// workload is what an exporter of one protocol sends all the time.
type workload struct {
	name     string
	template []byte // nil: none
	data     []byte
	records  int
}

// router is a record as routers have it, of 20 fields.
func router() []item {
	return []item{
		el(8, ip("198.51.100.1")), el(12, ip("203.0.113.9")), el(15, ip("192.0.2.254")), el(18, ip("192.0.2.253")),
		el(10, u32(11)), el(14, u32(12)), el(2, u32(3)), el(1, u32(1500)), el(22, u32(1_000_000)),
		el(21, u32(1_060_000)),
		el(7, u16(1234)), el(11, u16(443)), el(6, u8(0x1b)), el(4, u8(6)), el(5, u8(0)), el(16, u32(64500)),
		el(17, u32(64501)), el(9, u8(24)), el(13, u8(20)), el(61, u8(0)),
	}
}

// modernRouter is one of 25 fields, one of them of variable length.
func modernRouter() []item {
	items := slices.DeleteFunc(router(), func(i item) bool { return i.id == 21 || i.id == 22 })
	return append(items, el(152, u64(exportMs-60_000)), el(153, u64(exportMs-1_000)), el(48, u32(1)), el(58, u16(100)),
		el(59, u16(200)), el(136, u8(3)), variable(82, text("HundredGigE0/0/0/1")))
}

func workloads() []workload {
	h := header{exportS: exportS, uptime: testUptime}
	// As many as fit into a datagram of 1500 bytes.
	repeat := func(items []item) (int, []byte) {
		n := (1500 - 28 - headerV9 - setHeader) / len(dataOf(items...))
		return n, set(256, slices.Repeat(dataOf(items...), n))
	}
	n9, data9 := repeat(router())
	n10, data10 := repeat(modernRouter())
	return []workload{
		{"v5", nil, v5(v5Header{count: -1, uptime: testUptime},
			slices.Repeat([]v5Flow{{first: 1, last: 2, protocol: 6, bytes: 1}}, 30)...), 30},
		{"v9 with 20 fields", v9(h, set(0, templateOf(256, router()...))), v9(h, data9), n9},
		{"IPFIX with 25 fields", ipfix(h, set(2, templateOf(256, modernRouter()...))), ipfix(h, data10), n10},
		{"v9 with announced sampling", v9(h, set(0, templateOf(256, router()...)),
			set(1, optionsV9(300, 1, el(2, u32(11)), el(34, u32(1000)))),
			set(300, u32(11), u32(1000), u32(12), u32(100), u32(13), u32(10))), v9(h, bothWays()), n9},
	}
}

// bothWays are the records of a router whose interfaces have rates of their own, in either direction by turns.
func bothWays() []byte {
	in, out := router(), router()
	for i := range out {
		switch out[i].id {
		case 10:
			out[i] = el(10, u32(12))
		case 14:
			out[i] = el(14, u32(11))
		case 61:
			out[i] = el(61, u8(1))
		}
	}
	n := (1500 - 28 - headerV9 - setHeader) / len(dataOf(in...)) / 2
	return set(256, slices.Repeat(slices.Concat(dataOf(in...), dataOf(out...)), n))
}

// steady is a decoder that knows the workload's template, and a function that decodes its data.
func (w workload) steady(t testing.TB) (decode func(), records *int) {
	d := New(exporter.NewTable(16), Options{})
	records = new(int)
	b := flow.NewBatch(func(r []flow.Record) { *records += len(r) })
	dg := exporter.Datagram{Source: addrPort("192.0.2.1:4000"), Received: received}
	send := map[byte]func(*exporter.Datagram, *flow.Batch){5: d.DecodeV5, 9: d.DecodeV9, 10: d.DecodeIPFIX}[w.data[1]]
	if w.template != nil {
		dg.Payload = w.template
		send(&dg, b)
	}
	dg.Payload = w.data
	send(&dg, b)
	if *records != w.records {
		t.Fatalf("%d records, want %d", *records, w.records)
	}
	return func() { send(&dg, b) }, records
}

func TestDecodeAllocatesNothing(t *testing.T) {
	many := append(everyElement(), el(1, u32(1)))
	biflow := append(v4Flow(), variable(315, frameIPv4(7)), variable(497, make([]byte, 64)), reversed(1, u32(5)),
		reversed(2, u32(1)))
	h := header{exportS: exportS, uptime: testUptime}
	all := append(workloads(),
		workload{"every element", v9(h, set(0, templateOf(256, many...))), v9(h, set(256, dataOf(many...))), 1},
		workload{"biflow, frame and segments", ipfix(h, set(2, templateOf(256, biflow...))),
			ipfix(h, set(256, dataOf(biflow...))), 2},
		workload{"templates in every datagram", nil,
			ipfix(h, set(2, templateOf(256, v4Flow()...)), set(256, dataOf(v4Flow()...))), 1},
		workload{"options templates in every datagram", nil,
			v9(h, set(1, optionsV9(300, 1, el(2, u32(11)), el(34, u32(1000)))), set(0, templateOf(256, v4Flow()...)),
				set(256, dataOf(v4Flow()...))), 1})
	for _, w := range all {
		t.Run(w.name, func(t *testing.T) {
			decode, _ := w.steady(t)
			if n := testing.AllocsPerRun(100, decode); n > 0 {
				t.Errorf("%v allocations a datagram, want none", n)
			}
		})
	}
}

// Nor does looking up what other domains announced, which no cache answers where records name line cards.
func TestRatesOfOtherDomainsAllocateNothing(t *testing.T) {
	l := newLab(t, Options{})
	for domain := range uint32(20) {
		l.option(flow.IPFIX, option{domain + 10, 1, []item{el(141, u32(domain%10)), el(34, u32(100))}})
		l.option(flow.IPFIX, option{domain + 10, 2, []item{el(141, u32(domain%10)), el(10, u32(7)), el(34, u32(100))}})
	}
	items := append(v4Flow(), el(141, u32(3)), el(10, u32(7)))
	equal(t, "rate", l.send(message(flow.IPFIX, 5, set(2, templateOf(256, items...)),
		set(256, dataOf(items...))))[0].SamplingRate, 100)
	b := flow.NewBatch(func([]flow.Record) {})
	dg := exporter.Datagram{Source: l.source, Received: l.received,
		Payload: message(flow.IPFIX, 5, set(256, slices.Repeat(dataOf(items...), 10)))}
	if n := testing.AllocsPerRun(100, func() { l.d.DecodeIPFIX(&dg, b) }); n > 0 {
		t.Errorf("%v allocations a datagram, want none", n)
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			decode, _ := w.steady(b)
			b.ReportAllocs()
			for b.Loop() {
				decode()
			}
			perRecord(b, w.records)
		})
	}
}

func perRecord(b *testing.B, records int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*records), "ns/record")
}

// BenchmarkGoflow2 is goflow2's decode of the same datagrams, which ends at fields of bytes: it makes no record of
// them.
func BenchmarkGoflow2(b *testing.B) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			templates := goflow.CreateTemplateSystem()
			decode := func(p []byte) error {
				buffer := bytes.NewBuffer(p)
				if p[1] == 5 {
					var packet netflowlegacy.PacketNetFlowV5
					return netflowlegacy.DecodeMessageVersion(buffer, &packet)
				}
				var nine goflow.NFv9Packet
				var ten goflow.IPFIXPacket
				return goflow.DecodeMessageVersion(buffer, templates, &nine, &ten)
			}
			if w.template != nil {
				if err := decode(w.template); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(w.data); err != nil {
					b.Fatal(err)
				}
			}
			perRecord(b, w.records)
		})
	}
}
