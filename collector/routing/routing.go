// Package routing receives routes over BGP and BMP sessions and from MRT files, and keeps them in the routing table of
// enrich/rib. As a BGP speaker it only listens: it never connects, announces no routes, and accepts configured
// neighbours only. For BMP it listens too, and connects to routers that expect the station to do so.
//
// Each session reads in its own goroutine and passes batches of changes to the writer, the one goroutine that changes
// the routing table (Station.apply). The channel between them is bounded: a session that is ahead of the writer blocks,
// and TCP flow control then slows its router down.
package routing

import (
	"cmp"
	"context"
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

	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Options configures a Station.
type Options struct {
	Listen    []string       // BGP listen addresses, host:port
	Neighbors []netip.Prefix // addresses that may connect for BGP
	// Passwords holds TCP-MD5 keys (RFC 2385) by neighbour address or prefix.
	Passwords map[netip.Prefix]string
	// MinTTL is the minimum TTL or hop limit of what neighbours send (RFC 5082), 255 for those on the same link. 0:
	// any.
	MinTTL int
	// Names holds router names by the neighbour's address. Other routers are named by their BGP identifier.
	Names     map[netip.Addr]string
	MaxRoutes map[netip.Prefix]int64 // maximum routes of one neighbour; the longest prefix that contains it applies
	// RouterID is our BGP identifier, an IPv4 address. If invalid, it is the local address of the connection, or
	// 127.0.0.1 if that is not IPv4.
	RouterID  netip.Addr
	AS        uint32        // our AS number; 0: the neighbour's, which makes the session iBGP
	HoldTime  time.Duration // hold time that we propose; 0: no hold timer
	KeepStale time.Duration // how long routes stay in use after their session ended
	BMP       BMPOptions
	MRT       []MRTFile
	// LookEvery is how often MRT files are checked for a change. 0: 10 s.
	LookEvery time.Duration
	RIB       rib.Options
	// File keeps the routes across a restart. It is read at the start, and written every SaveEvery and at the end.
	// "": routes are not saved. With a SaveEvery of 0 they are saved at the end only.
	File      string
	SaveEvery time.Duration
	Log       *zap.Logger
}

// Limits of connections. Several routers can share an address behind a translator, and a router can have a session for
// each address family.
const (
	maxSessions  = 4096        // BGP connections at a time, and neighbours whose routes are kept
	maxOfAddress = 64          // BGP connections and neighbours of one address, and the same for BMP
	attemptHold  = time.Second // for which a connection counts at least
	maxBatches   = 64          // of all sessions
	linesAMinute = 60          // of the log with one text
)

// Station is the collector's end of all BGP and BMP sessions, and the owner of the routing table. Create it with Open;
// the zero value is not usable. It must not be copied. Methods are safe for concurrent use.
type Station struct {
	Options
	rib          *rib.RIB
	bgpListeners []net.Listener
	bmpListeners []net.Listener
	items        chan item
	life         context.Context // until Close
	stop         context.CancelFunc
	sessions     sync.WaitGroup
	accepting    sync.WaitGroup
	writing      sync.WaitGroup
	bgpGate      *gate
	bmpGate      *gate
	batches      *batchPool
	mrtFiles     []*mrtFile

	// Only the writer uses these.
	peers            map[peerKey]*peer
	bmpRouters       map[bmpRouterKey]*bmpRouter
	views            int       // number of tables of all BMP routers
	addressesChanged bool      // updateAddresses is due
	addressesNext    time.Time // but not before
	bmpChecked       time.Time

	shownPeers atomic.Pointer[[]*peer] // what Stats reports
	refused    atomic.Uint64           // connections from addresses that are not neighbours
	failed     atomic.Uint64           // connections that did not become sessions
	stats      atomic.Pointer[rib.Stats]
	saved      atomic.Int64 // when the routes were last saved, Unix seconds; 0: never
	bmp        bmpCounts
	absent     absent
	keys       keyFailures
	unsaved    atomic.Pointer[string] // why the routes were not saved at the latest attempt

	refreshWait time.Duration // before a router is asked again for routes that did not fit
	// refreshAnswer is how long it has for the answer.
	refreshAnswer time.Duration

	recorded bool // sessions come from captures, so errors cannot be answered with a NOTIFICATION
}

// item is work for the writer: a batch of a BGP session, a batch of a BMP view, or a function to call.
type item struct {
	session *session
	view    *view
	batch   *route.Batch
	do      func()
}

// Open starts a station: it listens, connects to the routers of BMP.Connect, and loads saved routes and MRT files in
// the background. Call Close and then Free to release it.
func Open(o Options) (*Station, error) {
	table, err := rib.New(o.RIB)
	if err != nil {
		return nil, err
	}
	s := &Station{Options: o, rib: table, items: make(chan item, 8),
		peers: map[peerKey]*peer{}, bmpRouters: map[bmpRouterKey]*bmpRouter{},
		bgpGate: newGate(maxSessions, maxOfAddress, attemptHold),
		bmpGate: newGate(maxBMPRouters, maxOfAddress, attemptHold), batches: newBatchPool()}
	s.life, s.stop = context.WithCancel(context.Background())
	s.Log = logging.Sampled(o.Log, linesAMinute)
	s.BMP.setDefaults()
	s.LookEvery = cmp.Or(o.LookEvery, lookEvery)
	s.refreshWait, s.refreshAnswer = refreshWait, refreshAnswer
	for _, m := range o.MRT {
		f := &mrtFile{station: s, MRTFile: m, sources: map[mrt.Peer]*mrtSource{}}
		f.shown.Store(&MRTStats{Name: m.Name, File: m.File})
		s.mrtFiles = append(s.mrtFiles, f)
	}
	s.shownPeers.Store(&[]*peer{})
	s.bmp.shown.Store(&[]*bmpRouter{})
	s.stats.Store(new(table.Stats()))
	if len(s.Passwords) > 0 {
		s.keys.begin()
	}
	if err := s.listenAll(); err != nil {
		s.stop()
		s.closeListeners()
		table.Close()
		return nil, err
	}
	s.writing.Go(s.apply)
	for _, f := range s.mrtFiles {
		s.sessions.Go(func() { s.follow(f) })
	}
	if s.File != "" && s.SaveEvery > 0 {
		s.sessions.Go(s.keepSaved)
	}
	for _, l := range s.bgpListeners {
		s.accepting.Go(func() { s.accept(l, s.acceptBGP) })
	}
	for _, l := range s.bmpListeners {
		s.accepting.Go(func() { s.accept(l, s.acceptBMP) })
	}
	for _, address := range o.BMP.Connect {
		s.accepting.Go(func() { s.connect(address) })
	}
	return s, nil
}

func (s *Station) listenAll() error {
	keyed := plainTCP()
	keyed.Control = func(_, _ string, c syscall.RawConn) error {
		if s.MinTTL > 0 {
			if err := setMinTTL(c, s.MinTTL); err != nil {
				return err
			}
		}
		return s.setKeys(c)
	}
	for _, address := range s.Listen {
		l, err := listen(keyed, "BGP", address)
		if err != nil {
			return err
		}
		s.bgpListeners = append(s.bgpListeners, l)
	}
	for _, address := range s.BMP.Listen {
		l, err := listen(plainTCP(), "BMP", address)
		if err != nil {
			return err
		}
		s.bmpListeners = append(s.bmpListeners, l)
	}
	return nil
}

// plainTCP returns the configuration of a listener without Multipath TCP. Go uses Multipath TCP for listeners, and the
// kernel takes no TCP-MD5 keys for it (ENOPROTOOPT). Routers do not speak it.
func plainTCP() *net.ListenConfig {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	return &config
}

func listen(config *net.ListenConfig, protocol, address string) (net.Listener, error) {
	l, err := config.Listen(context.Background(), "tcp", address)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("listen for %s on %s: %w (ports below 1024 need CAP_NET_BIND_SERVICE)",
			protocol, address, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s on %s: %w", protocol, address, err)
	}
	return l, nil
}

// RIB returns the routing table. It is valid until Free.
func (s *Station) RIB() *rib.RIB { return s.rib }

// SetLimits changes the limits of the routing table. When there is more room, routers whose routes were left out are
// asked for them. It must not be called after Close.
func (s *Station) SetLimits(maxMemory, maxRoutes int64) {
	s.run(func() { s.rib.SetLimits(maxMemory, maxRoutes) })
}

// Addresses returns the host:port of each BGP listener, with the port that the kernel chose where 0 was configured.
func (s *Station) Addresses() []string { return addressesOf(s.bgpListeners) }

// BMPAddresses returns the same for the BMP listeners.
func (s *Station) BMPAddresses() []string { return addressesOf(s.bmpListeners) }

func addressesOf(listeners []net.Listener) (all []string) {
	for _, l := range listeners {
		all = append(all, l.Addr().String())
	}
	return all
}

// Close ends all sessions and saves the routes. A second call does nothing. The routing table can be read until Free.
func (s *Station) Close() {
	if s == nil || s.stopping() {
		return
	}
	s.stop()
	s.closeListeners()
	s.accepting.Wait()
	s.sessions.Wait()
	close(s.items)
	s.writing.Wait()
	if s.File != "" {
		s.save(s.rib.Saving(s.descriptions()), func() bool { return false })
	}
}

// Abort is Close and Free, for a station whose routing table has no reader.
func (s *Station) Abort() {
	s.Close()
	s.Free()
}

// Free releases the routing table's memory. Call it after Close, when no reader is left.
func (s *Station) Free() {
	if s != nil {
		s.rib.Close()
	}
}

func (s *Station) closeListeners() {
	for _, l := range append(s.bgpListeners, s.bmpListeners...) {
		_ = l.Close()
	}
}

func (s *Station) stopping() bool { return s.life.Err() != nil }

// accept passes connections to take until the listener is closed.
func (s *Station) accept(l net.Listener, take func(*net.TCPConn, netip.Addr)) {
	for {
		c, err := l.Accept()
		if err != nil {
			if s.stopping() || errors.Is(err, net.ErrClosed) {
				return
			}
			// The usual cause is that the process has no free file descriptors. Retry.
			select {
			case <-s.life.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		take(c.(*net.TCPConn), addressOf(c.RemoteAddr()))
	}
}

// acceptBGP starts a BGP session if the address is a configured neighbour.
func (s *Station) acceptBGP(c *net.TCPConn, address netip.Addr) {
	switch {
	case !within(s.Neighbors, address):
		s.refused.Add(1)
		s.absent.stranger.Store(&address)
		s.reject(c, bgp.CeaseRejected)
	default:
		v := s.bgpGate.enter(c, address)
		if v == nil {
			s.failed.Add(1)
			s.reject(c, bgp.CeaseNoResources)
			return
		}
		s.sessions.Go(func() {
			defer s.bgpGate.leave(v)
			s.serve(c, address, func() { s.bgpGate.established(v) })
		})
	}
}

// reject closes a connection with a Cease NOTIFICATION.
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

// within reports whether any of the prefixes contains the address.
func within(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Session describes the current BGP session of a neighbour, or its last one if none is up. Counters cover all sessions
// since the collector started.
type Session struct {
	Address   netip.Addr
	Router    string // the router's name in the routing table: the configured one, or its BGP identifier
	AS        uint32
	Up        bool
	Since     time.Time // when the session came up, or went down
	Until     time.Time // when the routes of a session that is down will be removed; zero while it is up
	Why       string    // why the last session ended; "" while one is up
	Sessions  uint64    // number of sessions
	Updates   uint64    // UPDATE messages received
	Routes    [route.Families]int64
	Complete  [route.Families]bool // whether the End-of-RIB was received (RFC 4724)
	Reasons   [bgp.Reasons]uint64  // malformed UPDATEs by reason
	Refused   uint64               // routes left out because a limit was reached
	LeftOut   uint64               // those of Refused that were not announced again
	MaxRoutes int64                // limit of the neighbor; 0: that of the table
	Undecoded uint64               // routes left out because their attributes cannot be decoded
	Ends      []time.Time          // of sessions, the latest ones, the oldest first
	Families  [route.Families]bool // of the session that is up
	Restored  bool                 // no session since the start: the routes are those of the last run
	Graceful  bool                 // graceful restart was negotiated, to which the End-of-RIB belongs
}

// Stats is a snapshot of a station's counters.
type Stats struct {
	RIB      rib.Stats
	Refused  uint64    // BGP connections from addresses that are not neighbours
	Failed   uint64    // BGP connections of neighbours that did not become a session
	Saved    time.Time // when the routes were last saved; zero: not since the start
	Sessions []Session
	BMP      BMPStats
	MRT      []MRTStats
	// Absent are configured routers without a session and without routes.
	Absent []Absent
	// Stranger is the router that was refused last; invalid: none was.
	Stranger netip.Addr
	// WrongKeys are segments of this host that had no TCP-MD5 key, or a wrong one, since the start; 0 without keys.
	WrongKeys uint64
	File      string // of saved routes; "": they are not saved
	Unsaved   string // why they were not at the latest attempt; "": they were
}

// Stats returns the counters. They are at most some tenths of a second old.
func (s *Station) Stats() Stats {
	all := Stats{RIB: *s.stats.Load(), Refused: s.refused.Load(), Failed: s.failed.Load()}
	for _, p := range *s.shownPeers.Load() {
		all.Sessions = append(all.Sessions, p.report())
	}
	all.BMP = s.bmp.stats()
	for _, f := range s.mrtFiles {
		all.MRT = append(all.MRT, *f.shown.Load())
	}
	if at := s.saved.Load(); at > 0 {
		all.Saved = time.Unix(at, 0)
	}
	if why := s.unsaved.Load(); why != nil {
		all.Unsaved = *why
	}
	all.File, all.WrongKeys = s.File, s.keys.count()
	all.Absent, all.Stranger = s.absent.stats()
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
