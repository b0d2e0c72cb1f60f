package compare

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/freeport"
)

// Options say how collectors are run. They have no useful zero value but for those named.
type Options struct {
	Capture       *replay.Capture
	Protocol      flow.Protocol
	Rates         []float64 // flows a second, one after the other
	Duration      time.Duration
	WarmUp        time.Duration // at the rate, before what is measured
	Runs          int
	CollectorCore int               // or measure.AnyCore
	SenderCore    int               // the same: both share it
	Keep          string            // a directory for what collectors write; "": it is removed
	Log           func(what string) // nil: nobody
}

// Run is one collector under one replay.
type Run struct {
	Sent  int    `json:"datagrams_sent"`
	Flows int    `json:"flows_sent"`
	Drops uint64 `json:"datagrams_dropped"` // by the kernel, as its socket had no room
	// to the end of the collector, with what it does then, or until all flows are stored
	CPU     time.Duration `json:"cpu_ns"`
	Merging time.Duration `json:"merging_ns"` // of it, by a database that merges what it has stored
	// of it, by the process that was started, without those that it starts
	First     time.Duration `json:"first_cpu_ns"`
	Peak      int64         `json:"rss_peak_bytes"`
	PeakFirst int64         `json:"first_rss_peak_bytes"`
	Records   uint64        `json:"records"` // that the collector says it has; 0: it does not say
	Rate      float64       `json:"flows_per_second"`
	PerFlow   float64       `json:"cpu_us_per_flow"` // of those that were not lost
	LostShare float64       `json:"lost_share"`
}

// startTimeout limits the time until a collector listens. Ours generates metadata before that.
const startTimeout = 2 * time.Minute

// run starts a collector, sends, and stops it.
func (o *Options) run(ctx context.Context, c *Contender, rate float64) (r Run, err error) {
	dir, err := o.directory(c)
	if err != nil {
		return r, err
	}
	if o.Keep == "" {
		defer os.RemoveAll(dir)
	}
	p, err := o.start(ctx, c, dir)
	if err != nil {
		return r, err
	}
	defer p.kill()
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.port)
	send := func(d time.Duration) (replay.Result, error) {
		defer p.weigh()()
		return replay.Run(ctx, o.Capture, replay.Options{To: to, Rate: rate, Duration: d, Rewrite: true})
	}
	warm := replay.Result{}
	if o.WarmUp > 0 {
		if warm, err = send(o.WarmUp); err != nil {
			return r, err
		}
		if err := p.settle(ctx, c, dir, warm.Flows); err != nil {
			return r, err
		}
	}
	begun, dropped := p.used(c), measure.Sockets(p.port).Drops
	sent, err := send(o.Duration)
	if err != nil {
		return r, err
	}
	if err := p.settle(ctx, c, dir, warm.Flows+sent.Flows); err != nil {
		return r, err
	}
	used := p.used(c)
	r = Run{
		Sent: sent.Datagrams, Flows: sent.Flows, Rate: sent.FlowRate(), Drops: measure.Sockets(p.port).Drops - dropped,
	}
	if c.Stored != nil {
		stored, err := c.Stored(ctx, dir)
		if err != nil {
			return r, err
		}
		r.Records = stored - min(stored, uint64(warm.Flows))
	}
	if err := p.stop(); err != nil {
		return r, err
	}
	if c.Stored == nil {
		used = p.used(c)
	}
	r.CPU, r.First, r.Merging = used.all-begun.all, used.first-begun.first, used.merging-begun.merging
	r.Peak, r.PeakFirst = p.tree.Peak()
	r.LostShare = float64(r.Drops) / float64(max(r.Sent, 1))
	r.PerFlow = float64(r.CPU.Nanoseconds()) / 1e3 / max(1, float64(r.Flows)*(1-r.LostShare))
	if c.Count != nil {
		count, err := c.Count(dir)
		if err != nil {
			return r, fmt.Errorf("read what it says: %w", err)
		}
		r.Records = count.Records
		// of both; what is measured is its part
		if all := uint64(sent.Flows + warm.Flows); r.Records > 0 && warm.Flows > 0 {
			r.Records = r.Records * uint64(sent.Flows) / all
		}
	}
	return r, ctx.Err()
}

func (o *Options) directory(c *Contender) (string, error) {
	if o.Keep == "" {
		return os.MkdirTemp("", "compare")
	}
	dir, err := os.MkdirTemp(o.Keep, "run")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "name"), []byte(c.Name+"\n"), 0o600)
	}
	return dir, err
}

// process is a collector that runs.
type process struct {
	tree   *measure.Tree
	port   uint16
	ended  chan error
	pid    int
	output string
}

// start starts a collector and waits until it listens.
func (o *Options) start(ctx context.Context, c *Contender, dir string) (*process, error) {
	address, err := freeport.Next()
	if err != nil {
		return nil, err
	}
	port := address.Port()
	cmd, err := c.Command(dir, port, o.Protocol)
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(dir, outputFile))
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; the collector is stopped by us
	if err := measure.Start(cmd, o.CollectorCore); err != nil {
		return nil, err
	}
	p := &process{tree: measure.NewTree(cmd.Process.Pid), port: port, ended: make(chan error, 1), pid: cmd.Process.Pid,
		output: out.Name()}
	go func() { p.ended <- cmd.Wait() }()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		select {
		case err := <-p.ended:
			p.ended <- err
			return nil, fmt.Errorf("it ended at once (%v): %s", err, lastLine(p.output))
		case <-ctx.Done():
			p.kill()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if measure.Sockets(port).Bound > 0 {
			time.Sleep(500 * time.Millisecond) // what it does at the start, after the socket
			return p, nil
		}
	}
	p.kill()
	return nil, fmt.Errorf("it does not listen on %s after %s", loopback(port), startTimeout)
}

// weigh samples the process's memory until the returned function is called.
func (p *process) weigh() (end func()) {
	ended := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-time.After(500 * time.Millisecond):
				p.tree.Weigh()
			case <-ended:
				p.tree.Weigh()
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
	}
}

func (p *process) look() bool { return p.tree.Look() }

// times are what a collector has had of its cores.
type times struct{ all, first, merging time.Duration }

// mergeThreads is the name of the engine's threads that merge parts.
const mergeThreads = "MergeMutate"

func (p *process) used(c *Contender) (t times) {
	p.look()
	t.all, t.first = p.tree.CPU()
	if c.Core {
		t.all = t.first
	}
	t.merging = p.tree.Threads(mergeThreads)
	return t
}

// settle waits until a collector has finished: it uses no more CPU, or its database has that many flows, or gets no
// more.
func (p *process) settle(ctx context.Context, c *Contender, dir string, flows int) error {
	if c.Stored == nil {
		p.drain(ctx)
		return nil
	}
	const pause, patience = 200 * time.Millisecond, 10 * time.Second // blocks wait for two seconds
	last, since := uint64(0), time.Now()
	for ctx.Err() == nil && time.Since(since) < patience {
		stored, err := c.Stored(ctx, dir)
		if err != nil {
			return err
		}
		if stored >= uint64(flows) {
			return nil
		}
		if stored > last {
			last, since = stored, time.Now()
		}
		time.Sleep(pause)
	}
	return ctx.Err()
}

// drain waits until the socket is empty and the processes use no more CPU, at most half a minute.
func (p *process) drain(ctx context.Context) {
	const rest = 300 * time.Millisecond
	idle := time.Duration(0)
	last, _ := p.tree.CPU()
	for begin := time.Now(); ctx.Err() == nil && idle < rest && time.Since(begin) < 30*time.Second; {
		time.Sleep(rest / 3)
		p.look()
		now, _ := p.tree.CPU()
		if measure.Sockets(p.port).Queued == 0 && now-last < 20*time.Millisecond {
			idle += rest / 3
		} else {
			idle = 0
		}
		last = now
	}
}

// stopTimeout is how long a collector may take to write what it has.
const stopTimeout = time.Minute

// stop ends the collector and watches what it still does.
func (p *process) stop() error {
	if err := syscall.Kill(p.pid, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop it: %w", err)
	}
	for begin := time.Now(); time.Since(begin) < stopTimeout; time.Sleep(5 * time.Millisecond) {
		p.look()
		select {
		case err := <-p.ended:
			p.ended <- err
			return nil // with what status is its own affair
		default:
		}
	}
	p.kill()
	return errors.New("it does not stop: killed")
}

// kill ends the collector's process group, if it is still there.
func (p *process) kill() { _ = syscall.Kill(-p.pid, syscall.SIGKILL) }

func lastLine(path string) string {
	data, _ := os.ReadFile(path) // what cannot be read says nothing
	for len(data) > 0 && data[len(data)-1] == '\n' {
		data = data[:len(data)-1]
	}
	for i := len(data) - 1; i >= 0; i-- {
		if data[i] == '\n' {
			return string(data[i+1:])
		}
	}
	return string(data)
}
