package routing

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kernelHasMD5 reports whether a socket takes a key. Some kernels and sandboxes have none.
func kernelHasMD5(t *testing.T) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	failed := setKey(fd, false, netip.MustParsePrefix("127.0.0.1/32"), "key")
	return !errors.Is(failed, unix.ENOPROTOOPT) && !errors.Is(failed, unix.EPERM) && !errors.Is(failed, unix.EINVAL)
}

// keyedDialer dials from an address with a key of TCP-MD5.
func keyedDialer(from, key string, wait time.Duration) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: wait,
		Control: func(_, _ string, c syscall.RawConn) error {
			if key == "" {
				return nil
			}
			return control(c, func(fd int, v6 bool) error {
				to := netip.MustParsePrefix("127.0.0.1/32")
				if v6 {
					to = netip.MustParsePrefix("::1/128")
				}
				return setKey(fd, v6, to, key)
			})
		}}
}
