package forward

import (
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// Reason is why a datagram did not reach a target.
type Reason int

// The reasons. Refused datagrams were sent, and the target's host answered that nothing listens there; the others were
// never sent. With KeepSource that answer goes to the exporter.
const (
	Refused     Reason = iota
	Unreachable        // there is no route to the target
	Full               // the socket's send buffer is full
	TooLong            // the datagram is too long for the path
	OtherFamily        // with KeepSource: an IPv6 exporter and an IPv4 target, or vice versa
	Failed             // any other error of the kernel, such as a packet filter's
	reasons
)

// String returns the reason for people.
func (r Reason) String() string {
	return [reasons]string{
		"nothing listens there", "no way to the target", "the send buffer is full", "too long",
		"its exporter's address is of the other family", "the kernel refuses",
	}[r]
}

// Label returns the reason for programs.
func (r Reason) Label() string {
	return [reasons]string{"refused", "unreachable", "full", "too_long", "other_family", "failed"}[r]
}

// Stats are one target's counters since it was opened, in datagrams.
type Stats struct {
	Target string // address:port
	Sent   uint64 // accepted by the kernel
	Lost   [reasons]uint64
}

// target is one other collector, with this worker's socket to it.
type target struct {
	address    netip.AddrPort
	keepSource bool
	sendBuffer int
	fd         int       // -1: there is no route yet
	retry      time.Time // when to look for a route again

	sent atomic.Uint64
	lost [reasons]atomic.Uint64
}

func (t *target) stats() Stats {
	s := Stats{Target: t.address.String(), Sent: t.sent.Load()}
	for r := range t.lost {
		s.Lost[r] = t.lost[r].Load()
	}
	return s
}

// open makes a socket that is connected to the target. Connected, the kernel reports when nothing listens there, and a
// raw socket receives no copies of other datagrams.
func (t *target) open() error {
	family := unix.AF_INET6
	if t.address.Addr().Is4() {
		family = unix.AF_INET
	}
	kind, protocol := unix.SOCK_DGRAM, 0
	if t.keepSource {
		kind, protocol = unix.SOCK_RAW, unix.IPPROTO_UDP
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := t.set(fd, family); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	t.fd = fd
	return nil
}

func (t *target) set(fd, family int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, t.sendBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, t.sendBuffer)
	}
	if t.keepSource {
		if err := transparent(fd, family); err != nil {
			return err
		}
	}
	return os.NewSyscallError("connect", unix.Connect(fd, t.sockaddr()))
}

// sockaddr returns the target's address; a raw socket has no ports.
func (t *target) sockaddr() unix.Sockaddr {
	port := int(t.address.Port())
	if t.keepSource {
		port = 0
	}
	ip := t.address.Addr()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	six := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		six.ZoneId = zoneID(zone)
	}
	return six
}

func (t *target) close() {
	if t.fd >= 0 {
		_ = unix.Close(t.fd)
		t.fd = -1
	}
}

// retryAfter is the wait before a target without a route is retried.
const retryAfter = time.Second

// send sends the datagrams, at most as many as b can hold.
func (t *target) send(b *batch, datagrams []exporter.Datagram, now time.Time) {
	if t.fd < 0 && !t.reopen(now) {
		t.lost[Unreachable].Add(uint64(len(datagrams)))
		return
	}
	t.flush(b, t.fill(b, datagrams))
}

// reopen checks once a second whether there is a route now.
func (t *target) reopen(now time.Time) bool {
	if now.Before(t.retry) {
		return false
	}
	t.retry = now.Add(retryAfter)
	return t.open() == nil
}

// fill makes messages from the datagrams and returns how many.
func (t *target) fill(b *batch, datagrams []exporter.Datagram) int {
	n := 0
	for i := range datagrams {
		d := &datagrams[i]
		switch {
		case d.Truncated, len(d.Payload) > maxPayload:
			t.lost[TooLong].Add(1)
			continue
		case !t.keepSource:
			b.set(n, d.Payload)
		case d.Source.Addr().Is4() != t.address.Addr().Is4():
			t.lost[OtherFamily].Add(1)
			continue
		default:
			b.set(n, d.Payload)
			b.setSource(n, d.Source, t.address, d.Payload)
		}
		n++
	}
	return n
}

// maxPayload is the longest payload that a UDP header can state. The kernel refuses what IPv4 or the path cannot carry.
const maxPayload = 1<<16 - 1 - udpHeader

// flush sends the first n messages. A message that fails is dropped and the rest is sent, except that a full buffer
// stays full for the rest.
//
// The answer that nothing listens at the target is reported with the next message, which was not sent and can be sent
// again. In the middle of a call the kernel only stops there and does not report the error; whether a second attempt
// succeeds tells which case it was.
func (t *target) flush(b *batch, n int) {
	var sent uint64
	stopped, answered := false, false
	for i := 0; i < n; {
		took, err := b.send(t.fd, i, n)
		if err == nil {
			if stopped {
				t.lost[Refused].Add(1)
			}
			sent += uint64(took)
			i += took
			stopped, answered = true, false // only if there is more to send
			continue
		}
		reason := reasonOf(err)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case reason == Full:
			t.lost[Full].Add(uint64(n - i))
			i = n
		case reason == Refused && !answered:
			t.lost[Refused].Add(1)
			answered = true
		default:
			t.lost[reason].Add(1)
			i++
			answered = false
		}
		stopped = false
	}
	t.sent.Add(sent)
}

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return Refused
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS):
		return Full
	case errors.Is(err, unix.EMSGSIZE):
		return TooLong
	case isUnreachable(err):
		return Unreachable
	}
	return Failed
}

func isUnreachable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETDOWN) ||
		errors.Is(err, unix.EADDRNOTAVAIL)
}
