package netflow

import (
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Rates of parts that are not announced any more are forgotten like templates, if the exporter repeats others (case
// 70).
func TestCase70_RatesThatAreNotRepeated(t *testing.T) {
	card := func(domain, card, rate uint32) option {
		return option{domain, 1, []item{el(141, u32(card)), el(34, u32(rate))}}
	}
	port := func(index, rate uint32) option { return option{5, 1, []item{el(10, u32(index)), el(34, u32(rate))}} }
	vrf := func(id, rate uint32) option { return option{5, 1, []item{el(234, u32(id)), el(34, u32(rate))}} }
	sampler := func(id, rate uint32) option { return option{5, 1, []item{el(302, u32(id)), el(34, u32(rate))}} }
	onCard := func(card, rate uint32) option {
		return option{5, 2, []item{el(141, u32(card)), el(302, u8(1)), el(34, u32(rate))}}
	}
	domain := func(of, rate uint32) option { return option{0, 1, []item{el(149, u32(of)), el(34, u32(rate))}} }
	joined := func(index, id uint32) option { return option{5, 1, []item{el(10, u32(index)), el(302, u32(id))}} }
	whole := option{5, 1, []item{el(144, u32(1)), el(34, u32(9))}}
	tests := []struct {
		name            string
		once, repeated  []option
		record          []item
		before, after   uint32
		forgotten       uint64
		withoutTemplate bool // the options template is not repeated either
	}{
		{"a line card", []option{card(5, 1, 100)}, []option{card(5, 2, 200)}, []item{el(141, u32(1))}, 100, 1, 1,
			false},
		{"a line card that is repeated", nil, []option{card(5, 1, 100), card(5, 2, 200)}, []item{el(141, u32(1))}, 100,
			100, 0, false},
		{"an interface", []option{port(7, 100)}, []option{port(8, 50)}, []item{el(10, u32(7))}, 100, 1, 1, false},
		{"a VRF", []option{vrf(1, 100)}, []option{vrf(2, 50)}, []item{el(234, u32(1))}, 100, 1, 1, false},
		{"a sampler", []option{sampler(1, 100)}, []option{sampler(2, 50)}, []item{el(302, u32(1))}, 100, 1, 1, false},
		{"a sampler of a card", []option{onCard(1, 100)}, []option{onCard(2, 50)}, []item{el(302, u8(1)),
			el(141, u32(1))}, 100, 50, 1, false},
		{"the sampler of an interface", []option{joined(7, 1)}, []option{sampler(1, 50), joined(8, 1)},
			[]item{el(10, u32(7))}, 50, 50, 1, false},
		{"the domain, beside cards", []option{whole}, []option{card(5, 2, 200)}, nil, 9, 200, 1, false},
		{"a rate that comes to differ no more", []option{card(5, 1, 100)}, []option{card(5, 2, 200)}, nil, 100, 200, 1,
			false},
		{"this domain, named by another", []option{domain(5, 100)}, []option{domain(6, 50)}, nil, 100, 1, 0, false},
		{"said once, as all of them", []option{card(5, 1, 100), card(5, 2, 200)}, nil, []item{el(141, u32(1))}, 100,
			100,
			0, false},
		{"the template is gone too", []option{card(5, 1, 100), card(5, 2, 200)}, nil, []item{el(141, u32(1))}, 100, 1,
			2,
			true},
		{"of the domain, the template is gone too", []option{whole}, nil, nil, 9, 1, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			items := append(slices.Clone(test.record), v4Flow()...)
			rate := func() uint32 {
				return l.send(message(flow.IPFIX, 5, set(2, templateOf(256, items...)),
					set(256, dataOf(items...))))[0].SamplingRate
			}
			for _, o := range slices.Concat(test.once, test.repeated) {
				l.option(flow.IPFIX, o)
			}
			equal(t, "rate", rate(), test.before)
			for range 26 { // hours
				l.wait(time.Hour)
				if len(test.once) > 0 && !test.withoutTemplate {
					o := test.once[0]
					l.send(message(flow.IPFIX, 5, set(3, optionsIPFIX(300, o.scopes, o.items...))))
				}
				for _, o := range test.repeated {
					l.option(flow.IPFIX, o)
				}
				rate()
			}
			l.wait(time.Second)
			equal(t, "rate a day later", rate(), test.after)
			equal(t, "forgotten", l.stream(flow.IPFIX, 5).TimesRead(exporter.SamplingForgotten), test.forgotten)
		})
	}
}

// Of more different rates than are counted the lowest are known, and when they come to agree, that is known too.
func TestCase70_ManyRatesOfParts(t *testing.T) {
	l := newLab(t, Options{})
	learn := func(card, rate uint32) {
		l.option(flow.IPFIX, option{5, 1, []item{el(141, u32(card)), el(34, u32(rate))}})
	}
	rate := func() (uint32, flow.SamplingSource) {
		r := l.send(message(flow.IPFIX, 5, set(2, templateOf(256, v4Flow()...)), set(256, dataOf(v4Flow()...))))[0]
		return r.SamplingRate, r.SamplingSource
	}
	const cards = 2 * maxDistinct
	for card := range uint32(cards) {
		learn(card, 1000-card)
		lowest, _ := rate()
		equal(t, "the lowest rate", lowest, 1000-card)
	}
	for card := range uint32(cards) {
		learn(card, 500)
		lowest, source := rate()
		equal(t, "the lowest rate", lowest, 500)
		equal(t, "source", source, flow.SamplingAmbiguous)
	}
	l.wait(time.Minute)
	agreed, source := rate()
	equal(t, "rate", agreed, 500)
	equal(t, "source of a rate that all have", source, flow.SamplingInferred)
}

// What is forgotten leaves nothing behind, and what is left is found.
func TestRatesAreForgottenWhole(t *testing.T) {
	var s samplingRates
	for i := range uint64(300) {
		now := uint32(100 + i)
		s.learn(&scope{{bySampler, i}}, 10+uint32(i), false, now)
		s.learn(&scope{{byInterface, i}, {byCard, i % 3}}, 20, false, now)
		s.join(scopeKey{byInterface, i}, selectors{ids: [maxSelectors]uint64{i}, n: 1}, now)
	}
	s.learn(&scope{{bySampler, 0}}, 10, false, 1000) // the first one again
	equal(t, "forgotten", s.forget(350), 249+2*250)
	equal(t, "oldest", s.oldest, 350)
	equal(t, "left", s.count(), 51+2*50)
	equal(t, "rate of the first", s.get(&scope{{bySampler, 0}}), 10)
	equal(t, "rate of a card", s.shared[scopeKey{byCard, 0}].agreed().sure(), 20)
	equal(t, "forgotten at last", s.forget(2000), 51+2*50)
	equal(t, "left of shared ones", len(s.shared), 0)
	for _, sh := range s.shapes {
		equal(t, "scopes of a shape", sh.n, 0)
		equal(t, "rates of a shape", sh.rates.n, 0)
	}
	equal(t, "bytes", s.bytes(), 0)
	equal(t, "has samplers", s.hasSampler(), false)
}
