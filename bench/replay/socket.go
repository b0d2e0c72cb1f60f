package replay

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// batchDatagrams is how many datagrams one system call sends.
const batchDatagrams = 64

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// controlSize is room for an in_pktinfo behind its header (ip(7)).
const controlSize = 32

// sockets sends datagrams. To this host itself one socket sends for all exporters, each from an address of its own;
// elsewhere each exporter has a socket, and the host's address.
type sockets struct {
	fds      []int // by source, or one for all
	controls [][controlSize]byte
	name     unix.RawSockaddrInet6
	nameLen  uint32
	messages [batchDatagrams]mmsghdr
	vectors  [batchDatagrams]unix.Iovec
	flows    [batchDatagrams]int
	refused  int // sends that found that nobody listens
}

func openSockets(to netip.AddrPort, sources []netip.AddrPort) (*sockets, error) {
	s := &sockets{}
	s.address(to)
	family, n := unix.AF_INET, len(sources)
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	if to.Addr().Is4() && to.Addr().IsLoopback() {
		n = 1
		s.controls = make([][controlSize]byte, len(sources))
		for i, address := range loopbackSources(sources) {
			s.controls[i] = sourceControl(address)
		}
	}
	for range n {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, errors.Join(os.NewSyscallError("socket", err), s.close())
		}
		s.fds = append(s.fds, fd)
		reportErrors(fd, family)
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20) // what the kernel gives will do
	}
	for i := range s.messages {
		h := &s.messages[i].header
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&s.name)), s.nameLen
		h.Iov, h.Iovlen = &s.vectors[i], 1
	}
	return s, nil
}

// reportErrors has the next send say that nobody listened for the last (ip(7), IP_RECVERR). Where it cannot be had,
// nothing says so.
func reportErrors(fd, family int) {
	if family == unix.AF_INET6 {
		_ = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 1)
}

// address lays out where all datagrams go.
func (s *sockets) address(to netip.AddrPort) {
	port := to.Port()<<8 | to.Port()>>8
	if to.Addr().Is4() {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&s.name))
		four.Family, four.Port, four.Addr = unix.AF_INET, port, to.Addr().As4()
		s.nameLen = unix.SizeofSockaddrInet4
		return
	}
	s.name.Family, s.name.Port, s.name.Addr = unix.AF_INET6, port, to.Addr().As16()
	s.nameLen = unix.SizeofSockaddrInet6
}

// loopbackSources gives each exporter an address of 127.0.0.0/8: its own where it is one, else 127.17.0.1 and on.
func loopbackSources(sources []netip.AddrPort) []netip.Addr {
	given := map[netip.Addr]netip.Addr{}
	next := netip.AddrFrom4([4]byte{127, 17, 0, 0})
	addresses := make([]netip.Addr, len(sources))
	for i, source := range sources {
		a, found := given[source.Addr()]
		if !found {
			if a = source.Addr(); !a.Is4() || !a.IsLoopback() {
				next = next.Next()
				a = next
			}
			given[source.Addr()] = a
		}
		addresses[i] = a
	}
	return addresses
}

// sourceControl asks the kernel to send from an address.
func sourceControl(a netip.Addr) (control [controlSize]byte) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&control[unix.CmsgLen(0)]))
	info.Spec_dst = a.As4()
	return control
}

// fd is the socket that sends for a source.
func (s *sockets) fd(source int) int {
	if s.controls != nil {
		return s.fds[0]
	}
	return s.fds[source]
}

// put makes a datagram the i-th of the next send.
func (s *sockets) put(i int, d *datagram) {
	s.vectors[i].Base = &d.payload[0]
	s.vectors[i].SetLen(len(d.payload))
	s.flows[i] = d.flows
	if s.controls != nil {
		h := &s.messages[i].header
		h.Control = &s.controls[d.source][0]
		h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	}
}

// send sends the first n datagrams put, all of one socket, and returns how many the kernel did not take, and their
// flows.
func (s *sockets) send(fd, n int) (failed, failedFlows int, err error) {
	for done := 0; done < n; {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.messages[done])),
			uintptr(n-done), 0, 0, 0)
		switch errno {
		case 0:
			done += int(sent)
		case unix.EINTR, unix.EAGAIN:
		case unix.ECONNREFUSED, unix.ENOBUFS, unix.EPERM:
			if errno == unix.ECONNREFUSED {
				s.refused++
			}
			failed, failedFlows = failed+1, failedFlows+s.flows[done]
			done++ // the others may pass
		default:
			return failed, failedFlows, fmt.Errorf("send: %w", errno)
		}
	}
	return failed, failedFlows, nil
}

func (s *sockets) close() error {
	var failures []error
	for _, fd := range s.fds {
		failures = append(failures, unix.Close(fd))
	}
	return errors.Join(failures...)
}
