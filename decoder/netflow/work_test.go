package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Sets that wait for their templates count in the datagram that brought them, whenever the templates come: its records
// are bounded as if these had been known, less what the templates and the waiting sets take.
func TestWork_setsBeforeTheirTemplates(t *testing.T) {
	const sets, each, all = few, 120, few * 120
	message := func(sets ...[]byte) []byte { return ipfix(ipfixHeader, sets...) }
	var data, templates, alternate, alone [][]byte
	for i := range sets {
		id := 256 + uint16(i)
		data = append(data, dataSet(id, each))
		templates = append(templates, set(setTemplateIPFIX, templateOf(id, v4Flow()...)))
		alternate = append(alternate, data[i], templates[i])
		alone = append(alone, message(data[i]))
	}
	for _, test := range []struct {
		name           string
		in             [][]byte
		records, total int
	}{
		{"each before its own", [][]byte{message(alternate...)}, mostRecords - 1, all},
		{"all before all", [][]byte{message(append(slices.Clone(data), templates...)...)}, mostRecords - 4, all},
		{"in the next datagram", [][]byte{message(data...), message(templates...)}, mostRecords, all},
		{"of two datagrams", [][]byte{message(data...), message(data...), message(templates...)}, 2 * mostRecords,
			2 * all},
		{"of many datagrams", append(alone, message(templates...)), all, all},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{MaxRecords: mostRecords})
			records := 0
			for _, in := range test.in {
				records += len(l.send(in))
			}
			equal(t, "records", records, test.records)
			l.failed(l.stream(flow.IPFIX, 0),
				map[exporter.Reason]uint64{exporter.RecordLimit: uint64(test.total - test.records)})
			equal(t, "bytes held", l.heldBytes(), 0)
		})
	}
}

// What a datagram teaches takes of the time for its records, and the other way round. What routers send has time for
// all of it.
func TestWork_mixtures(t *testing.T) {
	wide := append(v4Flow(), el(210, make([]byte, 51)))  // 72 bytes
	wider := append(v4Flow(), el(210, make([]byte, 79))) // 100 bytes
	flows := set(256, slices.Repeat(dataOf(v4Flow()...), 400))
	few40, wide60 := set(256, slices.Repeat(dataOf(v4Flow()...), 40)), set(257, slices.Repeat(dataOf(wide...), 60))
	options := func(id uint16, n int, values ...[]byte) []byte {
		var b []byte
		for i := range n {
			b = append(append(b, u32(uint32(i))...), slices.Concat(values...)...)
		}
		return set(id, b)
	}
	rates := options(258, 200, u32(100))
	rates18 := options(259, 256, u32(100), make([]byte, 10)) // 18 bytes each
	known := ipfix(ipfixHeader, set(setTemplateIPFIX, templateOf(256, v4Flow()...), templateOf(257, wide...),
		templateOf(261, wider...)),
		set(setOptionsIPFIX, optionsIPFIX(258, 1, el(10, u32(0)), el(34, u32(0))),
			optionsIPFIX(259, 1, el(10, u32(0)), el(34, u32(0)), el(210, make([]byte, 10))),
			optionsIPFIX(260, 2, el(10, u32(0)), el(141, u32(0)), el(34, u32(0)))))
	const before = 6 // templates
	for _, test := range []struct {
		name                      string
		sets                      [][]byte
		most                      int // bytes that the datagram may have
		records, rates, templates int
		refused                   map[exporter.Reason]uint64
	}{
		{"1500 bytes", [][]byte{options(258, 70, u32(100)), few40}, ethernetFrame, 40, 70, before, nil},
		{"a jumbo frame", [][]byte{rates18, wide60}, jumboFrame, 60, 256, before, nil},
		{"a jumbo frame, records first", [][]byte{wide60, rates18}, jumboFrame, 60, 256, before, nil},
		{"a jumbo frame of small records behind rates", [][]byte{options(258, 400, u32(100)), few40}, jumboFrame,
			28, 400, before, map[exporter.Reason]uint64{exporter.RecordLimit: 12}},
		{"larger than a jumbo frame", [][]byte{rates, flows}, full, 96, 128, before,
			map[exporter.Reason]uint64{exporter.RecordLimit: 200 - 128 + 400 - 96}},
		{"rates of pairs", [][]byte{options(260, 200, u32(7), u32(100)), flows}, full, 102, 43, before,
			map[exporter.Reason]uint64{exporter.RecordLimit: 200 - 43 + 400 - 102}},
		{"wide records", [][]byte{set(261, slices.Repeat(dataOf(wider...), 200))}, full, 81, 0, before,
			map[exporter.Reason]uint64{exporter.RecordLimit: 200 - 81}},
		{"a jumbo frame of wide records", [][]byte{set(261, slices.Repeat(dataOf(wider...), 91))}, jumboFrame, 91, 0,
			before, nil},
		{"records first", [][]byte{flows, rates}, full, usualRecords, few, before,
			map[exporter.Reason]uint64{exporter.RecordLimit: 400 - usualRecords + 200 - few}},
		{"records first, then definitions", [][]byte{flows, set(setTemplateIPFIX, manyTemplates(50)[8*before:])}, full,
			usualRecords, 0, before + few, map[exporter.Reason]uint64{exporter.RecordLimit: 400 - usualRecords,
				exporter.TemplateLimit: 50 - before - few}},
		{"records first, then sets without templates", [][]byte{flows, slices.Repeat(set(999), 50)}, full,
			usualRecords, 0, before, map[exporter.Reason]uint64{exporter.RecordLimit: 400 - usualRecords,
				exporter.HoldFull: 50 - few}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{MaxRecords: usualRecords})
			l.send(known)
			in := ipfix(ipfixHeader, test.sets...)
			if len(in) > test.most {
				t.Fatalf("the datagram has %d bytes", len(in))
			}
			equal(t, "records", len(l.send(in)), test.records)
			for _, s := range l.d.sources[ip128("192.0.2.1")].sessions {
				equal(t, "rates", s.sampling.count(), test.rates)
				equal(t, "templates", len(s.byID), test.templates)
			}
			l.failed(l.stream(flow.IPFIX, 0), test.refused)
		})
	}
}
