package rib

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/route"
)

// A route that does not fit is refused and counted; the others work, and there is room again when some go.
func TestBounds(t *testing.T) {
	r := newRIB(t, Options{MaxRoutes: 1000})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	prefix := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
	}
	batch := newBatch()
	for i := range 1500 {
		add(r, batch, prefix(i), 0, 1)
	}
	refused, _, err := s.Apply(batch)
	if err != nil || refused != 500 || r.Stats().Routes != 1000 || r.Stats().Refused != 500 {
		t.Errorf("refused %d, %v, %+v", refused, err, r.Stats())
	}
	batch.Reset()
	for i := range 100 {
		remove(batch, prefix(i), 0)
	}
	for i := range 100 {
		add(r, batch, prefix(1400+i), 0, 1)
	}
	if refused, _, err = s.Apply(batch); err != nil || refused != 0 || r.Stats().Routes != 1000 {
		t.Errorf("with room: refused %d, %v, %+v", refused, err, r.Stats())
	}
	s.Remove()
	checkEmpty(t, r)
	if _, _, err := s.Apply(batch); !errors.Is(err, errRemoved) {
		t.Errorf("a removed source takes a batch: %v", err)
	}
}

// Attributes that differ for each route use up the memory; nothing breaks, and the bound holds exactly.
func TestMemoryBound(t *testing.T) {
	if checked {
		t.Skip("takes long with checks")
	}
	r := newRIB(t, Options{MaxMemory: MinMemory})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	batch := newBatch()
	refused := 0
	for i := range uint64(800_000) {
		a := netip.AddrFrom4([4]byte{byte(1 + i>>16), byte(i >> 8), byte(i), 0})
		add(r, batch, netip.PrefixFrom(a, 24), 0, i<<20)
		if len(batch.Changes) == 1000 {
			n, bad, err := s.Apply(batch)
			if err != nil || bad != 0 {
				t.Fatal(bad, err)
			}
			refused += n
			batch.Reset()
			r.Publish()
		}
	}
	stats := r.Stats()
	if refused == 0 || stats.Bytes > stats.MaxBytes || stats.Routes+int64(refused) != 800_000 {
		t.Errorf("refused %d, %+v", refused, stats)
	}
	t.Logf("refused %d, %+v", refused, stats)
	for i, limit := range []int64{2 * MinMemory, MinMemory} { // raised there is room, lowered there is none
		r.SetLimits(limit, 0)
		batch.Reset()
		for n := range uint64(40_000) {
			a := netip.AddrFrom4([4]byte{byte(100 + 50*i), byte(n >> 8), byte(n), 0})
			add(r, batch, netip.PrefixFrom(a, 24), 0, (1_000_000*uint64(i+1)+n)<<20)
		}
		n, _, err := s.Apply(batch)
		if now := r.Stats(); err != nil || n > 0 != (i == 1) || now.Routes < stats.Routes || now.MaxBytes != limit {
			t.Errorf("limit %d: refused %d, %v, %+v", limit, n, err, now)
		}
	}
	s.Remove()
	checkEmpty(t, r)
}

// Bundles that cannot be decoded withdraw the routes that they are for.
func TestUndecodable(t *testing.T) {
	r := newRIB(t, Options{})
	s := r.Router("router", true).NewSource(0)
	s.Begin()
	batch := newBatch()
	p := netip.MustParsePrefix("192.0.2.0/24")
	add(r, batch, p, 0, 5)
	n := batch.AddBundle(route.Hash{1, 2}, []byte("bad"))
	batch.Changes = append(batch.Changes, route.Change{Prefix: route.PrefixFrom(p), Bundle: n})
	if refused, bad, err := s.Apply(batch); refused != 0 || bad != 1 || err != nil {
		t.Errorf("refused %d, undecodable %d, %v", refused, bad, err)
	}
	if routes := r.Stats().Routes; routes != 0 {
		t.Errorf("%d routes", routes)
	}
}

// Tables of VRFs go with their last route: a peer can make up any number of route distinguishers.
func TestVRFsGo(t *testing.T) {
	r := newRIB(t, Options{})
	x := r.Router("router", true)
	s := x.NewSource(0)
	s.Begin()
	for _, remove := range []bool{false, true} {
		batch := newBatch()
		data := label(1)
		bundle := batch.AddBundle(r.Hasher().Sum(data), data)
		if remove {
			bundle = route.Withdrawn
		}
		for rd := range route.RD(1000) {
			batch.Changes = append(batch.Changes, route.Change{Class: route.VPN, RD: rd + 1, Bundle: bundle,
				Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8"))})
		}
		if _, _, err := s.Apply(batch); err != nil {
			t.Fatal(err)
		}
		r.Publish()
		tables, want := 0, 1000
		x.Tables(func(*Table) bool { tables++; return true })
		if remove {
			want = 0
		}
		if tables != want {
			t.Errorf("%d tables, want %d", tables, want)
		}
	}
}
