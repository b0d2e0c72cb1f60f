package netflow

import (
	"math"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

func f64(f float64) []byte { return u64(math.Float64bits(f)) }
func f32(f float32) []byte { return u32(math.Float32bits(f)) }

// learn sends an option record whose first item is the scope.
func (l *lab) learn(p flow.Protocol, items ...item) {
	h := header{exportS: exportS, uptime: testUptime}
	if p == flow.NetFlowV9 {
		l.send(v9(h, set(setOptionsV9, optionsV9(300, 1, items...)), set(300, dataOf(items...))))
		return
	}
	l.send(ipfix(h, set(setOptionsIPFIX, optionsIPFIX(300, 1, items...)), set(300, dataOf(items...))))
}

func TestCase16_SamplersOfNetFlow9(t *testing.T) {
	system := el(1, u32(0)) // scope System
	tests := []struct {
		name   string
		option []item
		record []item
		rate   uint32
		source flow.SamplingSource
	}{
		{"sampler of 1 byte", []item{system, el(48, u8(3)), el(49, u8(2)), el(50, u32(100))}, []item{el(48, u8(3))},
			100, flow.SamplingSelector},
		{"sampler of 2 bytes", []item{system, el(48, u16(300)), el(50, u32(100))}, []item{el(48, u16(300))}, 100,
			flow.SamplingSelector},
		{"sampler of 4 bytes", []item{system, el(48, u32(70_000)), el(50, u32(100))}, []item{el(48, u32(70_000))}, 100,
			flow.SamplingSelector},
		{"1 byte in options, 4 in records", []item{system, el(48, u8(3)), el(50, u32(100))}, []item{el(48, u32(3))},
			100, flow.SamplingSelector},
		{"another sampler", []item{system, el(48, u8(3)), el(50, u32(100))}, []item{el(48, u8(4))}, 1,
			flow.SamplingAssumed},
		{"sampler 0 of a Cisco 7600", []item{system, el(48, u8(3)), el(50, u32(100))}, []item{el(48, u8(0))}, 100,
			flow.SamplingInferred},
		{"34 in the record", []item{system, el(48, u8(3)), el(50, u32(100))}, []item{el(48, u8(3)), el(34, u32(7))}, 7,
			flow.SamplingRecord},
		{"34 of 0 in the record", []item{system, el(48, u8(3)), el(50, u32(100))},
			[]item{el(48, u8(3)), el(34, u32(0))}, 100, flow.SamplingSelector},
		{"34 of all ones is unknown", []item{system, el(48, u8(3)), el(50, u32(100))},
			[]item{el(48, u8(3)), el(34, u32(math.MaxUint32))}, 100, flow.SamplingSelector},
		{"all ones in options", []item{system, el(34, u32(math.MaxUint32))}, nil, 1, flow.SamplingAssumed},
		{"all ones of 2 bytes are a rate", []item{system, el(34, u16(math.MaxUint16))}, nil, math.MaxUint16,
			flow.SamplingDomain},
		{"34 of the whole exporter", []item{system, el(34, u32(128)), el(35, u8(2))}, nil, 128, flow.SamplingDomain},
		{"scope Interface", []item{el(2, u16(9)), el(34, u32(64))}, []item{el(10, u32(9))}, 64, flow.SamplingInterface},
		{"scope Interface, another one", []item{el(2, u16(9)), el(34, u32(64))}, []item{el(10, u32(8))}, 1,
			flow.SamplingAssumed},
		{"nothing", nil, nil, 1, flow.SamplingAssumed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			if test.option != nil {
				l.learn(flow.NetFlowV9, test.option...)
			}
			r := l.one(flow.NetFlowV9, append(slices.Clone(test.record), el(1, u32(1)))...)
			equal(t, "rate", r.SamplingRate, test.rate)
			equal(t, "source", r.SamplingSource, test.source)
		})
	}
}

func TestCase33_SamplingOfIPFIX(t *testing.T) {
	domain := el(149, u32(0))
	tests := []struct {
		name   string
		option []item
		record []item
		rate   uint32
		source flow.SamplingSource
	}{
		{"selector of 1 byte", []item{el(302, u8(5)), el(305, u32(1)), el(306, u32(99))}, []item{el(302, u8(5))}, 100,
			flow.SamplingSelector},
		{"selector of 2 bytes", []item{el(302, u16(500)), el(305, u32(1)), el(306, u32(99))}, []item{el(302, u16(500))},
			100, flow.SamplingSelector},
		{"selector of 4 bytes", []item{el(302, u32(1<<20)), el(305, u32(1)), el(306, u32(99))},
			[]item{el(302, u32(1<<20))}, 100, flow.SamplingSelector},
		{"selector of 8 bytes", []item{el(302, u64(1<<40)), el(305, u32(1)), el(306, u32(99))},
			[]item{el(302, u64(1<<40))}, 100, flow.SamplingSelector},
		{"8 bytes in options, 1 in records", []item{el(302, u64(5)), el(34, u32(100))}, []item{el(302, u8(5))}, 100,
			flow.SamplingSelector},
		{"ids that agree in 32 bits are two", []item{el(302, u64(1<<40|5)), el(34, u32(100))}, []item{el(302, u64(5))},
			1, flow.SamplingAssumed},
		{"ingress interface", []item{el(10, u32(7)), el(34, u32(20))}, []item{el(10, u32(7))}, 20,
			flow.SamplingInterface},
		{"the whole domain", []item{domain, el(34, u32(20))}, nil, 20, flow.SamplingDomain},
		{"305 and 306", []item{domain, el(304, u16(1)), el(305, u32(10)), el(306, u32(990))}, nil, 100,
			flow.SamplingDomain},
		{"305 and 306, rounded", []item{domain, el(305, u32(3)), el(306, u32(7))}, nil, 3, flow.SamplingDomain},
		{"305 with a space of 0 takes all", []item{domain, el(305, u32(10)), el(306, u32(0))}, nil, 1,
			flow.SamplingDomain},
		{"305 alone", []item{domain, el(305, u32(1000))}, nil, 1000, flow.SamplingDomain},
		{"306 of all ones is unknown", []item{domain, el(305, u32(100)), el(306, u32(math.MaxUint32))}, nil, 100,
			flow.SamplingDomain},
		{"310 of all ones is unknown", []item{domain, el(309, u32(1)), el(310, u64(math.MaxUint64))}, nil, 1,
			flow.SamplingAssumed},
		{"flows: 396 and 397", []item{el(302, u32(5)), el(390, u16(1)), el(396, u32(1)), el(397, u32(19))},
			[]item{el(302, u32(5))}, 20, flow.SamplingSelector},
		{"flows: 309 of 310", []item{el(302, u32(5)), el(390, u16(3)), el(309, u32(1)), el(310, u32(20))},
			[]item{el(302, u32(5))}, 20, flow.SamplingSelector},
		{"flows: the algorithm decides", []item{domain, el(390, u16(3)), el(397, u32(9)), el(310, u32(20))}, nil, 20,
			flow.SamplingDomain},
		{"flows: time-based cannot be scaled", []item{domain, el(390, u16(2)), el(398, u64(10)), el(399, u64(990))},
			nil, 1, flow.SamplingAssumed},
		{"309 of 310", []item{domain, el(304, u16(3)), el(309, u32(2)), el(310, u32(1000))}, nil, 500,
			flow.SamplingDomain},
		{"311 as float64", []item{domain, el(304, u16(4)), el(311, f64(0.001))}, nil, 1000, flow.SamplingDomain},
		{"311 as float32", []item{domain, el(311, f32(0.125))}, nil, 8, flow.SamplingDomain},
		{"311 that is no probability", []item{domain, el(311, f64(math.NaN()))}, nil, 1, flow.SamplingAssumed},
		{"311 above 1", []item{domain, el(311, f64(2))}, nil, 1, flow.SamplingAssumed},
		{"time-based cannot be scaled", []item{domain, el(304, u16(2)), el(307, u32(10)), el(308, u32(990))}, nil, 1,
			flow.SamplingAssumed},
		{"50 beside its mode", []item{domain, el(49, u8(1)), el(50, u32(256))}, nil, 256, flow.SamplingDomain},
		{"a rate of more than 32 bits", []item{domain, el(34, u64(1<<40|1<<20))}, nil, math.MaxUint32,
			flow.SamplingDomain},
		{"305 and 306 in the record", []item{domain, el(34, u32(20))}, []item{el(305, u32(1)), el(306, u32(9))}, 10,
			flow.SamplingRecord},
		{"50 in the record", []item{domain, el(34, u32(20))}, []item{el(50, u32(30))}, 30, flow.SamplingRecord},
		{"unknown selector, known domain", []item{domain, el(34, u32(20))}, []item{el(302, u32(77))}, 20,
			flow.SamplingDomain},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{})
			l.learn(flow.IPFIX, test.option...)
			r := l.one(flow.IPFIX, append(slices.Clone(test.record), el(1, u32(1)))...)
			equal(t, "rate", r.SamplingRate, test.rate)
			equal(t, "source", r.SamplingSource, test.source)
		})
	}
}

func TestCase33_OrderOfSources(t *testing.T) {
	l := newLab(t, Options{})
	l.learn(flow.IPFIX, el(149, u32(0)), el(34, u32(10)))
	l.learn(flow.IPFIX, el(10, u32(7)), el(34, u32(20)))
	l.learn(flow.IPFIX, el(302, u32(5)), el(34, u32(30)))
	rate := func(want uint32, source flow.SamplingSource, items ...item) {
		t.Helper()
		r := l.one(flow.IPFIX, append(items, el(1, u32(1)))...)
		equal(t, "rate", r.SamplingRate, want)
		equal(t, "source", r.SamplingSource, source)
	}
	rate(40, flow.SamplingRecord, el(34, u32(40)), el(302, u32(5)), el(10, u32(7)))
	rate(30, flow.SamplingSelector, el(302, u32(5)), el(10, u32(7)))
	rate(20, flow.SamplingInterface, el(302, u32(6)), el(10, u32(7)))
	rate(10, flow.SamplingDomain, el(302, u32(6)), el(10, u32(8)))
	l.learn(flow.IPFIX, el(302, u32(5)), el(34, u32(31)))
	rate(31, flow.SamplingSelector, el(302, u32(5)))
	s := l.stream(flow.IPFIX, 0)
	equal(t, "rate of the stream", s.SamplingRate.Load(), 31)
	equal(t, "source of the stream", flow.SamplingSource(s.SamplingSource.Load()), flow.SamplingSelector)
}

func TestCase33_DomainsDoNotShareRates(t *testing.T) {
	l := newLab(t, Options{})
	l.learn(flow.IPFIX, el(149, u32(0)), el(34, u32(10)))
	items := v4Flow()
	r := l.send(ipfix(header{exportS: exportS, domain: 2}, set(2, templateOf(256, items...)),
		set(256, dataOf(items...))))
	equal(t, "rate", r[0].SamplingRate, 1)
}

func TestCase33_OverridesWin(t *testing.T) {
	source := ip128("192.0.2.1")
	tests := []struct {
		name string
		list []exporter.Override
		rate [2]uint32 // of interfaces 7 and 8
		by   [2]flow.SamplingSource
	}{
		{"exporter", []exporter.Override{{Exporter: source, AnyInterface: true, Rate: 99}}, [2]uint32{99, 99},
			[2]flow.SamplingSource{flow.SamplingOverride, flow.SamplingOverride}},
		{"interface", []exporter.Override{{Exporter: source, Interface: 7, Rate: 99}}, [2]uint32{99, 40},
			[2]flow.SamplingSource{flow.SamplingOverride, flow.SamplingRecord}},
		{"both", []exporter.Override{{Exporter: source, Interface: 7, Rate: 99},
			{Exporter: source, AnyInterface: true, Rate: 11}},
			[2]uint32{99, 11}, [2]flow.SamplingSource{flow.SamplingOverride, flow.SamplingOverride}},
		{"another exporter", []exporter.Override{{Exporter: ip128("192.0.2.9"), AnyInterface: true, Rate: 99}},
			[2]uint32{40, 40},
			[2]flow.SamplingSource{flow.SamplingRecord, flow.SamplingRecord}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{Overrides: exporter.NewOverrides(test.list)})
			for i, port := range []uint32{7, 8} {
				r := l.one(flow.IPFIX, el(10, u32(port)), el(34, u32(40)), el(1, u32(1)))
				equal(t, "rate", r.SamplingRate, test.rate[i])
				equal(t, "source", r.SamplingSource, test.by[i])
			}
		})
	}
	t.Run("NetFlow v5", func(t *testing.T) {
		l := newLab(t,
			Options{Overrides: exporter.NewOverrides([]exporter.Override{{Exporter: source, AnyInterface: true,
				Rate: 99}})})
		r := l.send(v5(v5Header{count: -1, sampling: 5}, v5Flow{}))[0]
		equal(t, "rate", r.SamplingRate, 99)
		equal(t, "source", r.SamplingSource, flow.SamplingOverride)
	})
}

func TestCase34_OptionsAfterDataMarkTheRateAssumed(t *testing.T) {
	l := newLab(t, Options{})
	record := append(v4Flow(), el(302, u32(5)))
	r := l.one(flow.IPFIX, record...)
	equal(t, "source before", r.SamplingSource, flow.SamplingAssumed)
	l.learn(flow.IPFIX, el(302, u32(5)), el(34, u32(30)))
	r = l.one(flow.IPFIX, record...)
	equal(t, "source after", r.SamplingSource, flow.SamplingSelector)
	equal(t, "rate after", r.SamplingRate, 30)
}

func TestSamplersAreBounded(t *testing.T) {
	var s samplingRates
	sampler := func(id uint64) *scope { return &scope{{bySampler, id}} }
	port := func(index uint32) *scope { return &scope{{byInterface, interfaceID(index, false)}} }
	of := func(id uint64) *scope { return &scope{{bySampler, id}, {byCard, id % 3}} }
	for i := range uint64(2 * maxSamplers) {
		for _, one := range []*scope{sampler(i), port(uint32(i)), of(i)} {
			s.learn(one, 10+uint32(i%100), false, 1)
		}
		s.join(scopeKey{byInterface, i}, selectors{ids: [maxSelectors]uint64{i}, n: 1}, 1)
	}
	equal(t, "samplers and interfaces", len(s.single), 2*maxSamplers)
	equal(t, "samplers of cards", len(s.several), maxSamplers)
	equal(t, "joins", len(s.joins), maxSamplers)
	// Those that are known can still change.
	for _, one := range []*scope{sampler(1), port(1), of(1)} {
		s.learn(one, 20, false, 2)
		equal(t, "new rate of "+one.String(), s.get(one), 20)
	}
	for i := range uint64(2 * maxShapes) {
		s.set(&scope{{byTemplate, i}, {scopeKind(i%8) + byInterface, 1}}, 1, 1)
	}
	if len(s.shapes) > maxShapes {
		t.Errorf("%d shapes", len(s.shapes))
	}
}

// What an option record says of an interface and its sampler holds for records that name either, and a scope of NetFlow
// v9 may be an element as in IPFIX.
func TestCase63_SamplerOfAnInterface(t *testing.T) {
	for name, scope := range map[string]uint16{"scope Interface": scopeInterface, "scope ingressInterface": 10} {
		l := newLab(t, Options{})
		for n, rate := range []uint32{1000, 100} {
			l.send(v9(header{exportS: exportS}, set(1,
				optionsV9(400, 1, el(scope, u32(uint32(10+n))), el(48, u8(uint8(n+1))), el(50, u32(rate)))),
				set(400, u32(uint32(10+n)), u8(uint8(n+1)), u32(rate))))
		}
		for n, rate := range []uint32{1000, 100} {
			got := l.one(flow.NetFlowV9, el(8, u32(1)), el(12, u32(2)), el(1, u32(9)), el(10, u32(uint32(10+n))))
			equal(t, name+", rate", got.SamplingRate, rate)
			got = l.one(flow.NetFlowV9, el(8, u32(1)), el(12, u32(2)), el(1, u32(9)), el(48, u8(uint8(2-n))),
				el(10, u32(uint32(10+n))))
			equal(t, name+", rate of the sampler that is named", got.SamplingRate, []uint32{100, 1000}[n])
		}
	}
}
