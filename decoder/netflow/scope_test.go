package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// option is an option record with so many scopes, in a domain.
type option struct {
	domain uint32
	scopes int
	items  []item
}

func (l *lab) option(p flow.Protocol, o option) {
	if p == flow.NetFlowV9 {
		l.send(message(p, o.domain, set(setOptionsV9, optionsV9(300, o.scopes, o.items...)),
			set(300, dataOf(o.items...))))
		return
	}
	l.send(message(p, o.domain, set(setOptionsIPFIX, optionsIPFIX(300, o.scopes, o.items...)),
		set(300, dataOf(o.items...))))
}

// Rates of parts of one domain: records that name their part get its rate, of the others the lowest counts, and the
// exporter's page says so (case 70).
func TestCase70_RatesOfParts(t *testing.T) {
	const v9, ipfix = flow.NetFlowV9, flow.IPFIX
	rate := func(scopes int, n uint32, items ...item) option {
		return option{5, scopes, append(items, el(34, u32(n)))}
	}
	v9Cards := []option{rate(1, 100, el(3, u16(1))), rate(1, 200, el(3, u16(2)))}
	of := func(id uint16) []option { return []option{rate(1, 100, el(id, u32(1))), rate(1, 200, el(id, u32(2)))} }
	cardSampler := func(card, n uint32) option { return rate(2, n, el(141, u32(card)), el(302, u8(1))) }
	tests := []struct {
		name     string
		protocol flow.Protocol
		options  []option
		record   []item
		rate     uint32
		source   flow.SamplingSource
	}{
		{"line cards, the first named", v9, v9Cards, []item{el(141, u32(1))}, 100, flow.SamplingPart},
		{"line cards, the second named", v9, v9Cards, []item{el(141, u16(2))}, 200, flow.SamplingPart},
		{"line cards, none named", v9, v9Cards, nil, 100, flow.SamplingAmbiguous},
		{"line cards, another named", v9, v9Cards, []item{el(141, u32(3))}, 1, flow.SamplingAssumed},
		{"line cards of one rate, none named", v9, []option{v9Cards[0], rate(1, 100, el(3, u16(2)))}, nil, 100,
			flow.SamplingInferred},
		{"line cards that come to agree", v9, append(slices.Clone(v9Cards), rate(1, 200, el(3, u16(1)))), nil, 200,
			flow.SamplingInferred},
		{"line cards beside the domain's rate", v9, append(slices.Clone(v9Cards), rate(1, 7, el(1, u32(0)))), nil, 7,
			flow.SamplingDomain},
		{"caches, which no record names", v9, []option{rate(1, 100, el(4, u16(1))), rate(1, 50, el(4, u16(2)))}, nil,
			50, flow.SamplingAmbiguous},
		{"one cache", v9, []option{rate(1, 100, el(4, u16(1)))}, nil, 100, flow.SamplingDomain},
		{"interfaces, none named", v9, []option{rate(1, 100, el(2, u16(1))), rate(1, 50, el(2, u16(2)))}, nil, 50,
			flow.SamplingAmbiguous},
		{"interfaces, another named", v9, []option{rate(1, 100, el(2, u16(1))), rate(1, 50, el(2, u16(2)))},
			[]item{el(10, u16(3))}, 1, flow.SamplingAssumed},
		{"two samplers, none named: may not be sampled", v9,
			[]option{rate(1, 100, el(1, u32(0)), el(48, u8(1))), rate(1, 50, el(1, u32(0)), el(48, u8(2)))},
			nil, 1, flow.SamplingAssumed},

		{"card 2", ipfix, of(141), []item{el(141, u32(2))}, 200, flow.SamplingPart},
		{"card, none named", ipfix, of(141), nil, 100, flow.SamplingAmbiguous},
		{"port 2", ipfix, of(142), []item{el(142, u32(2))}, 200, flow.SamplingPart},
		{"port, none named", ipfix, of(142), nil, 100, flow.SamplingAmbiguous},
		{"ingress VRF 2", ipfix, of(234), []item{el(234, u32(2)), el(235, u32(1))}, 200, flow.SamplingPart},
		{"egress VRF 1", ipfix, of(235), []item{el(234, u32(2)), el(235, u32(1))}, 100, flow.SamplingPart},
		{"VRF, none named", ipfix, of(234), nil, 100, flow.SamplingAmbiguous},
		{"observation point 2", ipfix, of(138), []item{el(138, u64(2))}, 200, flow.SamplingPart},
		{"selection sequence 2", ipfix, of(301), []item{el(301, u64(2))}, 200, flow.SamplingSelector},
		{"selection sequences, none named", ipfix, of(301), nil, 1, flow.SamplingAssumed},
		{"interface 2", ipfix, of(10), []item{el(10, u32(2))}, 200, flow.SamplingInterface},
		{"a card's sampler, both named", ipfix, []option{cardSampler(1, 100), cardSampler(2, 200)},
			[]item{el(141, u32(2)), el(302, u8(1))}, 200, flow.SamplingSelector},
		{"a card's sampler, the sampler named", ipfix, []option{cardSampler(1, 100), cardSampler(2, 200)},
			[]item{el(302, u8(1))}, 100, flow.SamplingAmbiguous},
		{"a card's sampler, the card named", ipfix, []option{cardSampler(1, 100), cardSampler(2, 200)},
			[]item{el(141, u32(2))}, 200, flow.SamplingPart},
		{"a sampler of one rate on two cards", ipfix, []option{cardSampler(1, 200), cardSampler(2, 200)},
			[]item{el(302, u8(1))}, 200, flow.SamplingSelector},
		{"card and port, both named", ipfix, []option{rate(2, 100, el(141, u32(1)), el(142, u32(3))),
			rate(2, 200, el(141, u32(2)), el(142, u32(3)))},
			[]item{el(142, u32(3)), el(141, u32(2))}, 200, flow.SamplingPart},
		{"card and port, the port named", ipfix,
			[]option{rate(2, 100, el(141, u32(1)), el(142, u32(3))), rate(2, 200, el(141, u32(2)), el(142, u32(3)))},
			[]item{el(142, u32(3))}, 100, flow.SamplingAmbiguous},
		{"a sampler with a name as its scope too", ipfix,
			[]option{rate(2, 100, el(302, u8(1)), el(335, text("a"))), rate(2, 50, el(302, u8(2)), el(335, text("b")))},
			[]item{el(302, u8(2))}, 50, flow.SamplingSelector},
		{"another domain's card, named", ipfix, []option{{9, 1, []item{el(141, u32(1)), el(34, u32(30))}}},
			[]item{el(141, u32(1))}, 30, flow.SamplingExporter},
		{"samplers of domains, by one of them", ipfix, []option{
			{0, 2, []item{el(149, u32(5)), el(302, u8(1)), el(34, u32(30))}},
			{0, 2, []item{el(149, u32(6)), el(302, u8(1)), el(34, u32(40))}}},
			[]item{el(302, u8(1))}, 30, flow.SamplingExporter},
		{"samplers of domains, not named", ipfix,
			[]option{{0, 2, []item{el(149, u32(6)), el(302, u8(1)), el(34, u32(40))}}}, nil, 1, flow.SamplingAssumed},
		{"one sampler in two domains with two rates", ipfix, []option{
			{6, 1, []item{el(302, u8(1)), el(34, u32(30))}}, {7, 1, []item{el(302, u8(1)), el(34, u32(40))}}},
			[]item{el(302, u8(1))}, 30, flow.SamplingAmbiguous},
	}
	for _, test := range tests {
		t.Run(test.protocol.String()+" "+test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			for _, o := range test.options {
				l.option(test.protocol, o)
			}
			items := append(slices.Clone(test.record), el(1, u32(1)))
			id := uint16(setTemplateV9)
			if test.protocol == flow.IPFIX {
				id = setTemplateIPFIX
			}
			again := newLab(t, Options{Saved: NewSaved(l.d.State())})
			for name, l := range map[string]*lab{"": l, " after a restart": again} {
				r := l.send(message(test.protocol, 5, set(id, templateOf(256, items...)),
					set(256, dataOf(items...))))[0]
				equal(t, "rate"+name, r.SamplingRate, test.rate)
				equal(t, "source"+name, r.SamplingSource, test.source)
				s := l.stream(test.protocol, 5)
				equal(t, "ambiguous"+name, s.TimesRead(exporter.SamplingAmbiguous) > 0,
					test.source == flow.SamplingAmbiguous)
				equal(t, "not matched"+name, s.TimesRead(exporter.SamplingNotMatched) > 0,
					test.source == flow.SamplingAssumed)
			}
		})
	}
}

// PSAMP: records name a selection sequence, of which one option record says the selectors, and another of each selector
// how it selects (RFC 5476 §6.5; case 71). The tables may come in any order, and from different domains.
func TestCase71_SelectionSequences(t *testing.T) {
	sequence := func(id uint64, selectors ...uint64) option {
		items := []item{el(301, u64(id)), el(10, u32(7))}
		for _, s := range selectors {
			items = append(items, el(302, u64(s)))
		}
		return option{5, 1, items}
	}
	selector := func(id uint64, items ...item) option {
		return option{5, 1,
			append([]item{el(302, u64(id))}, items...)}
	}
	counted := selector(1, el(304, u16(1)), el(305, u32(10)), el(306, u32(990)))
	random := selector(2, el(304, u16(3)), el(309, u32(2)), el(310, u32(1000)))
	probability := selector(3, el(304, u16(4)), el(311, f64(0.01)))
	filter := selector(4, el(304, u16(5)), el(8, ip("192.0.2.1")))
	hash := selector(5, el(304, u16(6)), el(329, u64(0)), el(330, u64(65535)), el(331, u64(0)), el(332, u64(255)))
	timed := selector(6, el(304, u16(2)), el(307, u32(10)), el(308, u32(990)))
	both := selector(7, el(304, u16(3)), el(305, u32(1)), el(306, u32(0)), el(309, u32(1)), el(310, u32(64)))
	elsewhere := counted
	elsewhere.domain = 0
	all := []option{counted, random, probability, filter, hash, timed, both}
	tests := []struct {
		name    string
		options []option
		rate    uint32
		source  flow.SamplingSource
	}{
		{"systematic", append([]option{sequence(9, 1)}, all...), 100, flow.SamplingSelector},
		{"the selectors first", append(all, sequence(9, 1)), 100, flow.SamplingSelector},
		{"n out of N", append(all, sequence(9, 2)), 500, flow.SamplingSelector},
		{"uniform probability", append(all, sequence(9, 3)), 100, flow.SamplingSelector},
		{"a filter, then a sampler", append(all, sequence(9, 4, 2)), 500, flow.SamplingSelector},
		{"two samplers", append(all, sequence(9, 1, 2)), 50_000, flow.SamplingSelector},
		{"a hash", append(all, sequence(9, 5)), 256, flow.SamplingSelector},
		{"the algorithm decides", append(all, sequence(9, 7)), 64, flow.SamplingSelector},
		{"time-based cannot be scaled", append(all, sequence(9, 6)), 1, flow.SamplingAssumed},
		{"another sequence", append(all, sequence(8, 1)), 1, flow.SamplingAssumed},
		{"a selector that nobody described", []option{sequence(9, 1)}, 1, flow.SamplingAssumed},
		{"a selector of another domain", []option{sequence(9, 1), elsewhere}, 100, flow.SamplingSelector},
		{"a sequence of another domain", []option{{0, 1, sequence(9, 1).items}, elsewhere}, 100, flow.SamplingExporter},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			for _, o := range test.options {
				l.option(flow.IPFIX, o)
			}
			items := []item{el(301, u64(9)), el(313, packet4()), el(12, ip("192.0.2.9"))}
			again := newLab(t, Options{Saved: NewSaved(l.d.State())})
			for _, l := range []*lab{l, again} {
				r := l.send(message(flow.IPFIX, 5, set(2, templateOf(256, items...)), set(256, dataOf(items...))))[0]
				equal(t, "rate", r.SamplingRate, test.rate)
				equal(t, "source", r.SamplingSource, test.source)
			}
			equal(t, "not matched", again.stream(flow.IPFIX, 5).TimesRead(exporter.SamplingNotMatched) > 0,
				test.source == flow.SamplingAssumed)
		})
	}
}

func packet4() []byte {
	return slices.Concat([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0}, ip("192.0.2.1"), ip("192.0.2.9"), u16(1),
		u16(2), u16(8), u16(0))
}

// A table says the sampler of each interface, another the rate of each sampler (case 72).
func TestCase72_SamplersOfInterfaces(t *testing.T) {
	for _, p := range both {
		scope := func(index uint16) item { return el(2, u16(index)) }
		system := el(1, u32(0))
		if p == flow.IPFIX {
			scope, system = func(index uint16) item { return el(10, u16(index)) }, el(144, u32(1))
		}
		interfaces := []option{{5, 1, []item{scope(10), el(48, u8(1))}}, {5, 1, []item{scope(11), el(48, u8(2))}}}
		samplers := []option{{5, 1, []item{system, el(48, u8(1)), el(50, u32(1000))}},
			{5, 1, []item{system, el(48, u8(2)), el(50, u32(100))}}}
		other := []option{{0, 1, samplers[0].items}, {0, 1, samplers[1].items}}
		for name, options := range map[string][]option{
			"interfaces first":           slices.Concat(interfaces, samplers),
			"samplers first":             slices.Concat(samplers, interfaces),
			"samplers of another domain": slices.Concat(interfaces, other),
		} {
			t.Run(p.String()+" "+name, func(t *testing.T) {
				l := newLab(t, Options{})
				for _, o := range options {
					l.option(p, o)
				}
				id := uint16(setTemplateV9)
				if p == flow.IPFIX {
					id = setTemplateIPFIX
				}
				again := newLab(t, Options{Saved: NewSaved(l.d.State())})
				for _, l := range []*lab{l, again} {
					for index, want := range map[uint32]uint32{10: 1000, 11: 100, 12: 1} {
						items := append(v4Flow(), el(10, u32(index)), el(14, u32(99)))
						r := l.send(message(p, 5, set(id, templateOf(256, items...)), set(256, dataOf(items...))))[0]
						equal(t, "rate", r.SamplingRate, want)
						equal(t, "by the interface", r.SamplingSource == flow.SamplingInterface, want > 1)
						items = append(v4Flow(), el(10, u32(99)), el(14, u32(index)), el(61, u8(1)))
						r = l.send(message(p, 5, set(id, templateOf(257, items...)), set(257, dataOf(items...))))[0]
						equal(t, "rate at egress", r.SamplingRate, want)
					}
				}
			})
		}
	}
}
