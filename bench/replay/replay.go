package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Options say where a capture goes and how fast. To has no useful zero value.
type Options struct {
	To netip.AddrPort
	// Rate is in flows a second, DatagramRate in datagrams; with neither they go flat out. A datagram of no flow, such
	// as one of templates or of data that nothing here can read, takes the time of one flow.
	Rate         float64
	DatagramRate float64
	// Loops is how often the capture is sent, Duration for how long at most. Loops 0: once, or over and over where
	// Duration is set.
	Loops    int
	Duration time.Duration
	// Rewrite renumbers datagrams and moves their times to now, so that all laps are one exporter that never
	// stopped.
	Rewrite bool
	// Progress, unless it is nil, is told how far the replay is, ten times a second.
	Progress func(Result)
}

// Result is what was sent.
type Result struct {
	Datagrams int `json:"datagrams"`
	Flows     int `json:"flows"`
	Bytes     int `json:"bytes"`
	Failed    int `json:"failed"` // datagrams that the kernel did not take
	// Refused are those of Failed before which the host said that nobody listens at the address.
	Refused int           `json:"refused"`
	Laps    int           `json:"laps"` // whole ones
	Took    time.Duration `json:"took_ns"`
	// Behind is how much time was lost because the sender did not get along: the rate was less than asked for.
	Behind time.Duration `json:"behind_ns"`
	CPU    time.Duration `json:"cpu_ns"` // of this process
}

// FlowRate is in flows a second.
func (r Result) FlowRate() float64 { return float64(r.Flows) / max(r.Took.Seconds(), 1e-9) }

const (
	quantum       = time.Millisecond      // the least that is slept: more datagrams for one system call
	maxBehind     = 50 * time.Millisecond // what is made up for, by a burst; the rest is lost time
	progressEvery = 100 * time.Millisecond
)

// Run sends a capture until it is through, the time is over, or ctx ends, which is no error. A capture that is
// rewritten keeps its numbering for the next Run. It uses a thread of its own.
func Run(ctx context.Context, c *Capture, o Options) (Result, error) {
	if !o.To.IsValid() {
		return Result{}, errors.New("replay: no address to send to")
	}
	s, err := openSockets(o.To, c.sources)
	if err != nil {
		return Result{}, fmt.Errorf("replay to %s: %w", o.To, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // sleeps end when they should; without it within 50 µs
	p := &player{o: o, c: c, sockets: s}
	cpu := processCPU()
	err = p.play(ctx)
	p.result.CPU = processCPU() - cpu
	if err = errors.Join(err, s.close()); err != nil {
		return p.result, fmt.Errorf("replay to %s: %w", o.To, err)
	}
	return p.result, nil
}

// player is one Run.
type player struct {
	o       Options
	c       *Capture
	sockets *sockets
	result  Result
	next    int // datagram of the capture
	without int // datagrams of no flow that were sent
	started time.Time
	told    time.Time
}

func (p *player) play(ctx context.Context) error {
	p.started = time.Now()
	p.told = p.started
	loops := p.o.Loops
	if loops == 0 && p.o.Duration == 0 {
		loops = 1
	}
	for ctx.Err() == nil && (loops == 0 || p.result.Laps < loops) {
		now := time.Now()
		if p.result.Took = now.Sub(p.started); p.o.Duration > 0 && p.result.Took >= p.o.Duration {
			break
		}
		p.tell(now)
		n, flows, without, fd := p.fill(now)
		if n == 0 {
			p.sleep(now)
			continue
		}
		p.without += without
		failed, failedFlows, err := p.sockets.send(fd, n)
		p.result.Refused = p.sockets.refused
		p.result.Failed += failed
		p.result.Datagrams += n - failed
		p.result.Flows += flows - failedFlows
		if err != nil {
			return err
		}
	}
	p.result.Took = time.Since(p.started)
	return nil
}

// fill puts as many datagrams as are due into the next send, of one socket and of one lap.
func (p *player) fill(now time.Time) (n, flows, without, fd int) {
	elapsed := now.Sub(p.started) - p.result.Behind
	if late := elapsed - p.due(0, 0, 0); late > maxBehind && p.paced() {
		p.result.Behind += late - maxBehind
		elapsed -= late - maxBehind
	}
	ms := now.UnixMilli()
	for n < batchDatagrams && p.due(n, flows, without) <= elapsed {
		d := &p.c.datagrams[p.next]
		if n == 0 {
			fd = p.sockets.fd(d.source)
		} else if p.sockets.fd(d.source) != fd {
			break
		}
		if p.o.Rewrite {
			d.rewrite(ms, p.c.beganAt(ms))
		}
		p.sockets.put(n, d)
		n++
		if flows += d.flows; d.flows == 0 {
			without++
		}
		p.result.Bytes += len(d.payload)
		if p.next++; p.next == len(p.c.datagrams) {
			p.next = 0
			p.result.Laps++
			break // a datagram's memory holds its next lap only after it is sent
		}
	}
	return n, flows, without, fd
}

func (p *player) paced() bool { return p.o.Rate > 0 || p.o.DatagramRate > 0 }

// due is when the next datagram is to be sent, after n more with so many flows, of which some have none.
func (p *player) due(n, flows, without int) time.Duration {
	var seconds float64
	if p.o.Rate > 0 {
		seconds = float64(p.result.Flows+flows+p.without+without) / p.o.Rate
	}
	if p.o.DatagramRate > 0 {
		seconds = max(seconds, float64(p.result.Datagrams+p.result.Failed+n)/p.o.DatagramRate)
	}
	return time.Duration(math.Ceil(seconds * 1e9))
}

// sleep waits until the next datagram is due, within reach of a progress report.
func (p *player) sleep(now time.Time) {
	wait := p.due(0, 0, 0) - (now.Sub(p.started) - p.result.Behind)
	ts := unix.NsecToTimespec(int64(min(max(wait, quantum), progressEvery)))
	_ = unix.Nanosleep(&ts, nil) // a signal ends it early, and the loop comes back
}

func (p *player) tell(now time.Time) {
	if p.o.Progress != nil && now.Sub(p.told) >= progressEvery {
		p.told = now
		p.o.Progress(p.result)
	}
}

// beganAt is by how many seconds the whole capture is moved, so that its first datagram is of now.
func (c *Capture) beganAt(now int64) int64 {
	if c.began == nil {
		by := floorSeconds(now - c.datagrams[0].at)
		c.began = &by
	}
	return *c.began
}

// processCPU is the time that this process has had on all cores.
func processCPU() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
