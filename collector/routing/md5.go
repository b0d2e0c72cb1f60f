package routing

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setKeys installs the TCP-MD5 keys (RFC 2385) on a socket before it listens. The kernel then accepts connections of
// neighbours that have a key only if their segments are signed with it.
func (s *Station) setKeys(c syscall.RawConn) error {
	return control(c, func(fd int, v6 bool) error {
		for prefix, password := range s.Passwords {
			if err := setKey(fd, v6, prefix, password); err != nil {
				return err
			}
		}
		return nil
	})
}

// control calls f with a socket's descriptor, and whether it is one of IPv6.
func control(c syscall.RawConn, f func(fd int, v6 bool) error) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		v6 := false
		if name, err := unix.Getsockname(int(fd)); err == nil {
			_, v6 = name.(*unix.SockaddrInet6)
		}
		failed = f(int(fd), v6)
	})
	if failed != nil {
		return failed
	}
	return err
}

func setKey(fd int, v6 bool, prefix netip.Prefix, password string) error {
	a, bits := prefix.Addr(), prefix.Bits()
	if a.Is6() && !v6 {
		return nil // an IPv6 neighbour cannot connect to an IPv4 socket
	}
	key := unix.TCPMD5Sig{Flags: unix.TCP_MD5SIG_FLAG_PREFIX, Prefixlen: uint8(bits), Keylen: uint16(len(password))}
	copy(key.Key[:], password)
	option := unix.TCP_MD5SIG_EXT
	if v6 {
		sa := (*unix.RawSockaddrInet6)(unsafe.Pointer(&key.Addr))
		// The kernel wants IPv4 neighbours as mapped addresses, with the prefix length that they have in IPv4.
		sa.Family, sa.Addr = unix.AF_INET6, a.As16()
	} else {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&key.Addr))
		sa.Family, sa.Addr = unix.AF_INET, a.As4()
	}
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, option, &key); err != nil {
		if errors.Is(err, unix.ENOPROTOOPT) {
			return fmt.Errorf("set the TCP-MD5 key of %s: this kernel has no TCP-MD5 (CONFIG_TCP_MD5SIG): %w", prefix,
				err)
		}
		return fmt.Errorf("set the TCP-MD5 key of %s: %w (net.core.optmem_max bounds the keys)", prefix, err)
	}
	return nil
}

// TryKeys reports whether the kernel takes all keys on one socket.
func TryKeys(keys map[netip.Prefix]string) error {
	s := &Station{Options: Options{Passwords: keys}}
	config := plainTCP()
	config.Control = func(_, _ string, c syscall.RawConn) error { return s.setKeys(c) }
	l, err := config.Listen(context.Background(), "tcp", ":0") // both families
	if err != nil {
		return err
	}
	return l.Close()
}
