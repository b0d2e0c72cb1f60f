package rib

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"github.com/metranova/flow-collector/decoder/route"
)

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A table of a VPN takes memory of the RIB, and gives it back: there can be as many as a peer likes to make up.
func TestTablesAreCounted(t *testing.T) {
	r := newRIB(t, Options{MaxMemory: MinMemory})
	x := r.Router("r", true)
	s := x.NewSource(0)
	s.Begin()
	before, used := heap(), r.Stats().Bytes
	const most = 200_000
	refused := 0
	announce := func(bundle bool) {
		for rd := route.RD(1); rd <= most; {
			b := newBatch()
			n := int32(route.Withdrawn)
			if bundle {
				n = b.AddBundle(r.Hasher().Sum(label(1)), label(1))
			}
			for range 1000 {
				b.Changes = append(b.Changes,
					route.Change{Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8")),
						RD: rd, Class: route.VPN, Bundle: n})
				rd++
			}
			left, _, err := s.Apply(b)
			if err != nil {
				t.Fatal(err)
			}
			refused += left
			r.Publish()
		}
	}
	announce(true)
	st := r.Stats()
	if refused == 0 || st.Routes == 0 || st.Bytes > st.MaxBytes {
		t.Errorf("%d refused, %+v", refused, st)
	}
	if more := heap() - before; more > st.MaxBytes {
		t.Errorf("%d MiB of Go's heap for %d tables", more>>20, st.Routes)
	}
	tables := int64(x.count)
	if tables != st.Routes {
		t.Errorf("%d tables for %d routes", tables, st.Routes)
	}
	announce(false)
	r.Publish()
	if after := r.Stats(); after.Routes != 0 || x.count != 0 || after.Bytes != st.Bytes-tables*tableBytes ||
		after.Bytes < used {
		t.Errorf("%d tables are left: %+v", x.count, after)
	}
	s.Remove()
	if len(r.Routers()) != 0 {
		t.Error("the router is still there")
	}
}

// A router that comes with a table of a VPN and goes again, as a peer that is reported by BMP may do as often as it
// likes, leaves the memory that is counted as it was.
func TestTablesOfRemovedRoutersAreCountedOnce(t *testing.T) {
	r := newRIB(t, Options{})
	flap := func() {
		s := r.Router("r", true).NewSource(0)
		s.Begin()
		for rd := range route.RD(3) { // the first is of the global table
			b := newBatch()
			c := route.Change{Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8")), RD: rd,
				Bundle: b.AddBundle(r.Hasher().Sum(label(1)), label(1))}
			if rd != 0 {
				c.Class = route.VPN
			}
			b.Changes = append(b.Changes, c)
			if _, _, err := s.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		s.Remove()
		for r.Sweeping() {
			r.Work(1 << 16)
		}
		for range 3 {
			r.Publish()
		}
	}
	flap()
	before := r.Stats().Bytes
	for range 10 {
		flap()
	}
	if after := r.Stats(); after.Bytes != before || after.Routes != 0 || len(r.Routers()) != 0 {
		t.Errorf("%d bytes before, then %+v", before, after)
	}
}

// A session that comes and goes between two publications has no table chosen again: a router can have thousands.
func TestSessionsCountAtPublish(t *testing.T) {
	r := newRIB(t, Options{})
	x := r.Router("r", true)
	var sources []*Source
	for rank := range uint8(2) {
		s := x.NewSource(rank)
		s.Begin()
		b := newBatch()
		add(r, b, netip.MustParsePrefix("10.0.0.0/8"), 0, 1)
		if _, _, err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
		s.CompleteAll()
		sources = append(sources, s)
	}
	table := x.Table(route.Unicast, 0)
	expect := func(when string, rank uint8) {
		t.Helper()
		if got := table.answering(false); got == nil || got.rank != rank {
			t.Errorf("%s: %+v answers, want rank %d", when, got, rank)
		}
	}
	r.Publish()
	expect("both are up", 0)
	for range 3 {
		sources[0].End()
		expect("the first one is down, which is not published", 0)
		sources[0].Begin()
	}
	if n := len(r.upPending); n != 1 {
		t.Errorf("the router waits %d times", n)
	}
	r.Publish()
	expect("it is up again", 0)
	sources[0].End()
	r.Publish()
	expect("it is down", 1)
}

// Short prefixes cover much, so that each takes long to add and to remove. They stay, so that it is done once.
func TestShortPrefixesStay(t *testing.T) {
	r := newRIB(t, Options{})
	s := r.Router("r", true).NewSource(0)
	s.Begin()
	for range 3 {
		b := newBatch()
		for i := range 256 {
			p, _ := netip.AddrFrom4([4]byte{byte(i)}).Prefix(8)
			add(r, b, p, 0, 1)
		}
		add(r, b, netip.MustParsePrefix("0.0.0.0/1"), 0, 1)
		if _, _, err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
		b = newBatch()
		for i := range 256 {
			p, _ := netip.AddrFrom4([4]byte{byte(i)}).Prefix(8)
			remove(b, p, 0)
		}
		remove(b, netip.MustParsePrefix("0.0.0.0/1"), 0)
		if _, _, err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
		r.freeUnused()
		if st := r.Stats(); st.Routes != 0 || st.Prefixes4 != 257 || st.IdlePrefixes != 0 {
			t.Fatalf("%+v", st)
		}
	}
}

// What a file claims does not have memory taken for it.
func TestLoadHostile(t *testing.T) {
	number := binary.AppendUvarint
	head := func(b []byte, sources ...string) []byte {
		b = number(number(append(b, saveMagic...), 1), uint64(len(sources)))
		for _, s := range sources {
			b = append(number(b, uint64(len(s))), s...)
		}
		return b
	}
	tree := func(b []byte, rd uint64) []byte {
		b = append(number(b, saveTree), 0, 1, byte(route.VPN)) // source 0, which is the owner
		return append(binary.BigEndian.AppendUint64(b, rd), 0)
	}
	record := func(b []byte, segments, numbers uint64) []byte {
		b = append(number(b, saveRecord), 0, 0, 0)
		b = number(b, segments)
		for range segments {
			b = number(append(b, byte(route.Sequence)), numbers)
			b = append(b, make([]byte, numbers)...)
		}
		return append(b, 0, 0, 0)
	}
	trees := head(nil, "router|0")
	for rd := range uint64(300_000) {
		trees = tree(trees, rd)
	}
	prefixes := tree(head(nil, "router|0"), 1)
	for range min(300_000, maxNumbers) { // with the race detector there are fewer
		prefixes = append(number(prefixes, savePrefix), 1, 0x80)
	}
	tests := []struct {
		name   string
		data   []byte
		broken bool
	}{
		{"tables without routes", number(trees, saveEnd), false},
		{"one prefix again and again", number(prefixes, saveEnd), false},
		{"the longest path", number(record(head(nil), 1, 60_000), saveEnd), false},
		{"many long segments", number(record(head(nil), 300, 60_000), saveEnd), true},
		{"a number of sources that are not there", number(number(append([]byte(saveMagic), 1), maxSavedSources), 5),
			true},
		{"a longer description than there are", number(number(number(append([]byte(saveMagic), 1), 1),
			maxDescription+1), 5), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRIB(t, Options{MaxMemory: MinMemory})
			before := heap()
			most := int64(0)
			l, err := r.read(bytes.NewReader(test.data), func([]byte) *Source {
				return r.Router("router", true).NewSource(0)
			}, func() {})
			most = max(most, heap()-before)
			if (err != nil) != test.broken || l.Routes != 0 {
				t.Errorf("%d routes, %v", l.Routes, err)
			}
			if err != nil && !errors.Is(err, ErrNotSaved) && test.name == "many long segments" {
				t.Error(err)
			}
			if most > 8<<20 {
				t.Errorf("%d MiB", most>>20)
			}
			r.Publish()
			for _, x := range r.Routers() {
				if x.count != 0 {
					t.Errorf("%d tables are left", x.count)
				}
			}
		})
	}
}
