package stages

import (
	"cmp"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
)

// Cost is what a stage takes of each record, without the stages before it.
type Cost struct {
	Stage       string  `json:"stage"`
	Nanoseconds float64 `json:"ns_per_record"` // of a core
	Least       float64 `json:"-"`             // of a run, of Turns
	Share       float64 `json:"share"`
	Allocations float64 `json:"allocs_per_record"`
	Bytes       float64 `json:"bytes_per_record"` // of what it made
	Batches     []Took  `json:"-"`                // each batch of the stage and those before it
}

// Took is the time of a batch on the clock, and on a core.
type Took struct{ Clock, Core time.Duration }

// Throughput is what so many workers get through together.
type Throughput struct {
	Workers int     `json:"workers"`
	Rate    float64 `json:"records_per_second"`
	Scale   float64 `json:"scale"` // times the rate of one
}

// Bench measures chains on datagrams in memory.
type Bench struct {
	Datagrams []exporter.Datagram
	Snapshot  *atomic.Pointer[enrich.Snapshot]
	Routes    enrich.RouteOptions // none: without routes
	Runs      int                 // medians are taken of so many
	For       time.Duration       // each takes about so long
	Progress  func()              // unless it is nil, is called after each run
}

// runner is a chain that is warm, and what its runs said.
type runner struct {
	chain       *Chain
	nanoseconds []float64
	allocations []float64
	batches     *[]Took // of Turns
}

// Costs measures what each stage takes. The stages up to Encode are runs of one after the other as deep as each, in
// turn, so that what else this host does meets all of them alike; a stage's own cost is the difference. The stage last
// is the last.
func (b *Bench) Costs(last Stage) []Cost {
	var runners []*runner
	for s := Decode; s <= min(last, Encode); s++ {
		if last > Encode && s == Append {
			break
		}
		runners = append(runners, b.warm(s))
	}
	if last > Encode {
		runners = append(runners, b.warm(last))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range b.Runs {
		for _, r := range runners {
			b.run(r)
			b.tell()
		}
	}
	return costs(runners)
}

func costs(runners []*runner) []Cost {
	var list []Cost
	var before Cost // all the stages before
	total := median(runners[len(runners)-1].nanoseconds)
	for _, r := range runners {
		all := Cost{Nanoseconds: median(r.nanoseconds), Allocations: median(r.allocations)}
		list = append(list, Cost{
			Stage: r.chain.stage.String(), Nanoseconds: all.Nanoseconds - before.Nanoseconds,
			Share:       (all.Nanoseconds - before.Nanoseconds) / total,
			Allocations: all.Allocations - before.Allocations,
			Bytes:       float64(r.chain.Bytes()) / float64(max(r.chain.Records(), 1)),
		})
		before = all
	}
	return list
}

func (b *Bench) tell() {
	if b.Progress != nil {
		b.Progress()
	}
}

// warm is a chain that has seen all datagrams, and some blocks, once.
func (b *Bench) warm(s Stage) *runner {
	c := NewRoutedChain(s, b.Snapshot, b.Routes)
	for c.pass(b.Datagrams); c.Records() > 0 && c.Records() < 3*blockRows; {
		c.pass(b.Datagrams)
	}
	return &runner{chain: c}
}

// Turn is a bench that takes turns with others. Before, unless it is nil, is called before each of its runs.
type Turn struct {
	*Bench
	Before func()
}

// Turns measures chains up to a stage, a run of each in turn, so that what else this host does meets all of them alike.
// Their costs are of the whole chains.
func Turns(turns []Turn, last Stage, runs int) []Cost {
	runners := make([]*runner, len(turns))
	for i, t := range turns {
		runners[i] = t.warm(last)
		batches := make([]Took, 0, 1<<18) // so that noting them does not allocate
		runners[i].batches = &batches
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range runs {
		for i, t := range turns {
			if t.Before != nil {
				t.Before()
			}
			t.run(runners[i])
			t.tell()
		}
	}
	list := make([]Cost, len(turns))
	for i, r := range runners {
		list[i] = Cost{Stage: last.String(), Nanoseconds: median(r.nanoseconds), Least: slices.Min(r.nanoseconds),
			Allocations: median(r.allocations), Batches: *r.batches}
	}
	return list
}

// pass takes all datagrams through the chain, as many at a time as the listener would.
func (c *Chain) pass(datagrams []exporter.Datagram) {
	c.timed(datagrams, nil)
}

// timed is pass that notes what each batch took, unless took is nil.
func (c *Chain) timed(datagrams []exporter.Datagram, took *[]Took) {
	now, cpu := time.Now(), threadCPU()
	for batch := range slices.Chunk(datagrams, listen.BatchDatagrams) {
		c.Process(batch, now)
		if took != nil {
			at, used := time.Now(), threadCPU()
			*took = append(*took, Took{at.Sub(now), used - cpu})
			now, cpu = at, used
		}
	}
}

// run passes the datagrams until the time is over, and notes the thread's time and the process's allocations for each
// record.
func (b *Bench) run(r *runner) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	records, cpu, began := r.chain.Records(), threadCPU(), time.Now()
	for time.Since(began) < b.For {
		r.chain.timed(b.Datagrams, r.batches)
	}
	cpu = threadCPU() - cpu
	runtime.ReadMemStats(&after)
	n := float64(max(r.chain.Records()-records, 1))
	r.nanoseconds = append(r.nanoseconds, float64(cpu)/n)
	r.allocations = append(r.allocations, float64(after.Mallocs-before.Mallocs)/n)
}

// Throughputs measures 1 to workers chains side by side, each with decoder, caches and block of its own.
func (b *Bench) Throughputs(stage Stage, workers int) []Throughput {
	rates := make([][]float64, workers)
	for range b.Runs {
		for n := range workers {
			rates[n] = append(rates[n], b.together(stage, n+1))
			b.tell()
		}
	}
	list := make([]Throughput, workers)
	for n := range list {
		list[n] = Throughput{Workers: n + 1, Rate: median(rates[n])}
		list[n].Scale = list[n].Rate / list[0].Rate
	}
	return list
}

// together is how many records a second n workers get through: each counts the time that its thread had a core, so that
// what else runs on this host is left out, but not what they take from each other.
func (b *Bench) together(stage Stage, n int) float64 {
	chains := make([]*Chain, n)
	var warmed, running sync.WaitGroup
	for i := range chains {
		warmed.Go(func() { chains[i] = b.warm(stage).chain })
	}
	warmed.Wait()
	runtime.GC()
	rates := make([]float64, n)
	began := time.Now()
	for i, c := range chains {
		running.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			records, cpu := c.Records(), threadCPU()
			for time.Since(began) < b.For {
				c.pass(b.Datagrams)
			}
			rates[i] = float64(c.Records()-records) / (threadCPU() - cpu).Seconds()
		})
	}
	running.Wait()
	total := 0.0
	for _, rate := range rates {
		total += rate
	}
	return total
}

func median[T cmp.Ordered](list []T) T {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// threadCPU is the time that this thread has had on a core.
func threadCPU() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
