package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// shortFlow is a record of 9 bytes, so that sets of it are not aligned; longFlow one of 30.
func shortFlow(n byte) []item {
	return []item{el(8, []byte{10, 0, 0, n}), el(4, u8(17)), el(1, u32(100+uint32(n)))}
}

func longFlow() []item { return append(v4Flow(), el(5, u8(0x20)), el(61, u8(1)), el(10, u16(7))) }

func zeros(n int) []byte { return make([]byte, n) }

// stated is a set whose length says so many bytes more than it has.
func stated(more int, id uint16, records ...[]byte) []byte {
	b := set(id, records...)
	copy(b[2:], u16(uint16(len(b)+more)))
	return b
}

// Padding in places and of lengths that RFC 7011 §3.3.1 and RFC 3954 §5.3 do not have, but devices do (case 11).
func TestCase11_PaddingOfDevices(t *testing.T) {
	short := func(n ...byte) (b []byte) {
		for _, i := range n {
			b = append(b, dataOf(shortFlow(i)...)...)
		}
		return b
	}
	long := dataOf(longFlow()...)
	misfit := map[exporter.Reason]uint64{exporter.TemplateMisfit: 1}
	tests := []struct {
		name    string
		sets    [][]byte
		records int
		reasons map[exporter.Reason]uint64
		left    uint64 // sets of which the padding before them is left out
	}{
		{"3 bytes of padding in the length", [][]byte{set(256, short(1), zeros(3)), set(257, long)}, 2, nil, 0},
		{"2 bytes of padding in the length", [][]byte{set(256, short(1, 2), zeros(2)), set(257, long)}, 3, nil, 0},
		{"1 byte of padding in the length", [][]byte{set(256, short(1, 2, 3), zeros(1)), set(257, long)}, 4, nil, 0},
		{"3 bytes of padding that no length counts", [][]byte{set(256, short(1)), zeros(3), set(257, long)}, 2, nil, 1},
		{"2 bytes of padding that no length counts", [][]byte{set(256, short(1, 2)), zeros(2), set(257, long)}, 3, nil,
			1},
		{"1 byte of padding that no length counts", [][]byte{set(256, short(1, 2, 3)), zeros(1), set(257, long)}, 4,
			nil, 1},
		{"padding that no length counts behind each of three sets", [][]byte{set(256, short(1)), zeros(3),
			set(256, short(2, 3)), zeros(2), set(257, long), zeros(2)}, 4, nil, 2},
		{"no padding at all", [][]byte{set(256, short(1)), set(256, short(2, 3)), set(257, long), set(256, short(4))},
			5, nil, 0},
		{"sets of one record", [][]byte{set(256, short(1)), set(256, short(2)), set(257, long), set(257, long)}, 4, nil,
			0},
		{"as long as a record, all zeros", [][]byte{set(256, short(1, 2), zeros(9)), set(257, long, zeros(len(long)))},
			3, nil, 0},
		{"longer than two records, all zeros", [][]byte{set(256, short(1), zeros(21)), set(257, long)}, 2, nil, 0},
		{"a set of zeros only, one record long", [][]byte{set(256, zeros(9)), set(257, long)}, 2, nil, 0},
		{"longer than alignment, not zeros", [][]byte{set(257, long, []byte{0, 0, 0, 0, 9}), set(256, short(1))}, 1,
			misfit, 0},
		{"half a record behind whole ones", [][]byte{set(257, long, long, long[:17]), set(256, short(1))}, 1, misfit,
			0},
		{"a record of another template", [][]byte{set(257, short(1, 2)), set(256, short(1))}, 1, misfit, 0},
		{"zeros to the end of the datagram", [][]byte{set(256, short(1)), set(257, long), zeros(400)}, 2, nil, 0},
		{"a length beyond the datagram", [][]byte{set(256, short(1)), stated(1, 257, long)}, 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}, 0},
		{"garbage between sets", [][]byte{set(256, short(1)), {1, 2, 3}, set(257, long)}, 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}, 0},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				l.send(message(p, 5, set(templateSet(p), templateOf(256, shortFlow(0)...),
					templateOf(257, longFlow()...))))
				l.received++
				got := l.send(message(p, 5, test.sets...))
				if want := test.records; len(got) != want {
					t.Fatalf("%d records, want %d", len(got), want)
				}
				for _, r := range got {
					ok := r.Bytes == 1500 && r.DstPort == 443 || r.IPProtocol == 17 &&
						r.Bytes == 100+uint64(r.SrcAddr[15])
					if !ok && test.name != "a set of zeros only, one record long" {
						t.Errorf("garbage: %+v", r)
					}
				}
				l.failed(l.stream(p, 5), test.reasons)
				equal(t, "padding left out", l.stream(p, 5).TimesRead(exporter.PaddingLeftOut), test.left)
			})
		}
	}
}

// The order of sets, what stands between them, and templates that change (cases 14, 15 and 24).
func TestCase15_OrdersOfSets(t *testing.T) {
	wide := []item{el(8, ip("10.0.0.1")), el(4, u8(17)), el(1, u64(7000)), el(2, u64(70))}
	narrow := []item{el(8, ip("10.0.0.1")), el(4, u8(17)), el(1, u32(7000)), el(2, u32(70))}
	named := []item{el(8, ip("10.0.0.1")), variable(236, text("a")), el(1, u32(7000)), el(2, u32(70))}
	for _, p := range both {
		define := func(items []item) []byte { return set(templateSet(p), templateOf(256, items...)) }
		data := func(items []item, n int) []byte { return set(256, slices.Repeat(dataOf(items...), n)) }
		rate := []item{el(144, u32(1)), el(34, u32(100))}
		options, optionData := set(setOptionsIPFIX, optionsIPFIX(300, 1, rate...)), set(300, dataOf(rate...))
		if p == flow.NetFlowV9 {
			rate = []item{el(1, u32(0)), el(34, u32(100))}
			options, optionData = set(setOptionsV9, optionsV9(300, 1, rate...)), set(300, dataOf(rate...))
		}
		tests := []struct {
			name      string
			datagrams [][][]byte
			rates     []uint32 // of the records, in the order in which they come
		}{
			{"data, then its template", [][][]byte{{data(wide, 2), define(wide)}}, []uint32{1, 1}},
			{"a datagram later", [][][]byte{{data(wide, 2)}, {define(wide)}}, []uint32{1, 1}},
			{"two sets wait", [][][]byte{{data(wide, 1), data(wide, 2)}, {options}, {define(wide)}}, []uint32{1, 1, 1}},
			{"options behind the data", [][][]byte{{define(wide), data(wide, 1), options, optionData, data(wide, 1)}},
				[]uint32{1, 100}},
			{"option data before its template", [][][]byte{{optionData}, {define(wide), options, data(wide, 1)}},
				[]uint32{100}},
			{"options between two data sets", [][][]byte{{options, define(wide)}, {data(wide, 1), optionData,
				data(wide, 1)}}, []uint32{1, 100}},
			{"both templates in one set of sets", [][][]byte{{options, define(wide), optionData, data(wide, 3)}},
				[]uint32{100, 100, 100}},
			{"counters of 64 bits, then of 32", [][][]byte{{define(wide), data(wide, 1)}, {define(narrow),
				data(narrow, 2)}}, []uint32{1, 1, 1}},
			{"counters of 32 bits, then of 64", [][][]byte{{define(narrow), data(narrow, 1), define(wide),
				data(wide, 2)}}, []uint32{1, 1, 1}},
			{"a variable length, then none", [][][]byte{{define(named), data(named, 2)}, {define(wide),
				data(wide, 1)}}, []uint32{1, 1, 1}},
			{"none, then a variable length", [][][]byte{{define(narrow), data(narrow, 1)}, {define(named),
				data(named, 3)}}, []uint32{1, 1, 1, 1}},
			{"the same definition between data", [][][]byte{{define(wide), data(wide, 1), define(wide),
				data(wide, 1)}}, []uint32{1, 1}},
		}
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				var got []flow.Record
				for _, sets := range test.datagrams {
					got = append(got, l.send(message(p, 5, sets...))...)
					l.received++
				}
				if len(got) != len(test.rates) {
					t.Fatalf("%d records, want %d", len(got), len(test.rates))
				}
				for i, r := range got {
					equal(t, "bytes and packets", [2]uint64{r.Bytes, r.Packets}, [2]uint64{7000, 70})
					equal(t, "source", r.SrcAddr, ip128("10.0.0.1"))
					equal(t, "rate", r.SamplingRate, test.rates[i])
				}
				l.failed(l.stream(p, 5), nil)
			})
		}
	}
}

// Variable lengths in NetFlow v9, in either form and place (case 66).
func TestCase66_VariableLengthAnywhere(t *testing.T) {
	long := func(n int) []byte { // the form of three bytes for a short value, which RFC 7011 §7 allows
		return slices.Concat([]byte{255}, u16(uint16(n)), slices.Repeat([]byte{'x'}, n))
	}
	plain := dataOf(v4Flow()...)
	for _, p := range both {
		tests := []struct {
			name    string
			items   []item
			data    []byte
			records int
			reasons map[exporter.Reason]uint64
		}{
			{"in the middle", slices.Insert(v4Flow(), 3, variable(236, nil)),
				slices.Concat(plain[:10], []byte{3}, text("abc"), plain[10:]), 1, nil},
			{"at the end", append(v4Flow(), variable(82, nil)), slices.Concat(plain, []byte{2}, text("ab"), plain,
				[]byte{0}), 2, nil},
			{"the long form of a short value", append(v4Flow(), variable(236, nil)),
				slices.Concat(plain, long(7), plain, long(0)), 2, nil},
			{"300 bytes", append(v4Flow(), variable(236, nil)), slices.Concat(plain, long(300), plain, long(254)), 2,
				nil},
			{"two in one record", append(v4Flow(), variable(236, nil), variable(460, nil)),
				slices.Concat(plain, []byte{1, 'a', 3, 'b', 'c', 'd'}), 1, nil},
			{"3 bytes of padding", append(v4Flow(), variable(236, nil)),
				slices.Concat(plain, []byte{4}, text("abcd"), zeros(3)), 1, nil},
			{"zeros as long as two records", append(v4Flow(), variable(236, nil)),
				slices.Concat(plain, []byte{4}, text("abcd"), zeros(2*len(plain)+2)), 1, nil},
			{"an address of variable length", []item{variable(8, nil), variable(1, nil)},
				[]byte{4, 198, 51, 100, 1, 3, 0, 0x05, 0xdc}, 1, nil},
			{"a value beyond the set", append(v4Flow(), variable(236, nil)),
				slices.Concat(plain, []byte{1, 'a'}, plain, []byte{9, 'b'}), 1,
				map[exporter.Reason]uint64{exporter.BadRecord: 1}},
			{"a length without its second byte", append(v4Flow(), variable(236, nil)),
				slices.Concat(plain, []byte{255, 0}), 0, map[exporter.Reason]uint64{exporter.BadRecord: 1}},
		}
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				got := l.send(message(p, 5, set(templateSet(p), templateOf(256, test.items...)), set(256, test.data)))
				if len(got) != test.records {
					t.Fatalf("%d records, want %d", len(got), test.records)
				}
				for _, r := range got {
					equal(t, "bytes", r.Bytes, 1500)
					equal(t, "source", r.SrcAddr, ip128("198.51.100.1"))
				}
				l.failed(l.stream(p, 5), test.reasons)
			})
		}
	}
}

// Lengths of IPFIX messages that do not say where the sets end (case 19).
func TestCase19_LengthsOfDevices(t *testing.T) {
	data := func(n int) []byte { return set(256, slices.Repeat(dataOf(v4Flow()...), n)) }
	trailing := map[exporter.Reason]uint64{exporter.TrailingBytes: 1}
	for _, test := range []struct {
		name    string
		sets    [][]byte
		short   int // how much less than the datagram the header says
		records int
		reasons map[exporter.Reason]uint64
	}{
		{"4 bytes, within the last record", [][]byte{data(2), data(1)}, 4, 3, trailing},
		{"the whole last set", [][]byte{data(2), data(1)}, 4 + 25, 3, trailing},
		{"all but the first set", [][]byte{data(1), data(2), data(3)}, 2*4 + 5*25, 6, trailing},
		{"the last set's padding", [][]byte{data(1), set(256, dataOf(v4Flow()...), zeros(3))}, 3, 2, trailing},
		{"zeros behind the last set", [][]byte{data(2), zeros(6)}, 6, 2, trailing},
		{"option data behind", [][]byte{set(3, optionsIPFIX(300, 1, el(149, u32(5)), el(34, u32(7)))), data(1),
			set(300, u32(5), u32(7))}, 12, 1, trailing},
		{"a set that the datagram cuts", [][]byte{data(1), stated(3, 256, dataOf(v4Flow()...))}, 10, 1,
			map[exporter.Reason]uint64{exporter.TrailingBytes: 1, exporter.BadSet: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.send(message(flow.IPFIX, 5, set(2, templateOf(256, v4Flow()...))))
			l.received++
			m := message(flow.IPFIX, 5, test.sets...)
			copy(m[2:], u16(uint16(len(m)-test.short)))
			equal(t, "records", len(l.send(m)), test.records)
			l.failed(l.stream(flow.IPFIX, 5), test.reasons)
		})
	}
}

// Set ids and structures of the other protocol, mixed as devices mix them (case 20).
func TestCase20_StructuresOfTheOtherProtocol(t *testing.T) {
	v9Options := optionsV9(300, 1, el(1, u32(0)), el(34, u32(100)))
	ipfixOptions := optionsIPFIX(300, 1, el(144, u32(0)), el(34, u32(100)))
	enterprise := optionsIPFIX(300, 1, el(144, u32(0)), el(34, u32(100)), vendor(9, 7, u16(1)))
	short := el(34, u16(100))
	flows := set(256, dataOf(v4Flow()...))
	record := set(300, u32(0), u32(100))
	for _, test := range []struct {
		name     string
		protocol flow.Protocol
		sets     [][]byte
		read     uint64
		reasons  map[exporter.Reason]uint64
	}{
		{"IPFIX, v9's ids and structures", flow.IPFIX, [][]byte{set(0, templateOf(256, v4Flow()...)),
			set(1, v9Options), record, flows}, 2, nil},
		{"IPFIX, v9's ids only", flow.IPFIX, [][]byte{set(0, templateOf(256, v4Flow()...)), set(1, ipfixOptions),
			record, flows}, 2, nil},
		{"IPFIX, v9's id of options only", flow.IPFIX, [][]byte{set(2, templateOf(256, v4Flow()...)),
			set(1, v9Options, zeros(2)), record, flows}, 1, nil},
		{"IPFIX, options first, padding of 2", flow.IPFIX, [][]byte{set(1, ipfixOptions, zeros(2)), record,
			set(0, templateOf(256, v4Flow()...)), flows}, 2, nil},
		{"IPFIX, v9's ids and enterprise numbers", flow.IPFIX, [][]byte{set(0, templateOf(256,
			append(v4Flow(), vendor(9, 1, u8(0)))...)), set(1, enterprise), set(300, u32(0), u32(100), u16(1)),
			set(256, dataOf(v4Flow()...), u8(0))}, 2, nil},
		{"IPFIX, two options templates in one set", flow.IPFIX, [][]byte{set(1, v9Options,
			optionsV9(301, 1, el(1, u32(0)), el(36, u16(60)))), record, set(0, templateOf(256, v4Flow()...)), flows}, 2,
			nil},
		{"IPFIX, two templates in one set", flow.IPFIX, [][]byte{set(0, templateOf(256, v4Flow()...),
			templateOf(257, longFlow()...), zeros(3)), set(1, v9Options), record, flows}, 2, nil},
		{"v9, IPFIX's ids and structures", flow.NetFlowV9, [][]byte{set(2, templateOf(256, v4Flow()...)),
			set(3, ipfixOptions), record, flows}, 2, nil},
		{"v9, IPFIX's ids only", flow.NetFlowV9, [][]byte{set(2, templateOf(256, v4Flow()...)), set(3, v9Options),
			record, flows}, 2, nil},
		{"v9, IPFIX's ids, a rate of 2 bytes", flow.NetFlowV9, [][]byte{set(3, optionsV9(300, 1, el(1, u32(0)), short),
			zeros(2)), set(300, u32(0), u16(100), zeros(2)), set(2, templateOf(256, v4Flow()...)), flows}, 2, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, split := range []bool{false, true} {
				l := newLab(t, Options{})
				var got []flow.Record
				if split {
					for _, one := range test.sets {
						got = append(got, l.send(message(test.protocol, 5, one))...)
					}
				} else {
					got = l.send(message(test.protocol, 5, test.sets...))
				}
				if len(got) != 1 {
					t.Fatalf("%d records, want 1", len(got))
				}
				equal(t, "bytes", got[0].Bytes, 1500)
				equal(t, "rate", got[0].SamplingRate, 100)
				equal(t, "read", l.stream(test.protocol, 5).TimesRead(exporter.OtherSetIDs), test.read)
				l.failed(l.stream(test.protocol, 5), test.reasons)
			}
		})
	}
}
