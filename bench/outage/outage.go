// Package outage sends numbered flows through a collector into a store while the store is stopped, killed, made slow,
// cut off and filled up, or the collector itself is killed, and then reads off the tables what arrived and how often.
package outage

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/scratch"
)

// Options say what to run and for how long.
type Options struct {
	Collector, Engine string        // paths of the program and of the store's engine
	Dir               string        // for everything that is written; must be empty or missing
	Rate              int           // flows a second
	For               time.Duration // how long flows are sent
	// DiskBytes is the size of the store's disk, a tmpfs that is mounted for the run; 0 leaves its filling up out.
	DiskBytes int64
	// Rollups are turned on besides the three of the reference (flow.rollups).
	Rollups []string
	// Log says what happens.
	Log func(format string, arguments ...any)
}

// run is one run.
type run struct {
	o         Options
	storeDir  string
	storeAddr string
	tables    scratch.Store // past the proxy
	listen    netip.AddrPort
	page      string // address of the collector's page
	proxy     *proxy
	store     *scratch.Process
	collector *scratch.Process
	sender    *sender
	peak      int64 // resident memory of the collector
	drops     uint64
	mounted   bool
}

// Result is what came of a run.
type Result struct {
	Sent        uint64 // flows
	KernelDrops uint64 // datagrams
	Rows        Sums
	Twice       uint64          // rows that are there more than once
	Views       map[string]Sums // of every table that sums data_flow up
	Cuts        uint64          // answers that were lost after a commit
	PeakBytes   int64           // resident memory of the collector
	Sending     time.Duration
	Catching    time.Duration // from the last flow to the last row
	Kills       []Kill
}

// Sums are rows and what they add up to.
type Sums struct{ Rows, Bits, Packets uint64 }

// Lost is how many flows are not in the table though the kernel had handed them over, if nothing is there twice.
func (r *Result) Lost() int64 {
	return int64(r.Sent) - int64(r.Rows.Rows) - int64(r.KernelDrops)*flowsPerDatagram
}

// underWay is the largest number of rows in transit at a time: two blocks.
const underWay = 2 * 50_000

// mayLack reports whether a view may have that much less than the table. The parts of an insert in the table and in its
// views are not committed together, and an insert that was under way when collector and store were killed is not sent
// again: sink/README.md.
func (r *Result) mayLack(view Sums) bool {
	return len(r.Kills) > 0 && view.Rows <= r.Rows.Rows && view.Bits <= r.Rows.Bits && view.Packets <= r.Rows.Packets &&
		r.Rows.Rows-view.Rows <= uint64(len(r.Kills))*underWay
}

// Problem says what should not be: a row twice, views that differ from the table by more than was under way at a kill,
// and, unless the collector was killed, rows that are missing or more than were sent. "" is none.
func (r *Result) Problem() string {
	if r.Twice > 0 {
		return fmt.Sprintf("%d rows are there twice", r.Twice)
	}
	for name, v := range r.Views {
		if v != r.Rows && !r.mayLack(v) {
			return fmt.Sprintf("%s has %+v, data_flow %+v", name, v, r.Rows)
		}
	}
	if lost := r.Lost(); lost != 0 && len(r.Kills) == 0 {
		return fmt.Sprintf("%d flows are lost", lost)
	}
	return ""
}

// begin starts everything.
func begin(ctx context.Context, o Options) (r *run, err error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", o.Dir)
	}
	r = &run{o: o, storeDir: filepath.Join(o.Dir, "store")}
	for _, dir := range []string{r.storeDir, filepath.Join(o.Dir, "conf")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			r.end()
		}
	}()
	if o.DiskBytes > 0 {
		if err := syscall.Mount("tmpfs", r.storeDir, "tmpfs", 0, fmt.Sprintf("size=%d", o.DiskBytes)); err != nil {
			return r, fmt.Errorf("mount a small disk at %s: %w", r.storeDir, err)
		}
		r.mounted = true
	}
	if err := writeMetadata(filepath.Join(o.Dir, "conf")); err != nil {
		return r, err
	}
	free, err := measure.FreeAddresses()
	if err != nil {
		return r, err
	}
	r.listen, r.page, r.storeAddr = free.Listen, free.Page.String(), free.Store.String()
	r.tables = scratch.Store(r.storeAddr)
	if err := r.startStore(); err != nil {
		return r, err
	}
	if r.proxy, err = startProxy(r.storeAddr); err != nil {
		return r, err
	}
	if err := r.startCollector(ctx); err != nil {
		return r, err
	}
	if err := r.awaitTables(ctx); err != nil {
		return r, err
	}
	r.sender, err = newSender(r.listen)
	return r, err
}

// end stops everything that still runs.
func (r *run) end() {
	if r.sender != nil {
		r.sender.close()
	}
	if r.collector != nil {
		r.collector.Stop(syscall.SIGTERM)
	}
	if r.proxy != nil {
		r.proxy.close()
	}
	if r.store != nil {
		r.store.Stop(syscall.SIGTERM)
	}
	if r.mounted {
		_ = syscall.Unmount(r.storeDir, syscall.MNT_DETACH)
	}
}

// Run sends flows while the store suffers, and reports what arrived. The collector is never touched.
func Run(ctx context.Context, o Options) (*Result, error) {
	r, err := begin(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.end()
	sending, stop := context.WithTimeout(ctx, o.For)
	defer stop()
	sent := make(chan struct{})
	begun := time.Now()
	go func() {
		r.sender.run(sending, o.Rate)
		close(sent)
	}()
	faults := make(chan error, 1)
	go func() { faults <- r.faults(sending) }()
	r.watch(sent)
	result := &Result{Sending: time.Since(begun)}
	if err := <-faults; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	begun = time.Now()
	if err := r.settle(ctx, 45*time.Second); err != nil { // longer than any wait between two tries
		return nil, err
	}
	result.Catching = time.Since(begun)
	return result, r.count(ctx, result)
}

// watch samples the collector's memory and the kernel's drops until done is closed.
func (r *run) watch(done <-chan struct{}) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		r.peak = max(r.peak, measure.Resident(r.collector.PID()))
		r.drops = max(r.drops, measure.Sockets(r.listen.Port()).Drops)
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

// A fault is something that happens to the store for a while.
type fault struct {
	name       string
	begin, end func() error
}

// faults makes the store suffer, one fault after the other with a quiet time between, in equal parts of the run.
func (r *run) faults(ctx context.Context) error {
	all := []fault{
		{"the store is stopped", func() error { r.store.Stop(syscall.SIGTERM); return nil }, r.startStore},
		{"every other answer is lost after the commit", func() error { r.proxy.cut.Store(true); return nil },
			func() error { return r.cutSome(ctx) }},
		{"the store is killed -9", func() error { r.store.Stop(syscall.SIGKILL); return nil }, r.startStore},
		{"the store is slow", func() error { r.proxy.slow.Store(true); return nil },
			func() error { r.proxy.slow.Store(false); return nil }},
		{"the store is frozen", func() error { return r.store.Signal(syscall.SIGSTOP) },
			func() error { return r.store.Signal(syscall.SIGCONT) }},
	}
	if r.mounted {
		filler := filepath.Join(r.storeDir, "filler")
		all = append(all, fault{"the store's disk is full", func() error { return fill(filler) },
			func() error { return os.Remove(filler) }})
	}
	part := r.o.For / time.Duration(2*len(all)+1)
	for _, f := range all {
		if err := measure.Pause(ctx, part); err != nil {
			return err
		}
		r.o.Log("%s", f.name)
		if err := f.begin(); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		interrupted := measure.Pause(ctx, part)
		if err := f.end(); err != nil {
			return fmt.Errorf("%s: ending it: %w", f.name, err)
		}
		r.o.Log("%s: over", f.name)
		if interrupted != nil {
			return interrupted
		}
	}
	return nil
}

// cutSome ends the loss of answers, once at least one was lost: a busy machine may not have come to an insert before.
func (r *run) cutSome(ctx context.Context) error {
	defer r.proxy.cut.Store(false)
	for r.proxy.cuts.Load() == 0 {
		if err := measure.Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// left is how much of the store's disk is left free when it is filled up: less than what the store keeps free, so that
// it takes nothing, and enough for what was under way. To the last byte is more than the engine can bear.
const left = 4 // hundredths

// fill writes a file until the disk around it is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 1<<20); ; {
		var disk syscall.Statfs_t
		if err := syscall.Statfs(path, &disk); err != nil {
			return err
		}
		if disk.Bavail*100 <= disk.Blocks*left {
			return nil
		}
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
}
