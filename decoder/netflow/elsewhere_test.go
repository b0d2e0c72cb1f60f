package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// announce is option records of one domain; the first item is the scope.
type announce struct {
	domain uint32
	items  []item
}

// message wraps sets as one of a domain.
func message(p flow.Protocol, domain uint32, sets ...[]byte) []byte {
	h := header{exportS: exportS, uptime: testUptime, domain: domain}
	if p == flow.NetFlowV9 {
		return v9(h, sets...)
	}
	return ipfix(h, sets...)
}

func (l *lab) announce(p flow.Protocol, a announce) {
	if p == flow.NetFlowV9 {
		l.send(message(p, a.domain, set(setOptionsV9, optionsV9(300, 1, a.items...)), set(300, dataOf(a.items...))))
		return
	}
	l.send(message(p, a.domain, set(setOptionsIPFIX, optionsIPFIX(300, 1, a.items...)), set(300, dataOf(a.items...))))
}

func TestCase63_SamplingAnnouncedElsewhere(t *testing.T) {
	system, in, out := el(1, u32(0)), el(10, u32(7)), el(14, u32(9))
	process := el(144, u32(1))
	sampler := func(id uint8, rate uint32) []item { return []item{system, el(48, u8(id)), el(50, u32(rate))} }
	selector := func(id uint8, rate uint32) []item {
		return []item{el(302, u8(id)), el(305, u32(1)), el(306, u32(rate-1))}
	}
	const v9, ipfix = flow.NetFlowV9, flow.IPFIX
	tests := []struct {
		name     string
		protocol flow.Protocol
		options  []announce
		record   []item
		rate     uint32
		source   flow.SamplingSource
		reading  exporter.Reading
		read     uint64
	}{
		{"scope System, another source id", v9, []announce{{0, []item{system, el(34, u32(1000))}}}, nil, 1000,
			flow.SamplingExporter, exporter.SamplingFromElsewhere, 1},
		{"scope System, the own domain before", v9,
			[]announce{{0, []item{system, el(34, u32(1000))}}, {5, []item{system, el(34, u32(50))}}}, nil,
			50, flow.SamplingDomain, exporter.SamplingFromElsewhere, 0},
		{"scope System, two that differ", v9, []announce{{0, []item{system, el(34, u32(1000))}},
			{1, []item{system, el(34, u32(50))}}}, nil,
			50, flow.SamplingAmbiguous, exporter.SamplingAmbiguous, 1},
		{"scope System, two that agree", v9, []announce{{0, []item{system, el(34, u32(50))}},
			{1, []item{system, el(34, u32(50))}}}, nil,
			50, flow.SamplingExporter, exporter.SamplingFromElsewhere, 1},
		{"scope Line card is of its own domain", v9, []announce{{0, []item{el(3, u32(4)), el(34, u32(1000))}}}, nil,
			1, flow.SamplingAssumed, exporter.SamplingNotMatched, 1},
		{"a sampler table elsewhere, named", v9, []announce{{0, sampler(1, 512)}, {0, sampler(2, 64)}},
			[]item{el(48, u8(2))}, 64, flow.SamplingExporter,
			exporter.SamplingFromElsewhere, 1},
		{"a sampler table elsewhere, 4 bytes in the record", v9, []announce{{0, sampler(1, 512)}},
			[]item{el(48, u32(1))}, 512, flow.SamplingExporter,
			exporter.SamplingFromElsewhere, 1},
		{"one sampler elsewhere, not named", v9, []announce{{0, sampler(1, 512)}}, nil, 512, flow.SamplingInferred,
			exporter.SamplingOfOnlySampler, 1},
		{"two samplers elsewhere, not named", v9, []announce{{0, sampler(1, 512)}, {0, sampler(2, 64)}}, nil, 1,
			flow.SamplingAssumed, exporter.SamplingNotMatched, 1},
		{"one sampler, not named", v9, []announce{{5, sampler(1, 512)}}, nil, 512, flow.SamplingInferred,
			exporter.SamplingOfOnlySampler, 1},
		{"two samplers of one rate, not named", v9, []announce{{5, sampler(1, 512)}, {5, sampler(2, 512)}}, nil, 512,
			flow.SamplingInferred,
			exporter.SamplingOfOnlySampler, 1},
		{"two samplers, not named", v9, []announce{{5, sampler(1, 512)}, {5, sampler(2, 64)}}, nil, 1,
			flow.SamplingAssumed, exporter.SamplingNotMatched, 1},
		{"a sampler that nobody described", v9, []announce{{5, sampler(1, 512)}}, []item{el(48, u8(9))}, 1,
			flow.SamplingAssumed, exporter.SamplingNotMatched, 1},
		{"a sampler whose rate changed", v9, []announce{{5, sampler(1, 512)}, {5, sampler(1, 64)}}, nil, 64,
			flow.SamplingInferred, exporter.SamplingOfOnlySampler, 1},
		{"an interface elsewhere", v9, []announce{{0, []item{el(2, u32(7)), el(34, u32(20))}}}, []item{el(10, u32(7))},
			20, flow.SamplingExporter,
			exporter.SamplingFromElsewhere, 1},
		{"scope Template", v9, []announce{{5, []item{el(5, u16(256)), el(34, u32(20))}},
			{5, []item{el(5, u16(257)), el(34, u32(30))}}}, nil,
			20, flow.SamplingDomain, exporter.SamplingNotMatched, 0},

		{"one selector, not named", ipfix, []announce{{5, selector(1, 100)}}, nil, 100, flow.SamplingInferred,
			exporter.SamplingOfOnlySampler, 1},
		{"a selector elsewhere, named", ipfix, []announce{{0, selector(1, 100)}}, []item{el(302, u64(1))}, 100,
			flow.SamplingExporter, exporter.SamplingFromElsewhere, 1},
		{"the exporting process", ipfix, []announce{{3, []item{process, el(34, u32(100))}}}, nil, 100,
			flow.SamplingExporter, exporter.SamplingFromElsewhere, 1},
		{"the exporter's address", ipfix, []announce{{3, []item{el(130, ip("203.0.113.9")), el(34, u32(100))}}}, nil,
			100, flow.SamplingExporter,
			exporter.SamplingFromElsewhere, 1},
		{"domain 0 stands for none in particular", ipfix, []announce{{0, []item{process, el(34, u32(100))}}}, nil, 100,
			flow.SamplingExporter,
			exporter.SamplingFromElsewhere, 1},
		{"this domain, named by another", ipfix,
			[]announce{{0, []item{el(149, u32(5)), el(34, u32(100))}}, {0, []item{el(149, u32(6)), el(34, u32(10))}}},
			nil, 100, flow.SamplingDomain, exporter.SamplingFromElsewhere, 0},
		{"another domain, named by itself", ipfix, []announce{{6, []item{el(149, u32(6)), el(34, u32(100))}}}, nil, 1,
			flow.SamplingAssumed,
			exporter.SamplingNotMatched, 1},
		{"an output interface elsewhere", ipfix, []announce{{0, []item{out, el(34, u32(20))}}},
			[]item{el(14, u32(9)), el(61, u8(1))}, 20,
			flow.SamplingExporter, exporter.SamplingFromElsewhere, 1},

		{"metered at egress: the output interface", ipfix,
			[]announce{{5, []item{in, el(34, u32(20))}}, {5, []item{out, el(34, u32(30))}}},
			[]item{el(10, u32(7)), el(14, u32(9)), el(61, u8(1))}, 30, flow.SamplingInterface,
			exporter.SamplingNotMatched, 0},
		{"metered at ingress: the input interface", ipfix,
			[]announce{{5, []item{in, el(34, u32(20))}}, {5, []item{out, el(34, u32(30))}}},
			[]item{el(10, u32(7)), el(14, u32(9)), el(61, u8(0))}, 20, flow.SamplingInterface,
			exporter.SamplingNotMatched, 0},
		{"no direction: the input interface first", ipfix,
			[]announce{{5, []item{in, el(34, u32(20))}}, {5, []item{out, el(34, u32(30))}}},
			[]item{el(10, u32(7)), el(14, u32(9))}, 20, flow.SamplingInterface, exporter.SamplingNotMatched, 0},
		{"no direction: the interface that has a rate", ipfix, []announce{{5, []item{out, el(34, u32(30))}}},
			[]item{el(10, u32(8)), el(14, u32(9))}, 30, flow.SamplingInterface, exporter.SamplingNotMatched, 0},
		{"egress, scope Interface", v9, []announce{{5, []item{el(2, u16(9)), el(34, u32(30))}}},
			[]item{el(10, u32(0)), el(14, u32(9)), el(61, u8(1))}, 30, flow.SamplingInterface,
			exporter.SamplingNotMatched, 0},
		{"egress, a rate of the input interface only", v9, []announce{{5, []item{el(2, u16(7)), el(34, u32(30))}}},
			[]item{el(10, u32(7)), el(14, u32(9)), el(61, u8(1))}, 1, flow.SamplingAssumed, exporter.SamplingNotMatched,
			1},
		{"nothing is announced", v9, []announce{{0, []item{system, el(36, u16(60))}}}, nil, 1, flow.SamplingAssumed,
			exporter.SamplingNotMatched, 0},
	}
	for _, test := range tests {
		t.Run(test.protocol.String()+" "+test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			items := append(slices.Clone(test.record), el(1, u32(1)))
			id := uint16(setTemplateV9)
			if test.protocol == flow.IPFIX {
				id = setTemplateIPFIX
			}
			flowOf := func() flow.Record {
				return l.send(message(test.protocol, 5, set(id, templateOf(256, items...)),
					set(256, dataOf(items...))))[0]
			}
			before := flowOf()
			equal(t, "source before the announcement", before.SamplingSource, flow.SamplingAssumed)
			for _, a := range test.options {
				l.announce(test.protocol, a)
			}
			r := flowOf()
			equal(t, "rate", r.SamplingRate, test.rate)
			equal(t, "source", r.SamplingSource, test.source)
			equal(t, test.reading.String(), l.stream(test.protocol, 5).TimesRead(test.reading), test.read)
		})
	}
}

// Of many domains that announced the same thing some are asked, and those that announced others do not count.
func TestCase63_ManyDomainsKnowAThing(t *testing.T) {
	l := newLab(t, Options{})
	card := func(domain, card, rate uint32) {
		l.option(flow.IPFIX, option{domain, 1, []item{el(141, u32(card)), el(34, u32(rate))}})
	}
	for domain := range uint32(maxAnnouncers - maxAsked - 1) {
		card(100+domain, 1000+domain, 7)
	}
	for domain := range uint32(maxAsked) {
		card(200+domain, 1, 100)
	}
	card(300, 1, 50)
	card(301, 2, 20) // one domain too many
	items := append(v4Flow(), el(141, u32(1)))
	rate := func(card uint32) (uint32, flow.SamplingSource) {
		items[len(items)-1] = el(141, u32(card))
		r := l.send(message(flow.IPFIX, 5, set(2, templateOf(256, items...)), set(256, dataOf(items...))))[0]
		return r.SamplingRate, r.SamplingSource
	}
	for card, want := range map[uint32]uint32{1: 100, 1000: 7, 1010: 7} {
		n, source := rate(card)
		equal(t, "rate", n, want)
		equal(t, "source", source, flow.SamplingExporter)
	}
	n, source := rate(2)
	equal(t, "rate of a domain too many", n, 1)
	equal(t, "its source", source, flow.SamplingAssumed)
}

// What one exporter announces says nothing of another, and what comes over one protocol nothing of the other.
func TestCase63_ExportersDoNotShareRates(t *testing.T) {
	l := newLab(t, Options{})
	l.announce(flow.NetFlowV9, announce{0, []item{el(1, u32(0)), el(34, u32(1000))}})
	equal(t, "rate over IPFIX", l.one(flow.IPFIX, v4Flow()...).SamplingRate, 1)
	l.source = addrPort("192.0.2.2:4000")
	equal(t, "rate of another exporter", l.one(flow.NetFlowV9, v4Flow()...).SamplingRate, 1)
}

// A rate that another domain announced is known after a restart of the collector before that domain is heard again.
func TestCase63_RatesOfOtherDomainsAreSaved(t *testing.T) {
	l := newLab(t, Options{})
	l.announce(flow.NetFlowV9, announce{0, []item{el(1, u32(0)), el(48, u8(1)), el(50, u32(1000))}})
	again := newLab(t, Options{Saved: NewSaved(l.d.State())})
	items := append(v4Flow(), el(48, u8(1)))
	r := again.send(message(flow.NetFlowV9, 5, set(setTemplateV9, templateOf(256, items...)),
		set(256, dataOf(items...))))
	equal(t, "rate", r[0].SamplingRate, 1000)
	equal(t, "source", r[0].SamplingSource, flow.SamplingExporter)
	again.announce(flow.NetFlowV9, announce{0, []item{el(1, u32(0)), el(48, u8(1)), el(50, u32(64))}})
	r = again.send(message(flow.NetFlowV9, 5, set(256, dataOf(items...))))
	equal(t, "rate after a new announcement", r[0].SamplingRate, 64)
}

func TestCase64_SamplingInTheWrongByteOrder(t *testing.T) {
	tests := []struct {
		name    string
		values  [][]byte // of IE 34, one record after the other
		rates   []uint32
		swapped uint64
	}{
		{"1, 2222, none", [][]byte{u32(1 << 24), u32(0xae080000), u32(0)}, []uint32{1, 2222, 1}, 2},
		{"large rates that are meant", [][]byte{u32(65536), u32(100_000), u32(131_072), u32(1_000_000)},
			[]uint32{65536, 100_000, 131_072, 1_000_000}, 0},
		{"256 behind 1", [][]byte{u32(1 << 24), u32(65536)}, []uint32{1, 256}, 2},
		{"256, then a rate that makes sense as it is", [][]byte{u32(1 << 24), u32(1000), u32(65536)},
			[]uint32{1, 1000, 65536}, 1},
		{"8 bytes", [][]byte{u64(0xe803 << 48)}, []uint32{1000}, 1},
		{"senseless both ways", [][]byte{u32(0x12345678)}, []uint32{0x12345678}, 0},
		{"2 bytes are never senseless", [][]byte{u16(0x0100)}, []uint32{256}, 0},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				for i, v := range test.values {
					r := l.one(p, append(v4Flow(), el(34, v))...)
					equal(t, "rate", r.SamplingRate, test.rates[i])
				}
				equal(t, "put right", l.stream(p, 0).TimesRead(exporter.SamplingBytesSwapped), test.swapped)
			})
		}
		t.Run(p.String()+" in an option record", func(t *testing.T) {
			l := newLab(t, Options{})
			scope := el(149, u32(0))
			if p == flow.NetFlowV9 {
				scope = el(1, u32(0))
			}
			l.learn(p, scope, el(34, u32(0xae080000)))
			r := l.one(p, v4Flow()...)
			equal(t, "rate", r.SamplingRate, 2222)
		})
		t.Run(p.String()+" interval and space", func(t *testing.T) {
			r := newLab(t, Options{}).one(p, append(v4Flow(), el(305, u32(1<<24)), el(306, u32(99<<24)))...)
			equal(t, "rate", r.SamplingRate, 100)
			equal(t, "source", r.SamplingSource, flow.SamplingSwapped)
		})
	}
}

func TestCase03_v5SamplingOf16Bits(t *testing.T) {
	l := newLab(t, Options{})
	for _, one := range []struct {
		field  uint16
		rate   uint32
		source flow.SamplingSource
	}{
		{20_000, 20_000 & samplingRateV5, flow.SamplingHeader}, // mode 1, as far as anybody can know
		{50_000, 50_000, flow.SamplingHeader16},
		{20_000, 20_000, flow.SamplingHeader16}, // the exporter has no modes
		{40_000, 40_000, flow.SamplingHeader16},
		{100, 100, flow.SamplingHeader},
		{0, 1, flow.SamplingAssumed},
	} {
		r := l.send(v5(v5Header{count: -1, sampling: one.field}, v5Flow{}))[0]
		equal(t, "rate", r.SamplingRate, one.rate)
		equal(t, "source", r.SamplingSource, one.source)
	}
	equal(t, "datagrams", l.stream(flow.NetFlowV5, 0).TimesRead(exporter.SamplingAll16Bits), 3)
}
