package routing

import (
	"net"
	"net/netip"
	"syscall"
	"time"
)

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
