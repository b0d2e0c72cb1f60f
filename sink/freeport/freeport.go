// Package freeport finds ports of 127.0.0.1 for servers that are told their address before they start. Benchmarks and
// tests of several processes run beside each other: no two of them get the same port, also while neither is in use.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// Ports come from below those that the kernel uses for outgoing connections, in blocks. The first port of a block is
// its lock: who listens there owns the block.
const (
	first    = 20000
	perBlock = 100
	blocks   = 120
)

// own has the blocks of this process.
var own struct {
	sync.Mutex
	locks []net.Listener // held until the process ends
	next  int            // port to try next
	end   int            // first port behind the block
}

// Next returns 127.0.0.1 and a port that is free for UDP and TCP and that no process was given before, as long as the
// process that got it lives. It may be called by several goroutines.
func Next() (netip.AddrPort, error) {
	own.Lock()
	defer own.Unlock()
	for {
		if own.next == own.end {
			if err := takeBlock(); err != nil {
				return netip.AddrPort{}, err
			}
		}
		address := at(own.next)
		own.next++
		if isFree(address) {
			return address, nil
		}
	}
}

// takeBlock makes a block of nobody this process's. It starts to look at a random one: a block that another process
// has just left may have connections that still end.
func takeBlock() error {
	begin := rand.IntN(blocks)
	for i := range blocks {
		port := first + (begin+i)%blocks*perBlock
		lock, err := net.Listen("tcp4", at(port).String())
		if err != nil {
			continue
		}
		own.locks = append(own.locks, lock)
		own.next, own.end = port+1, port+perBlock
		return nil
	}
	return errors.New("find a free port: other processes have all that are meant for tests and benchmarks " +
		fmt.Sprintf("(%d to %d)", first, first+blocks*perBlock-1))
}

func at(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
}

func isFree(address netip.AddrPort) bool {
	socket, err := net.ListenPacket("udp4", address.String())
	if err != nil {
		return false
	}
	defer socket.Close()
	listener, err := net.Listen("tcp4", address.String())
	if err != nil {
		return false
	}
	defer listener.Close()
	return true
}
