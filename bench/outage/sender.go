package outage

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// exporters is how many addresses datagrams come from: enough for every worker to have some.
const exporters = 8

// exporterAddress is the address of an exporter, a device of the metadata that the program writes.
func exporterAddress(n int) netip.Addr { return netip.AddrFrom4([4]byte{127, 1, 0, byte(n + 1)}) }

// sender sends NetFlow v5 at a rate. Every flow has a number of its own, which is its byte count: what arrived, and how
// often, can be read off the table.
type sender struct {
	sockets  [exporters]*net.UDPConn
	sequence [exporters]uint32
	started  time.Time
	rng      *rand.Rand
	next     atomic.Uint64 // the number of the next flow; the first is 1
	datagram [24 + flowsPerDatagram*48]byte
}

const flowsPerDatagram = 30 // what fits (Cisco's NetFlow v5)

func newSender(to netip.AddrPort) (*sender, error) {
	s := &sender{started: time.Now(), rng: rand.New(rand.NewPCG(1, 2))}
	s.next.Store(1)
	for i := range s.sockets {
		var err error
		s.sockets[i], err = net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(exporterAddress(i), 0)),
			net.UDPAddrFromAddrPort(to))
		if err != nil {
			s.close()
			return nil, fmt.Errorf("send from %s: %w", exporterAddress(i), err)
		}
	}
	return s, nil
}

func (s *sender) close() {
	for _, socket := range s.sockets {
		if socket != nil {
			_ = socket.Close()
		}
	}
}

// sent is how many flows were sent so far.
func (s *sender) sent() uint64 { return s.next.Load() - 1 }

// run sends so many flows a second until ctx ends. What the sockets refuse, because nobody listens, counts as sent.
func (s *sender) run(ctx context.Context, rate int) {
	const step = 5 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	begun, first := time.Now(), s.next.Load()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := first + uint64(time.Since(begun).Seconds()*float64(rate))
		for s.next.Load() < due {
			s.send(n % exporters)
			n++
		}
	}
}

// send sends one datagram of an exporter.
func (s *sender) send(exporter int) {
	now, b := time.Now(), s.datagram[:]
	uptime := uint32(now.Sub(s.started).Milliseconds()) + 3_600_000
	put16, put32 := binary.BigEndian.PutUint16, binary.BigEndian.PutUint32
	put16(b, 5)
	put16(b[2:], flowsPerDatagram)
	put32(b[4:], uptime)
	put32(b[8:], uint32(now.Unix()))
	put32(b[12:], uint32(now.Nanosecond()))
	put32(b[16:], s.sequence[exporter])
	s.sequence[exporter] += flowsPerDatagram
	number := s.next.Load()
	for i := range flowsPerDatagram {
		r := b[24+48*i:]
		put32(r, 10<<24|s.rng.Uint32()%200_000)
		put32(r[4:], 10<<24|s.rng.Uint32()%200_000)
		put16(r[12:], edgeInterface)
		put16(r[14:], coreInterface)
		put32(r[16:], 1+uint32(number%7))
		put32(r[20:], uint32(number)+uint32(i))
		put32(r[24:], uptime-1000)
		put32(r[28:], uptime-10)
		put16(r[32:], uint16(s.rng.Uint32()))
		put16(r[34:], 443)
		r[38] = 6
		put16(r[40:], 64500)
		put16(r[42:], 64501)
	}
	_, _ = s.sockets[exporter].Write(b) // where nobody listens it is lost, which is what the caller counts
	s.next.Store(number + flowsPerDatagram)
}
