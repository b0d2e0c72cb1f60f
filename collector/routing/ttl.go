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
	return control(c, func(fd int, v6 bool) error {
		err := errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MINTTL, least),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TTL, most))
		if v6 {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, least),
				unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, most))
		}
		if err != nil {
			return fmt.Errorf("set the minimum TTL of neighbours to %d: %w", least, err)
		}
		return nil
	})
}
