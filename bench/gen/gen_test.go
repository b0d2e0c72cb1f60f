package gen

import (
	"bytes"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// seen is what our decoder finds in generated datagrams.
type seen struct {
	flows, six, datagrams, largest int
	hosts                          map[flow.Addr]int
	exporters                      map[flow.Addr]int
	rates                          map[uint32]int
	interfaces                     map[uint32]int
	ways                           map[flow.Addr]map[way]bool
	early, late                    int64 // of flows' ends, from the start of the capture, in milliseconds
	lost                           uint64
	failures                       []string
	templates                      uint64
}

// way is where flows of a source come in.
type way struct {
	exporter flow.Addr
	in       uint32
}

func decode(t *testing.T, o Options) seen {
	t.Helper()
	s := seen{
		hosts: map[flow.Addr]int{}, exporters: map[flow.Addr]int{}, rates: map[uint32]int{},
		interfaces: map[uint32]int{}, ways: map[flow.Addr]map[way]bool{},
		early: math.MaxInt64, late: math.MinInt64,
	}
	d := decoder.New(decoder.Options{})
	b := flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			s.add(&records[i])
		}
	})
	err := Each(o, func(dg exporter.Datagram) error {
		s.datagrams++
		s.largest = max(s.largest, len(dg.Payload))
		d.Decode(&dg, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Discard()
	for _, stream := range d.Exporters().Streams() {
		s.lost += stream.Lost.Load() + stream.Reordered.Load() + stream.Duplicated.Load() + stream.Restarts.Load() +
			stream.SamplesLost.Load()
		s.templates += stream.Templates.Load()
		for _, reason := range exporter.Reasons() {
			if stream.Failed(reason) > 0 {
				s.failures = append(s.failures, reason.String())
			}
		}
	}
	return s
}

func (s *seen) add(r *flow.Record) {
	s.flows++
	if r.IPVersion == 6 {
		s.six++
	}
	s.hosts[r.SrcAddr]++
	s.hosts[r.DstAddr]++
	s.exporters[r.Exporter]++
	s.rates[r.SamplingRate]++
	s.interfaces[r.InIf]++
	if s.ways[r.SrcAddr] == nil {
		s.ways[r.SrcAddr] = map[way]bool{}
	}
	s.ways[r.SrcAddr][way{r.Exporter, r.InIf}] = true
	s.early, s.late = min(s.early, r.EndMs-start.UnixMilli()), max(s.late, r.EndMs-start.UnixMilli())
}

func TestEach_isWhatWasAskedFor(t *testing.T) {
	base := Options{Flows: 20_000, Hosts: 3_000, Zipf: 1.1, Seed: 7, Start: start}
	with := func(p flow.Protocol, change func(*Options)) Options {
		o := base
		o.Protocol = p
		change(&o)
		return o
	}
	none := func(*Options) {}
	mixed := func(o *Options) { o.IPv6, o.Exporters, o.Sampling = 0.3, 7, 1000 }
	tests := []struct {
		name string
		o    Options
	}{
		{"v5", with(flow.NetFlowV5, none)},
		{"v5, sampled, many exporters", with(flow.NetFlowV5, func(o *Options) { o.Exporters, o.Sampling = 11, 512 })},
		{"v9", with(flow.NetFlowV9, none)},
		{"v9 of 8 fields", with(flow.NetFlowV9, func(o *Options) { o.Fields = 8 })},
		{"v9 of 30 fields, mixed", with(flow.NetFlowV9, func(o *Options) { mixed(o); o.Fields = 30 })},
		{"v9, mixed, hosts all alike", with(flow.NetFlowV9, func(o *Options) { mixed(o); o.Zipf = 0 })},
		{"v9, all IPv6", with(flow.NetFlowV9, func(o *Options) { o.IPv6 = 1 })},
		{"v9, 5 in a datagram", with(flow.NetFlowV9, func(o *Options) { mixed(o); o.PerDatagram = 5 })},
		{"IPFIX", with(flow.IPFIX, none)},
		{"IPFIX of 8 fields", with(flow.IPFIX, func(o *Options) { o.Fields = 8 })},
		{"IPFIX of 30 fields, mixed", with(flow.IPFIX, func(o *Options) { mixed(o); o.Fields = 30 })},
		{"sFlow", with(flow.SFlow5, none)},
		{"sFlow, mixed", with(flow.SFlow5, mixed)},
		{"sFlow, all IPv6", with(flow.SFlow5, func(o *Options) { o.IPv6 = 1 })},
		{"as many hosts as can be met", with(flow.NetFlowV9, func(o *Options) { o.Hosts = 40_000 })},
		{"one flow", with(flow.IPFIX, func(o *Options) { o.Flows, o.Hosts = 1, 2 })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.o
			s := decode(t, o)
			equal(t, "flows", s.flows, o.Flows)
			equal(t, "flows of IPv6", s.six, int(math.Round(float64(o.Flows)*o.IPv6)))
			equal(t, "hosts", len(s.hosts), o.Hosts)
			equal(t, "exporters", len(s.exporters), max(1, o.Exporters))
			equal(t, "flows with the sampling rate", s.rates[max(1, o.Sampling)], o.Flows)
			equal(t, "flows that the numbers miss", s.lost, 0)
			if len(s.failures) > 0 {
				t.Errorf("the decoder counts %v", s.failures)
			}
			if s.largest > 1472 {
				t.Errorf("a datagram has %d bytes, more than one packet", s.largest)
			}
			if o.PerDatagram > 0 && s.datagrams < o.Flows/o.PerDatagram {
				t.Errorf("%d datagrams", s.datagrams)
			}
			if flows := float64(o.Flows) / 100_000 * 1000; s.early < -2100 || s.late > int64(flows)+1 {
				t.Errorf("flows end %d to %d ms after the start of a capture of %.0f ms", s.early, s.late, flows)
			}
			if o.Flows > 1 && o.Fields != minFields {
				equal(t, "interfaces", len(s.interfaces), interfaces)
			}
			for a, n := range s.exporters {
				if o.Exporters > 1 && (n < o.Flows/o.Exporters/2 || n > 2*o.Flows/o.Exporters) {
					t.Errorf("%d flows of exporter %v", n, a)
				}
			}
		})
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Some hosts are met far more often than others, or all about as often.
func TestEach_locality(t *testing.T) {
	share := func(zipf float64) float64 {
		s := decode(t, Options{Protocol: flow.NetFlowV9, Flows: 50_000, Hosts: 10_000, Zipf: zipf, Seed: 1,
			Start: start})
		counts := make([]int, 0, len(s.hosts))
		for _, n := range s.hosts {
			counts = append(counts, n)
		}
		slices.Sort(counts)
		top := 0
		for _, n := range counts[len(counts)-100:] {
			top += n
		}
		return float64(top) / float64(2*s.flows)
	}
	if alike := share(0); alike > 0.03 {
		t.Errorf("the 100 of 10,000 hosts met most often are met in %.3f of all cases, want about 0.02", alike)
	}
	mild, steep := share(1.05), share(1.5)
	if mild < 0.3 || steep < mild+0.1 {
		t.Errorf("the 100 of 10,000 hosts met most often are met in %.3f of all cases with exponent 1.05, %.3f with "+
			"1.5", mild, steep)
	}
}

// In a network a host sends through one exporter and one of its interfaces.
func TestEach_homed(t *testing.T) {
	o := Options{Protocol: flow.IPFIX, Flows: 20_000, Hosts: 1_003, Zipf: 1.1, IPv6: 0.3, Exporters: 20, Seed: 3,
		Start: start}
	if s := decode(t, o); len(slices.DeleteFunc(slices.Collect(maps.Values(s.ways)),
		func(ways map[way]bool) bool { return len(ways) == 1 })) == 0 {
		t.Error("every host has one way without Homed")
	}
	o.Homed = true
	s := decode(t, o)
	for host, ways := range s.ways {
		if len(ways) != 1 {
			t.Errorf("host %v has %d ways: %v", host, len(ways), ways)
		}
	}
	if len(s.exporters) != 20 || len(s.interfaces) != interfaces {
		t.Errorf("%d exporters with %d interfaces", len(s.exporters), len(s.interfaces))
	}
}

func TestEach_sendsTemplatesAgain(t *testing.T) {
	o := Options{Protocol: flow.NetFlowV9, Flows: 10_000, PerDatagram: 10, TemplateEvery: 100, Exporters: 2,
		Start: start}
	// 500 datagrams of each exporter: templates before the 1st, 101st, 201st, 301st and 401st.
	if s := decode(t, o); s.templates != 2*5 {
		t.Errorf("%d templates of two exporters, want 10", s.templates)
	}
}

func TestEach_isTheSameForTheSameSeed(t *testing.T) {
	all := func(seed uint64) (b []byte) {
		o := Options{Protocol: flow.IPFIX, Flows: 2000, Zipf: 1.2, IPv6: 0.5, Seed: seed, Exporters: 3, Start: start}
		if err := Each(o, func(d exporter.Datagram) error { b = append(b, d.Payload...); return nil }); err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !bytes.Equal(all(1), all(1)) {
		t.Error("the same seed gives other datagrams")
	}
	if bytes.Equal(all(1), all(2)) {
		t.Error("another seed gives the same datagrams")
	}
}

func TestEach_refuses(t *testing.T) {
	good := Options{Protocol: flow.NetFlowV9, Flows: 100, Start: start}
	for name, change := range map[string]func(*Options){
		"no protocol":     func(o *Options) { o.Protocol = flow.UnknownProtocol },
		"no flows":        func(o *Options) { o.Flows = 0 },
		"too many hosts":  func(o *Options) { o.Hosts = 201 },
		"a flat exponent": func(o *Options) { o.Zipf = 1 },
		"v5 with IPv6":    func(o *Options) { o.Protocol, o.IPv6 = flow.NetFlowV5, 0.1 },
		"a share above 1": func(o *Options) { o.IPv6 = 1.1 },
		"too few fields":  func(o *Options) { o.Fields = 7 },
		"too many fields": func(o *Options) { o.Fields = 31 },
		"exporters":       func(o *Options) { o.Exporters = 1 << 20 },
		"a negative rate": func(o *Options) { o.Rate = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if err := Each(o, func(exporter.Datagram) error { return nil }); err == nil {
				t.Error("no error")
			}
		})
	}
}

// A capture file has the same datagrams.
func TestWriteFile(t *testing.T) {
	o := Options{Protocol: flow.SFlow5, Flows: 500, Exporters: 3, IPv6: 0.5, Start: start}
	path := filepath.Join(t.TempDir(), "sflow.pcap")
	if err := WriteFile(path, o, nil); err != nil {
		t.Fatal(err)
	}
	r, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = Each(o, func(want exporter.Datagram) error {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Payload, want.Payload) || got.Source != want.Source || got.Received != want.Received ||
			got.Truncated {
			t.Fatalf("%v at %d, want %v at %d", got.Source, got.Received, want.Source, want.Received)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
