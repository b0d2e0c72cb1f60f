package rib

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// example has two routers with routes of all kinds: IPv4 and IPv6, of one and of several sources, with path
// identifiers, and of a VRF.
func example(t testing.TB, prefixes int) (*RIB, []Description) {
	r := newRIB(t, Options{})
	rng := rand.New(rand.NewPCG(1, 2))
	var all []Description
	for i := range 4 {
		s := r.Router(fmt.Sprint("router ", i%2), true).NewSource(uint8(i / 3))
		s.Neighbor = uint32(i)
		s.Begin()
		b := newBatch()
		for range prefixes {
			add(r, b, randomPrefix(rng), uint32(rng.IntN(3)*(i%2)), uint64(rng.IntN(50)))
		}
		add(r, b, netip.MustParsePrefix("0.0.0.0/0"), 0, 1)
		data := label(uint64(i))
		b.Changes = append(b.Changes, route.Change{Prefix: route.PrefixFrom(netip.MustParsePrefix("10.0.0.0/8")),
			RD:    99,
			Class: route.VPN, Bundle: b.AddBundle(r.Hasher().Sum(data), data)})
		if _, _, err := s.Apply(b); err != nil {
			t.Fatal(err)
		}
		all = append(all, Description{s, []byte(fmt.Sprint(s.Router.Name, "|", s.Rank, "|", i))})
	}
	r.Publish()
	return r, all
}

func saved(t testing.TB, r *RIB, all []Description) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := r.Saving(all).Write(&b, func() bool { return false })
	if err != nil || n != r.Stats().Routes {
		t.Fatalf("%d of %d routes are saved: %v", n, r.Stats().Routes, err)
	}
	return b.Bytes()
}

// sourceOf makes the source of a description in another RIB.
func sourceOf(r *RIB, made map[string]*Source) func([]byte) *Source {
	return func(text []byte) *Source {
		var name string
		var rank uint8
		var i uint32
		parts := strings.Split(string(text), "|")
		if len(parts) != 3 {
			return nil
		}
		name = parts[0]
		_, _ = fmt.Sscan(parts[1], &rank)
		_, _ = fmt.Sscan(parts[2], &i)
		s := r.Router(name, true).NewSource(rank % Ranks)
		s.Neighbor = i
		made[string(text)] = s
		return s
	}
}

// routesOf are all routes of a RIB in words, by what look-ups say.
func routesOf(r *RIB) (all []string) {
	rd := r.NewReader()
	defer rd.Close()
	rd.Enter()
	defer rd.Leave()
	for name, x := range r.Routers() {
		x.Tables(func(t *Table) bool {
			for i := range t.trees {
				for rank := range t.trees[i] {
					tree := &t.trees[i][rank]
					for n, found := r.following(tree, 0); found; n, found = r.following(tree, n+1) {
						slot := r.slot(tree, n)
						if slot == 0 {
							continue
						}
						for _, p := range r.appendPaths(nil, tree, slot) {
							route := Route{r.record(p.record), r, n, tree}
							all = append(all, fmt.Sprintf("%s %s %d rank %d source %d id %d: %s %x", name, t.Class,
								t.RD, rank,
								r.sources.at(p.source).Neighbor, p.pathID, route.Prefix(),
								appendAttributes(nil, &route)))
						}
					}
				}
			}
			return true
		})
	}
	slices.Sort(all)
	return all
}

// What is saved is there again: all routes with all attributes, of their sources, stale until these begin.
func TestSave(t *testing.T) {
	r, all := example(t, 5000)
	data := saved(t, r, all)
	other := newRIB(t, Options{})
	made := map[string]*Source{}
	l, err := other.Load(bytes.NewReader(data), sourceOf(other, made), func() {})
	if err != nil || l.Routes != r.Stats().Routes || l.LeftOut != 0 || len(l.Sources()) != len(all) {
		t.Fatalf("%+v, %v, want %d routes", l, err, r.Stats().Routes)
	}
	want, got := routesOf(r), routesOf(other)
	if !slices.Equal(want, got) {
		t.Fatalf("%d routes, want %d: %.500v, want %.500v", len(got), len(want), got, want)
	}
	was, is := r.Stats(), other.Stats()
	if is.Records != was.Records || is.Routes != was.Routes || is.Sets != was.Sets {
		t.Errorf("%+v, want %+v", is, was)
	}
	if !other.Router("router 0", false).Stale() {
		t.Error("a router is not stale")
	}
	// A session of the source takes over.
	s := made[string(all[0].Text)]
	s.Begin()
	b := newBatch()
	add(other, b, netip.MustParsePrefix("10.0.0.0/8"), 0, 77)
	_, _, _ = s.Apply(b)
	s.CompleteAll()
	other.Work(1 << 30)
	if n := s.Routes(route.Family{}); n != 1 {
		t.Errorf("%d routes are left", n)
	}
	for _, s := range made {
		s.Remove()
	}
	other.Work(1 << 30)
	other.Publish()
	if st := other.Stats(); st.Routes != 0 || st.Records != 0 || st.Sets != 0 || len(other.Routers()) != 0 {
		t.Errorf("left: %+v", st)
	}
}

// A file that is cut, changed or of another version gives an error, and no route.
func TestLoad_damaged(t *testing.T) {
	r, all := example(t, 300)
	good := saved(t, r, all)
	changed := func(at int) []byte {
		b := slices.Clone(good)
		b[at] ^= 1
		return b
	}
	raw := func(text string) []byte {
		w, _ := zstd.NewWriter(nil)
		return w.EncodeAll([]byte(text), nil)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "no zstd": []byte("hello"), "cut": good[:len(good)-1], "cut early": good[:len(good)/2],
		"another version": raw("flowrib\x02"), "something else": raw("something else"), "after the last entry": append(
			slices.Clone(good), raw("x")...), "changed": changed(len(good) / 2), "checksum": changed(len(good) - 1),
	} {
		t.Run(name, func(t *testing.T) {
			other := newRIB(t, Options{})
			if _, err := other.Load(bytes.NewReader(b), sourceOf(other, map[string]*Source{}), func() {}); err == nil {
				t.Fatal("no error")
			}
			other.Work(1 << 30)
			other.Publish()
			if st := other.Stats(); st.Routes != 0 || len(other.Routers()) != 0 {
				t.Errorf("left: %+v", st)
			}
		})
	}
}

// More routes than there is room for are left out, and sources that nobody wants.
func TestLoad_bounds(t *testing.T) {
	r, all := example(t, 2000)
	data := saved(t, r, all)
	other := newRIB(t, Options{MaxRoutes: 100})
	l, err := other.Load(bytes.NewReader(data), sourceOf(other, map[string]*Source{}), func() {})
	if err != nil || l.Routes > 100 || l.Routes+l.LeftOut != r.Stats().Routes || other.Stats().Routes != l.Routes {
		t.Errorf("%+v, %v, %+v", l, err, other.Stats())
	}
	none := newRIB(t, Options{})
	l, err = none.Load(bytes.NewReader(data), func([]byte) *Source { return nil }, func() {})
	if err != nil || l.Routes != 0 || l.LeftOut != r.Stats().Routes {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestSave_stops(t *testing.T) {
	r, all := example(t, 30000)
	if _, err := r.Saving(all).Write(io.Discard, func() bool { return true }); !errors.Is(err, ErrStopped) {
		t.Errorf("error %v", err)
	}
}

// Saving runs beside the writer.
func TestSave_beside(t *testing.T) {
	r, all := example(t, 5000)
	saving := r.Saving(all)
	done := make(chan error)
	var data bytes.Buffer
	go func() {
		_, err := saving.Write(&data, func() bool { return false })
		done <- err
	}()
	rng := rand.New(rand.NewPCG(3, 4))
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
			b := newBatch()
			for range 100 {
				if p := randomPrefix(rng); rng.IntN(2) == 0 {
					add(r, b, p, 0, uint64(rng.IntN(50)))
				} else {
					remove(b, p, 0)
				}
			}
			_, _, _ = all[0].Source.Apply(b)
			r.Publish()
		}
	}
	other := newRIB(t, Options{})
	if _, err := other.Load(&data, sourceOf(other, map[string]*Source{}), func() {}); err != nil {
		t.Error(err)
	}
}

// FuzzLoad reads anything as a file: it ends, within bounds, and what it leaves can be looked up and removed.
func FuzzLoad(f *testing.F) {
	r, all := example(f, 20)
	d, _ := zstd.NewReader(nil)
	data, err := d.DecodeAll(saved(f, r, all), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(saveMagic + "\x00\x00\x00"))
	other := newRIB(f, Options{MaxRoutes: 1000, MaxMemory: MinMemory})
	f.Fuzz(func(t *testing.T, data []byte) {
		made := map[string]*Source{}
		make := sourceOf(other, made)
		l, err := other.read(bytes.NewReader(data), func(text []byte) *Source {
			if len(made) > 10 {
				return nil
			}
			return make(text)
		}, func() {})
		rd := other.NewReader()
		rd.Enter()
		a := flow.AddrFrom4([4]byte{10, 1, 2, 3})
		for _, x := range other.Routers() {
			if table := x.Table(route.Unicast, 0); table != nil {
				rd.Lookup(table, &a, nil)
			}
		}
		rd.Leave()
		rd.Close()
		if err == nil {
			for _, s := range l.Sources() {
				if s != nil {
					s.Remove()
				}
			}
		}
		other.Work(1 << 30)
		other.Publish()
		if st := other.Stats(); st.Routes != 0 || st.Records != 0 || st.Sets != 0 {
			t.Fatalf("left: %+v", st)
		}
	})
}
