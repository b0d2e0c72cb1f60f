package routing

import (
	"context"
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
	var failed error
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			failed = setKey(int(fd), false, netip.MustParsePrefix("127.0.0.1/32"), "key")
		})
	}}
	l, err := config.Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return !errors.Is(failed, unix.ENOPROTOOPT) && !errors.Is(failed, unix.EPERM) && !errors.Is(failed, unix.EINVAL)
}

// keyedDialer dials from an address with a key of TCP-MD5.
func keyedDialer(from, key string, wait time.Duration) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: wait,
		Control: func(_, _ string, c syscall.RawConn) (err error) {
			if key == "" {
				return nil
			}
			if failed := c.Control(func(fd uintptr) {
				err = setKey(int(fd), false, netip.MustParsePrefix("127.0.0.1/32"), key)
			}); failed != nil {
				return failed
			}
			return err
		}}
}
