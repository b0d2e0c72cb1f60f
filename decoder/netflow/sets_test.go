package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// templateSet is the id of a protocol's template sets.
func templateSet(p flow.Protocol) uint16 {
	if p == flow.NetFlowV9 {
		return setTemplateV9
	}
	return setTemplateIPFIX
}

func TestCase11_PaddingAndMisfits(t *testing.T) {
	one := dataOf(v4Flow()...)
	records := func(n int) []byte { return slices.Repeat(one, n) }
	zeros := func(n int) []byte { return make([]byte, n) }
	tests := []struct {
		name    string
		data    []byte
		behind  []byte // the set
		records int
		reasons map[exporter.Reason]uint64
	}{
		{"no padding", records(2), nil, 2, nil},
		{"zeros shorter than a record", slices.Concat(records(2), zeros(11)), nil, 2, nil},
		{"zeros as long as a record", slices.Concat(records(2), zeros(len(one))), nil, 2, nil},
		{"zeros as long as three records and a bit", slices.Concat(records(2), zeros(3*len(one)+5)), nil, 2, nil},
		{"three bytes of anything", slices.Concat(records(2), []byte{1, 2, 3}), nil, 2, nil},
		{"more bytes of anything", slices.Concat(records(2), []byte{1, 2, 3, 4, 5}), nil, 0,
			map[exporter.Reason]uint64{exporter.TemplateMisfit: 1}},
		{"shorter than a record", one[:len(one)-1], nil, 0, map[exporter.Reason]uint64{exporter.TemplateMisfit: 1}},
		{"zeros shorter than a record alone", zeros(len(one) - 1), nil, 0,
			map[exporter.Reason]uint64{exporter.TemplateMisfit: 1}},
		{"an empty set", nil, nil, 0, nil},
		{"padding alone", zeros(3), nil, 0, nil},
		{"the datagram filled up with zeros", records(1), zeros(100), 1, nil},
		{"filled up with three zeros", records(1), zeros(3), 1, nil},
		{"an empty set header and more", records(1), append(zeros(10), 1), 1,
			map[exporter.Reason]uint64{exporter.BadSet: 1}},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				l.send(message(p, 5, set(templateSet(p), templateOf(256, v4Flow()...))))
				l.received++
				equal(t, "records", len(l.send(message(p, 5, set(256, test.data), test.behind))), test.records)
				s := l.stream(p, 5)
				l.failed(s, test.reasons)
				if n := test.reasons[exporter.TemplateMisfit]; n > 0 {
					want := []exporter.MisfitTemplate{{TemplateID: 256, RecordLength: len(one),
						SetLength: len(test.data), Sets: n}}
					if !slices.Equal(s.Misfits(), want) {
						t.Errorf("misfits are %v, want %v", s.Misfits(), want)
					}
				}
			})
		}
		t.Run(p.String()+" an old template, until the new one comes", func(t *testing.T) {
			l := newLab(t, Options{})
			next := append(v4Flow(), el(61, u8(1)), el(10, u32(7)))
			l.send(message(p, 5, set(templateSet(p), templateOf(256, v4Flow()...)), set(256, records(2))))
			l.received++
			equal(t, "records of the old one",
				len(l.send(message(p, 5, set(256, dataOf(next...), dataOf(next...), dataOf(next...))))), 0)
			r := l.send(message(p, 5, set(templateSet(p), templateOf(256, next...)),
				set(256, dataOf(next...), dataOf(next...))))
			equal(t, "records of the new one", len(r), 2)
			l.failed(l.stream(p, 5), map[exporter.Reason]uint64{exporter.TemplateMisfit: 1})
		})
		t.Run(p.String()+" option records", func(t *testing.T) {
			l := newLab(t, Options{})
			option := []item{el(1, u32(0)), el(34, u32(10)), el(35, u8(1)), el(36, u32(7))}
			template := set(setOptionsV9, optionsV9(300, 1, option...))
			if p == flow.IPFIX {
				option[0] = el(149, u32(5))
				template = set(setOptionsIPFIX, optionsIPFIX(300, 1, option...))
			}
			l.send(message(p, 5, template, set(300, dataOf(option...)[:9])))
			l.failed(l.stream(p, 5), map[exporter.Reason]uint64{exporter.TemplateMisfit: 1})
			l.send(message(p, 5, set(300, dataOf(option...), zeros(13))))
			equal(t, "option records", l.stream(p, 5).Options.Load(), 1)
		})
	}
	t.Run("nProbe: one record and more, its template in the datagram", func(t *testing.T) {
		l := newLab(t, Options{})
		r := l.send(message(flow.NetFlowV9, 5, set(0, templateOf(256, v4Flow()...)),
			set(256, one, []byte{1, 2, 3, 4, 5})))
		equal(t, "records", len(r), 1)
		l.failed(l.stream(flow.NetFlowV9, 5), map[exporter.Reason]uint64{exporter.TrailingBytes: 1})
	})
}

// Fields of variable length are IPFIX's; H3C and HPE Comware have them in NetFlow v9 (case 66).
func TestCase66_VariableLengthInNetFlow9(t *testing.T) {
	for _, n := range []int{0, 8, 254, 255, 300} {
		items := append([]item{variable(236, make([]byte, n))}, v4Flow()...)
		r := newLab(t, Options{}).one(flow.NetFlowV9, items...)
		equal(t, "bytes", r.Bytes, 1500)
	}
	l := newLab(t, Options{})
	option := []item{el(1, u32(0)), el(234, u32(7)), variable(236, text("customer-7"))}
	l.learn(flow.NetFlowV9, option...)
	r := l.one(flow.NetFlowV9, append(v4Flow(), el(234, u32(7)))...)
	equal(t, "name of the VRF", r.Names.VRF[7], "customer-7")
}

func TestCase10_LengthsOfOptionsTemplates(t *testing.T) {
	items := []item{el(1, u32(0)), el(34, u32(500)), el(35, u8(1))}
	tests := []struct {
		name          string
		scope, option uint16
		padding       int
	}{
		{"bytes", 4, 8, 0}, {"9 for 8", 4, 9, 0}, {"11 for 8, and padding", 4, 11, 3},
		{"6 for 4 of the scope", 6, 8, 2},
		{"numbers of fields", 1, 2, 0}, {"numbers of fields, and padding", 1, 2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			body := slices.Concat(u16(300), u16(test.scope), u16(test.option), specsOf(items),
				make([]byte, max(test.padding, int(test.option)%4)))
			l.send(message(flow.NetFlowV9, 0, set(setOptionsV9, body), set(300, dataOf(items...))))
			equal(t, "rate", l.one(flow.NetFlowV9, v4Flow()...).SamplingRate, 500)
			l.failed(l.stream(flow.NetFlowV9, 0), nil)
		})
	}
}

// Set ids of the other protocol are read and counted; a set of which that cannot be true is skipped as one of an
// unknown id.
func TestCase20_SetIDsOfTheOtherProtocol(t *testing.T) {
	option := []item{el(1, u32(0)), el(34, u32(100))}
	scoped := []item{el(149, u32(0)), el(34, u32(100))}
	tests := []struct {
		protocol flow.Protocol
		sets     [][]byte
	}{
		{flow.IPFIX, [][]byte{set(0, templateOf(256, v4Flow()...)), set(1, optionsV9(300, 1, option...)),
			set(300, dataOf(option...))}},
		{flow.NetFlowV9, [][]byte{set(2, templateOf(256, v4Flow()...)), set(3, optionsIPFIX(300, 1, scoped...)),
			set(300, dataOf(scoped...))}},
	}
	for _, test := range tests {
		t.Run(test.protocol.String(), func(t *testing.T) {
			l := newLab(t, Options{})
			r := l.send(message(test.protocol, 0, append(test.sets, set(256, dataOf(v4Flow()...)))...))
			equal(t, "records", len(r), 1)
			equal(t, "rate", r[0].SamplingRate, 100)
			equal(t, "counted", l.stream(test.protocol, 0).TimesRead(exporter.OtherSetIDs), 2)
			l.failed(l.stream(test.protocol, 0), nil)
			l = newLab(t, Options{})
			ids := [2]uint16{setTemplateV9, setOptionsV9}
			if test.protocol == flow.NetFlowV9 {
				ids = [2]uint16{setTemplateIPFIX, setOptionsIPFIX}
			}
			bad := [][]byte{nil, u32(1), u64(0), slices.Concat(u16(256), u16(9000), u32(0))}
			for _, id := range ids {
				for _, body := range bad {
					l.send(message(test.protocol, 0, set(id, body)))
				}
			}
			l.failed(l.stream(test.protocol, 0), map[exporter.Reason]uint64{exporter.UnknownSet: uint64(2 * len(bad))})
		})
	}
}
