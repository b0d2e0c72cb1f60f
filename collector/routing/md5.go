package routing

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var bg = context.Background()

// maxPassword is TCP_MD5SIG_MAXKEYLEN of the kernel.
const maxPassword = 80

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

// ReadPasswords reads a file of TCP-MD5 keys: a line of address or prefix, comma, key for each neighbour, as pmacct's
// bgp_daemon_md5_file has them. Lines that begin with !, # or ; are comments.
func ReadPasswords(path string) (map[netip.Prefix]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read TCP-MD5 keys: %w", err)
	}
	defer f.Close()
	keys := map[netip.Prefix]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.ContainsRune("!#;", rune(line[0])) {
			continue
		}
		neighbor, key, found := strings.Cut(line, ",")
		key = strings.TrimSpace(key)
		prefix, err := parsePrefix(strings.TrimSpace(neighbor))
		switch { // the key is never shown
		case !found || key == "":
			return nil, fmt.Errorf("%s:%d: a line is ADDRESS, KEY", path, n)
		case err != nil:
			return nil, fmt.Errorf("%s:%d: %q is neither an address nor a prefix", path, n, neighbor)
		case len(key) > maxPassword:
			return nil, fmt.Errorf("%s:%d: the key has %d bytes: the most is %d", path, n, len(key), maxPassword)
		case keys[prefix] != "":
			return nil, fmt.Errorf("%s:%d: %s has a key already", path, n, prefix)
		}
		keys[prefix] = key
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read TCP-MD5 keys: %s: %w", path, err)
	}
	return keys, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
