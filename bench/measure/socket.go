package measure

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Socket is what the kernel says of the UDP sockets on a port.
type Socket struct {
	Bound  int    // how many there are
	Queued int    // bytes that wait to be read, with the kernel's overhead
	Drops  uint64 // datagrams that had no room
}

// Sockets reads the UDP sockets on a port.
func Sockets(port uint16) Socket {
	var s Socket
	for _, file := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		if data, err := os.ReadFile(file); err == nil { // a host without IPv6 has no second one
			s.add(string(data), port)
		}
	}
	return s
}

// add adds the sockets of one table (proc(5), /proc/net/udp): local address, queues, and drops at the end.
func (s *Socket) add(table string, port uint16) {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.SplitSeq(table, "\n") {
		fields := strings.Fields(line)
		if len(fields) < 13 || !strings.HasSuffix(fields[1], suffix) {
			continue
		}
		s.Bound++
		if _, receive, found := strings.Cut(fields[4], ":"); found {
			n, _ := strconv.ParseInt(receive, 16, 64)
			s.Queued += int(n)
		}
		n, _ := strconv.ParseUint(fields[len(fields)-1], 10, 64)
		s.Drops += n
	}
}
