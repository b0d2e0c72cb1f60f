package netflow

import (
	"math"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func TestCase21_IPFIXSequenceCountsDataRecords(t *testing.T) {
	option := []item{el(149, u32(0)), el(34, u32(10))}
	templates := slices.Concat(set(2, templateOf(256, v4Flow()...)), set(3, optionsIPFIX(300, 1, option...)))
	data := func(n int) []byte { return set(256, slices.Repeat(dataOf(v4Flow()...), n)) }
	options := set(300, dataOf(option...), dataOf(option...))
	unknown := set(999, make([]byte, 40))
	type message struct {
		sequence uint32
		sets     []byte
	}
	tests := []struct {
		name string
		in   []message
		want counts
	}{
		{"templates do not count, options do", []message{{7, templates}, {7, data(3)}, {10, options}, {12, data(1)},
			{13, nil}}, counts{}},
		{"wraps", []message{{math.MaxUint32 - 1, slices.Concat(templates, data(3))}, {1, data(1)}}, counts{}},
		{"records lost", []message{{0, slices.Concat(templates, data(3))}, {8, data(1)}}, counts{lost: 5}},
		{"duplicated", []message{{0, slices.Concat(templates, data(3))}, {3, data(2)}, {3, data(2)}, {5, data(1)}},
			counts{duplicated: 1}},
		{"late", []message{{0, slices.Concat(templates, data(3))}, {5, data(1)}, {3, data(2)}, {6, data(1)}},
			counts{reordered: 1}},
		{"started anew", []message{{70_000, slices.Concat(templates, data(1))}, {0, data(1)}, {1, data(1)}},
			counts{restarts: 1}},
		{"an unknown set hides how many", []message{{0, templates}, {0, unknown}, {4, data(1)}, {5, data(1)}},
			counts{}},
		{"a reserved set does not", []message{{0, templates}, {0, set(9, u32(0))}, {4, data(1)}}, counts{lost: 4}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			first := test.in[0].sequence
			l.send(ipfix(header{exportS: exportS, sequence: first - 8}, templates))
			for _, n := range []uint32{1, 3, 2, 2} { // until it is known how the exporter counts
				l.send(ipfix(header{exportS: exportS, sequence: first - 8}, data(int(n))))
				first += n
			}
			for _, m := range test.in {
				l.send(ipfix(header{exportS: exportS, sequence: m.sequence}, m.sets))
			}
			sequence(t, l.stream(flow.IPFIX, 0), test.want)
		})
	}
	t.Run("a biflow is one record", func(t *testing.T) {
		l := newLab(t, Options{})
		items := append(v4Flow(), vendor(reversePEN, 1, u32(9)), vendor(reversePEN, 2, u32(1)))
		l.send(ipfix(ipfixHeader, set(2, templateOf(256, items...))))
		equal(t, "records", len(l.send(ipfix(ipfixHeader, set(256, dataOf(items...))))), 2)
		l.send(ipfix(header{exportS: exportS, sequence: 1}, set(256, dataOf(items...))))
		sequence(t, l.stream(flow.IPFIX, 0), counts{})
	})
	t.Run("released records count for their own message", func(t *testing.T) {
		l := newLab(t, Options{})
		send := func(number uint32, sets ...[]byte) {
			l.send(ipfix(header{exportS: exportS, sequence: number}, sets...))
		}
		other := set(400, dataOf(v4Flow()...))
		send(0, set(2, templateOf(400, v4Flow()...)), other)
		for number := range uint32(10) {
			send(1+number, other) // how this exporter counts is known by now
		}
		send(11, data(5))
		send(16, templates, data(1))
		send(17, data(1))
		send(18, data(1))
		sequence(t, l.stream(flow.IPFIX, 0), counts{})
		equal(t, "recovered", l.stream(flow.IPFIX, 0).Recovered.Load(), 1)
	})
	t.Run("a released set that is cut does not hide this message", func(t *testing.T) {
		l := newLab(t, Options{})
		items := []item{variable(82, text("eth0")), el(1, u32(1))}
		known := set(400, dataOf(v4Flow()...), dataOf(v4Flow()...))
		l.send(ipfix(header{exportS: exportS, sequence: math.MaxUint32 - 7}, set(2, templateOf(400, v4Flow()...)),
			known))
		for n := uint32(6); n > 0; n -= 2 { // until it is known how the exporter counts
			l.send(ipfix(header{exportS: exportS, sequence: -n}, known))
		}
		l.send(ipfix(header{exportS: exportS, sequence: 0}, set(256, u8(200), make([]byte, 10))))
		l.send(ipfix(header{exportS: exportS, sequence: 5}, set(2, templateOf(256, items...)),
			set(256, dataOf(items...))))
		l.send(ipfix(header{exportS: exportS, sequence: 8}, set(256, dataOf(items...))))
		sequence(t, l.stream(flow.IPFIX, 0), counts{lost: 2})
	})
	t.Run("a cut option record hides how many", func(t *testing.T) {
		l := newLab(t, Options{})
		items := []item{el(10, u32(1)), variable(82, text("eth0"))}
		l.send(ipfix(header{exportS: exportS, sequence: 0}, set(3, optionsIPFIX(300, 1, items...)),
			set(300, dataOf(items...), u32(2), u8(99), u8(1))))
		l.send(ipfix(header{exportS: exportS, sequence: 9}))
		sequence(t, l.stream(flow.IPFIX, 0), counts{})
		l.failed(l.stream(flow.IPFIX, 0), map[exporter.Reason]uint64{exporter.BadRecord: 1})
	})
}
