// Package flooded runs a collector with its local store under floods of hostile datagrams, beside a router that
// behaves, and reports what each datagram of the flood costs, what memory stays, and whether every flow of the router
// is a row.
package flooded

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/scratch"
)

// Options say what to run and for how long.
type Options struct {
	Collector, Engine string        // paths of the program and of the store's engine
	Dir               string        // for everything that is written; must be empty or missing
	For               time.Duration // how long the flood of each kind lasts
	Rate              float64       // datagrams a second; 0: the kind's
	Quiet             time.Duration // how long is measured before it what the router alone costs
	Settle            time.Duration // how long rows and merges may go on behind it
	Environment       []string      // NAME=value, in addition
	Config            string        // the path of a configuration; "": none
	// StoreAway is how long the store's process stands still, from the begin of the flood on. Neither what waits in
	// memory nor what waits on disk gets away then.
	StoreAway time.Duration
}

// Cost is the result of a flood. CPU times are without what the router alone costs in that time.
type Cost struct {
	Kind      string  `json:"kind"`
	Sent      int     `json:"sent"`
	Bytes     float64 `json:"bytes"` // of a datagram
	Taken     uint64  `json:"taken"` // datagrams that were decoded
	Collector float64 `json:"collector_us_per_datagram"`
	Engine    float64 `json:"engine_us_per_datagram"`
	Quiet     float64 `json:"quiet_cores"` // that the router alone takes
	Rows      uint64  `json:"rows"`
	// Resident memory in MiB, of the collector and the engine: before the flood, the most, and when all is settled.
	CollectorMemory Memory `json:"collector_mebibytes"`
	EngineMemory    Memory `json:"engine_mebibytes"`
	RouterSent      uint64 `json:"router_flows"`
	RouterRows      uint64 `json:"router_rows"`
	// Unbalanced says what the counters do not explain; "" is nothing.
	Unbalanced  string `json:"unbalanced,omitempty"`
	KernelDrops uint64 `json:"kernel_drops,omitempty"` // datagrams, of the flood or of the router
	// OverShare are datagrams that were dropped in favour of other sources, LostRows those that found no room.
	OverShare uint64 `json:"overload_drops,omitempty"`
	LostRows  uint64 `json:"rows_lost,omitempty"`
	Unsettled bool   `json:"unsettled,omitempty"` // merges still ran
	Parts     uint64 `json:"parts"`               // of all tables, at the end
}

// Memory is a process's resident memory.
type Memory struct {
	Before float64 `json:"before"`
	Peak   float64 `json:"peak"`
	After  float64 `json:"after"`
}

// run is one run.
type run struct {
	o         Options
	page      string // host:port
	store     scratch.Store
	listen    netip.AddrPort
	collector *scratch.Process
	tree      *measure.Tree
	router    *router
	away      time.Time // until when the store stands still; zero: it does not
}

// beginning lets one collector start at a time, so that no other takes the ports that were found free for it.
var beginning sync.Mutex

// Run floods a collector of its own with some kinds, one after the other. Several runs may go on at once.
func Run(ctx context.Context, kinds []hostile.Kind, o Options) (*Cost, error) {
	beginning.Lock()
	r, err := begin(ctx, o)
	beginning.Unlock()
	if err != nil {
		return nil, err
	}
	defer r.collector.Stop(syscall.SIGTERM)
	defer r.router.conn.Close()
	sending, stop := context.WithCancel(ctx)
	defer stop()
	go r.router.run(sending)
	c := &Cost{}
	for _, k := range kinds {
		c.Kind += k.Name + " "
	}
	c.Kind = strings.TrimSpace(c.Kind)
	if err := r.flood(ctx, kinds, c); err != nil {
		return nil, err
	}
	stop()
	return c, r.count(ctx, c)
}

// begin starts the collector and waits for its tables.
func begin(ctx context.Context, o Options) (*run, error) {
	if entries, err := os.ReadDir(o.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty", o.Dir)
	}
	conf := filepath.Join(o.Dir, "conf")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		return nil, err
	}
	if err := writeMetadata(conf); err != nil {
		return nil, err
	}
	free, err := measure.FreeAddresses()
	if err != nil {
		return nil, err
	}
	r := &run{o: o, page: free.Page.String(), store: scratch.Store(free.Store.String()), listen: free.Listen}
	cmd := exec.Command(o.Collector, "run")
	if o.Config != "" {
		cmd.Args = append(cmd.Args, "--config", o.Config)
	}
	cmd.Env = append(os.Environ(),
		"STORE_PATH="+filepath.Join(o.Dir, "store"), "STORE_LISTEN="+string(r.store), "STORE_ENGINE="+o.Engine,
		"LISTEN="+r.listen.String(), "HTTP_LISTEN="+r.page, "METADATA_DIR="+conf,
		"CACHE_DIR="+filepath.Join(o.Dir, "caches"), "SPOOL_PATH="+filepath.Join(o.Dir, "spool"),
		"QUARANTINE_PATH="+filepath.Join(o.Dir, "quarantine"), "COLLECTOR_ID=flooded")
	cmd.Env = append(cmd.Env, o.Environment...)
	if r.collector, err = scratch.Start("collector", filepath.Join(o.Dir, "collector.log"), cmd); err != nil {
		return nil, err
	}
	r.tree = measure.NewTree(r.collector.PID())
	if err = r.collector.Await(ctx, "listening", 5*time.Minute); err == nil {
		err = r.awaitDevice(ctx)
	}
	if err == nil {
		r.router, err = newRouter(r.listen)
	}
	if err != nil {
		r.collector.Stop(syscall.SIGTERM)
		return nil, err
	}
	return r, nil
}

// awaitDevice waits until the tables are made and the router is one of the devices.
func (r *run) awaitDevice(ctx context.Context) error {
	for deadline := time.Now().Add(5 * time.Minute); ; {
		if n, err := r.store.Numbers(ctx, "SELECT count() FROM meta_device"); err == nil && n[0] > 0 {
			return measure.Pause(ctx, 2*time.Second) // the collector reads them back
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the tables are not there: see %s", filepath.Join(r.o.Dir, "collector.log"))
		}
		if err := measure.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// usage is what the processes have used until a time.
type usage struct {
	at                time.Time
	collector, engine time.Duration
}

func (r *run) usage() usage {
	r.tree.Look()
	all, collector := r.tree.CPU()
	return usage{time.Now(), collector, all - collector}
}

// flood measures the router alone, then the flood until all is settled.
func (r *run) flood(ctx context.Context, kinds []hostile.Kind, c *Cost) error {
	if err := measure.Pause(ctx, 3*time.Second); err != nil { // the first blocks
		return err
	}
	quiet := r.usage()
	if err := r.watch(ctx, r.o.Quiet, func() bool { return false }, c); err != nil {
		return err
	}
	before, counted := r.usage(), r.report(ctx)
	c.CollectorMemory.Before, c.EngineMemory.Before = c.CollectorMemory.Peak, c.EngineMemory.Peak

	type outcome struct {
		hostile.Sent
		error
	}
	ended := make(chan outcome, 1)
	go func() {
		var all outcome
		for n, k := range kinds {
			s, err := k.Send(ctx, hostile.Sending{To: r.listen, From: netip.AddrFrom4([4]byte{127, byte(66 + n), 0, 1}),
				Rate: r.o.Rate, For: r.o.For})
			all.Datagrams, all.Bytes, all.error = all.Datagrams+s.Datagrams, all.Bytes+s.Bytes, err
			if err != nil {
				break
			}
		}
		ended <- all
	}()
	if r.o.StoreAway > 0 {
		r.stopStore()
		defer r.resumeStore() // a process that stands still does not end
	}
	var sent *outcome
	err := r.watch(ctx, time.Duration(len(kinds))*r.o.For+time.Minute, func() bool {
		select {
		case o := <-ended:
			sent = &o
		default:
		}
		return sent != nil
	}, c)
	if err != nil {
		return err
	}
	if sent.error != nil {
		return sent.error
	}
	c.Sent, c.Bytes = sent.Datagrams, float64(sent.Bytes)/float64(max(sent.Datagrams, 1))
	if err := r.settle(ctx, c); err != nil {
		return err
	}
	after, now := r.usage(), r.report(ctx)
	c.Taken = now.taken() - counted.taken()
	c.Taken -= min(c.Taken, uint64(after.at.Sub(before.at)/sendEvery)) // the router's
	span, factor := before.at.Sub(quiet.at).Seconds(), after.at.Sub(before.at).Seconds()
	each := func(first, second, third time.Duration) float64 {
		return ((third - second).Seconds() - (second-first).Seconds()/span*factor) * 1e6 / float64(max(c.Taken, 1))
	}
	c.Collector = each(quiet.collector, before.collector, after.collector)
	c.Engine = each(quiet.engine, before.engine, after.engine)
	c.Quiet = (before.collector + before.engine - quiet.collector - quiet.engine).Seconds() / span
	c.CollectorMemory.After, c.EngineMemory.After = r.memory()
	return nil
}

// stopStore has the store's process stand still.
func (r *run) stopStore() {
	r.tree.Look()
	r.tree.Signal(syscall.SIGSTOP)
	r.away = time.Now().Add(r.o.StoreAway)
}

// resumeStore has it go on.
func (r *run) resumeStore() {
	r.tree.Signal(syscall.SIGCONT)
	r.away = time.Time{}
}

// memory is what the two processes have resident now, in MiB.
func (r *run) memory() (collector, engine float64) {
	const mebi = 1 << 20
	return float64(measure.Resident(r.collector.PID())) / mebi, float64(r.tree.Others()) / mebi
}

// watch notes the most memory until done, and asks the store what merges there are, as settle does, so that this costs
// the same before and after.
func (r *run) watch(ctx context.Context, atMost time.Duration, done func() bool, c *Cost) error {
	for begun, n := time.Now(), 0; time.Since(begun) < atMost && !done(); n++ {
		if err := measure.Pause(ctx, lookEvery); err != nil {
			return err
		}
		r.tree.Look()
		if !r.away.IsZero() && time.Now().After(r.away) {
			r.resumeStore()
		}
		collector, engine := r.memory()
		c.CollectorMemory.Peak = max(c.CollectorMemory.Peak, collector)
		c.EngineMemory.Peak = max(c.EngineMemory.Peak, engine)
		if n%looksAtOnce == 0 {
			_ = r.merges(ctx)
		}
	}
	return nil
}

const (
	lookEvery   = 100 * time.Millisecond
	looksAtOnce = 10
	settled     = 5 // times in a row that nothing was under way
)

// settle waits until no datagram, row or merge has been under way for a while, at most for Settle.
func (r *run) settle(ctx context.Context, c *Cost) error {
	still, calls := 0, 0
	last := status{}
	err := r.watch(ctx, r.o.Settle, func() bool {
		if calls++; calls%looksAtOnce != 0 {
			return false
		}
		now := r.report(ctx)
		grown := now.taken() - last.taken() // the router's own are under way always
		last = now
		// A block of the router waits for a second.
		const fewRows, fewDatagrams = 1000, 20
		if measure.Sockets(r.listen.Port()).Queued > 1<<16 || grown > fewDatagrams || now.Waiting > fewRows ||
			now.Spooled > 0 || r.merges(ctx) > 0 {
			still = 0
			return false
		}
		still++
		return still >= settled
	}, c)
	c.Unsettled = still < settled
	return err
}

// merges are under way now.
func (r *run) merges(ctx context.Context) uint64 {
	if !r.away.IsZero() {
		return 1 // it would not answer
	}
	n, err := r.store.Numbers(ctx, "SELECT count() FROM system.merges")
	if err != nil {
		return 1 // a store that is busy
	}
	return n[0]
}

// count waits for the router's last rows, and compares what was sent with what was counted and what is in the table.
func (r *run) count(ctx context.Context, c *Cost) error {
	c.RouterSent = r.router.sent.Load()
	query := "SELECT uniqExactIf(bit_count, " + isRouter + "), countIf(" + isRouter + "), count() FROM data_flow"
	var rows []uint64
	var s status
	for deadline := time.Now().Add(r.o.Settle); ; {
		var err error
		if rows, err = r.store.Numbers(ctx, query); err != nil {
			return err
		}
		s = r.report(ctx)
		if rows[0]+s.Lost >= c.RouterSent && s.Waiting == 0 && s.Spooled == 0 || time.Now().After(deadline) {
			break
		}
		if err := measure.Pause(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	parts, err := r.store.Numbers(ctx, "SELECT count() FROM system.parts WHERE active AND database = currentDatabase()")
	if err != nil {
		return err
	}
	c.Parts = parts[0]
	c.RouterRows, c.Rows, c.KernelDrops = rows[0], rows[2]-rows[1], s.KernelDrops
	c.OverShare, c.LostRows = s.OverloadDrops, s.Lost
	sent := uint64(c.Sent) + c.RouterSent/flowsAtOnce
	switch counted := s.taken() + s.KernelDrops + s.OverloadDrops; {
	case counted != sent:
		c.Unbalanced = fmt.Sprintf("%d datagrams were sent, %d are counted", sent, counted)
	case s.Records != s.Written+s.Waiting+s.Spooled+s.Lost:
		c.Unbalanced = fmt.Sprintf("%d records, but %d rows written, %d waiting, %d on disk, %d lost", s.Records,
			s.Written, s.Waiting, s.Spooled, s.Lost)
	case rows[2] != s.Written:
		c.Unbalanced = fmt.Sprintf("%d rows written, %d in the table", s.Written, rows[2])
	}
	return nil
}
