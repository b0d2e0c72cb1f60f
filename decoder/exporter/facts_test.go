package exporter

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

// The operator's rate of an interface precedes the one of the exporter, and both precede what the exporter sends.
func TestOverrides(t *testing.T) {
	here, elsewhere := flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), flow.AddrFrom(netip.MustParseAddr("192.0.2.2"))
	onlyInterface := flow.AddrFrom(netip.MustParseAddr("192.0.2.3"))
	all := NewOverrides([]Override{
		{Exporter: here, Interface: 7, Rate: 100},
		{Exporter: here, AnyInterface: true, Rate: 1000},
		{Exporter: here, Interface: 0, Rate: 10},
		{Exporter: onlyInterface, Interface: 7, Rate: 100},
	})
	for _, test := range []struct {
		name     string
		exporter flow.Addr
		record   flow.Record
		rate     uint32 // 0: the exporter's remains
	}{
		{"rate of the interface", here, flow.Record{InIf: 7, InIfKind: flow.InterfaceIndex}, 100},
		{"interface 0", here, flow.Record{InIf: 0, InIfKind: flow.InterfaceIndex}, 10},
		{"another interface", here, flow.Record{InIf: 8, InIfKind: flow.InterfaceIndex}, 1000},
		{"the number is no interface index", here, flow.Record{InIf: 7, InIfKind: flow.InterfaceIndex + 1}, 1000},
		{"another interface, no rate for all", onlyInterface, flow.Record{InIf: 8, InIfKind: flow.InterfaceIndex}, 0},
		{"no rate for the exporter", elsewhere, flow.Record{InIf: 7, InIfKind: flow.InterfaceIndex}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			record := test.record
			record.SamplingRate, record.SamplingSource = 5, flow.SamplingOverride+1
			want := record
			if test.rate != 0 {
				want.SamplingRate, want.SamplingSource = test.rate, flow.SamplingOverride
			}
			all[test.exporter].Apply(&record)
			if record.SamplingRate != want.SamplingRate || record.SamplingSource != want.SamplingSource {
				t.Errorf("rate %d of source %v, want %d of %v", record.SamplingRate, record.SamplingSource,
					want.SamplingRate, want.SamplingSource)
			}
		})
	}
}

// The numbers of sFlow count datagrams, until an agent shows otherwise: that is told at once.
func TestNumbersOfSFlow(t *testing.T) {
	const far = maxGap + 1000
	for _, test := range []struct {
		name    string
		numbers []uint32
		want    told
	}{
		{"complete", []uint32{1, 2, 3, 4}, told{}},
		{"the number wraps", []uint32{0xfffffffe, 0xffffffff, 0, 1}, told{}},
		{"two are missing", []uint32{1, 2, 5, 6}, told{lost: 2}},
		{"missing where the number wraps", []uint32{0xfffffffe, 1, 2}, told{lost: 2}},
		{"the largest gap that is a loss", []uint32{1, 1 + maxGap}, told{lost: maxGap - 1}},
		{"a gap too large for a loss", []uint32{1, 2 + maxGap, 3 + maxGap}, told{restarts: 1}},
		{"twice", []uint32{1, 2, 2, 3}, told{twice: 1}},
		{"an earlier one twice", []uint32{1, 2, 3, 1, 4}, told{twice: 1}},
		{"late", []uint32{1, 2, 4, 3, 5}, told{late: 1}},
		{"late and twice", []uint32{1, 2, 4, 3, 3, 5}, told{late: 1, twice: 1}},
		{"restart from the beginning", []uint32{far, far + 1, 1, 2, 3}, told{restarts: 1}},
		{"numbers from before the restart are not duplicates", []uint32{5, 6, 7, 1, 2, 3, 4, 5, 6}, told{restarts: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, q := &Stream{Key: Key{Protocol: flow.SFlow5}}, Numbers{}
			for _, number := range test.numbers {
				q.Observe(s, 1, number, Units{Samples: 5})
			}
			got := told{s.Lost.Load(), s.Duplicated.Load(), s.Reordered.Load(), s.Restarts.Load()}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// A restart that the uptime shows is counted, and the next number is the first of a new count. Nothing restarts before
// the first datagram.
func TestRestarted(t *testing.T) {
	t.Run("sFlow", func(t *testing.T) {
		s, q := &Stream{Key: Key{Protocol: flow.SFlow5}}, Numbers{}
		q.Restarted(s, 1)
		q.Observe(s, 1, 1000, Units{Samples: 1})
		q.Restarted(s, 1)
		q.Observe(s, 1, 2000, Units{Samples: 1})
		q.Observe(s, 1, 2001, Units{Samples: 1})
		if s.Restarts.Load() != 1 || s.Lost.Load() != 0 {
			t.Errorf("%d restarts, %d lost, want 1 and 0", s.Restarts.Load(), s.Lost.Load())
		}
	})
	for _, ports := range [][]uint16{{4000}, {4000, 4001}} {
		t.Run("Numbers", func(t *testing.T) {
			s, q := &Stream{Key: Key{Protocol: flow.NetFlowV9}}, Numbers{}
			q.Restarted(s, ports[0])
			// Each port has its own run of numbers.
			observe := func(first uint32) {
				for n := range uint32(20) {
					for i, port := range ports {
						q.Observe(s, port, first+n+uint32(i)*100_000, Units{Flows: 5})
					}
				}
			}
			observe(1000)
			for _, port := range ports {
				q.Restarted(s, port)
			}
			observe(50_000)
			if got := s.Restarts.Load(); got != uint64(len(ports)) || s.Lost.Load() != 0 {
				t.Errorf("%d restarts, %d lost, want %d and 0", got, s.Lost.Load(), len(ports))
			}
			if (q.Bytes() > 0) != (len(ports) > 1) {
				t.Errorf("%d bytes for %d ports", q.Bytes(), len(ports))
			}
			q.ForgetPorts()
			if q.Bytes() != 0 {
				t.Errorf("%d bytes after ForgetPorts", q.Bytes())
			}
			before := s.Lost.Load()
			for n := range uint32(100) {
				q.Observe(s, ports[0], 50_020+n, Units{Flows: 5})
			}
			if s.Lost.Load() != before || s.Restarts.Load() != uint64(len(ports)) {
				t.Errorf("%d lost, %d restarts are told again after ForgetPorts", s.Lost.Load(), s.Restarts.Load())
			}
		})
	}
}

// Specifications: NetFlow v5 counts flows, v9 datagrams (RFC 3954 §5.1), IPFIX data records (RFC 7011 §3.1), sFlow
// datagrams.
func TestConventions(t *testing.T) {
	for p, want := range map[flow.Protocol]struct {
		counts Convention
		unit   string
	}{
		flow.NetFlowV5: {CountsFlows, "flow"},
		flow.NetFlowV9: {CountsDatagrams, "datagram"},
		flow.IPFIX:     {CountsRecords, "data record"},
		flow.SFlow5:    {CountsDatagrams, "datagram"},
	} {
		if got := ConventionOf(p); got != want.counts || got.Unit() != want.unit {
			t.Errorf("%s counts %s in %q, want %s in %q", p, got, got.Unit(), want.counts, want.unit)
		}
	}
	if got := CountsAll.Unit(); got != "record" {
		t.Errorf("data and template records are counted in %q", got)
	}
}

// Names are labels of metrics and codes of verdicts: each is set and there is only one of each.
func TestNamesAreUnique(t *testing.T) {
	names := map[string]bool{}
	check := func(name string) {
		t.Helper()
		if name == "" || names[name] {
			t.Errorf("the name %q is empty or used twice", name)
		}
		names[name] = true
	}
	for _, r := range Reasons() {
		check(r.String())
	}
	units := map[string]bool{"records": true, "datagrams": true, "sets": true, "templates": true, "rates": true,
		"times": true}
	for _, r := range Readings() {
		check(r.String())
		check(r.Text())
		if !units[r.Unit()] {
			t.Errorf("%s is counted in %q", r, r.Unit())
		}
	}
	for _, c := range Counters() {
		check(c.Name)
		check(c.Metric)
	}
}

// Padding, evicted state and what is no flow are not losses; what may hold flows is one.
func TestLoses(t *testing.T) {
	harmless := map[Reason]bool{TrailingBytes: true, BadTemplate: true, TemplateConflict: true, TemplateLimit: true,
		Withdrawal: true, NotIP: true, NoFlow: true, StreamEvicted: true, TemplateEvicted: true, NameLimit: true,
		OptionsDoubted: true, ForeignAgent: true, SamplerLimit: true}
	for _, r := range Reasons() {
		if r.Loses() == harmless[r] {
			t.Errorf("%s: Loses is %v", r, r.Loses())
		}
	}
}

// A stream's addresses and templates are unset until they are noted, and then the latest.
func TestStreamNotes(t *testing.T) {
	a, b := flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), flow.AddrFrom(netip.MustParseAddr("2001:db8::1"))
	s := &Stream{}
	for _, note := range []struct {
		name string
		get  func() flow.Addr
		set  func(flow.Addr)
	}{
		{"Stated", s.Stated, s.SetStated}, {"Impostor", s.Impostor, s.SetImpostor}, {"Victim", s.Victim, s.SetVictim},
	} {
		if got := note.get(); got != (flow.Addr{}) {
			t.Errorf("%s of a new stream is %v", note.name, got)
		}
		for _, address := range []flow.Addr{a, b, b} {
			if note.set(address); note.get() != address {
				t.Errorf("%s is %v, want %v", note.name, note.get(), address)
			}
		}
	}
	if got := s.Impostors.Load(); got != 3 {
		t.Errorf("%d datagrams of impostors, want 3", got)
	}
	if got := s.Missing(); got != nil {
		t.Errorf("a new stream misses %v", got)
	}
	s.SetMissing([]*MissingTemplate{{TemplateID: 256}})
	if got := s.Missing(); len(got) != 1 || got[0].TemplateID != 256 {
		t.Errorf("missing templates: %v", got)
	}
}

// A misfit template is noted once, with its latest lengths; the number of templates is bounded.
func TestMisfits(t *testing.T) {
	s := &Stream{}
	s.AddMisfit(256, 40, 39)
	before := s.Misfits()
	s.AddMisfit(257, 10, 11)
	s.AddMisfit(256, 44, 43)
	want := []MisfitTemplate{{256, 44, 43, 2}, {257, 10, 11, 1}}
	if diff := cmp.Diff(want, s.Misfits()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if before[0].Sets != 1 {
		t.Error("a list that a reader has was changed")
	}
	for id := range uint16(100) {
		s.AddMisfit(1000+id, 1, 1)
	}
	s.AddMisfit(257, 10, 12)
	if got := s.Misfits(); len(got) != maxMisfits || got[1].Sets != 2 {
		t.Errorf("%d templates, %d sets of a known one", len(got), got[1].Sets)
	}
}

// What an evicted stream reads later is in the sum of the evicted ones, once.
func TestReadingsOfEvictedStreams(t *testing.T) {
	table := NewTable(16)
	get := func(n int) *Stream {
		source := flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}))
		return table.Get(Key{Exporter: source, Protocol: flow.IPFIX}, source, int64(n))
	}
	first := get(0)
	first.Read(EndBeforeStart, 2)
	for n := range 100 {
		get(1 + n)
	}
	if !first.Gone() || first.SourceEvicted() != 1 {
		t.Fatalf("gone %v, %d streams of its source evicted", first.Gone(), first.SourceEvicted())
	}
	table.Publish()
	first.Read(EndBeforeStart, 3)
	if got := table.Retired().TimesRead(EndBeforeStart); got != 5 {
		t.Errorf("%d, want 5", got)
	}
	if got := (&Stream{}).SourceEvicted(); got != 0 {
		t.Errorf("a stream of no table has %d", got)
	}
}

// Datagrams of no stream are counted by reason.
func TestUnattributed(t *testing.T) {
	table := NewTable(16)
	table.Unattributed(UnknownVersion)
	table.Unattributed(UnknownVersion)
	table.Unattributed(BadHeader)
	for _, r := range Reasons() {
		want := map[Reason]uint64{UnknownVersion: 2, BadHeader: 1}[r]
		if got := table.UnattributedCount(r); got != want {
			t.Errorf("%s: %d, want %d", r, got, want)
		}
	}
}
