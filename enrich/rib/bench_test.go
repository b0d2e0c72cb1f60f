package rib

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// fullTable is the Internet's routes as bart's own tests have them, if the module cache has these, else prefixes with
// about the same lengths. It is in random order.
func fullTable(b *testing.B) []route.Prefix {
	rng := rand.New(rand.NewPCG(1, 1))
	prefixes := realTable()
	if prefixes == nil {
		b.Log("made-up prefixes: bart's test data is not in the module cache")
		for len(prefixes) < 900_000 {
			bits := 24 - min(rng.IntN(20), rng.IntN(20))
			a := 1<<24 + rng.Uint32N(222<<24)
			prefixes = append(prefixes, route.Make(uint64(a)<<32, 0, uint8(bits), false))
		}
		for len(prefixes) < 1_060_000 {
			prefixes = append(prefixes, route.Make(1<<61|rng.Uint64()>>6, 0, uint8(32+4*rng.IntN(5)), true))
		}
	}
	rng.Shuffle(len(prefixes), func(i, j int) { prefixes[i], prefixes[j] = prefixes[j], prefixes[i] })
	return prefixes
}

func realTable() (all []route.Prefix) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/gaissmai/bart").Output()
	if err != nil {
		return nil
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(out)), "internal/tests/testdata/prefixes.txt.gz"))
	if err != nil {
		return nil
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(z); lines.Scan(); {
		if p, err := netip.ParsePrefix(strings.TrimSpace(lines.Text())); err == nil {
			all = append(all, route.PrefixFrom(p))
		}
	}
	return all
}

// own is how many different bundles a full table has.
const own = 170_000

// decodeFull makes attributes of a label as transit routes have them: 4 hops, 8 communities.
func decodeFull(data []byte, a *route.Attributes) error {
	n := binary.LittleEndian.Uint64(data)
	a.HasLocalPref, a.LocalPref, a.HasMED, a.MED = true, 100, true, uint32(n)
	a.NextHop = flow.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	a.Path = append(a.Path, route.Segment{Kind: route.Sequence,
		AS: []uint32{64500, 3356, uint32(n>>8) + 1, uint32(n) + 1}})
	for i := range uint32(8) {
		a.Communities = append(a.Communities, 64500<<16|uint32(n+uint64(i))%2000)
	}
	return nil
}

// load announces the whole table, and returns how many routes it has.
func load(b *testing.B, s *Source, table []route.Prefix, first uint64) int {
	r := s.Router.rib
	batch := &route.Batch{Decode: decodeFull}
	var data [8]byte
	apply := func() {
		if refused, bad, err := s.Apply(batch); refused+bad != 0 || err != nil {
			b.Fatal(refused, bad, err)
		}
		batch.Reset()
	}
	for i := 0; i < len(table); i += 6 { // prefixes an UPDATE
		binary.LittleEndian.PutUint64(data[:], first+uint64(i/6)%own)
		n := batch.AddBundle(r.Hasher().Sum(data[:]), data[:])
		for _, p := range table[i:min(i+6, len(table))] {
			batch.Changes = append(batch.Changes, route.Change{Prefix: p, Bundle: n})
		}
		if len(batch.Changes) > 250 {
			apply()
			if i%8192 < 252 {
				r.Publish()
			}
		}
	}
	apply()
	r.Publish()
	r.Publish()
	return len(table)
}

func resident() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	var pages int64
	for _, c := range fields[1] {
		pages = pages*10 + int64(c-'0')
	}
	return pages * int64(os.Getpagesize())
}

func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// Each benchmark iteration loads full tables of routers one after the other.
func BenchmarkLoad(b *testing.B) {
	table := fullTable(b)
	for _, bench := range []struct {
		name    string
		routers int
		apart   bool
	}{{"1Router", 1, false}, {"50RoutersShared", 50, false}, {"50RoutersApart", 50, true}} {
		b.Run(bench.name, func(b *testing.B) {
			for range b.N {
				runtime.GC()
				before, start := resident(), cpu()
				r := newRIB(b, Options{MaxMemory: 6 << 30})
				routes := 0
				for i := range bench.routers {
					s := r.Router(string(rune('A'+i)), true).NewSource(0)
					s.Begin()
					first := uint64(0)
					if bench.apart {
						first = uint64(i) << 32
					}
					routes += load(b, s, table, first)
				}
				b.ReportMetric(float64(cpu()-start)/float64(routes), "cpu-ns/route")
				runtime.GC()
				b.ReportMetric(float64(resident()-before)/(1<<20), "MiB")
				b.ReportMetric(float64(resident()-before)/float64(routes), "B/route")
				b.ReportMetric(float64(r.Stats().Bytes)/(1<<20), "MiB-counted")
				b.ReportMetric(0, "ns/op")
				r.Close()
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	table := fullTable(b)
	r := newRIB(b, Options{MaxMemory: 6 << 30})
	var tables []*Table
	var sources []*Source
	for i := range 3 {
		x := r.Router(string(rune('A'+i)), true)
		s := x.NewSource(0)
		s.Begin()
		load(b, s, table, uint64(i)<<32)
		tables, sources = append(tables, x.Table(route.Unicast, 0)), append(sources, s)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	addrs := make([]flow.Addr, 1<<20)
	addrs6 := make([]flow.Addr, 1<<18)
	for i, j := 0, 0; i < len(addrs) || j < len(addrs6); {
		p := table[rng.IntN(len(table))]
		if !p.V6 && i < len(addrs) {
			addrs[i] = flow.AddrFrom(p.Netip().Addr())
			i++
		} else if p.V6 && j < len(addrs6) {
			addrs6[j] = flow.AddrFrom(p.Netip().Addr())
			j++
		}
	}
	reader := r.NewReader()
	sum := uint32(0)
	run := func(b *testing.B, addrs []flow.Addr, mask int, warm bool) {
		b.ReportAllocs()
		var pointers [64]*flow.Addr
		var routes [MaxAddresses]Route
		for i := 0; b.Loop(); i++ {
			if i%64 == 0 {
				reader.Enter()
				if warm {
					for j := range pointers {
						pointers[j] = &addrs[(i+j)&mask]
					}
					reader.LookupAll(tables[1], pointers[:], &routes)
				}
			}
			if x, found := reader.Lookup(tables[1], &addrs[i&mask], nil); found {
				sum += x.OriginAS()
			}
		}
		reader.Leave()
	}
	b.Run("IPv4", func(b *testing.B) { run(b, addrs, len(addrs)-1, false) })
	b.Run("IPv4Warmed", func(b *testing.B) { run(b, addrs, len(addrs)-1, true) })
	b.Run("IPv4Hot", func(b *testing.B) { run(b, addrs, 1023, false) })
	b.Run("IPv6", func(b *testing.B) { run(b, addrs6, len(addrs6)-1, false) })
	b.Run("IPv6Hot", func(b *testing.B) { run(b, addrs6, 1023, false) })
	b.Run("IPv4BesideWriter", func(b *testing.B) {
		var stop atomic.Bool
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := uint64(0); !stop.Load(); i++ {
				load(b, sources[2], table[:300_000], i<<20)
			}
		}()
		run(b, addrs, len(addrs)-1, false)
		stop.Store(true)
		<-done
	})
	// Dropping a router takes one pass over its slots.
	b.Run("Drop", func(b *testing.B) {
		took := int64(0)
		for range b.N {
			load(b, sources[0], table, 0)
			start := cpu()
			sources[0].Drop()
			for r.Sweeping() {
				r.Work(1 << 16)
			}
			took += cpu() - start
		}
		b.ReportMetric(float64(took)/float64(b.N)/1e6, "cpu-ms/drop")
		b.ReportMetric(0, "ns/op")
	})
}

// A router comes back with 95 % of its routes: what the sweep of the others takes, and how long the longest of its
// steps holds up the writer.
func BenchmarkSweep(b *testing.B) {
	table := fullTable(b)
	for b.Loop() {
		b.StopTimer()
		r, err := New(Options{})
		if err != nil {
			b.Fatal(err)
		}
		s := r.Router("a", true).NewSource(0)
		s.Begin()
		load(b, s, table, 0)
		s.Begin()
		kept := load(b, s, table[len(table)/20:], 0)
		s.CompleteAll()
		runtime.LockOSThread()
		var all, longest int64
		b.StartTimer()
		for r.Sweeping() {
			before := threadCPU()
			r.Work(1 << 16)
			took := threadCPU() - before
			all, longest = all+took, max(longest, took)
		}
		b.StopTimer()
		runtime.UnlockOSThread()
		if v4, v6 := r.Router("a", false).Table(route.Unicast, 0).Routes(); v4+v6 != int64(kept) {
			b.Fatalf("%d routes are left, want %d", v4+v6, kept)
		}
		b.ReportMetric(float64(all)/1e6, "cpu-ms")
		b.ReportMetric(float64(longest)/1e6, "longest-ms")
		r.Close()
		b.StartTimer()
	}
}

// threadCPU is the CPU time of this thread in nanoseconds.
func threadCPU() int64 {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	_ = syscall.Getrusage(thread, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}
