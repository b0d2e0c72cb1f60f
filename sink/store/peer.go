package store

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// overflowUser is what the kernel shows for users whom this user namespace does not know.
const overflowUser = 65534

// peerUser is the user whose process holds the other end of a TCP connection over loopback, as the kernel's table of
// sockets has it (sock_diag(7)). ok is false where that cannot be told: the client is elsewhere, has closed its end, or
// the kernel does not say. It costs some 10 µs.
func peerUser(c *net.TCPConn) (uid int, ok bool) {
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if !local.IsValid() || !remote.Addr().IsLoopback() || !local.Addr().IsLoopback() {
		return 0, false
	}
	uid, ok = socketUser(remote, local)
	// The peer may have closed its end and another process have got the same port; but not while this end is
	// established.
	return uid, ok && isEstablished(c)
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

func isEstablished(c *net.TCPConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	established := false
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		established = err == nil && info.State == unix.BPF_TCP_ESTABLISHED
	})
	return err == nil && established
}

// Layout of linux/sock_diag.h and linux/inet_diag.h. Numbers are in the host's byte order, addresses and ports in the
// network's.
const (
	sockDiagByFamily = 20
	diagRequestSize  = 56 // struct inet_diag_req_v2
	diagStateAt      = 1  // offsets in struct inet_diag_msg
	diagIDAt         = 4
	diagUIDAt        = 64
	diagInodeAt      = 68
	diagMessageSize  = 72
)

// socketUser looks one established socket up by its own address and the one it is connected to.
func socketUser(own, other netip.AddrPort) (uid int, ok bool) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false
	}
	defer unix.Close(fd)
	if unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}) != nil ||
		unix.Sendto(fd, diagRequest(own, other), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) != nil {
		return 0, false
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.SizeofNlMsghdr+diagMessageSize ||
		binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0, false
	}
	m := answer[unix.SizeofNlMsghdr:n]
	// A socket that its process has closed is in the table for a while, as root's and without an inode.
	if m[diagStateAt] != unix.BPF_TCP_ESTABLISHED || binary.NativeEndian.Uint32(m[diagInodeAt:]) == 0 ||
		binary.BigEndian.Uint16(m[diagIDAt:]) != own.Port() || binary.BigEndian.Uint16(m[diagIDAt+2:]) != other.Port() {
		return 0, false
	}
	return int(binary.NativeEndian.Uint32(m[diagUIDAt:])), true
}

// diagRequest is the netlink message that asks for one socket.
func diagRequest(own, other netip.AddrPort) []byte {
	b := make([]byte, 0, unix.SizeofNlMsghdr+diagRequestSize)
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr+diagRequestSize)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number, port
	family := byte(unix.AF_INET)
	if own.Addr().Is6() {
		family = unix.AF_INET6
	}
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // states
	b = binary.BigEndian.AppendUint16(b, own.Port())
	b = binary.BigEndian.AppendUint16(b, other.Port())
	for _, addr := range []netip.Addr{own.Addr(), other.Addr()} {
		var field [16]byte
		copy(field[:], addr.AsSlice())
		b = append(b, field[:]...)
	}
	b = append(b, 0, 0, 0, 0) // any interface
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
}
