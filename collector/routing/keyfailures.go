package routing

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// keyFailures counts TCP segments that the kernel dropped because their TCP-MD5 signature is missing, unexpected or
// wrong. The kernel counts them for the whole network namespace, not for each socket. The zero value counts nothing.
type keyFailures struct {
	on    atomic.Bool
	first uint64 // at the start
}

// netstat is the file with the kernel's counters.
const netstat = "/proc/self/net/netstat"

func (k *keyFailures) begin() {
	data, err := os.ReadFile(netstat)
	if err != nil {
		return
	}
	k.first = md5Failures(string(data))
	k.on.Store(true)
}

// count returns the number of such segments since begin.
func (k *keyFailures) count() uint64 {
	if !k.on.Load() {
		return 0
	}
	data, err := os.ReadFile(netstat)
	if err != nil {
		return 0
	}
	n := md5Failures(string(data))
	return n - min(n, k.first)
}

// md5Failures adds up the counters of TCP-MD5 in the kernel's netstat: a line of names, and one of numbers.
func md5Failures(text string) (sum uint64) {
	var names []string
	for line := range strings.SplitSeq(text, "\n") {
		rest, found := strings.CutPrefix(line, "TcpExt:")
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names[:min(len(names), len(fields))] {
			switch name {
			case "TCPMD5NotFound", "TCPMD5Unexpected", "TCPMD5Failure":
				n, _ := strconv.ParseUint(fields[i], 10, 64)
				sum += n
			}
		}
	}
	return sum
}
