package exporter

import (
	"net/netip"
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

func TestEvictedStreamsStayInTheSum(t *testing.T) {
	table := NewTable(16)
	var first *Stream
	const sources = 1000
	for n := range sources {
		source := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		s := table.Get(Key{Exporter: flow.AddrFrom(source), Protocol: flow.IPFIX}, flow.AddrFrom(source), int64(n))
		if first == nil {
			first = s
		}
		s.Saw(&Datagram{Payload: make([]byte, 100), Received: int64(n)})
		s.Restarts.Add(2)
		s.Fail(NoTemplate, 3)
	}
	if !first.Gone() {
		t.Fatal("the first stream was not evicted")
	}
	first.Fail(NoTemplate, 5) // what waited for a template is given up later
	table.Publish()
	all := append([]*Stream{table.Retired()}, table.Streams()...)
	var datagrams, bytes, restarts, failed uint64
	for _, s := range all {
		datagrams += s.Datagrams.Load()
		bytes += s.Bytes.Load()
		restarts += s.Restarts.Load()
		failed += s.Failed(NoTemplate)
	}
	if datagrams != sources || bytes != 100*sources || restarts != 2*sources || failed != 3*sources+5 {
		t.Errorf("%d datagrams, %d bytes, %d restarts, %d sets, of %d sources", datagrams, bytes, restarts, failed,
			sources)
	}
	if table.Evicted() != sources-uint64(len(table.Streams())) {
		t.Errorf("%d evicted, %d are left, of %d", table.Evicted(), len(table.Streams()), sources)
	}
}

// Each loss says what it counts: metrics and the table of losses show it.
func TestReasonsHaveAUnit(t *testing.T) {
	units := map[string]bool{"datagrams": true, "sets": true, "templates": true, "records": true, "streams": true,
		"samples": true}
	for _, r := range Reasons() {
		if !units[r.Unit()] {
			t.Errorf("%s is counted in %q", r, r.Unit())
		}
	}
}

// Every counter of a stream is in the sum of those that were evicted.
func TestRetiredHasEveryCounter(t *testing.T) {
	table := NewTable(16)
	evicted := func(n int) *Stream {
		source := flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}))
		return table.Get(Key{Exporter: source, Protocol: flow.IPFIX}, source, int64(n))
	}
	first := evicted(0)
	// These say how a stream is, not how much came.
	states := map[string]bool{"Evictions": true, "Impostors": true}
	fields := reflect.ValueOf(first).Elem()
	var counters []string
	for i := range fields.NumField() {
		field := fields.Type().Field(i)
		if !field.IsExported() || states[field.Name] {
			continue
		}
		if c, is := fields.Field(i).Addr().Interface().(*atomic.Uint64); is {
			c.Store(uint64(100 + i))
			counters = append(counters, field.Name)
		}
	}
	for _, r := range Reasons() {
		first.Fail(r, uint64(10+r))
	}
	for n := 1; !first.Gone(); n++ {
		evicted(n)
	}
	table.Publish()
	retired := reflect.ValueOf(table.Retired()).Elem()
	for _, name := range counters {
		if n := retired.FieldByName(name).Addr().Interface().(*atomic.Uint64).Load(); n == 0 {
			t.Errorf("%s is not in the sum", name)
		}
	}
	for _, r := range Reasons() {
		if got, want := table.Retired().Failed(r), first.Failed(r); got < want {
			t.Errorf("%s: %d of %d are in the sum", r, got, want)
		}
	}
}

func addr(n int) flow.Addr {
	return flow.AddrFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
}

// give is a datagram of a source, with data or without.
func give(t *Table, source flow.Addr, domain uint32, now int64, data bool) *Stream {
	s := t.Get(Key{Exporter: source, Protocol: flow.IPFIX, Domain: domain}, source, now)
	s.Saw(&Datagram{Received: now})
	if data {
		s.Records.Add(1)
		t.Prove(s)
	}
	return s
}

func TestAFloodDoesNotDisplaceStreamsThatGaveData(t *testing.T) {
	router := addr(1 << 20)
	for name, flood := range map[string]func(t *Table, i int){
		"many sources, headers only":        func(t *Table, i int) { give(t, addr(i), 0, int64(1e9+i), false) },
		"one source, many domains":          func(t *Table, i int) { give(t, addr(1), uint32(i), int64(1e9+i), false) },
		"one source, many domains and data": func(t *Table, i int) { give(t, addr(1), uint32(i), int64(1e9+i), true) },
		"many sources with data":            func(t *Table, i int) { give(t, addr(i), 0, int64(1e9+i), true) },
	} {
		t.Run(name, func(t *testing.T) {
			table := NewTable(256)
			var routers []*Stream
			for second := range int64(3) {
				for domain := range uint32(10) {
					routers = append(routers, give(table, router, domain, second*1e6, true))
				}
				table.Age(second * 1e6)
			}
			for i := range 100_000 {
				flood(table, i)
			}
			for _, s := range routers {
				if s.Gone() {
					t.Fatal("a router's stream was evicted")
				}
			}
			if n := len(table.streams); n > 256 {
				t.Errorf("%d streams", n)
			}
			if table.Publish(); len(table.leaving) > 0 || len(table.owners) > 256 {
				t.Errorf("%d streams that were evicted are kept, %d owners", len(table.leaving), len(table.owners))
			}
		})
	}
}

// A table that is full of streams that gave data still takes new ones; those that were there for long stay.
func TestAFullTableTakesNewStreams(t *testing.T) {
	table := NewTable(64)
	var routers []*Stream
	for second := range int64(5) {
		for n := range 56 { // what the table keeps of proven ones
			routers = append(routers, give(table, addr(n), 0, second, true))
		}
		table.Age(second)
	}
	s := give(table, addr(1000), 0, 10, false)
	if s.Gone() {
		t.Fatal("there was no place for a new stream")
	}
	for i := range 1000 {
		give(table, addr(2000+i), 0, int64(20+i), true)
	}
	gone := 0
	for _, r := range routers[:56] {
		if r.Gone() {
			gone++
		}
	}
	if gone > 8 {
		t.Errorf("%d of 56 streams were evicted by ones that came just now", gone)
	}
}
