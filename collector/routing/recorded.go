package routing

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Recorded reads the BGP and BMP sessions of packet captures into a routing table, as if the routers had connected to
// a station. Use OpenRecorded. It belongs to one goroutine.
type Recorded struct {
	station  *Station
	sessions map[[2]netip.AddrPort]*recorded
}

// OpenRecorded makes the routing table of captures.
func OpenRecorded(o Options) (*Recorded, error) {
	o.Listen, o.BMP.Listen, o.BMP.Connect, o.MRT, o.File = nil, nil, nil, nil, ""
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	s.recorded = true
	return &Recorded{station: s, sessions: map[[2]netip.AddrPort]*recorded{}}, nil
}

// RIB is the routing table.
func (r *Recorded) RIB() *rib.RIB { return r.station.RIB() }

// Station is that of the sessions. It has no network.
func (r *Recorded) Station() *Station { return r.station }

// Stats are what was read.
func (r *Recorded) Stats() Stats {
	r.station.run(func() {
		r.station.looked = time.Time{}
		r.station.turn(time.Now())
	})
	return r.station.Stats()
}

// Close ends the sessions and gives the memory back. No reader may be left. The error is nil always.
func (r *Recorded) Close() error {
	for _, c := range r.sessions {
		c.end()
	}
	r.station.Close()
	r.station.Free()
	return nil
}

// maxRecorded bounds the streams of captures that are looked at.
const maxRecorded = 1 << 14

// Segment takes bytes of a TCP stream, in their order. When it returns the routes in them are in the table. Streams
// that begin with neither BGP nor BMP are passed over; so is what follows bytes that a capture has not got. It reports
// whether the stream is a session.
func (r *Recorded) Segment(s capture.Segment) bool {
	key := [2]netip.AddrPort{s.From, s.To}
	if s.End {
		if c := r.sessions[key]; c != nil { // its routes stay
			c.end()
			delete(r.sessions, key)
		}
		return true
	}
	c := r.sessions[key]
	if c == nil {
		if len(r.sessions) >= maxRecorded {
			return false
		}
		c = &recorded{}
		r.sessions[key] = c
	}
	if s.Lost || s.First && c.conn != nil {
		c.end()
	}
	if s.First {
		c.over = false
	}
	if c.over || c.conn == nil && !c.begin(r.station, &s) {
		return false
	}
	c.conn.feed(s.Data)
	r.station.run(func() {
		r.station.rib.Publish()
		r.station.updateAddresses()
	})
	return true
}

// recorded is a stream of a capture.
type recorded struct {
	conn *fedConn
	done chan struct{}
	over bool // nothing of it is read any more
}

// IsSession reports whether a TCP stream that begins with some bytes is a BGP or BMP session.
func IsSession(data []byte) bool { return isBGP(data) || isBMP(data) }

func isBGP(data []byte) bool {
	_, kind, err := bgp.Header(data, true)
	return err == nil && kind == bgp.OpenType
}

func isBMP(data []byte) bool {
	_, kind, err := bmp.Header(data)
	return err == nil && kind < bmp.Types
}

// begin begins a session, if the first bytes of the stream are of one.
func (c *recorded) begin(s *Station, first *capture.Segment) bool {
	if !IsSession(first.Data) {
		c.over = len(first.Data) > 0
		return false
	}
	from, monitoring := first.From, isBMP(first.Data)
	c.conn = &fedConn{from: from, to: first.To, data: make(chan []byte), idle: make(chan struct{}),
		closed: make(chan struct{})}
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		if monitoring {
			s.serveMonitor(c.conn, from.Addr())
		} else {
			s.serve(c.conn, from.Addr())
		}
		_ = c.conn.Close()
	}()
	select {
	case <-c.conn.idle:
		return true
	case <-c.conn.closed:
		c.over = true
		return false
	}
}

// end ends the session.
func (c *recorded) end() {
	c.over = true
	if c.conn != nil {
		_ = c.conn.Close()
		<-c.done
		c.conn = nil
	}
}

// fedConn is a connection whose bytes come from a capture. Each time that its reader wants more than was fed it says
// so, so that the feeder knows that all of it was used. What is written to it is dropped.
type fedConn struct {
	from, to netip.AddrPort
	data     chan []byte
	idle     chan struct{}
	closed   chan struct{}
	once     sync.Once
	left     bytes.Reader
}

// feed hands bytes to the reader, and returns when it has used them or has closed the connection.
func (c *fedConn) feed(b []byte) {
	select {
	case c.data <- b:
	case <-c.closed:
		return
	}
	select {
	case <-c.idle:
	case <-c.closed:
	}
}

func (c *fedConn) Read(b []byte) (int, error) {
	if c.left.Len() == 0 {
		select {
		case c.idle <- struct{}{}:
		case <-c.closed:
			return 0, io.EOF
		}
		select {
		case data := <-c.data:
			c.left.Reset(data)
		case <-c.closed:
			return 0, io.EOF
		}
	}
	return c.left.Read(b)
}

func (c *fedConn) Write(b []byte) (int, error) { return len(b), nil }

func (c *fedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *fedConn) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(c.to) }
func (c *fedConn) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(c.from) }
func (c *fedConn) SetDeadline(time.Time) error      { return nil }
func (c *fedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *fedConn) SetWriteDeadline(time.Time) error { return nil }
