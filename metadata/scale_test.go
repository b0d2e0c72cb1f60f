package metadata

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/enrich"
)

// BenchmarkScale imports generated data of the real sets' size into the engine, builds snapshots of it and swaps them
// under a loop that looks addresses up. It takes some minutes and gigabytes; METADATA_SCALE=0.01 does a hundredth of
// it.
//
//	go test -run '^$' -bench Scale -benchtime 1x -timeout 30m ./metadata
func BenchmarkScale(b *testing.B) {
	part := 1.0
	if text := os.Getenv("METADATA_SCALE"); text != "" {
		var err error
		if part, err = strconv.ParseFloat(text, 64); err != nil {
			b.Fatal(err)
		}
	}
	for range b.N {
		runScale(b, full(part))
	}
}

func runScale(b *testing.B, s scale) {
	ctx, dir := context.Background(), b.TempDir()
	options := s.generate(b, dir)
	conn, settings := openStore(b)
	phase := func(name string, do func()) {
		runtime.GC()
		debug.FreeOSMemory()
		_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // resets the peak
		began := time.Now()
		do()
		took := time.Since(began)
		b.ReportMetric(took.Seconds(), name+"-s")
		say("%-28s %7.1f s, peak %5.0f MiB here, %5.0f MiB in the engine", name, took.Seconds(),
			statusMiB("self", "VmHWM"), engineMiB())
	}
	for _, pass := range []string{"import", "import-again"} {
		for _, source := range Sources(options) {
			phase(pass+"-"+source.Name, func() {
				found, err := source.Read(ctx)
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range mustLoad(b, NewLoader(conn, settings), found...) {
					if wrong := r.Written > 0 && pass == "import-again"; r.Problems > 0 || wrong {
						b.Errorf("%s: %s", pass, r)
					}
				}
			})
		}
	}
	var snapshot atomic.Pointer[enrich.Snapshot]
	file := filepath.Join(dir, "snapshot")
	build := func() { snapshot.Store(mustBuild(b, conn, settings)) }
	before := statusMiB("self", "VmRSS")
	phase("build-from-tables", build)
	say("%+v", snapshot.Load().Stats())
	runtime.GC()
	debug.FreeOSMemory()
	resident := statusMiB("self", "VmRSS")
	b.ReportMetric(resident, "resident-MiB")
	say("resident %.0f MiB, of which %.0f before", resident, before)
	measureLookups(b, snapshot.Load())

	phase("write-file", func() { writeSnapshotFile(b, conn, settings, file) })
	if info, err := os.Stat(file); err == nil {
		say("file of %d MiB", info.Size()>>20)
	}
	load := func() {
		loaded, err := LoadSnapshotFile(file)
		if err != nil {
			b.Fatal(err)
		}
		if got, want := fmt.Sprint(loaded.Stats()), fmt.Sprint(snapshot.Load().Stats()); got != want {
			b.Errorf("the file's snapshot has %s, want %s", got, want)
		}
		snapshot.Store(loaded)
	}
	snapshotBefore := snapshot.Load()
	phase("build-from-file", load)
	runtime.KeepAlive(snapshotBefore)

	phase("pause-at-rest", func() { measurePause(b, "at rest", &snapshot, func() { time.Sleep(5 * time.Second) }) })
	phase("pause-file", func() { measurePause(b, "while a file is loaded and swapped in", &snapshot, load) })
	phase("pause-tables", func() { measurePause(b, "while tables are read and swapped in", &snapshot, build) })
}

// measurePause runs a loop of look-ups beside work and reports the longest time that a batch took, and how much of such
// times the machine did not have a core for the thread.
func measurePause(b *testing.B, name string, snapshot *atomic.Pointer[enrich.Snapshot], work func()) {
	var stop atomic.Bool
	type result struct {
		longest, own     time.Duration // own: without the wait for a core
		over, ownOver, n int           // longer than 1 ms
	}
	results := make(chan result)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		waits, err := os.Open("/proc/thread-self/schedstat")
		if err != nil {
			say("the wait for a core is not known: %v", err)
		}
		defer waits.Close()
		r, addresses, out := result{}, randomAddresses(1<<12), uint32(0)
		buf := make([]byte, 64)
		last, waited := time.Now(), waitForCore(waits, buf)
		for !stop.Load() {
			s := snapshot.Load()
			for range 64 { // a batch of datagrams
				a := addresses[r.n&(1<<12-1)]
				m, _ := s.LookupIP(a)
				out += m.ASID
				r.n++
			}
			now, waitedNow := time.Now(), waitForCore(waits, buf)
			took := now.Sub(last)
			own := took - (waitedNow - waited)
			if took > time.Millisecond {
				r.over++
			}
			if own > time.Millisecond {
				r.ownOver++
			}
			r.longest, r.own = max(r.longest, took), max(r.own, own)
			last, waited = now, waitedNow
		}
		runtime.KeepAlive(out)
		results <- r
	}()
	work()
	stop.Store(true)
	r := <-results
	say("%s: longest batch of 64 look-ups %s, %d of %d over 1 ms; without the wait for a core %s, %d over 1 ms", name,
		r.longest, r.over, r.n/64, r.own, r.ownOver)
}

// waitForCore is how long a thread has waited for a core so far, from its schedstat; 0 where that is not known.
func waitForCore(schedstat *os.File, buf []byte) time.Duration {
	n, _ := schedstat.ReadAt(buf, 0)
	if fields := strings.Fields(string(buf[:n])); len(fields) > 1 {
		nanoseconds, _ := strconv.ParseInt(fields[1], 10, 64)
		return time.Duration(nanoseconds)
	}
	return 0
}

func randomAddresses(n int) []netip.Addr {
	r := rand.New(rand.NewPCG(3, 4))
	addresses := make([]netip.Addr, n)
	for i := range addresses {
		v := uint32(1<<24) + r.Uint32N(222<<24)
		addresses[i] = netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
	}
	return addresses
}

// measureLookups asks for the prefix and the ASN block of random addresses and of some that come again and again.
func measureLookups(b *testing.B, s *enrich.Snapshot) {
	r := rand.New(rand.NewPCG(5, 6))
	random := randomAddresses(1 << 20)
	zipf := rand.NewZipf(r, 1.1, 1, 1<<20-1)
	skewed := make([]netip.Addr, 1<<20)
	for i := range skewed {
		skewed[i] = random[zipf.Uint64()]
	}
	for name, addresses := range map[string][]netip.Addr{"random": random, "zipf": skewed} {
		best, found := math.Inf(1), 0
		for range 3 {
			began := time.Now()
			found = 0
			for _, a := range addresses {
				if _, ok := s.LookupIP(a); ok {
					found++
				}
				_, _, _ = s.LookupASBlock(a)
			}
			best = min(best, float64(time.Since(began).Nanoseconds())/float64(len(addresses)))
		}
		b.ReportMetric(best, name+"-lookup-ns")
		say("prefix and ASN block of an address with their prefixes, %s: %.0f ns; %d %% found", name, best,
			found*100/len(addresses))
	}
}

// statusMiB is a size of /proc/PID/status, 0 where there is none.
func statusMiB(pid, key string) float64 {
	data, _ := os.ReadFile(filepath.Join("/proc", pid, "status"))
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == key+":" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// engineMiB is the peak of the store that storetest runs, a child of this process.
func engineMiB() float64 {
	largest := 0.0
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		data, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "status"))
		if strings.Contains(string(data), fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
			largest = max(largest, statusMiB(e.Name(), "VmHWM"))
		}
	}
	return largest
}

// say prints a line at once: a benchmark's log is cut after ten lines.
func say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
