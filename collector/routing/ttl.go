package routing

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// setMinTTL has the kernel drop what neighbours send with a TTL or hop limit below least (RFC 5082), before it answers.
// What the collector sends gets the maximum, which neighbours expect that check it as well. A socket of IPv6 can have
// connections of IPv4, so it needs the options of both.
func setMinTTL(c syscall.RawConn, least int) error {
	const most = 255
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MINTTL, least),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, most))
		name, err := unix.Getsockname(int(fd))
		if _, v6 := name.(*unix.SockaddrInet6); err == nil && v6 {
			failed = errors.Join(failed,
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least),
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, most))
		}
	})
	if failed != nil {
		return fmt.Errorf("set the minimum TTL of neighbours to %d: %w", least, failed)
	}
	return err
}
