package listen

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// address is a socket address: an invalid IP means all addresses of both families.
type address struct {
	ip   netip.Addr
	port uint16
}

func parseAddress(text string) (address, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return address{}, fmt.Errorf("listen on UDP %s: not host:port", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return address{}, fmt.Errorf("listen on UDP %s: %q is not a port", text, port)
	}
	a := address{port: uint16(n)}
	switch host {
	case "":
	case "localhost":
		a.ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	default:
		if a.ip, err = netip.ParseAddr(host); err != nil {
			return address{}, fmt.Errorf("listen on UDP %s: %q is not an IP address", text, host)
		}
	}
	return a, nil
}

func (a address) withPort(port uint16) address {
	a.port = port
	return a
}

func (a address) sockaddr() (family int, sa unix.Sockaddr) {
	if a.ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.port), Addr: a.ip.As4()}
	}
	six := &unix.SockaddrInet6{Port: int(a.port)}
	if a.ip.IsValid() {
		six.Addr = a.ip.As16()
	}
	return unix.AF_INET6, six
}

// socket is one bound UDP socket and its counters.
type socket struct {
	fd     int
	name   string
	port   uint16
	short  bool // the receive buffer is smaller than requested
	buffer int  // bytes that the kernel grants for datagrams

	drops atomic.Uint64 // datagrams that the kernel dropped; the lower half is the kernel's own counter, see advance
	// drops at the time of refuseAll; everything above it was dropped after the stop. noStop: not yet
	stopped atomic.Uint64
	settled bool // the worker has caught up with it once since the start, or had the time to
}

// noStop is the value of stopped while the socket receives datagrams.
const noStop = math.MaxUint64

// openSocket binds a socket. With report, a receive buffer smaller than requested is logged.
func openSocket(a address, o Options, group int, report bool) (*socket, error) {
	family, sa := a.sockaddr()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && !a.ip.IsValid() {
		// A host without IPv6.
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(a.port)}
		fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return nil, err
	}
	s := &socket{fd: fd}
	s.stopped.Store(noStop)
	if err := s.set(family, a, group); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, errors.Join(bindError(err), unix.Close(fd))
	}
	if err := s.readName(a); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s.enlarge(o, report)
	return s, nil
}

// bindError adds what to do about common failures.
func bindError(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program has this port (see `ss -ulnp`)", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE", err)
	}
	return err
}

func (s *socket) set(family int, a address, group int) error {
	type option struct {
		name         string
		level, which int
		value        int
	}
	options := []option{
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{"SO_RXQ_OVFL", unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1},
	}
	if group > 1 {
		options = append(options, option{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	if family == unix.AF_INET6 {
		only := 0
		if a.ip.IsValid() {
			only = 1
		}
		options = append(options, option{"IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only})
	}
	for _, opt := range options {
		if err := unix.SetsockoptInt(s.fd, opt.level, opt.which, opt.value); err != nil {
			return os.NewSyscallError("setsockopt "+opt.name, err)
		}
	}
	return nil
}

// readName reads the port that the kernel chose, if none was given.
func (s *socket) readName(a address) error {
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		s.port = uint16(sa.Port)
	case *unix.SockaddrInet6:
		s.port = uint16(sa.Port)
	}
	host := ""
	if a.ip.IsValid() {
		host = a.ip.String()
	}
	s.name = net.JoinHostPort(host, strconv.Itoa(int(s.port)))
	return nil
}

// enlarge requests the receive buffer, by force if that is permitted. The kernel counts its own overhead and doubles
// the request, so half of what it reports is for datagrams.
func (s *socket) enlarge(o Options, report bool) {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, o.ReceiveBuffer) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReceiveBuffer)
	}
	got, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	s.buffer = got / 2
	s.short = err == nil && got/2 < o.ReceiveBuffer
	if s.short && report {
		o.Log.Warn("the kernel gives a smaller receive buffer than asked for; bursts may be dropped",
			zap.Int("asked", o.ReceiveBuffer), zap.Int("got", got/2),
			zap.String("fix", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", o.ReceiveBuffer)),
			zap.String("now", "net.core.rmem_max="+readSysctl("/proc/sys/net/core/rmem_max")))
	}
}

func readSysctl(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
}

// refuseAll makes the kernel drop everything from now on, so that the socket can be read until it is empty however fast
// exporters send. These drops are counted separately, as they came after the stop.
func (s *socket) refuseAll() {
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	program := unix.SockFprog{Len: 1, Filter: &refuse}
	s.updateDrops()
	before := s.drops.Load()
	// without it reading ends a little later
	_ = unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	s.stopped.Store(before)
}

// memory has the values of SO_MEMINFO for a socket.
type memory struct {
	queued, room uint32 // bytes in use and available in the receive buffer, including the kernel's overhead
	drops        uint32 // datagrams dropped since the socket was opened; wraps at 2^32
}

// readMemory reads SO_MEMINFO (Linux 4.12). It costs some 200 ns.
func readMemory(fd int) (memory, bool) {
	var values [unix.SK_MEMINFO_DROPS + 1]uint32 // indexed by SK_MEMINFO_* of linux/sock_diag.h
	size := uint32(unsafe.Sizeof(values))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&values)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(values)) {
		return memory{}, false
	}
	return memory{values[unix.SK_MEMINFO_RMEM_ALLOC], values[unix.SK_MEMINFO_RCVBUF], values[unix.SK_MEMINFO_DROPS]},
		true
}

// fill returns which part of the receive buffer is in use. The kernel frees memory in portions of up to a quarter of
// the buffer, so the true part may be smaller by that much.
func (s *socket) fill() float64 {
	m, ok := readMemory(s.fd)
	if !ok || m.room == 0 {
		return 0
	}
	return float64(m.queued) / float64(m.room)
}

// updateDrops reads the kernel's counter. A kernel without SO_MEMINFO sends it with each datagram, see ring.control.
func (s *socket) updateDrops() {
	if m, ok := readMemory(s.fd); ok {
		s.advance(m.drops)
	}
}

// advance adds the kernel's counter of dropped datagrams. It is safe for concurrent use and ignores counts older than
// the latest: the counter comes with datagrams (SO_RXQ_OVFL, as of when the datagram was queued) and on request
// (SO_MEMINFO). It wraps at 2^32.
func (s *socket) advance(count uint32) {
	for {
		before := s.drops.Load()
		more := int32(count - uint32(before))
		if more <= 0 || s.drops.CompareAndSwap(before, before+uint64(more)) {
			return
		}
	}
}

// dropped returns how many datagrams found the receive buffer full, and how many came after the stop.
func (s *socket) dropped() (overflow, late uint64) {
	all := s.drops.Load()
	overflow = min(all, s.stopped.Load())
	return overflow, all - overflow
}
