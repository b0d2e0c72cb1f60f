package listen

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gaissmai/bart"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// Worker receives on one socket of each address. Receive belongs to one goroutine; Close and Stats may be called anywhere.
type Worker struct {
	sockets []*socket
	wake    int // an eventfd that ends a wait
	closed  atomic.Bool
	allowed atomic.Pointer[bart.Lite] // nil: all may send
	ring    *ring
	poll    []unix.PollFd
	next    int  // the socket to look at first, so that none waits behind a busy one
	some    bool // the latest read had datagrams
	more    bool // and may have left some
	pause   unix.Timespec
	buffer  int // the smallest receive buffer of the sockets, in bytes

	datagrams, bytes, truncated, refused atomic.Uint64
	refusals                             refusals
}

// Stats are a worker's counters since it was opened.
type Stats struct {
	Datagrams, Bytes uint64 // handed on
	KernelDrops      uint64 // dropped by the kernel because the receive buffer was full
	Truncated        uint64 // handed on, but longer than the room for them
	Refused          uint64 // from exporters that may not send
	ShortBuffer      bool   // the kernel gives a smaller receive buffer than asked for
}

// ErrClosed is what Receive returns after Close.
var ErrClosed = errors.New("listener closed")

func newWorker(o Options) (*Worker, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	w := &Worker{wake: wake, ring: newRing(o.BufferSize), pause: unix.NsecToTimespec(int64(gatherFor)), poll: []unix.PollFd{{Fd: int32(wake), Events: unix.POLLIN}}}
	w.Allow(o.Allowed)
	return w, nil
}

// Allow says which exporters may send from now on; none: all may.
func (w *Worker) Allow(prefixes []netip.Prefix) {
	if len(prefixes) == 0 {
		w.allowed.Store(nil)
		return
	}
	allowed := new(bart.Lite)
	for _, prefix := range prefixes {
		allowed.Insert(prefix)
	}
	w.allowed.Store(allowed)
}

func (w *Worker) add(s *socket) {
	if len(w.sockets) == 0 || s.buffer < w.buffer {
		w.buffer = s.buffer
	}
	w.sockets = append(w.sockets, s)
	w.poll = append(w.poll, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
}

// Addresses returns where the worker listens, with the ports that were chosen.
func (w *Worker) Addresses() []string {
	names := make([]string, len(w.sockets))
	for i, s := range w.sockets {
		names[i] = s.name
	}
	return names
}

// Receive waits for datagrams, at most for timeout, and returns up to 64 of one socket; none if the time is over. The
// datagrams are valid until the next call. After Close it returns what the sockets still hold, then ErrClosed.
func (w *Worker) Receive(timeout time.Duration) ([]exporter.Datagram, error) {
	if w.more {
		for i := range w.sockets {
			if datagrams, err := w.readNext(i); err != nil || len(datagrams) > 0 {
				return datagrams, err
			}
		}
	}
	w.gather()
	_, err := unix.Poll(w.poll, max(1, int(timeout.Milliseconds())))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, fmt.Errorf("wait for datagrams: %w", err)
	}
	ready := err == nil
	for i := range w.sockets {
		if ready && w.poll[1+(w.next+i)%len(w.sockets)].Revents != 0 {
			return w.readNext(i)
		}
	}
	if ready && w.closed.Load() {
		return nil, ErrClosed
	}
	return nil, nil
}

// gatherFor is how long datagrams gather in the kernel when there are few: each wake-up costs as much as some of them.
const gatherFor = time.Millisecond

// gatherBuffer is the least receive buffer that holds what can come meanwhile, in bytes: 1 ms of 25 Gbit/s.
const gatherBuffer = 4 << 20

// gather waits a moment after datagrams that did not fill the ring, so that the next call finds more of them. Go's scheduler is not
// told: of a goroutine that is in a system call it would look every 20 µs whether that lasts, which took as much of the core at
// 100,000 flows a second as decoding them. So what has to stop all goroutines, the garbage collector, waits for this one a
// millisecond at most.
func (w *Worker) gather() {
	if w.some && w.buffer >= gatherBuffer {
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&w.pause)), 0, 0) // cut short by a signal it does no harm
	}
	w.some = false
}

// readNext reads the i-th socket from the one to look at first, which then is the one behind it.
func (w *Worker) readNext(i int) ([]exporter.Datagram, error) {
	n := (w.next + i) % len(w.sockets)
	w.next = (n + 1) % len(w.sockets)
	return w.read(w.sockets[n])
}

// read takes what a socket holds, without waiting.
func (w *Worker) read(s *socket) ([]exporter.Datagram, error) {
	n, err := w.ring.receive(s.fd)
	w.more, w.some = n == batchDatagrams, n > 0
	if err != nil {
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return nil, nil
		}
		if isTransient(err) {
			return nil, nil
		}
		return nil, fmt.Errorf("receive on UDP %s: %w", s.name, err)
	}
	return w.collect(s, n), nil
}

// isTransient is for errors of earlier datagrams that the kernel reports on a socket, such as an ICMP answer.
func isTransient(err error) bool {
	return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.ENOBUFS)
}

// collect turns the first n messages of the ring into datagrams, without those that are refused.
func (w *Worker) collect(s *socket, n int) []exporter.Datagram {
	kept := w.ring.datagrams[:0]
	var bytes, truncated, refused uint64
	allowed := w.allowed.Load()
	for i := range n {
		d := w.ring.datagram(i)
		if overflow, found := w.ring.control(i, &d); found {
			s.overflow(overflow)
		}
		if allowed != nil && !allowed.Contains(d.Source.Addr()) {
			refused++
			w.refusals.add(d.Source.Addr())
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

// Stats returns the counters.
func (w *Worker) Stats() Stats {
	stats := Stats{
		Datagrams: w.datagrams.Load(), Bytes: w.bytes.Load(),
		Truncated: w.truncated.Load(), Refused: w.refused.Load(),
	}
	for _, s := range w.sockets {
		stats.KernelDrops += s.drops.Load()
		stats.ShortBuffer = stats.ShortBuffer || s.short
	}
	return stats
}

// SocketStats are the counters of one socket.
type SocketStats struct {
	Address     string // as Addresses
	KernelDrops uint64
}

// Sockets returns the counters of each socket.
func (w *Worker) Sockets() []SocketStats {
	all := make([]SocketStats, len(w.sockets))
	for i, s := range w.sockets {
		all[i] = SocketStats{s.name, s.drops.Load()}
	}
	return all
}

// Refusals returns how many datagrams were refused, by source; those of sources beyond the first few hundred are under the zero
// address.
func (w *Worker) Refusals() map[netip.Addr]uint64 { return w.refusals.counts() }

// Close ends a wait, takes no more datagrams from the kernel, and makes Receive return ErrClosed once those that had come
// before are read.
func (w *Worker) Close() {
	if !w.closed.CompareAndSwap(false, true) {
		return
	}
	for _, s := range w.sockets {
		s.refuseAll()
	}
	var one = [8]byte{1}
	_, _ = unix.Write(w.wake, one[:])
}

// Free gives the sockets back, after Receive has returned ErrClosed.
func (w *Worker) Free() { w.free() }

func (w *Worker) free() {
	for _, s := range w.sockets {
		_ = unix.Close(s.fd)
	}
	_ = unix.Close(w.wake)
}

// unmapped returns a source address as everything else wants it: IPv4 as IPv4, no zone.
func unmapped(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
