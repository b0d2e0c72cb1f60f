package enrich

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

const none64 = uint64(flow.Unsupported)

// sample is the counters of interface 7 of a switch so many seconds after it was first heard: every counter of packets
// has the same value.
func sample(seconds int64, octets, packets uint64) *flow.InterfaceCounters {
	d := flow.DirectionCounters{Octets: octets, Unicast: packets, Multicast: packets, Broadcast: packets,
		Discards: packets, Errors: packets}
	return &flow.InterfaceCounters{
		Exporter: flow.AddrFrom(netip.MustParseAddr("192.0.2.1")),
		Received: (1_700_000_000+seconds)*int64(time.Second) + 5e8,
		UptimeMs: uint32(1_000_000 + seconds*1000), Sequence: uint32(100 + seconds/30), Index: 7, AdminUp: true,
		OperUp: true, In: d, Out: d,
	}
}

// counts is a row's counts in both directions.
func counts(bits, packets uint64) TrafficCounts {
	return TrafficCounts{Bits: bits, Discards: packets, Errors: packets, Broadcast: packets, Unicast: packets,
		Multicast: packets}
}

func metadata(t *testing.T) *Snapshot {
	t.Helper()
	b := NewBuilder()
	b.AddDevice(Device{ID: "switch1", Ref: "switch1__v1", Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	b.AddInterface(MetaInterface{ID: "switch1::eth7", Ref: "switch1::eth7__v2", DeviceID: "switch1", FlowIndex: 7,
		HasFlowIndex: true})
	s, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMeter(t *testing.T) {
	type row struct {
		start, end int64 // seconds after the first sample
		in         TrafficCounts
	}
	change := func(c *flow.InterfaceCounters, f func(*flow.InterfaceCounters)) *flow.InterfaceCounters {
		f(c)
		return c
	}
	noOctets := func(c *flow.InterfaceCounters) { c.In.Octets, c.Out.Octets = none64, none64 }
	for name, test := range map[string]struct {
		samples []*flow.InterfaceCounters
		want    []row
	}{
		"the first gives no row": {samples: []*flow.InterfaceCounters{sample(0, 1000, 10)}},
		"growth": {
			samples: []*flow.InterfaceCounters{sample(0, 1000, 10), sample(30, 2500, 12), sample(60, 2500, 12)},
			want:    []row{{0, 30, counts(12_000, 2)}, {30, 60, counts(0, 0)}},
		},
		"packets wrap at 32 bits, octets do not": {
			samples: []*flow.InterfaceCounters{sample(0, 1<<32-1, 1<<32-3), sample(30, 1<<32+1, 2)},
			want:    []row{{0, 30, counts(16, 5)}},
		},
		"bits that have no room": {
			samples: []*flow.InterfaceCounters{sample(0, 0, 0), sample(30, 1<<62, 0)},
			want:    []row{{0, 30, counts(none64, 0)}}, // the largest value is NULL's: never seen
		},
		"octets that fell began anew": {
			samples: []*flow.InterfaceCounters{sample(0, 1000, 10), sample(30, 100, 12), sample(60, 300, 13)},
			want:    []row{{30, 60, counts(1600, 1)}},
		},
		"the device began anew": {
			samples: []*flow.InterfaceCounters{
				sample(0, 1000, 10),
				change(sample(30, 2000, 12), func(c *flow.InterfaceCounters) { c.UptimeMs, c.Sequence = 5000, 1 }),
				change(sample(60, 2100, 15), func(c *flow.InterfaceCounters) { c.UptimeMs, c.Sequence = 35_000, 2 }),
			},
			want: []row{{30, 60, counts(800, 3)}},
		},
		"the uptime wraps": {
			samples: []*flow.InterfaceCounters{
				change(sample(0, 1000, 10), func(c *flow.InterfaceCounters) { c.UptimeMs = 1<<32 - 10_000 }),
				change(sample(30, 2000, 12), func(c *flow.InterfaceCounters) { c.UptimeMs = 20_000 }),
			},
			want: []row{{0, 30, counts(8000, 2)}},
		},
		"late": {
			samples: []*flow.InterfaceCounters{
				sample(0, 1000, 10), sample(60, 3000, 12),
				change(sample(30, 2000, 11), func(c *flow.InterfaceCounters) { c.Received += 31 * int64(time.Second) }),
				sample(90, 3000, 12),
			},
			want: []row{{0, 60, counts(16_000, 2)}, {60, 90, counts(0, 0)}},
		},
		"twice": {
			samples: []*flow.InterfaceCounters{sample(0, 1000, 10), sample(30, 2000, 11), sample(30, 2000, 11),
				sample(60, 2000, 11)},
			want: []row{{0, 30, counts(8000, 1)}, {30, 60, counts(0, 0)}},
		},
		"within a second": {
			samples: []*flow.InterfaceCounters{
				sample(0, 1000, 10), change(sample(0, 1500, 11),
					func(c *flow.InterfaceCounters) { c.UptimeMs += 400; c.Sequence++ }), sample(30, 2000, 12),
			},
			want: []row{{0, 30, counts(8000, 2)}},
		},
		"an agent that numbers nothing": {
			samples: []*flow.InterfaceCounters{
				change(sample(0, 1000, 10), func(c *flow.InterfaceCounters) { c.UptimeMs, c.Sequence = 0, 0 }),
				change(sample(30, 2000, 11), func(c *flow.InterfaceCounters) { c.UptimeMs, c.Sequence = 0, 0 }),
			},
			want: []row{{0, 30, counts(8000, 1)}},
		},
		"not heard for long": {
			samples: []*flow.InterfaceCounters{sample(0, 1000, 10), sample(3700, 9000, 90), sample(3730, 9010, 91)},
			want:    []row{{3700, 3730, counts(80, 1)}},
		},
		"what is not kept is NULL": {
			samples: []*flow.InterfaceCounters{
				change(sample(0, 1000, 10), func(c *flow.InterfaceCounters) { c.In.Broadcast = none64 }),
				change(sample(30, 2000, 11), func(c *flow.InterfaceCounters) { c.In.Errors = none64 }),
			},
			want: []row{{0, 30, TrafficCounts{Bits: 8000, Discards: 1, Errors: none64, Broadcast: none64, Unicast: 1,
				Multicast: 1}}},
		},
		"without octets a large fall began anew": {
			samples: []*flow.InterfaceCounters{
				change(sample(0, 0, 1<<31), noOctets), change(sample(30, 0, 5), noOctets),
				change(sample(60, 0, 7), noOctets),
			},
			want: []row{{30, 60, counts(none64, 2)}},
		},
		"without octets a small wrap is one": {
			samples: []*flow.InterfaceCounters{change(sample(0, 0, 1<<32-2), noOctets),
				change(sample(30, 0, 5), noOctets)},
			want: []row{{0, 30, counts(none64, 7)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := metadata(t), Meter{}
			var got []row
			for _, c := range test.samples {
				var r InterfaceTraffic
				if !m.Measure(s, c, &r) {
					continue
				}
				if r.ID != "switch1::eth7" || r.Ref != "switch1::eth7__v2" || !r.AdminUp || !r.OperUp {
					t.Errorf("row %+v", r)
				}
				got = append(got, row{r.Start - 1_700_000_000, r.End - 1_700_000_000, r.In})
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(row{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMeterNamesAndKeepsInterfacesApart(t *testing.T) {
	var m Meter
	var r InterfaceTraffic
	s := metadata(t)
	measure := func(s *Snapshot, c *flow.InterfaceCounters, f func(*flow.InterfaceCounters)) string {
		f(c)
		r = InterfaceTraffic{}
		m.Measure(s, c, &r)
		return r.ID + "|" + r.Ref
	}
	other := flow.AddrFrom(netip.MustParseAddr("2001:db8::7"))
	for name, test := range map[string]struct {
		change func(*flow.InterfaceCounters)
		want   string
	}{
		"known":             {func(*flow.InterfaceCounters) {}, "switch1::eth7|switch1::eth7__v2"},
		"unknown interface": {func(c *flow.InterfaceCounters) { c.Index = 8 }, "switch1:8|"},
		"unknown device":    {func(c *flow.InterfaceCounters) { c.Exporter = other }, "2001:db8::7:7|"},
		"of another sub-agent, too": {func(c *flow.InterfaceCounters) { c.SubAgent = 3 },
			"switch1::eth7|switch1::eth7__v2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := measure(s, sample(0, 1000, 1), test.change); got != "|" {
				t.Errorf("the first sample is compared with that of another: %s", got)
			}
			if got := measure(s, sample(30, 2000, 2), test.change); got != test.want {
				t.Errorf("named %s, want %s", got, test.want)
			}
		})
	}
	empty, err := NewBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	if got := measure(empty, sample(60, 3000, 2), func(*flow.InterfaceCounters) {}); got != "192.0.2.1:7|" {
		t.Errorf("with other metadata it is %s", got)
	}
}

// However many interfaces there are, the memory is bounded, and one that stays is measured again.
func TestMeterIsBounded(t *testing.T) {
	var m Meter
	var r InterfaceTraffic
	s := metadata(t)
	for n := range maxMetered + 100 {
		c := sample(0, 1000, 1)
		c.Index = uint32(n)
		m.Measure(s, c, &r)
	}
	if len(m.before) > maxMetered {
		t.Errorf("%d interfaces are remembered", len(m.before))
	}
	c := sample(0, 1000, 1)
	c.Index = maxMetered + 99
	next := func() bool {
		c.Received += 30 * int64(time.Second)
		c.UptimeMs += 30_000
		c.Sequence++
		return m.Measure(s, c, &r)
	}
	if !next() {
		t.Error("the latest is forgotten")
	}
	if n := testing.AllocsPerRun(10, func() { next() }); n > 0 {
		t.Errorf("%v allocations a sample", n)
	}
}

// A source that sends counters of more interfaces than are kept forgets its own; those of a device that behaves are
// measured on.
func TestMeter_aFloodCostsOthersNothing(t *testing.T) {
	s, err := NewBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	good := flow.AddrFrom(netip.MustParseAddr("192.0.2.1"))
	for name, forged := range map[string]func(i uint32) flow.InterfaceCounters{
		"one source": func(i uint32) flow.InterfaceCounters {
			return flow.InterfaceCounters{Source: flow.AddrFrom(netip.MustParseAddr("192.0.2.66")),
				Exporter: flow.AddrFrom(netip.MustParseAddr("192.0.2.66")), Index: i}
		},
		"many sources and devices": func(i uint32) flow.InterfaceCounters {
			a := flow.AddrFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
			return flow.InterfaceCounters{Source: a, Exporter: a, Index: 1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := Meter{Limit: 4096}
			var row InterfaceTraffic
			rows, n := 0, uint32(0)
			for round := range 10 {
				now := int64(round) * 20 * int64(time.Second)
				for i := range uint32(100) {
					c := flow.InterfaceCounters{
						Exporter: good, Source: good, Index: i, Received: now, UptimeMs: uint32(round * 20000),
						Sequence: uint32(round),
						In:       flow.DirectionCounters{Octets: uint64(round)},
					}
					if m.Measure(s, &c, &row) {
						rows++
					}
				}
				for range 3 * m.Limit {
					n++
					c := forged(n)
					c.Received = now + 1e9
					m.Measure(s, &c, &row)
				}
				if len(m.before) > m.Limit || m.room.Used() != len(m.before) || len(m.sources) > m.Limit {
					t.Fatalf("%d interfaces of %d sources are kept, %d on the account", len(m.before), len(m.sources),
						m.room.Used())
				}
			}
			// Sources that have counted once are not distinguished: some of the first round may be lost.
			if rows < 800 {
				t.Errorf("%d rows of the good device, want 900 or nearly so", rows)
			}
			if m.Evicted() == 0 {
				t.Error("no eviction is counted")
			}
		})
	}
}
