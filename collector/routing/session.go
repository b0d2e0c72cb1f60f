package routing

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/bgp"
)

// session is one BGP connection of a neighbour. The goroutine that runs Station.serve reads it.
type session struct {
	batcher
	conn    net.Conn
	address netip.Addr
	theirs  bgp.Open
	ours    bgp.Open
	hold    time.Duration // negotiated hold time; 0: no hold timer
	peer    *peer         // only the writer uses it

	writing   sync.Mutex  // serializes writes to conn
	once      sync.Once   // for end
	why       string      // why the session ended
	hardReset bool        // the neighbour sent a Hard Reset (RFC 8538): its routes are removed at once
	graceful  atomic.Bool // graceful restart was negotiated (RFC 4724)

	updates atomic.Uint64 // UPDATE messages
}

const (
	// openWait is the time limit for the neighbour's OPEN and its first KEEPALIVE.
	openWait = 60 * time.Second
	// restartTime is the restart time that our OPEN announces, in seconds (RFC 4724).
	restartTime = 120
	// receiveBuffer is the size of the socket's receive buffer, firstBuffer of ours until the session is established,
	// readBuffer from then on, in bytes. That has room for the longest message.
	receiveBuffer = 4 << 20
	firstBuffer   = 4 << 10
	readBuffer    = 64 << 10
)

// serve runs a BGP connection until it ends. It calls established when OPENs are exchanged.
func (s *Station) serve(c net.Conn, address netip.Addr, established func()) {
	x := &session{batcher: batcher{station: s}, conn: c, address: address}
	defer context.AfterFunc(s.life, x.stop)()
	if tcp, is := c.(*net.TCPConn); is {
		_ = tcp.SetReadBuffer(receiveBuffer)
	}
	r := &reader{connReader: connReader{conn: c, buffer: make([]byte, firstBuffer)}}
	if err := x.establish(r); err != nil {
		s.failed.Add(1)
		x.fail(err)
		s.Log.Info("a BGP connection did not become a session", zap.String("neighbor", address.String()),
			zap.String("why", x.why))
		return
	}
	established()
	r.resize(readBuffer, bgp.MaxMessage)
	rules := bgp.Agreed(&x.ours, &x.theirs)
	rules.Lenient = s.recorded
	x.walker = bgp.NewWalker(rules, s.rib.Hasher())
	taken := false
	if s.run(func() { taken = s.sessionUp(x) }); !taken {
		s.failed.Add(1)
		x.end(&bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseNoResources}, "its address has too many routers")
		s.Log.Warn("a BGP session is refused: too many routers have this address",
			zap.String("neighbor", address.String()), zap.Int("routers", maxOfAddress))
		return
	}
	keepalives := make(chan struct{})
	go x.keepAlive(keepalives)
	err := x.read(r)
	close(keepalives)
	x.fail(err)
	s.run(func() { s.sessionDown(x) })
}

// run has the writer call f, and waits until it returns. The writer itself must not call run.
func (s *Station) run(f func()) {
	done := make(chan struct{})
	s.items <- item{do: func() {
		defer close(done)
		f()
	}}
	<-done
}

// establish exchanges OPEN and KEEPALIVE messages: the states Connect to Established of RFC 4271, section 8, for a
// speaker that waits for the connection.
func (x *session) establish(r *reader) error {
	s := x.station
	_ = x.conn.SetDeadline(time.Now().Add(openWait))
	kind, body, err := r.message()
	if err != nil {
		return err
	}
	if kind != bgp.OpenType {
		return unexpected(kind, body)
	}
	if x.theirs, err = bgp.ParseOpen(body); err != nil {
		return err
	}
	id := binary.BigEndian.Uint32(s.routerID(x.conn).AsSlice())
	if x.theirs.ID == id && (s.AS == 0 || s.AS == x.theirs.AS) {
		return &bgp.Notification{Code: bgp.OpenError, Subcode: 3} // RFC 6286
	}
	x.hold = min(time.Duration(x.theirs.HoldTime)*time.Second, s.HoldTime)
	x.ours = x.theirs.Answer(s.AS, id, uint16(min(s.HoldTime/time.Second, math.MaxUint16)), restartTime)
	x.graceful.Store(x.ours.Graceful)
	if err := x.write(bgp.AppendKeepalive(x.ours.Append(nil))); err != nil {
		return err
	}
	if kind, body, err = r.message(); err != nil {
		return err
	}
	if kind != bgp.KeepaliveType {
		return unexpected(kind, body)
	}
	r.extended = x.theirs.Extended
	_ = x.conn.SetDeadline(time.Time{})
	if x.hold > 0 {
		x.setUserTimeout()
	}
	return nil
}

// unexpected returns the error of a message that is not allowed in the session's state (RFC 6608).
func unexpected(kind bgp.Type, body []byte) error {
	if kind == bgp.NotificationType {
		return &received{*bgp.ParseNotification(body)}
	}
	return &bgp.Notification{Code: bgp.StateError}
}

// received is the error of a NOTIFICATION from the neighbour. It must not be answered with one.
type received struct{ bgp.Notification }

func (n *received) Error() string { return "the neighbour says: " + n.Notification.Error() }

// routerID returns our BGP identifier for a connection.
func (s *Station) routerID(c net.Conn) netip.Addr {
	if s.RouterID.IsValid() {
		return s.RouterID
	}
	if a := addressOf(c.LocalAddr()); a.Is4() && !a.IsUnspecified() {
		return a
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// setUserTimeout makes the kernel close the connection if data that we sent is not acknowledged within the hold time.
// Otherwise a write could block for as long as TCP retransmits, some 15 minutes.
func (x *session) setUserTimeout() {
	tcp, is := x.conn.(*net.TCPConn)
	if !is {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(x.hold/time.Millisecond))
		})
	}
}

// read reads messages until the session ends, and passes the changes of UPDATEs to the writer in batches.
func (x *session) read(r *reader) error {
	for {
		if !r.buffered() {
			x.flush()
			if x.hold > 0 {
				_ = x.conn.SetReadDeadline(time.Now().Add(x.hold))
			}
		}
		kind, body, err := r.message()
		if err == nil {
			switch kind {
			case bgp.UpdateType:
				x.updates.Add(1)
				err = x.walker.Update(body, x.filling())
			case bgp.KeepaliveType, bgp.RefreshType:
			default:
				err = unexpected(kind, body)
			}
		}
		if err != nil {
			x.flush()
			return err
		}
		if x.batch != nil && full(x.batch) {
			x.flush()
		}
	}
}

// flush gives the batch to the writer.
func (x *session) flush() { x.give(item{session: x}) }

// keepAlive sends a KEEPALIVE every third of the hold time.
func (x *session) keepAlive(stop <-chan struct{}) {
	if x.hold == 0 {
		return
	}
	timer := time.NewTicker(x.hold / 3)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
			if x.write(bgp.AppendKeepalive(nil)) != nil {
				return // the connection is broken, so read gets an error too
			}
		}
	}
}

func (x *session) write(b []byte) error {
	x.writing.Lock()
	defer x.writing.Unlock()
	if _, err := x.conn.Write(b); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// fail ends the session because of an error of read or establish.
func (x *session) fail(err error) {
	var n *bgp.Notification
	var theirs *received
	switch {
	case errors.As(err, &theirs):
		x.once.Do(func() {
			x.why, x.hardReset = theirs.Error(), theirs.HardReset()
			_ = x.conn.Close()
		})
	case errors.As(err, &n):
		x.end(n, "we say: "+n.Error())
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.end(&bgp.Notification{Code: bgp.HoldExpired}, "the neighbour sent nothing within the hold time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		x.end(nil, "the neighbour has closed the connection")
	default:
		x.end(nil, err.Error())
	}
}

// end closes the connection, after a NOTIFICATION if n is not nil. The reason of the first call is kept.
func (x *session) end(n *bgp.Notification, why string) {
	x.once.Do(func() {
		x.why = why
		if n != nil {
			_ = x.conn.SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = x.conn.Write(n.Append(nil))
		}
		_ = x.conn.Close()
	})
}

// stop ends the session because the collector stops. If graceful restart was negotiated it sends no NOTIFICATION, so
// that the neighbour keeps its state of the session (RFC 4724, section 4).
func (x *session) stop() {
	if x.graceful.Load() {
		x.end(nil, "the collector stops")
		return
	}
	x.end(&bgp.Notification{Code: bgp.Cease, Subcode: bgp.CeaseShutdown}, "the collector stops")
}

// reader reads whole BGP messages.
type reader struct {
	connReader
	extended bool
}

// buffered reports whether a complete message is in the buffer.
func (r *reader) buffered() bool {
	b := r.bytes()
	return len(b) >= bgp.HeaderBytes && len(b) >= int(binary.BigEndian.Uint16(b[16:]))
}

// message returns the next message; its body is valid until the next call.
func (r *reader) message() (kind bgp.Type, body []byte, err error) {
	if err := r.fill(bgp.HeaderBytes); err != nil {
		return 0, nil, err
	}
	length, kind, err := bgp.Header(r.bytes(), r.extended)
	if err != nil {
		return 0, nil, err
	}
	if err := r.fill(length); err != nil {
		return 0, nil, err
	}
	return kind, r.take(length)[bgp.HeaderBytes:], nil
}
