package routing

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var bg = context.Background()

// setKeys gives the kernel the keys of TCP-MD5 (RFC 2385) of a socket, before it listens. A connection of a neighbour
// with a key is made only with that key.
func (s *Station) setKeys(c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		v6 := false
		if name, err := unix.Getsockname(int(fd)); err == nil {
			_, v6 = name.(*unix.SockaddrInet6)
		}
		for prefix, password := range s.Passwords {
			if failed = setKey(int(fd), v6, prefix, password); failed != nil {
				return
			}
		}
	})
	if failed != nil {
		return failed
	}
	return err
}

func setKey(fd int, v6 bool, prefix netip.Prefix, password string) error {
	a, bits := prefix.Addr(), prefix.Bits()
	if a.Is6() && !v6 {
		return nil // no such neighbour can connect to this socket
	}
	key := unix.TCPMD5Sig{Flags: unix.TCP_MD5SIG_FLAG_PREFIX, Prefixlen: uint8(bits), Keylen: uint16(len(password))}
	copy(key.Key[:], password)
	option := unix.TCP_MD5SIG_EXT
	if v6 {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&key.Addr))
		sa.Family, sa.Addr = unix.AF_INET6, a.As16() // IPv4 mapped, with the length that it has as IPv4
	} else {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&key.Addr))
		sa.Family, sa.Addr = unix.AF_INET, a.As4()
	}
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, option, &key); err != nil {
		return fmt.Errorf("set the TCP-MD5 key of %s: %w (net.core.optmem_max bounds the keys)", prefix, err)
	}
	return nil
}
