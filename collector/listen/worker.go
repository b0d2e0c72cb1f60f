package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// Worker receives on one socket for each address. Receive belongs to one goroutine; Close and Stats are safe for
// concurrent use.
type Worker struct {
	sockets []*socket
	wake    int // an eventfd that ends a wait
	closed  atomic.Bool
	allowed atomic.Pointer[allowed]
	ring    *ring
	poll    []unix.PollFd
	next    int  // index of the socket to try first: the one after the socket that was read last
	some    bool // the latest read returned datagrams
	more    bool // a read of the latest call may have left some
	pause   unix.Timespec
	buffer  int // the smallest receive buffer of the sockets, in bytes

	open  sync.Mutex // held while the sockets' drops are read, or the sockets closed
	freed bool

	datagrams, bytes, truncated, refused atomic.Uint64
	refusals                             sourceCounts

	share  *Share
	opened time.Time
}

// Stats are a worker's counters since it was opened.
type Stats struct {
	Datagrams, Bytes uint64 // passed on
	KernelDrops      uint64 // dropped by the kernel because the receive buffer was full
	Late             uint64 // dropped by the kernel because they came after Close
	Truncated        uint64 // passed on, but longer than the buffer
	Refused          uint64 // from exporters that may not send
	// dropped while the collector was behind, because their source had taken more than its share
	OverShare   uint64
	ShortBuffer bool // the kernel grants a smaller receive buffer than requested
}

// ErrClosed is what Receive returns after Close.
var ErrClosed = errors.New("listener closed")

func newWorker(o Options) (*Worker, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	w := &Worker{wake: wake, ring: newRing(o.BufferSize), share: NewShare(), opened: time.Now(),
		pause: unix.NsecToTimespec(int64(gatherFor)), poll: []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}}
	w.Allow(o.Allowed, o.Agents)
	return w, nil
}

// Allow says which sources may send from now on, and for which sFlow agents; none: all may, and for all.
func (w *Worker) Allow(sources, agents []netip.Prefix) {
	w.allowed.Store(&allowed{tableOf(sources), tableOf(agents)})
}

func (w *Worker) add(s *socket) {
	if len(w.sockets) == 0 || s.buffer < w.buffer {
		w.buffer = s.buffer
	}
	w.sockets = append(w.sockets, s)
	w.poll = append(w.poll, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
}

// Addresses returns where the worker listens, with the actual ports.
func (w *Worker) Addresses() []string {
	names := make([]string, len(w.sockets))
	for i, s := range w.sockets {
		names[i] = s.name
	}
	return names
}

// Receive waits for datagrams, at most for timeout, and returns up to 64 of one socket. It returns none at the timeout,
// or if none of those received is to be processed. Sockets take turns: while one is full, each of the others is tried
// between two of its reads. The datagrams are valid until the next call. After Close it returns what the sockets still
// hold, then ErrClosed. Any other error is permanent.
func (w *Worker) Receive(timeout time.Duration) ([]exporter.Datagram, error) {
	if w.more {
		w.more = false
		if datagrams, err := w.readInTurn(false); err != nil || len(datagrams) > 0 || w.more {
			// none if all of them were refused or dropped: there are more, and the caller has other things to do
			return datagrams, err
		}
	}
	w.gather()
	if _, err := unix.Poll(w.poll, max(1, int(timeout.Milliseconds()))); err != nil {
		if !isTransient(err) {
			return nil, fmt.Errorf("wait for datagrams: %w", err)
		}
		pauseAfter(err)
		return nil, nil
	}
	datagrams, err := w.readInTurn(true)
	if err == nil && len(datagrams) == 0 && w.closed.Load() && !w.ready() {
		return nil, ErrClosed
	}
	return datagrams, err
}

// readInTurn reads one socket after the other, starting with the next in turn, until one has datagrams. With polled it
// skips sockets that had none in the latest poll.
func (w *Worker) readInTurn(polled bool) ([]exporter.Datagram, error) {
	first := w.next
	for i := range w.sockets {
		n := (first + i) % len(w.sockets)
		if polled && w.poll[1+n].Revents == 0 {
			continue
		}
		datagrams, err := w.read(w.sockets[n])
		if err != nil || len(datagrams) > 0 {
			w.next = (n + 1) % len(w.sockets)
			return datagrams, err
		}
	}
	return nil, nil
}

// ready reports whether the latest poll found a socket with datagrams.
func (w *Worker) ready() bool {
	return slices.ContainsFunc(w.poll[1:], func(p unix.PollFd) bool { return p.Revents != 0 })
}

// gatherFor is how long datagrams accumulate in the kernel if there are few, because each wake-up costs as much as
// several datagrams.
const gatherFor = time.Millisecond

// gatherBuffer is the least receive buffer that can hold what arrives meanwhile, in bytes: 1 ms at 25 Gbit/s.
const gatherBuffer = 4 << 20

// gather sleeps up to 1 ms by RawSyscall after a read that did not fill the ring, so that datagrams accumulate. The P
// stays bound on purpose: entersyscall would wake sysmon every 20 µs, which took as much CPU time at 100,000 flows a
// second as decoding them. A GC stop-the-world waits at most that 1 ms.
func (w *Worker) gather() {
	if w.some && w.buffer >= gatherBuffer {
		// a signal may cut it short, which is harmless
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.pause)), 0, 0)
	}
	w.some = false
}

// read receives what a socket holds, without waiting.
func (w *Worker) read(s *socket) ([]exporter.Datagram, error) {
	atOnce := w.share.batch()
	n, err := w.ring.receive(s.fd, atOnce)
	full := n == atOnce
	w.more, w.some = w.more || full, n > 0
	if err != nil {
		if !isTransient(err) {
			return nil, fmt.Errorf("receive on UDP %s: %w", s.name, err)
		}
		pauseAfter(err)
		return nil, nil
	}
	w.judge(s, full)
	return w.collect(s, n), nil
}

// startup is how long a worker may be behind after its start: datagrams from before its first read are not a flood.
const startup = 10 * time.Second

// judge tells the share how far behind the worker is, after a read that did or did not return as many datagrams as
// requested.
func (w *Worker) judge(s *socket, full bool) {
	fill, now := 0.0, time.Since(w.opened)
	if full {
		fill = s.fill()
	}
	if fill < behindFill || now > startup {
		s.settled = true
	}
	if !s.settled {
		fill = 0
	}
	w.share.begin(now, fill)
}

// isTransient matches errors after which a socket can be read again: nothing to read, a signal, a shortage of memory,
// or an ICMP error for a datagram that was sent.
func isTransient(err error) bool {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return false
	}
	switch errno {
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM,
		unix.ECONNREFUSED, unix.ECONNRESET, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN,
		unix.ENONET,
		unix.EPROTO, unix.ENOPROTOOPT, unix.EMSGSIZE, unix.ETIMEDOUT:
		return true
	}
	return false
}

// pauseAfter waits a moment if memory is short: otherwise the next call would fail immediately, and keep a core busy.
func pauseAfter(err error) {
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
		time.Sleep(gatherFor)
	}
}

// collect turns the first n messages of the ring into datagrams, without those that are refused or whose source has
// exceeded its share.
func (w *Worker) collect(s *socket, n int) []exporter.Datagram {
	kept := w.ring.datagrams[:0]
	var bytes, truncated, refused uint64
	allowed := w.allowed.Load()
	for i := range n {
		d := w.ring.datagram(i)
		if overflow, found := w.ring.control(i, &d); found {
			s.advance(overflow)
		}
		if who, no := allowed.refuses(&d); no {
			refused++
			w.refusals.add(who)
			continue
		}
		if !w.share.admits(d.Source.Addr()) {
			continue
		}
		if d.Truncated {
			truncated++
		}
		bytes += uint64(len(d.Payload))
		kept = append(kept, d)
	}
	w.datagrams.Add(uint64(len(kept)))
	w.bytes.Add(bytes)
	if truncated > 0 {
		w.truncated.Add(truncated)
	}
	if refused > 0 {
		w.refused.Add(refused)
	}
	return kept
}

// Stats returns the counters. The kernel's drops are read now.
func (w *Worker) Stats() Stats {
	stats := Stats{
		Datagrams: w.datagrams.Load(), Bytes: w.bytes.Load(),
		Truncated: w.truncated.Load(), Refused: w.refused.Load(),
	}
	for _, n := range w.share.Dropped() {
		stats.OverShare += n
	}
	for _, s := range w.Sockets() {
		stats.KernelDrops += s.KernelDrops
		stats.Late += s.Late
	}
	for _, s := range w.sockets {
		stats.ShortBuffer = stats.ShortBuffer || s.short
	}
	return stats
}

// Total adds up the counters of workers.
func Total(workers []*Worker) (total Stats) {
	for _, w := range workers {
		total.add(w.Stats())
	}
	return total
}

func (s *Stats) add(o Stats) {
	s.Datagrams += o.Datagrams
	s.Bytes += o.Bytes
	s.KernelDrops += o.KernelDrops
	s.Late += o.Late
	s.Truncated += o.Truncated
	s.Refused += o.Refused
	s.OverShare += o.OverShare
	s.ShortBuffer = s.ShortBuffer || o.ShortBuffer
}

// SocketStats are the counters of one socket.
type SocketStats struct {
	Address     string // as in Addresses
	KernelDrops uint64 // as in Stats
	Late        uint64
}

// Sockets returns the counters of each socket.
func (w *Worker) Sockets() []SocketStats {
	w.updateDrops()
	all := make([]SocketStats, len(w.sockets))
	for i, s := range w.sockets {
		all[i].Address = s.name
		all[i].KernelDrops, all[i].Late = s.dropped()
	}
	return all
}

// updateDrops reads what the kernel dropped on each socket. After Free the counters keep their last values.
func (w *Worker) updateDrops() {
	w.open.Lock()
	defer w.open.Unlock()
	if w.freed {
		return
	}
	for _, s := range w.sockets {
		s.updateDrops()
	}
}

// Refusals returns how many datagrams were refused, by the source or sFlow agent that may not send; those beyond the
// first few hundred are under the zero address.
func (w *Worker) Refusals() map[netip.Addr]uint64 { return w.refusals.counts() }

// OverShare returns how many datagrams were dropped while the collector was behind, by source; sources that are not
// counted individually are under the zero address.
func (w *Worker) OverShare() map[netip.Addr]uint64 { return w.share.Dropped() }

// Share is where the worker's pipeline reports the cost of datagrams: without that all sources are equal.
func (w *Worker) Share() *Share { return w.share }

// Close ends a wait, makes the kernel drop new datagrams, and makes Receive return ErrClosed once all earlier ones are
// read.
func (w *Worker) Close() {
	if !w.closed.CompareAndSwap(false, true) {
		return
	}
	w.open.Lock()
	defer w.open.Unlock()
	if w.freed {
		return
	}
	for _, s := range w.sockets {
		s.refuseAll()
	}
	var one = [8]byte{1}
	_, _ = unix.Write(w.wake, one[:])
}

// Free closes the sockets, after Receive has returned ErrClosed. The counters stay.
func (w *Worker) Free() {
	w.updateDrops()
	w.open.Lock()
	defer w.open.Unlock()
	if w.freed {
		return
	}
	w.freed = true
	for _, s := range w.sockets {
		_ = unix.Close(s.fd)
	}
	_ = unix.Close(w.wake)
}

// unmapped returns a source address in the common form: IPv4 as IPv4, no zone.
func unmapped(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
