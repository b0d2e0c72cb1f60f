package routing

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// With a minimum TTL only neighbours connect whose segments have it, of both families.
func TestMinTTL(t *testing.T) {
	for _, c := range []struct{ listen, to string }{
		{"127.0.0.1:0", "127.0.0.1"}, {":0", "127.0.0.1"}, {":0", "::1"},
	} {
		t.Run(c.listen+" "+c.to, func(t *testing.T) {
			s := open(t, Options{Listen: []string{c.listen}, MinTTL: 255})
			_, port, err := net.SplitHostPort(s.Addresses()[0])
			if err != nil {
				t.Fatal(err)
			}
			dial := func(ttl int, wait time.Duration) error {
				d := net.Dialer{Timeout: wait, Control: func(_, _ string, c syscall.RawConn) error {
					return control(c, func(fd int, v6 bool) error {
						if v6 {
							return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl)
						}
						return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, ttl)
					})
				}}
				conn, err := d.Dial("tcp", net.JoinHostPort(c.to, port))
				if err == nil {
					_ = conn.Close()
				}
				return err
			}
			if err := dial(254, 300*time.Millisecond); err == nil {
				t.Error("a neighbour a router away connects")
			}
			if err := dial(255, patience); err != nil {
				t.Errorf("a neighbour on the same link: %v", err)
			}
		})
	}
}
