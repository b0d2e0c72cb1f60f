package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/routers"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
)

func bgpCommand() *cli.Command {
	return &cli.Command{
		Name:  "bgp",
		Usage: "measure routers with full tables: memory, time a route, and flows beside",
		Description: "Routers connect to a collector's routing station in this process, over loopback, with the " +
			"prefixes of a real table and\n" +
			"attributes that are made up (4 AS, 8 communities). Figures have the speakers' share in them.\n\n" +
			"50 routers whose tables have the same attributes, and with attributes of their own:\n" +
			"   bench bgp --routers 50\n" +
			"   bench bgp --routers 50 --own\n" +
			"By BMP, with flaps, and what a restart takes:\n" +
			"   bench bgp --routers 10 --bmp --flaps 20 --restart",
		Flags: append(genFlags(),
			&cli.IntFlag{Name: "routers", Usage: "`N` routers", Value: 1},
			&cli.StringFlag{Name: "table",
				Usage: "prefixes from `FILE`, one a line (default: those of bart's test data)"},
			&cli.BoolFlag{Name: "own", Usage: "each router has attributes of its own"},
			&cli.BoolFlag{Name: "bmp", Usage: "BMP Loc-RIB in place of BGP"},
			&cli.IntFlag{Name: "flaps", Usage: "sessions end and begin again `N` times", HideDefault: true},
			&cli.BoolFlag{Name: "restart", Usage: "save the routes and load them again"},
			&cli.IntFlag{Name: "churn", Usage: "`N` routes a second change while flows are measured", Value: 1000},
			&cli.IntFlag{Name: "max-memory", Usage: "`MIB` for routes", Value: 8192},
			&cli.IntFlag{Name: "runs", Usage: "medians of `N` runs", Value: 3},
			&cli.DurationFlag{Name: "for", Usage: "each run takes `TIME`; 0: no flows are measured",
				Value: time.Second}),
		Action: measureBGP,
	}
}

// bgpBench is a station and its routers.
type bgpBench struct {
	c        *cli.Command
	table    []route.Prefix
	streams  [][]byte
	station  *routing.Station
	speakers []*routers.Speaker
	file     string
}

func measureBGP(_ context.Context, c *cli.Command) (err error) {
	b := &bgpBench{c: c}
	if b.table, err = routers.Table(c.String("table")); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-bgp")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.file = filepath.Join(dir, "routes")
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("%d prefixes, %d routers; load of this host %s", len(b.table), c.Int("routers"), load)
	if err := b.load(); err != nil {
		return err
	}
	defer func() {
		b.station.Close()
		b.station.Free()
	}()
	if c.Duration("for") > 0 {
		if err := b.flows(); err != nil {
			return err
		}
	}
	if err := b.flap(); err != nil {
		return err
	}
	if c.Bool("restart") {
		return b.restart()
	}
	return nil
}

func (b *bgpBench) options() routing.Options {
	own := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	o := routing.Options{Neighbors: own, KeepStale: time.Hour, Log: zap.NewNop(),
		BMP: routing.BMPOptions{Allowed: own, KeepStale: time.Hour},
		RIB: rib.Options{MaxMemory: int64(b.c.Int("max-memory")) << 20}}
	if b.c.Bool("bmp") {
		o.BMP.Listen = []string{"127.0.0.1:0"}
	} else {
		o.Listen = []string{"127.0.0.1:0"}
	}
	return o
}

func (b *bgpBench) address() string {
	if b.c.Bool("bmp") {
		return b.station.BMPAddresses()[0]
	}
	return b.station.Addresses()[0]
}

// stream is what a router announces. Routers with the same attributes share one for BGP.
func (b *bgpBench) stream(n int) []byte {
	kind := uint32(0)
	if b.c.Bool("own") {
		kind = uint32(n)
	}
	if len(b.streams) == 0 {
		b.streams = make([][]byte, 1)
	}
	if b.c.Bool("own") || b.c.Bool("bmp") || b.streams[0] == nil {
		b.streams[0] = routers.Stream(b.table, kind, b.c.Bool("bmp"), routers.ID(n))
	}
	return b.streams[0]
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func memory() (resident int64, objects uint64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return measure.Resident(os.Getpid()), m.HeapObjects
}

// load has all routers announce their tables one after the other.
func (b *bgpBench) load() (err error) {
	first := b.stream(0)
	residentBefore, objectsBefore := memory()
	if b.station, err = routing.Open(b.options()); err != nil {
		return err
	}
	var cpu, wall, firstWall, firstCPU time.Duration
	for n := range b.c.Int("routers") {
		stream := first
		if n > 0 {
			stream = b.stream(n)
		}
		cpuBefore, begun := cpuTime(), time.Now()
		x, err := routers.Connect(b.address(), n, b.c.Bool("bmp"))
		if err != nil {
			return err
		}
		b.speakers = append(b.speakers, x)
		if err := x.Send(stream); err != nil {
			return err
		}
		b.await(int64(n+1) * int64(len(b.table)))
		cpu, wall = cpu+cpuTime()-cpuBefore, wall+time.Since(begun)
		if n == 0 {
			firstCPU, firstWall = cpu, wall
		}
	}
	resident, objects := memory()
	s := b.station.Stats().RIB
	routes := float64(max(s.Routes, 1))
	fmt.Printf("first table: %.2f s of CPU, %.2f s; all %d routes: %.1f s of CPU, %.1f s, %.2f µs a route\n",
		firstCPU.Seconds(),
		firstWall.Seconds(), s.Routes, cpu.Seconds(), wall.Seconds(), cpu.Seconds()*1e6/routes)
	fmt.Printf("memory: %d MiB (counted %d MiB), %.1f bytes a route; %d records; %d objects of Go's heap; "+
		"left out %d\n",
		(resident-residentBefore)>>20, s.Bytes>>20, float64(resident-residentBefore)/routes, s.Records,
		int64(objects)-int64(objectsBefore), s.Refused)
	return nil
}

// await waits until so many routes are there, or no more come because the table is full.
func (b *bgpBench) await(routes int64) {
	for {
		s := b.station.Stats().RIB
		if s.Routes+int64(s.Refused) >= routes {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// flows measures the pipeline without routes, with them, while a router announces its table again and again, and with
// churn.
func (b *bgpBench) flows() error {
	capture, err := captureOrGenerated(b.c)
	if err != nil {
		return err
	}
	snapshot, err := stages.Metadata{Prefixes: 1_000_000, Exporters: 1}.Snapshot()
	if err != nil {
		return err
	}
	with := enrich.RouteOptions{RIB: b.station.RIB(), AS: enrich.ASRoute, Maps: new(enrich.CurrentMaps),
		CommunityNames: true}
	all := netip.MustParsePrefix("0.0.0.0/0")
	with.Maps.Set(enrich.RouteMaps{Agents: []enrich.AgentRule{{Match: enrich.Match{Exporter: all},
		Router: flow.AddrFrom(routers.Address(0))}}})
	var mode atomic.Int32
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- b.announce(&mode, stop) }()
	turn := func(o enrich.RouteOptions, m int32) stages.Turn {
		p := newBench(capture, snapshot)
		p.For, p.Routes = b.c.Duration("for"), o
		return stages.Turn{Bench: p, Before: func() {
			mode.Store(m)
			time.Sleep(100 * time.Millisecond) // what was sent before is applied
		}}
	}
	costs := stages.Turns([]stages.Turn{turn(enrich.RouteOptions{}, still), turn(with, still), turn(with, loading),
		turn(with, churning)}, stages.Encode, b.c.Int("runs"))
	close(stop)
	base := costs[1]
	for i, what := range []string{"flows without routes:", "with routes:", "while a full table loads:",
		fmt.Sprintf("with %d changes a second:", b.c.Int("churn"))} {
		x := costs[i]
		fmt.Printf("%-28s %5.0f ns a flow (least %.0f), %9.0f flows/s of a core, %.3f allocations a flow, %.0f %% of "+
			"it with routes (least %.0f)\n", what, x.Nanoseconds, x.Least, 1e9/x.Nanoseconds, x.Allocations,
			100*base.Nanoseconds/x.Nanoseconds, 100*base.Least/x.Least)
		printBatches(x.Batches)
	}
	return <-done
}

// What the first router does while flows are measured.
const (
	still = iota
	loading
	churning
)

// announce has the first router announce its table again and again, or change some routes, or nothing.
func (b *bgpBench) announce(mode *atomic.Int32, stop chan struct{}) error {
	stream, at := b.streams[0], 0
	n := max(b.c.Int("churn")/10, 1)
	for i := 0; ; {
		select {
		case <-stop:
			return nil
		default:
		}
		var send []byte
		switch mode.Load() {
		case loading:
			send = messages(stream[at:], b.c.Bool("bmp"))
			at = (at + len(send)) % len(stream)
		default:
			if time.Sleep(100 * time.Millisecond); mode.Load() == churning {
				send = routers.Stream(b.table[i:min(i+n, len(b.table))], uint32(i), b.c.Bool("bmp"), routers.ID(0))
				i = (i + n) % len(b.table)
			}
		}
		if err := b.speakers[0].Send(send); err != nil {
			return err
		}
	}
}

// messages returns the first whole messages of a stream, some 64 KiB of them.
func messages(stream []byte, monitoring bool) []byte {
	n := 0
	for n < len(stream) && n < 64<<10 {
		if monitoring {
			n += int(binary.BigEndian.Uint32(stream[n+1:]))
		} else {
			n += int(binary.BigEndian.Uint16(stream[n+16:]))
		}
	}
	return stream[:n]
}

// printBatches prints what batches took: one waits on the clock, and not on a core, where something else runs.
func printBatches(batches []stages.Took) {
	print := func(what string, of func(stages.Took) time.Duration) {
		all := make([]time.Duration, 0, len(batches))
		for _, t := range batches {
			all = append(all, of(t))
		}
		slices.Sort(all)
		n := len(all)
		fmt.Printf("   %d batches %s: median %.2f ms, 99 %% %.2f, 99.9 %% %.2f, longest %.2f\n", n, what,
			all[n/2].Seconds()*1e3, all[n*99/100].Seconds()*1e3, all[n*999/1000].Seconds()*1e3, all[n-1].Seconds()*1e3)
	}
	print("on a core", func(t stages.Took) time.Duration { return t.Core })
	print("on the clock", func(t stages.Took) time.Duration { return t.Clock })
}

// flap ends sessions and has them begin again with all that they had.
func (b *bgpBench) flap() error {
	flaps := b.c.Int("flaps")
	if flaps == 0 {
		return nil
	}
	want := b.station.Stats().RIB.Routes
	residentBefore, _ := memory()
	goroutines, begun, cpu := runtime.NumGoroutine(), time.Now(), cpuTime()
	for i := range flaps {
		n := i % len(b.speakers)
		b.speakers[n].Close()
		x, err := routers.Connect(b.address(), n, b.c.Bool("bmp"))
		if err != nil {
			return err
		}
		b.speakers[n] = x
		if err := x.Send(b.stream(n)); err != nil {
			return err
		}
	}
	for settled := 0; settled < 40; { // the writer has taken everything, and swept
		before := cpuTime()
		time.Sleep(100 * time.Millisecond)
		s := b.station.Stats().RIB
		if cpuTime()-before < 20*time.Millisecond && s.SweepsToDo == 0 && s.Routes == want {
			settled++
		}
		if time.Since(begun) > 10*time.Minute {
			return fmt.Errorf("%d routes after the flaps, %d before", s.Routes, want)
		}
	}
	resident, _ := memory()
	s := b.station.Stats().RIB
	fmt.Printf("%d flaps: %.1f s of CPU; memory %+.1f %%, %d bytes in limbo, goroutines %+d, routes as before\n", flaps,
		(cpuTime() - cpu).Seconds(), 100*float64(resident-residentBefore)/float64(residentBefore), s.LimboBytes,
		runtime.NumGoroutine()-goroutines)
	return nil
}

// restart saves the routes at a stop, and has another station begin with them.
func (b *bgpBench) restart() error {
	o := b.options()
	o.File = b.file
	routes := b.station.Stats().RIB.Routes
	begun, cpu := time.Now(), cpuTime()
	if err := b.station.SaveTo(b.file); err != nil {
		return err
	}
	info, err := os.Stat(b.file)
	if err != nil {
		return err
	}
	fmt.Printf("saved: %d MiB, %.1f s, %.1f s of CPU\n", info.Size()>>20, time.Since(begun).Seconds(),
		(cpuTime() - cpu).Seconds())
	begun, cpu = time.Now(), cpuTime()
	other, err := routing.Open(o)
	if err != nil {
		return err
	}
	table := b.table[0]
	reader := other.RIB().NewReader()
	at := flow.AddrFrom(table.Netip().Addr())
	first := time.Duration(0)
	for other.Stats().RIB.Routes < routes {
		if first == 0 {
			if r := other.RIB().RouterAt(flow.AddrFrom(routers.Address(0))); r != nil &&
				r.Table(route.Unicast, 0) != nil {
				reader.Enter()
				if _, found := reader.Lookup(r.Table(route.Unicast, 0), &at, nil); found {
					first = time.Since(begun)
				}
				reader.Leave()
			}
		}
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("loaded: %d routes, all after %.1f s, %.1f s of CPU; first look-up answered after %.1f s%s\n",
		other.Stats().RIB.Routes, time.Since(begun).Seconds(), (cpuTime() - cpu).Seconds(),
		max(first, time.Millisecond).Seconds(),
		strings.Repeat(" (with the last)", map[bool]int{true: 1}[first == 0]))
	reader.Close()
	other.Abort()
	return nil
}
