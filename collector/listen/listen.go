// Package listen receives datagrams from UDP sockets, many at a time, and hands them to workers.
//
// Every worker owns one socket of each address. The kernel steers all datagrams of one source address to the same
// worker (steer.go), so what a worker learns of an exporter needs no lock and no sharing.
package listen

import (
	"errors"
	"fmt"
	"net/netip"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Options say where to listen. Addresses has no useful zero value.
type Options struct {
	// Addresses are host:port; an empty host is every address, IPv4 and IPv6.
	Addresses []string
	Workers   int // at least 1
	// ReceiveBuffer is what each socket asks the kernel for, in bytes. 0: 64 MiB.
	ReceiveBuffer int
	// Allowed are the exporters that may send; empty: all. Datagrams of others are counted as refused.
	Allowed []netip.Prefix
	// BufferSize is the room for one datagram. 0: 64 KiB, which is enough for any.
	BufferSize int
	// Log gets a line where the kernel gives less than was asked for. nil: nobody.
	Log *zap.Logger
}

const (
	defaultReceiveBuffer = 64 << 20
	maxDatagram          = 1 << 16
)

// Open binds the sockets of all workers. Where the kernel cannot steer by source address there is one worker only, and
// one line says so. The error names the address that cannot be had.
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

// open makes n workers. The sockets of an address are bound in the order of the workers: that is the order in which
// steering numbers them.
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
	key := newSteeringKey() // one for all addresses: an exporter that uses several of them reaches one worker
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
			// A port that the kernel chose is the other workers' too.
			address = address.withPort(s.port)
		}
	}
	return workers, nil
}

// probe fails where another program has the address: with SO_REUSEPORT a second collector would get half of the
// datagrams instead of an error.
func probe(a address, o Options) error {
	s, err := openSocket(a, o, 1, false)
	if err != nil {
		return err
	}
	return unix.Close(s.fd)
}

var errNoSteering = errors.New("steer datagrams by source address")
