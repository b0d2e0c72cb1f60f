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

// Sizes of buffers, in bytes. A large one is only allocated when it is needed.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10 // holds the longest message
	buffers     = 2
)

// connection is one TCP connection: a transport session of RFC 7011. Its goroutine executes run.
type connection struct {
	listener  *Listener
	transport Transport
	session   uint64
	source    netip.AddrPort // unmapped, without a zone
	network   netip.Prefix   // the network that counts as its source
	wire      *wire
	free      chan []byte // unused buffers; a nil one must be allocated
	// when bytes were last received, Unix nanoseconds; math.MaxInt64 while it waits for the worker
	heard atomic.Int64
	// opened is when it was accepted, Unix nanoseconds, and spoke whether it has brought a message since.
	opened int64
	spoke  atomic.Bool

	mu     sync.Mutex
	closed Reason // why it was closed from outside; "": it was not
}

// part is a buffer with complete messages for the worker, or the end of a connection.
type part struct {
	from     *connection
	messages []byte // complete messages
	buffer   []byte // to return after use
	received int64  // Unix nanoseconds
	ended    bool
}

// release returns the buffer.
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

// run handles the connection from its handshake to its end.
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

// serve completes the TLS handshake, if there is one, and reads. It returns why the connection ended.
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

// read passes complete messages to the worker until the connection ends.
func (c *connection) read(from net.Conn) (Reason, error) {
	t := &c.listener.o.times
	size := smallBuffer
	buffer, have := make([]byte, size), 0
	var begun time.Time // when the first bytes of the message in the buffer were received; zero: there is none
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
			begun = time.Now() // waiting for the worker does not count against the sender
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

// fill reads what is available, and waits for it up to a limit.
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

// pass passes a part to the worker, and waits if the worker is behind.
func (c *connection) pass(p part) {
	c.heard.Store(math.MaxInt64)
	c.spoke.Store(true)
	c.listener.parts <- p
}

// other waits for the buffer that the worker has, and returns it, or one of another size. It must hold the rest of the
// buffer in use: the size never falls while there is a rest.
func (c *connection) other(size int) []byte {
	buffer := <-c.free
	c.heard.Store(time.Now().UnixNano())
	if len(buffer) != size {
		buffer = make([]byte, size)
	}
	return buffer
}

// dropSpare releases the other buffer, unless the worker has it.
func (c *connection) dropSpare() {
	select {
	case <-c.free:
		c.free <- nil
	default:
	}
}

// ending returns why a connection ended whose read failed after some bytes of an incomplete message.
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
	default: // TLS: a record was altered
		return Cut, err
	}
}

const headerLength = 16 // of an IPFIX message, RFC 7011 §3.1

// messageLength returns the length in the header of the message at the start of p.
func messageLength(p []byte) int { return int(binary.BigEndian.Uint16(p[2:])) }

// frame returns how many bytes at the start of p are complete messages. It returns an error if they are not followed by
// the start of a message, because then the next start is unknown.
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

// notIPFIX returns an error that says what the bytes may be instead.
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

// wire is the underlying TCP connection.
type wire struct {
	*net.TCPConn
	mu       sync.Mutex
	finished bool
	left     int // bytes that may still be read after finish
}

// Read reads; after finish only what had been received by then.
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

// Write writes for TLS: alerts and key updates. A peer that does not read must not block reading.
func (w *wire) Write(p []byte) (int, error) {
	const patience = 10 * time.Second
	if err := w.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	return w.TCPConn.Write(p)
}

// finish ends reading after what the kernel has received by now. A waiting read ends immediately.
func (w *wire) finish() {
	w.mu.Lock()
	w.finished = true
	if raw, err := w.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			w.left, _ = unix.IoctlGetInt(int(fd), unix.SIOCINQ) // 0 if it fails: the connection was closed
		})
	}
	w.mu.Unlock()
	_ = w.CloseRead()
}

// explain adds what to do about common failures to listen.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%w: another program has this port (see `ss -tlnp`)", err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: ports below 1024 need CAP_NET_BIND_SERVICE", err)
	}
	return err
}
