package routing

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/bmp"
)

// BMPOptions configures BMP (RFC 7854).
type BMPOptions struct {
	Listen  []string       // listen addresses, host:port
	Connect []string       // host:port of routers that wait for the station to connect
	Allowed []netip.Prefix // addresses that may connect
	// Views selects the RIB views to keep: Adj-RIB-In, Loc-RIB, Adj-RIB-Out. Empty: all. If a router reports several
	// views, the one with the lowest bmp.View that has routes answers look-ups.
	Views     []bmp.View
	KeepStale time.Duration // how long routes stay in use after their session ended
	// Quiet is how long a peer sends no routes before its table counts as complete without an End-of-RIB. 0: 30 s.
	Quiet time.Duration
	// Retry is the delay before the first reconnection. It doubles with each attempt, up to a minute. 0: 5 s.
	Retry time.Duration
}

func (o *BMPOptions) setDefaults() {
	o.Quiet = cmp.Or(o.Quiet, 30*time.Second)
	o.Retry = cmp.Or(o.Retry, 5*time.Second)
}

const (
	maxBMPRouters = 1024             // BMP connections at a time, and routers whose routes are kept
	maxPeers      = 1 << 14          // BGP peers of one BMP session, and peers of one MRT file
	maxViews      = 1 << 16          // BGP peers of all BMP sessions, and tables of all peers of all BMP routers
	firstWait     = 60 * time.Second // for the first message of a router
	connectWait   = 10 * time.Second
	maxRetry      = time.Minute
)

// bmpSession is one BMP connection. The goroutine that runs Station.serveBMP reads it and owns the fields up to
// current.
type bmpSession struct {
	batcher
	conn    net.Conn
	address netip.Addr
	peers   map[bmp.PeerKey]*bmpPeer
	current *view // that the batch belongs to

	router *bmpRouter // only the writer uses it; nil: there are too many routers
	once   sync.Once  // for end
	why    string     // why the session ended

	messages   [bmp.Types + 1]atomic.Uint64 // by type; the last counts unknown types
	unreadable atomic.Uint64                // messages that are malformed
	badOpens   atomic.Uint64                // Peer Up messages with an OPEN that is malformed
	beyond     atomic.Uint64                // messages of peers in excess of maxPeers
}

// bmpPeer is the state of a router's BGP peer within a session.
type bmpPeer struct {
	up    bmp.Up
	views [bmp.Views]*view
}

// view is one table of a peer within a session.
type view struct {
	session *bmpSession
	peer    bmp.Peer // per-peer header of its first message
	rules   bgp.Rules
}

// acceptBMP starts a BMP session if the address is allowed.
func (s *Station) acceptBMP(c *net.TCPConn, address netip.Addr) {
	switch {
	case !within(s.BMP.Allowed, address):
		s.bmp.refused.Add(1)
		s.absent.stranger.Store(&address)
		_ = c.Close()
	default:
		v := s.bmpGate.enter(c, address)
		if v == nil {
			s.bmp.failed.Add(1)
			_ = c.Close()
			return
		}
		s.sessions.Go(func() {
			defer s.bmpGate.leave(v)
			s.serveBMP(c, address, func() { s.bmpGate.established(v) })
		})
	}
}

// connect keeps a session with a router that listens, and reconnects until the station stops.
func (s *Station) connect(to string) {
	dialer, wait := net.Dialer{Timeout: connectWait}, s.BMP.Retry
	defer s.absent.connects.Delete(to)
	for said := ""; ; {
		c, err := dialer.DialContext(s.life, "tcp", to)
		if err == nil {
			said = ""
			s.absent.connects.Delete(to)
			if s.serveBMP(c, addressOf(c.RemoteAddr()), func() {}) {
				wait = s.BMP.Retry
			}
		} else if text := err.Error(); text != said && !s.stopping() {
			said = text
			s.absent.connects.Store(to, Absent{Protocol: "BMP", Router: to, Since: time.Now(), Why: text})
			s.bmp.failed.Add(1)
			s.Log.Warn("a router cannot be reached for BMP: the collector keeps trying", zap.String("router", to),
				zap.Error(err))
		}
		select {
		case <-s.life.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetry)
	}
}

// serveBMP reads a BMP connection until it ends. It calls established when a BMP message came, which makes it a
// session, and reports whether it was one.
func (s *Station) serveBMP(c net.Conn, address netip.Addr, established func()) bool {
	x := &bmpSession{conn: c, address: address, peers: map[bmp.PeerKey]*bmpPeer{},
		batcher: batcher{station: s, walker: bgp.NewWalker(bgp.Rules{Lenient: true}, s.rib.Hasher())}}
	defer func() { s.bmp.peers.Add(-int64(len(x.peers))) }()
	defer context.AfterFunc(s.life, func() { x.end("the collector stops") })()
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetReadBuffer(receiveBuffer)
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second,
			Count: 3})
	}
	_ = c.SetReadDeadline(time.Now().Add(firstWait))
	r := &bmpReader{connReader{conn: c, buffer: make([]byte, firstBuffer)}}
	kind, body, err := r.message()
	if err != nil {
		s.bmp.failed.Add(1)
		x.fail(err)
		s.Log.Info("a BMP connection did not become a session", zap.String("router", address.String()),
			zap.String("why", x.why))
		return false
	}
	_ = c.SetReadDeadline(time.Time{})
	established()
	r.resize(readBuffer, bgp.MaxMessage) // body stays in the old buffer
	var info bmp.Information
	if kind == bmp.Initiation {
		info = bmp.ReadInformation(body, kind)
	}
	if s.run(func() { s.bmpSessionUp(x, &info) }); x.router == nil {
		s.bmp.failed.Add(1)
		x.end("its address has too many routers")
		s.Log.Warn("a BMP session is refused: too many routers have this address",
			zap.String("router", address.String()), zap.Int("routers", maxOfAddress))
		return false
	}
	for err == nil {
		if err = x.message(kind, body); err != nil {
			break
		}
		if !r.buffered() {
			x.flush()
		}
		kind, body, err = r.message()
	}
	x.flush()
	x.fail(err)
	s.run(func() { s.bmpSessionDown(x) })
	return true
}

// flush gives the batch to the writer.
func (x *bmpSession) flush() { x.give(item{view: x.current}) }

// post has the writer call f after the batches that were filled before. It does not wait for the call.
func (x *bmpSession) post(f func()) {
	x.flush()
	x.station.items <- item{do: f}
}

// terminated is the error of a Termination message.
type terminated struct{ why string }

func (t *terminated) Error() string { return "the router says: " + t.why }

// message processes one message. An error ends the session.
func (x *bmpSession) message(kind bmp.Type, body []byte) error {
	s := x.station
	x.messages[min(kind, bmp.Types)].Add(1)
	switch {
	case kind == bmp.Initiation:
		info := bmp.ReadInformation(body, kind)
		x.post(func() { s.describe(x, &info) })
		return nil
	case kind == bmp.Termination:
		info := bmp.ReadInformation(body, kind)
		return &terminated{info.TerminationReason()}
	case kind >= bmp.Types || kind == bmp.RouteMirroring:
		return nil // unknown types must be ignored (RFC 7854, section 4.1); mirrored messages bring no new routes
	}
	p, rest, ok := bmp.ReadPeer(body)
	if !ok {
		x.unreadable.Add(1)
		return nil
	}
	switch kind {
	case bmp.RouteMonitoring:
		x.routes(&p, rest)
	case bmp.PeerUp:
		x.peerUp(&p, rest)
	case bmp.PeerDown:
		why := bmp.DownReason(rest)
		if x.peers[p.Key()] != nil {
			delete(x.peers, p.Key())
			s.bmp.peers.Add(-1)
		}
		x.post(func() { s.peerDown(x, &p, why) })
	case bmp.StatisticsReport:
		var all []bmp.Statistic
		bmp.Statistics(rest, func(v bmp.Statistic) { all = append(all, v) })
		x.post(func() { s.statistics(x, &p, all) })
	}
	return nil
}

// peer returns the state of a peer. It is nil if the session has maxPeers others.
func (x *bmpSession) peer(key bmp.PeerKey) *bmpPeer {
	p := x.peers[key]
	if p == nil {
		if len(x.peers) >= maxPeers || x.station.bmp.peers.Load() >= maxViews {
			if x.beyond.Add(1) == 1 {
				x.station.Log.Warn("a router reports too many BGP peers: the routes of some are left out",
					zap.String("router", x.address.String()), zap.Int("peers", maxPeers))
			}
			return nil
		}
		p = &bmpPeer{}
		x.peers[key] = p
		x.station.bmp.peers.Add(1)
	}
	return p
}

func (x *bmpSession) peerUp(p *bmp.Peer, rest []byte) {
	up, ok := bmp.ReadUp(rest)
	if !ok {
		x.badOpens.Add(1)
	}
	known := x.peer(p.Key())
	if known == nil {
		return
	}
	*known = bmpPeer{up: up}
	peer := *p
	x.post(func() { x.station.peerUp(x, &peer, &up) })
}

// routes adds the changes of a Route Monitoring message to the batch.
func (x *bmpSession) routes(p *bmp.Peer, rest []byte) {
	n := p.View()
	if kept := x.station.BMP.Views; len(kept) > 0 && !slices.Contains(kept, n) {
		return
	}
	peer := x.peer(p.Key())
	if peer == nil {
		return
	}
	v := peer.views[n]
	if v == nil {
		v = &view{session: x, peer: *p, rules: peer.up.Rules(p)}
		peer.views[n] = v
	}
	if x.batch != nil && (v != x.current || full(x.batch)) {
		x.flush()
	}
	x.current = v
	x.walker.Rules = v.rules
	if !bmp.Routes(x.walker, p, rest, x.filling()) {
		x.unreadable.Add(1)
	}
	v.rules = x.walker.Rules // the walker may have inferred the width of AS numbers or ADD-PATH
}

// fail ends the session because of a read error or a message's error.
func (x *bmpSession) fail(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.end("the router sent nothing")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		x.end("the router has closed the connection")
	default:
		x.end(err.Error())
	}
}

// end closes the connection. The reason of the first call is kept.
func (x *bmpSession) end(why string) {
	x.once.Do(func() {
		x.why = why
		_ = x.conn.Close()
	})
}

// bmpReader reads whole BMP messages.
type bmpReader struct{ connReader }

// buffered reports whether a complete message is in the buffer.
func (r *bmpReader) buffered() bool {
	b := r.bytes()
	return len(b) >= bmp.HeaderBytes && len(b) >= int(binary.BigEndian.Uint32(b[1:]))
}

// message returns the next message; its body is valid until the next call.
func (r *bmpReader) message() (bmp.Type, []byte, error) {
	if err := r.fill(bmp.HeaderBytes); err != nil {
		return 0, nil, err
	}
	length, kind, err := bmp.Header(r.bytes())
	if err != nil {
		return 0, nil, err
	}
	if err := r.fill(length); err != nil {
		return 0, nil, fmt.Errorf("within a message: %w", err)
	}
	return kind, r.take(length)[bmp.HeaderBytes:], nil
}
