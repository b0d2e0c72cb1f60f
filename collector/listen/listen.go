// Package listen receives datagrams from UDP sockets, many at a time, and passes them to workers.
//
// Every worker owns one socket for each address. The kernel steers all datagrams of one source address to the same
// worker (steer.go), so what a worker learns of an exporter needs no lock and no sharing.
package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Options say where to listen. Addresses has no usable zero value.
type Options struct {
	// Addresses are host:port; an empty host means all addresses, IPv4 and IPv6.
	Addresses []string
	Workers   int // at least 1
	// ReceiveBuffer is the buffer that each socket requests from the kernel, in bytes. 0: 64 MiB.
	ReceiveBuffer int
	// Allowed are the sources that may send, and Agents the sFlow agents that they may send for; empty: all. Datagrams
	// of others are counted as refused. A source may always send for an agent of its own address.
	Allowed, Agents []netip.Prefix
	// BufferSize is the space for one datagram. 0: 64 KiB, which is enough for any.
	BufferSize int
	// Log receives a line if the kernel grants less than requested. nil: nothing is logged.
	Log *zap.Logger
}

const (
	defaultReceiveBuffer = 64 << 20
	maxDatagram          = 1 << 16
)

// Open binds the sockets of all workers. If the kernel cannot steer by source address, there is only one worker, and
// this is logged. The error names the address that cannot be bound.
func Open(o Options) ([]*Worker, error) {
	o = o.withDefaults()
	workers, err := open(o, o.Workers)
	if errors.Is(err, errNoSteering) {
		o.Log.Warn("the kernel cannot steer datagrams by source address: one worker reads all of them", zap.Error(err))
		return open(o, 1)
	}
	return workers, err
}

func (o Options) withDefaults() Options {
	if o.Workers < 1 {
		o.Workers = 1
	}
	if o.ReceiveBuffer <= 0 {
		o.ReceiveBuffer = defaultReceiveBuffer
	}
	if o.BufferSize <= 0 {
		o.BufferSize = maxDatagram
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// open makes n workers. The sockets of an address are bound in the order of the workers, because steering numbers them
// in that order.
func open(o Options, n int) (workers []*Worker, err error) {
	defer func() {
		if err != nil {
			for _, w := range workers {
				w.Close()
				w.Free()
			}
			workers = nil
		}
	}()
	for range n {
		w, err := newWorker(o)
		if err != nil {
			return workers, err
		}
		workers = append(workers, w)
	}
	shares := make([]*Share, n)
	for i, w := range workers {
		shares[i] = w.share
	}
	among(shares)
	// one key for all addresses, so that an exporter that uses several of them reaches one worker
	key := newSteeringKey()
	for i, text := range o.Addresses {
		address, err := parseAddress(text)
		if err != nil {
			return workers, err
		}
		if n > 1 {
			if err := probe(address, o); err != nil {
				return workers, fmt.Errorf("listen on UDP %s: %w", text, err)
			}
		}
		for j, w := range workers {
			s, err := openSocket(address, o, n, i == 0 && j == 0)
			if err != nil {
				return workers, fmt.Errorf("listen on UDP %s: %w", text, err)
			}
			w.add(s)
			if n > 1 && j == 0 {
				if err := steer(s.fd, n, key); err != nil {
					return workers, fmt.Errorf("%w: %v", errNoSteering, err)
				}
			}
			// If the kernel chose the port, the other workers must use the same.
			address = address.withPort(s.port)
		}
	}
	return workers, nil
}

// probe fails if another program has the address. Otherwise, with SO_REUSEPORT, a second collector would silently get
// half of the datagrams.
func probe(a address, o Options) error {
	s, err := openSocket(a, o, 1, false)
	if err != nil {
		return err
	}
	return unix.Close(s.fd)
}

var errNoSteering = errors.New("steer datagrams by source address")
