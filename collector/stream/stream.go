// Package stream receives IPFIX messages over TCP (RFC 7011 §10.4) and TLS, and passes them to one worker.
//
// Each connection has a goroutine. It reads complete messages into one of two buffers, passes the buffer to the worker
// and reads into the other one. The first buffer comes back when its messages are decoded. So a slow worker slows down
// its senders through TCP, and nothing that was read is dropped. The end of a connection goes the same way, after its
// messages, because its templates end with it.
//
// Senders may be hostile: the number of connections is limited, in total and for each source; a handshake and an
// incomplete message are limited in time. An error on a connection costs that connection, and is counted with its
// reason.
package stream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaissmai/bart"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/decoder/exporter"
)

// Options say where to listen. Without addresses nothing is opened.
type Options struct {
	TCP []string // host:port; an empty host means all addresses, IPv4 and IPv6
	TLS []string // the same, with the certificate of Certificate
	// Certificate has our certificate and the trusted CAs for TLS.
	Certificate CertificateFiles
	// Allowed are the exporters that may send; empty: all. Connections of others are closed immediately.
	Allowed []netip.Prefix
	// MaxConnections and MaxOfSource limit connections, in total and for each source. A source is an IPv4 address or an
	// IPv6 /64 network. 0: 1024 and 32.
	MaxConnections, MaxOfSource int
	Log                         *zap.Logger // nil: nothing is logged

	times times
}

// times are the time limits, which tests shorten.
type times struct {
	handshake time.Duration // for a TLS handshake
	message   time.Duration // for the rest of an incomplete message
	idle      time.Duration // of silence after which a connection may be closed for a new one
	first     time.Duration // without a first message, after which it may be closed for a new one
	// for which a connection that ended badly still counts; this limits how often a source can try
	hold   time.Duration
	shrink time.Duration // of silence after which buffers become small again
}

func (o Options) withDefaults() Options {
	o.MaxConnections = cmp.Or(max(o.MaxConnections, 0), 1024)
	o.MaxOfSource = cmp.Or(max(o.MaxOfSource, 0), 32)
	o.times.handshake = cmp.Or(o.times.handshake, 10*time.Second)
	o.times.message = cmp.Or(o.times.message, 30*time.Second)
	o.times.idle = cmp.Or(o.times.idle, 10*time.Minute)
	o.times.first = cmp.Or(o.times.first, 15*time.Second)
	o.times.hold = cmp.Or(o.times.hold, time.Second)
	o.times.shrink = cmp.Or(o.times.shrink, 10*time.Second)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	// A peer that connects again and again must not flood the log.
	const linesAMinute = 10
	o.Log = logging.Sampled(o.Log, linesAMinute)
	return o
}

// Listener receives on all addresses. Receive belongs to one goroutine; the other methods are safe for concurrent use.
type Listener struct {
	o       Options
	sockets []*socket
	certs   *certificates // nil: no TLS
	allowed atomic.Pointer[bart.Lite]

	parts   chan part // for the worker; closed when all connections have ended after Close
	timer   *time.Timer
	current part
	batch   []exporter.Datagram

	life   context.Context // ended by Close
	end    context.CancelFunc
	active sync.WaitGroup // goroutines that accept or read

	mu       sync.Mutex
	closed   bool
	sessions uint64 // the number of the latest connection
	open     map[*connection]bool
	ofSource map[netip.Prefix]int
	counters counters
}

// socket is one address to listen on.
type socket struct {
	*net.TCPListener
	transport Transport
}

// Transport is TCP or TLS.
type Transport string

// The transports.
const (
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Batch is the result of Receive. It is valid until the next call.
type Batch struct {
	Messages []exporter.Datagram // of one connection, in order, each with its Session
	Ended    uint64              // the session that ends after Messages; 0: none
}

// ErrClosed is returned by Receive after Close, once everything received has been returned.
var ErrClosed = errors.New("listener closed")

// Open listens. The error names the address, or the certificate file, that cannot be used.
func Open(o Options) (*Listener, error) {
	o = o.withDefaults()
	l := &Listener{
		o: o, parts: make(chan part, queued), timer: time.NewTimer(time.Hour),
		batch: make([]exporter.Datagram, 0, batchSize),
		open:  map[*connection]bool{}, ofSource: map[netip.Prefix]int{}, counters: newCounters(),
	}
	l.life, l.end = context.WithCancel(context.Background())
	l.Allow(o.Allowed)
	if len(o.TLS) > 0 {
		certs, err := newCertificates(o.Certificate, o.Log)
		if err != nil {
			l.end()
			return nil, err
		}
		l.certs = certs
	}
	if err := l.listen(); err != nil {
		l.end()
		for _, s := range l.sockets {
			_ = s.Close()
		}
		return nil, err
	}
	for _, s := range l.sockets {
		l.active.Go(func() { l.accept(s) })
	}
	return l, nil
}

const (
	batchSize = 64
	queued    = 16 // parts that wait for the worker, in addition to those of connections that wait for their turn
)

func (l *Listener) listen() error {
	// A peer that vanished silently is noticed after a minute.
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	config.SetMultipathTCP(false)
	for _, where := range []struct {
		addresses []string
		transport Transport
	}{{l.o.TCP, TCP}, {l.o.TLS, TLS}} {
		for _, address := range where.addresses {
			opened, err := config.Listen(l.life, "tcp", address)
			if err != nil {
				return listenError(where.transport, address, err)
			}
			l.sockets = append(l.sockets, &socket{opened.(*net.TCPListener), where.transport})
		}
	}
	return nil
}

// Addresses returns where a transport listens, with the actual ports.
func (l *Listener) Addresses(t Transport) (all []string) {
	if l == nil {
		return nil
	}
	for _, s := range l.sockets {
		if s.transport == t {
			all = append(all, s.Addr().String())
		}
	}
	return all
}

// Allow sets which exporters may send from now on; none: all may. Connections of others are closed.
func (l *Listener) Allow(prefixes []netip.Prefix) {
	if l == nil {
		return
	}
	if len(prefixes) == 0 {
		l.allowed.Store(nil)
		return
	}
	allowed := new(bart.Lite)
	for _, prefix := range prefixes {
		allowed.Insert(prefix)
	}
	l.allowed.Store(allowed)
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if !allowed.Contains(c.source.Addr()) {
			c.shut(NotAllowed)
		}
	}
}

// accept accepts connections until the socket is closed.
func (l *Listener) accept(s *socket) {
	const least, most = 5 * time.Millisecond, time.Second
	wait := least
	for {
		raw, err := s.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no file descriptors or no memory
			l.o.Log.Warn("IPFIX connections cannot be accepted at the moment",
				zap.String("address", s.Addr().String()), zap.Error(err))
			select {
			case <-time.After(wait):
			case <-l.life.Done():
			}
			wait = min(2*wait, most)
			continue
		}
		wait = least
		l.admit(raw, s.transport)
	}
}

// admit starts reading a connection, or closes it.
func (l *Listener) admit(raw *net.TCPConn, transport Transport) {
	remote := raw.RemoteAddr().(*net.TCPAddr).AddrPort()
	c := &connection{
		listener: l, transport: transport, wire: &wire{TCPConn: raw},
		source: netip.AddrPortFrom(remote.Addr().Unmap().WithZone(""), remote.Port()),
		free:   make(chan []byte, buffers),
		opened: time.Now().UnixNano(),
	}
	c.free <- nil // the second buffer, allocated when it is needed
	c.heard.Store(c.opened)
	if reason := l.register(c); reason != "" {
		l.ended(c, reason, nil) // before its peer can know
		_ = raw.Close()
		return
	}
	l.o.Log.Info("IPFIX connection opened", zap.Stringer("source", c.source),
		zap.String("transport", string(transport)))
	l.active.Go(c.run)
}

// register adds a connection to the open ones, or returns why it is refused.
func (l *Listener) register(c *connection) Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.network = networkOf(c.source.Addr())
	switch allowed := l.allowed.Load(); {
	case l.closed:
		return Stopping
	case allowed != nil && !allowed.Contains(c.source.Addr()):
		return NotAllowed
	case l.ofSource[c.network] >= l.o.MaxOfSource &&
		!l.evict(func(o *connection) bool { return o.network == c.network }):
		return TooManyOfSource
	case len(l.open) >= l.o.MaxConnections && !l.evict(func(*connection) bool { return true }):
		return TooMany
	}
	l.sessions++
	c.session = l.sessions
	l.open[c] = true
	l.ofSource[c.network]++
	l.counters.accepted++
	return ""
}

// networkOf returns the network that counts as one source: whoever has an IPv6 address can use its whole network.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 64
	if a.Is4() {
		bits = 32
	}
	network, _ := a.Prefix(bits) // the address has that many bits
	return network
}

// evict closes a connection, of those for which may returns true: the oldest that should have brought its first message
// by now, or else the one that was silent longest. An exporter sends its templates as soon as it is connected, so
// whoever only connects keeps nobody out. It reports whether there was one.
func (l *Listener) evict(may func(*connection) bool) bool {
	now := time.Now()
	victim := l.oldest(now.Add(-l.o.times.first), func(c *connection) (int64, bool) {
		return c.opened, !c.spoke.Load() && may(c)
	})
	if victim == nil {
		victim = l.oldest(now.Add(-l.o.times.idle), func(c *connection) (int64, bool) { return c.heard.Load(), may(c) })
	}
	if victim == nil {
		return false
	}
	victim.shut(Idle)
	l.forget(victim)
	return true
}

// oldest returns the connection with the earliest time of those that may go, nil if no time is before a limit. l.mu
// must be held.
func (l *Listener) oldest(limit time.Time, of func(*connection) (at int64, may bool)) (c *connection) {
	earliest := limit.UnixNano()
	for o := range l.open {
		if at, may := of(o); may && at <= earliest {
			c, earliest = o, at
		}
	}
	return c
}

// forget removes a connection from the open ones. l.mu must be held.
func (l *Listener) forget(c *connection) {
	if !l.open[c] {
		return
	}
	delete(l.open, c)
	if l.ofSource[c.network]--; l.ofSource[c.network] <= 0 {
		delete(l.ofSource, c.network)
	}
}

// ended counts why a connection ended, or was refused.
func (l *Listener) ended(c *connection, reason Reason, err error) {
	l.mu.Lock()
	l.counters.add(reason, c.source.Addr())
	l.mu.Unlock()
	fields := []zap.Field{zap.Stringer("source", c.source), zap.String("transport", string(c.transport)),
		zap.String("reason", string(reason)), zap.Error(err)}
	if reason.Loses() {
		l.o.Log.Warn("IPFIX connection refused or closed", fields...)
	} else {
		l.o.Log.Info("IPFIX connection ended", fields...)
	}
}

// Receive waits for messages, at most for timeout, and returns up to 64 of one connection, or the end of one, or
// nothing. After Close it returns what had been received until then, then ErrClosed.
func (l *Listener) Receive(timeout time.Duration) (Batch, error) {
	l.batch = l.batch[:0]
	if len(l.current.messages) == 0 {
		l.current.release()
		l.timer.Reset(timeout)
		select {
		case next, more := <-l.parts:
			if !more {
				return Batch{}, ErrClosed
			}
			l.current = next
		case <-l.timer.C:
			l.current = part{}
			return Batch{}, nil
		}
	}
	p := &l.current
	bytes := 0
	for len(p.messages) > 0 && len(l.batch) < batchSize {
		length := messageLength(p.messages)
		l.batch = append(l.batch, exporter.Datagram{
			Payload: p.messages[:length:length], Source: p.from.source, Received: p.received, Session: p.from.session,
		})
		p.messages = p.messages[length:]
		bytes += length
	}
	l.counters.messages.Add(uint64(len(l.batch)))
	l.counters.bytes.Add(uint64(bytes))
	b := Batch{Messages: l.batch}
	if p.ended {
		b.Ended = p.from.session
	}
	return b, nil
}

// Close stops accepting connections and ends the open ones. What the kernel has received of them by now is still read;
// Receive must be called until it returns ErrClosed.
func (l *Listener) Close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, s := range l.sockets {
		_ = s.Close()
	}
	l.end() // first, so that a connection that ends now ends for that reason
	for c := range l.open {
		c.wire.finish()
	}
	go func() {
		l.active.Wait()
		close(l.parts)
	}()
}

// Closing is closed by Close.
func (l *Listener) Closing() <-chan struct{} { return l.life.Done() }

// Abort closes a listener and drops its messages.
func (l *Listener) Abort() {
	if l == nil {
		return
	}
	l.Close()
	for {
		if _, err := l.Receive(math.MaxInt64); err != nil {
			return
		}
	}
}

// listenError adds what to do about common failures.
func listenError(t Transport, address string, err error) error {
	return fmt.Errorf("listen on %s %s: %w", map[Transport]string{TCP: "TCP", TLS: "TLS"}[t], address, explain(err))
}

// secure completes the TLS handshake of a connection.
func (l *Listener) secure(w *wire) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.life, l.o.times.handshake)
	defer cancel()
	conn := tls.Server(w, l.certs.config())
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, nil
}
