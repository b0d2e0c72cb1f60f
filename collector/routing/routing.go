// Package routing has BGP and BMP sessions with routers and keeps their routes in a routing table, enrich/rib. For BGP
// it listens and never connects, announces nothing, and speaks to configured neighbours only. For BMP it listens, and
// connects to routers that only listen themselves.
//
// Each session reads in a goroutine of its own and hands batches to the one writer of the table. The channel between
// them is bounded: a session that is faster waits, and TCP has the router wait.
package routing

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Options is what a Station is made of.
type Options struct {
	Listen    []string       // host:port
	Neighbors []netip.Prefix // who may connect
	// Passwords are the keys of TCP-MD5 (RFC 2385) by neighbour, or by prefix of neighbours.
	Passwords map[netip.Prefix]string
	Names     map[netip.Addr]string  // of routers, by the address of a session; others have their BGP identifier
	MaxRoutes map[netip.Prefix]int64 // of one neighbour; the longest prefix counts
	RouterID  netip.Addr             // IPv4; invalid: the address that the neighbour connects to, else 127.0.0.1
	AS        uint32                 // ours; 0: each neighbour's own, so that sessions are iBGP
	HoldTime  time.Duration          // that we propose; 0: none
	KeepStale time.Duration          // how long routes stay after their session ended
	BMP       BMPOptions
	MRT       []MRTFile
	LookEvery time.Duration // at files, for a change; 0: 10 s
	RIB       rib.Options
	// File has the routes over a restart: it is read at the start, and written every SaveEvery and at the end. "":
	// routes are not kept. SaveEvery of 0: only at the end.
	File      string
	SaveEvery time.Duration
	Log       *zap.Logger
}

// maxSessions bounds the connections at a time.
const maxSessions = 4096

// Station is the BGP and BMP side of a collector. Use Open. Methods are safe for concurrent use.
type Station struct {
	Options
	rib       *rib.RIB
	listeners []net.Listener // for BGP
	monitors  []net.Listener // for BMP
	items     chan item
	stopped   chan struct{}
	sessions  sync.WaitGroup
	accepting sync.WaitGroup
	writing   sync.WaitGroup
	open      atomic.Int64

	// The writer's.
	peers     map[peerKey]*peer
	monitored map[monitoredKey]*monitored
	files     []*file
	views     int  // of all monitored routers
	moved     bool // the addresses of routers have changed
	looked    time.Time

	view    atomic.Pointer[[]*peer] // for Sessions
	refused atomic.Uint64           // connections of addresses that are no neighbours
	failed  atomic.Uint64           // connections that did not become sessions
	stats   atomic.Pointer[rib.Stats]
	saved   atomic.Int64 // when the routes were saved; Unix seconds
	bmp     bmpCounts

	recorded bool // sessions are those of captures: nobody can be told of errors
}

// item is work for the writer: a batch of a BGP session, or of a view of a BMP session, or a function.
type item struct {
	session *session
	view    *view
	batch   *route.Batch
	do      func()
}

// Open listens. Close ends it.
func Open(o Options) (*Station, error) {
	table, err := rib.New(o.RIB)
	if err != nil {
		return nil, err
	}
	s := &Station{Options: o, rib: table, items: make(chan item, 8), stopped: make(chan struct{}),
		peers: map[peerKey]*peer{}, monitored: map[monitoredKey]*monitored{}}
	s.BMP.setDefaults()
	s.LookEvery = cmp.Or(o.LookEvery, lookEvery)
	for _, m := range o.MRT {
		f := &file{station: s, MRTFile: m, sources: map[mrt.Peer]*fileSource{}}
		f.shown.Store(&MRTStats{Name: m.Name, File: m.File})
		s.files = append(s.files, f)
	}
	s.view.Store(&[]*peer{})
	s.bmp.view.Store(&[]*monitored{})
	s.stats.Store(new(table.Stats()))
	if err := s.listenAll(); err != nil {
		s.closeListeners()
		table.Close()
		return nil, err
	}
	s.writing.Go(s.apply)
	for _, f := range s.files {
		s.sessions.Go(func() { s.follow(f) })
	}
	if s.File != "" && s.SaveEvery > 0 {
		s.sessions.Go(s.keepSaved)
	}
	for _, l := range s.listeners {
		s.accepting.Go(func() { s.accept(l, s.acceptNeighbor) })
	}
	for _, l := range s.monitors {
		s.accepting.Go(func() { s.accept(l, s.acceptMonitored) })
	}
	for _, address := range o.BMP.Connect {
		s.accepting.Go(func() { s.connect(address) })
	}
	return s, nil
}

func (s *Station) listenAll() error {
	keyed := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return s.setKeys(c) }}
	for _, address := range s.Listen {
		l, err := listen(&keyed, "BGP", address)
		if err != nil {
			return err
		}
		s.listeners = append(s.listeners, l)
	}
	for _, address := range s.BMP.Listen {
		l, err := listen(&net.ListenConfig{}, "BMP", address)
		if err != nil {
			return err
		}
		s.monitors = append(s.monitors, l)
	}
	return nil
}

func listen(config *net.ListenConfig, protocol, address string) (net.Listener, error) {
	l, err := config.Listen(bg, "tcp", address)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("listen for %s on %s: %w (ports below 1024 need CAP_NET_BIND_SERVICE)", protocol,
			address,
			err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", protocol, address, err)
	}
	return l, nil
}

// RIB is the routing table.
func (s *Station) RIB() *rib.RIB { return s.rib }

// Addresses are where the station listens for BGP.
func (s *Station) Addresses() []string { return addressesOf(s.listeners) }

// BMPAddresses are where it listens for BMP.
func (s *Station) BMPAddresses() []string { return addressesOf(s.monitors) }

func addressesOf(listeners []net.Listener) (all []string) {
	for _, l := range listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// Close ends all sessions and saves the routes. A second call does nothing. Readers of the routing table may go on
// until Free.
func (s *Station) Close() {
	if s == nil {
		return
	}
	if s.stopping() {
		return
	}
	close(s.stopped)
	s.closeListeners()
	s.accepting.Wait()
	s.sessions.Wait()
	close(s.items)
	s.writing.Wait()
	if s.File != "" {
		s.save(s.rib.Saving(s.descriptions()), func() bool { return false })
	}
}

// Abort closes a station that nobody has used, and gives its memory back.
func (s *Station) Abort() {
	s.Close()
	s.Free()
}

// Free gives the routing table's memory back, after Close. No reader may be left.
func (s *Station) Free() {
	if s != nil {
		s.rib.Close()
	}
}

func (s *Station) closeListeners() {
	for _, l := range append(s.listeners, s.monitors...) {
		_ = l.Close()
	}
}

func (s *Station) stopping() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// accept hands connections to take until the listener is closed.
func (s *Station) accept(l net.Listener, take func(*net.TCPConn, netip.Addr)) {
	for {
		c, err := l.Accept()
		if err != nil {
			if s.stopping() || errors.Is(err, net.ErrClosed) {
				return
			}
			// Out of descriptors, mostly: it passes.
			select {
			case <-s.stopped:
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		take(c.(*net.TCPConn), addressOf(c.RemoteAddr()))
	}
}

// acceptNeighbor begins a BGP session with a configured neighbour.
func (s *Station) acceptNeighbor(c *net.TCPConn, address netip.Addr) {
	switch {
	case !within(s.Neighbors, address):
		s.refused.Add(1)
		s.reject(c, bgp.CeaseRejected)
	case s.open.Load() >= maxSessions:
		s.failed.Add(1)
		s.reject(c, bgp.CeaseNoResources)
	default:
		s.open.Add(1)
		s.sessions.Go(func() {
			defer s.open.Add(-1)
			s.serve(c, address)
		})
	}
}

// reject closes a connection with a reason.
func (s *Station) reject(c net.Conn, subcode uint8) {
	_ = c.SetDeadline(time.Now().Add(time.Second))
	n := bgp.Notification{Code: bgp.Cease, Subcode: subcode}
	_, _ = c.Write(n.Append(nil))
	_ = c.Close()
}

func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// within reports whether an address is in one of some prefixes.
func within(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Session is what is known of a neighbour's session, or of the one that it had last.
type Session struct {
	Address netip.Addr
	Router  string // name of the router in the routing table: its BGP identifier
	AS      uint32
	Up      bool
	// Since is when the session began, or ended.
	Since time.Time
	// Until is when the routes of a session that ended go.
	Until     time.Time
	Why       string // it ended
	Sessions  uint64 // so far
	Updates   uint64 // UPDATE messages of all sessions
	Routes    [route.Families]int64
	Complete  [route.Families]bool // the session has announced all that it has: End-of-RIB
	Reasons   [bgp.Reasons]uint64  // what was wrong with UPDATEs
	Refused   uint64               // routes that did not fit in the table
	Undecoded uint64
}

// Stats are what a station counts.
type Stats struct {
	RIB      rib.Stats
	Refused  uint64    // connections of addresses that are not configured
	Failed   uint64    // connections of neighbours that did not become a session
	Saved    time.Time // routes to the file; zero: not in this run
	Sessions []Session
	BMP      BMPStats
	MRT      []MRTStats
}

// Stats returns the counts as of the writer's last turn, at most some tenths of a second ago.
func (s *Station) Stats() Stats {
	all := Stats{RIB: *s.stats.Load(), Refused: s.refused.Load(), Failed: s.failed.Load()}
	for _, p := range *s.view.Load() {
		all.Sessions = append(all.Sessions, p.report())
	}
	all.BMP = s.bmp.stats()
	for _, f := range s.files {
		all.MRT = append(all.MRT, *f.shown.Load())
	}
	if at := s.saved.Load(); at > 0 {
		all.Saved = time.Unix(at, 0)
	}
	return all
}

// String is one line for the log.
func (x *Session) String() string {
	state := "down"
	if x.Up {
		state = "up"
	}
	return strings.Join([]string{x.Address.String(), x.Router, state}, " ")
}
