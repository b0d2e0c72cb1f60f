// Package forward forwards datagrams, unchanged, to other collectors beside this one.
//
// Every worker owns a Forwarder with sockets of its own. Sending never waits: what the kernel does not accept
// immediately is dropped and counted, by target and reason. With KeepSource targets see the exporter's own address and
// port, as if it had sent to them; see source.go.
package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// Options say where to send. Without targets nothing is opened.
type Options struct {
	Targets []netip.AddrPort // from Resolve
	// KeepSource sends with the exporter's address and port. It needs CAP_NET_RAW.
	KeepSource bool
	// SendBuffer is the send buffer that each socket requests, in bytes. 0: 4 MiB.
	SendBuffer int
}

const defaultSendBuffer = 4 << 20

// Resolve turns host:port into an address. For a name it is the first address that the system returns.
func Resolve(target string) (netip.AddrPort, error) {
	resolved, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("forward to %s: %w", target, err)
	}
	address := resolved.AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), nil
}

// Forwarder sends to every target. Send and Close belong to one goroutine; Stats is safe for concurrent use. nil
// forwards nothing.
type Forwarder struct {
	targets []*target
	batch   *batch
}

// Open opens the sockets. A target that is not yet reachable is not an error: it is retried every second. A socket that
// is not permitted is an error.
func Open(o Options) (*Forwarder, error) {
	if o.SendBuffer <= 0 {
		o.SendBuffer = defaultSendBuffer
	}
	f := &Forwarder{batch: new(batch)}
	for _, address := range o.Targets {
		t := &target{address: address, keepSource: o.KeepSource, sendBuffer: o.SendBuffer, fd: -1}
		f.targets = append(f.targets, t)
		if err := t.open(); err != nil && !isUnreachable(err) {
			f.Close()
			return nil, fmt.Errorf("forward to %s: %w", address, explain(err, o.KeepSource))
		}
	}
	return f, nil
}

func explain(err error, keepSource bool) error {
	if keepSource && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) {
		return fmt.Errorf("%w: to keep the exporters' addresses (forward.keep_source) needs CAP_NET_RAW", err)
	}
	return err
}

// Send sends the datagrams to every target, without waiting. now decides when an unreachable target is retried.
func (f *Forwarder) Send(datagrams []exporter.Datagram, now time.Time) {
	if f == nil {
		return
	}
	for len(datagrams) > 0 {
		n := min(len(datagrams), batchDatagrams)
		for _, t := range f.targets {
			t.send(f.batch, datagrams[:n], now)
		}
		datagrams = datagrams[n:]
	}
}

// Stats returns the counters of every target, in the order of Options.
func (f *Forwarder) Stats() []Stats {
	if f == nil {
		return nil
	}
	all := make([]Stats, len(f.targets))
	for i, t := range f.targets {
		all[i] = t.stats()
	}
	return all
}

// Close closes the sockets.
func (f *Forwarder) Close() {
	if f == nil {
		return
	}
	for _, t := range f.targets {
		t.close()
	}
}

// batchDatagrams is how many datagrams one system call sends.
const batchDatagrams = 64

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// batch is the memory of one worker's send calls. Every message has two parts: space for a UDP header, which only
// KeepSource uses, and the datagram where it is.
type batch struct {
	messages [batchDatagrams]mmsghdr
	vectors  [batchDatagrams][2]unix.Iovec
	headers  [batchDatagrams][udpHeader]byte
	controls [batchDatagrams][controlSpace]byte
}

// set makes the i-th message just the payload.
func (b *batch) set(i int, payload []byte) {
	v := &b.vectors[i][1]
	v.Base = unsafe.SliceData(payload)
	v.SetLen(len(payload))
	h := &b.messages[i].header
	*h = unix.Msghdr{Iov: v}
	h.SetIovlen(1)
}

// send sends the messages [from, to) on fd and returns how many the kernel accepted.
func (b *batch) send(fd, from, to int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[from])),
		uintptr(to-from), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func setsockopt(fd, level, option, value int, name string) error {
	return os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, level, option, value))
}
