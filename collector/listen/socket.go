package listen

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// address is a socket address: an invalid IP stands for every address of both families.
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
	short  bool // the receive buffer is smaller than asked for
	buffer int  // what the kernel gives for datagrams, in bytes

	drops    atomic.Uint64 // datagrams that the kernel dropped, by SO_RXQ_OVFL
	lastOvfl uint32        // the kernel's 32-bit counter at the latest datagram
}

// openSocket binds a socket. With report set, a receive buffer smaller than asked for is logged.
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

// bindError says what to do about the usual failures.
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

// readName learns the port that the kernel chose where none was asked for.
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

// enlarge asks for the receive buffer, by force where that is allowed. The kernel counts its own overhead too and
// doubles what is asked for, so half of what it reports is what holds datagrams.
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
			zap.String("mend", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", o.ReceiveBuffer)),
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

// refuseAll has the kernel drop what comes from now on, so that the socket can be read until it is empty however fast
// exporters send.
func (s *socket) refuseAll() {
	refuse := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	program := unix.SockFprog{Len: 1, Filter: &refuse}
	_ = unix.SetsockoptSockFprog(s.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program) // reading ends a little later without it
}

// overflow takes the kernel's running count of dropped datagrams, which wraps at 2^32.
func (s *socket) overflow(count uint32) {
	s.drops.Add(uint64(count - s.lastOvfl))
	s.lastOvfl = count
}
