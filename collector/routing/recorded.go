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

// Recorded replays the BGP and BMP sessions of packet captures into a routing table, as if the routers had connected to
// a station. Create it with OpenRecorded. It is not safe for concurrent use.
type Recorded struct {
	station  *Station
	sessions map[[2]netip.AddrPort]*recorded
}

// OpenRecorded makes an empty routing table. It ignores the options that name listeners, routers and files.
func OpenRecorded(o Options) (*Recorded, error) {
	o.Listen, o.BMP.Listen, o.BMP.Connect, o.MRT, o.File = nil, nil, nil, nil, ""
	s, err := Open(o)
	if err != nil {
		return nil, err
	}
	s.recorded = true
	return &Recorded{station: s, sessions: map[[2]netip.AddrPort]*recorded{}}, nil
}

// RIB returns the routing table. It is valid until Close.
func (r *Recorded) RIB() *rib.RIB { return r.station.RIB() }

// Station returns the station that has the sessions. It uses no network.
func (r *Recorded) Station() *Station { return r.station }

// Stats returns the counters of all that was replayed so far.
func (r *Recorded) Stats() Stats {
	r.station.run(func() {
		r.station.bmpChecked = time.Time{}
		r.station.tick(time.Now())
	})
	return r.station.Stats()
}

// Close ends the sessions and releases the routing table, which must have no reader left. The error is always nil.
func (r *Recorded) Close() error {
	for _, c := range r.sessions {
		c.end()
	}
	r.station.Close()
	r.station.Free()
	return nil
}

// maxRecorded is the maximum number of TCP streams, of which a Recorded keeps the state.
const maxRecorded = 1 << 14

// Segment replays a segment of a TCP stream. Segments of a stream come in the order of their sequence numbers. When it
// returns, the segment's routes are in the routing table. It ignores streams that start with neither BGP nor BMP, and
// the rest of a stream after bytes that the capture lacks. It reports whether the segment was used.
func (r *Recorded) Segment(s capture.Segment) bool {
	key := [2]netip.AddrPort{s.From, s.To}
	if s.End {
		if c := r.sessions[key]; c != nil { // its routes stay, as stale ones
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

// recorded is a TCP stream of a capture.
type recorded struct {
	conn *captureConn // nil: no session
	done chan struct{}
	over bool // the rest of the stream is not used
}

// IsSession reports whether data is the start of a BGP or BMP session.
func IsSession(data []byte) bool { return isBGP(data) || isBMP(data) }

func isBGP(data []byte) bool {
	_, kind, err := bgp.Header(data, true)
	return err == nil && kind == bgp.OpenType
}

func isBMP(data []byte) bool {
	_, kind, err := bmp.Header(data)
	return err == nil && kind < bmp.Types
}

// begin starts a session if the stream starts with BGP or BMP.
func (c *recorded) begin(s *Station, first *capture.Segment) bool {
	if !IsSession(first.Data) {
		c.over = len(first.Data) > 0
		return false
	}
	from, monitoring := first.From, isBMP(first.Data)
	c.conn = &captureConn{from: from, to: first.To, data: make(chan []byte), idle: make(chan struct{}),
		closed: make(chan struct{})}
	c.done = make(chan struct{})
	go func() {
		defer close(c.done)
		if monitoring {
			s.serveBMP(c.conn, from.Addr(), func() {})
		} else {
			s.serve(c.conn, from.Addr(), func() {})
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

// captureConn is a connection whose bytes come from a capture. Read signals idle before it waits for more, so that feed
// can wait until everything was read. Writes are discarded.
type captureConn struct {
	from, to netip.AddrPort
	data     chan []byte
	idle     chan struct{}
	closed   chan struct{}
	once     sync.Once
	left     bytes.Reader // fed and not read yet
}

// feed passes bytes to the reader. It returns when the reader has used them or has closed the connection.
func (c *captureConn) feed(b []byte) {
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

func (c *captureConn) Read(b []byte) (int, error) {
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

func (c *captureConn) Write(b []byte) (int, error) { return len(b), nil }

func (c *captureConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *captureConn) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(c.to) }
func (c *captureConn) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(c.from) }
func (c *captureConn) SetDeadline(time.Time) error      { return nil }
func (c *captureConn) SetReadDeadline(time.Time) error  { return nil }
func (c *captureConn) SetWriteDeadline(time.Time) error { return nil }
