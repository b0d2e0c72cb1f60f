package stream

import (
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

	"golang.org/x/sys/unix"

	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// Sizes of buffers, in bytes. A large one is made only for as much as was sent.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10 // holds the longest message
	buffers     = 2
)

// connection is one TCP connection: a transport session of RFC 7011. Its goroutine runs run.
type connection struct {
	listener  *Listener
	transport Transport
	session   uint64
	source    netip.AddrPort // unmapped, without a zone
	network   netip.Prefix   // what counts as its source
	wire      *wire
	free      chan []byte  // buffers that nobody uses; nil ones have to be made
	heard     atomic.Int64 // when bytes last came, Unix nanoseconds; math.MaxInt64 while the worker is waited for

	mu     sync.Mutex
	closed Reason // why it was closed from outside; "": it was not
}

// part is a buffer with whole messages on its way to the worker, or the end of a connection.
type part struct {
	from     *connection
	messages []byte // whole messages
	buffer   []byte // to give back
	received int64  // Unix nanoseconds
	ended    bool
}

// release gives the buffer back.
func (p *part) release() {
	if p.from != nil && p.buffer != nil {
		p.from.free <- p.buffer
	}
	*p = part{}
}

// shut closes the connection from outside.
func (c *connection) shut(reason Reason) {
	c.mu.Lock()
	if c.closed == "" {
		c.closed = reason
	}
	c.mu.Unlock()
	_ = c.wire.Close()
}

// run takes the connection from its handshake to its end.
func (c *connection) run() {
	l := c.listener
	reason, err := c.serve()
	_ = c.wire.Close()
	c.mu.Lock()
	if c.closed != "" {
		reason, err = c.closed, nil
	}
	c.mu.Unlock()
	l.ended(c, reason, err)
	l.parts <- part{from: c, ended: true}
	if reason.Loses() {
		select {
		case <-time.After(l.o.times.hold):
		case <-l.life.Done():
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(c)
}

// serve shakes hands, where there is TLS, and reads. It returns why the connection ended.
func (c *connection) serve() (Reason, error) {
	if c.transport == TCP {
		return c.read(c.wire)
	}
	secured, err := c.listener.secure(c.wire)
	if err != nil {
		if c.listener.life.Err() != nil {
			return Stopping, nil
		}
		return Handshake, err
	}
	return c.read(secured)
}

// read hands whole messages to the worker until the connection ends.
func (c *connection) read(from net.Conn) (Reason, error) {
	t := &c.listener.o.times
	size := smallBuffer
	buffer, have := make([]byte, size), 0
	var begun time.Time // when the message at the beginning of the buffer did; zero: there is none
	for {
		wait := t.shrink
		if have > 0 {
			wait = time.Until(begun.Add(t.message))
		} else if size == smallBuffer {
			wait = math.MaxInt64
		}
		n, err := c.fill(from, buffer[have:], wait)
		now := time.Now()
		if n > 0 {
			c.heard.Store(now.UnixNano())
			if have == 0 {
				begun = now
			}
			have += n
		}
		whole, bad := frame(buffer[:have])
		if have == len(buffer) {
			size = min(2*size, largeBuffer)
		}
		switch {
		case whole > 0:
			rest := buffer[whole:have]
			c.pass(part{from: c, messages: buffer[:whole], buffer: buffer, received: now.UnixNano()})
			buffer = c.other(size)
			have = copy(buffer, rest)
			begun = time.Now() // the wait for the worker is not the sender's
		case have == len(buffer):
			buffer = append(make([]byte, 0, size), buffer...)[:size]
		}
		if bad != nil {
			return NotIPFIX, bad
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return ending(have, err, c.listener.life.Err() != nil)
		}
		if have > 0 {
			return Slow, fmt.Errorf("%d bytes of a message came within %s", have, t.message)
		}
		size, buffer = smallBuffer, make([]byte, smallBuffer)
		c.dropSpare()
	}
}

// fill reads what there is, and waits so long for it.
func (c *connection) fill(from net.Conn, into []byte, wait time.Duration) (int, error) {
	deadline := time.Time{}
	if wait < math.MaxInt64 {
		deadline = time.Now().Add(wait)
	}
	if err := from.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return from.Read(into)
}

// pass hands a part to the worker, and waits for it where it is behind.
func (c *connection) pass(p part) {
	c.heard.Store(math.MaxInt64)
	c.listener.parts <- p
}

// other waits for the buffer that the worker had before, and returns it, or one of size where it is of another. It must
// hold the rest of the buffer in use: the size never falls while there is one.
func (c *connection) other(size int) []byte {
	buffer := <-c.free
	c.heard.Store(time.Now().UnixNano())
	if len(buffer) != size {
		buffer = make([]byte, size)
	}
	return buffer
}

// dropSpare lets the other buffer go, if the worker does not have it.
func (c *connection) dropSpare() {
	select {
	case <-c.free:
		c.free <- nil
	default:
	}
}

// ending tells why a connection ended whose read failed, with so many bytes of a message that is not whole.
func ending(have int, err error, stopping bool) (Reason, error) {
	switch {
	case stopping:
		return Stopping, nil
	case have > 0:
		return Cut, fmt.Errorf("it ended after %d bytes of a message: %w", have, err)
	case errors.Is(err, io.EOF):
		return Ended, nil
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(*os.SyscallError)):
		return Broken, err
	default: // TLS: a record is not what was sent
		return Cut, err
	}
}

const headerLength = 16 // of an IPFIX message, RFC 7011 §3.1

// messageLength is the length of the message that p begins with, by its header.
func messageLength(p []byte) int { return int(binary.BigEndian.Uint16(p[2:])) }

// frame returns how many bytes at the beginning of p are whole messages, and an error where what follows them is not
// the beginning of one: then nobody knows where the next begins.
func frame(p []byte) (whole int, err error) {
	const ipfix = 10
	for {
		rest := p[whole:]
		if len(rest) < 4 {
			return whole, nil
		}
		if version := binary.BigEndian.Uint16(rest); version != ipfix {
			return whole, notIPFIX(rest)
		}
		length := messageLength(rest)
		if length < headerLength {
			return whole, fmt.Errorf("a message has the length %d, which is less than its header's", length)
		}
		if length > len(rest) {
			return whole, nil
		}
		whole += length
	}
}

// notIPFIX says what some bytes may be instead.
func notIPFIX(p []byte) error {
	const tlsHandshake, tlsMajor = 22, 3
	switch version := binary.BigEndian.Uint16(p); {
	case p[0] == tlsHandshake && p[1] == tlsMajor:
		return errors.New("it begins with a TLS handshake: that is for the port of listen.tls")
	case version == 5 || version == 9:
		return fmt.Errorf("it is NetFlow v%d, which cannot be sent over TCP", version)
	default:
		return fmt.Errorf("%x is not the beginning of an IPFIX message", p[:4])
	}
}

// wire is the TCP connection below.
type wire struct {
	*net.TCPConn
	mu       sync.Mutex
	finished bool
	left     int // bytes that may still be read once it is finished
}

// Read reads, once finish was called no more than what had come by then.
func (w *wire) Read(p []byte) (int, error) {
	w.mu.Lock()
	finished, left := w.finished, w.left
	w.mu.Unlock()
	if !finished {
		return w.TCPConn.Read(p)
	}
	if left == 0 {
		return 0, io.EOF
	}
	n, err := w.TCPConn.Read(p[:min(left, len(p))])
	w.mu.Lock()
	w.left -= n
	w.mu.Unlock()
	return n, err
}

// Write writes for TLS: alerts and answers to new keys. A peer that reads nothing must not hold up the reading.
func (w *wire) Write(p []byte) (int, error) {
	const patience = 10 * time.Second
	if err := w.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return w.TCPConn.Write(p)
}

// finish ends reading once what the kernel has by now is read. A read that waits ends at once.
func (w *wire) finish() {
	w.mu.Lock()
	w.finished = true
	if raw, err := w.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			w.left, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) // 0 where it fails: it was closed
		})
	}
	w.mu.Unlock()
	_ = w.CloseRead()
}

// explain says what to do about the usual failures to listen.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program has this port (see `ss -tlnp`)", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE", err)
	}
	return err
}
