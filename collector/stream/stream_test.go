package stream

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long tests wait for what comes at once on a quiet machine.
const patience = 2 * time.Minute

// got is what a listener returned: messages by session, and the sessions that ended.
type got struct {
	listener *Listener
	done     chan struct{}

	mu       sync.Mutex
	messages map[uint64][][]byte
	sources  map[uint64]netip.AddrPort
	ended    []uint64
}

// open listens for a test, on TCP where nothing else is said, and does not receive.
func open(t *testing.T, o Options) *Listener {
	t.Helper()
	if len(o.TCP)+len(o.TLS) == 0 {
		o.TCP = []string{"127.0.0.1:0"}
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// receive collects what comes until the test ends or stop is called.
func receive(t *testing.T, l *Listener) *got {
	g := &got{listener: l, done: make(chan struct{}), messages: map[uint64][][]byte{},
		sources: map[uint64]netip.AddrPort{}}
	go func() {
		defer close(g.done)
		for {
			batch, err := l.Receive(time.Second)
			if err != nil {
				return
			}
			g.take(batch)
		}
	}()
	t.Cleanup(g.stop)
	return g
}

func (g *got) take(b Batch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range b.Messages {
		g.messages[m.Session] = append(g.messages[m.Session], bytes.Clone(m.Payload))
		g.sources[m.Session] = m.Source
	}
	if b.Ended != 0 {
		g.ended = append(g.ended, b.Ended)
	}
}

func (g *got) stop() {
	g.listener.Close()
	<-g.done
}

// count is how many messages came.
func (g *got) count() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, all := range g.messages {
		n += len(all)
	}
	return n
}

func (g *got) endedCount() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.ended)
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// ends is how many connections ended for a reason.
func ends(l *Listener, reason Reason) (n uint64) {
	stats := l.Stats()
	for end, count := range stats.Ended {
		if end.Reason == reason {
			n += count
		}
	}
	return n
}

func openConnections(l *Listener) (n int) {
	for _, open := range l.Stats().Open {
		n += open
	}
	return n
}

// message is an IPFIX message of a length whose bytes say which one it is.
func message(n uint32, length int) []byte {
	m := make([]byte, length)
	binary.BigEndian.PutUint16(m, 10)
	binary.BigEndian.PutUint16(m[2:], uint16(length))
	binary.BigEndian.PutUint32(m[8:], n)
	for i := headerLength; i < length; i++ {
		m[i] = byte(int(n) + i)
	}
	return m
}

func dial(t *testing.T, l *Listener) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addresses(TCP)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func write(t *testing.T, to io.Writer, data ...[]byte) {
	t.Helper()
	if _, err := to.Write(slices.Concat(data...)); err != nil {
		t.Fatal(err)
	}
}

// isClosed waits until the other side has closed a connection.
func isClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	if e, ok := err.(net.Error); err == nil || ok && e.Timeout() {
		t.Fatalf("the connection is not closed: %v", err)
	}
}

func TestMessagesAreFramedHoweverTheyCome(t *testing.T) {
	var sent [][]byte
	for i, length := range []int{16, 17, 1400, 4095, 4096, 4097, 16, 65535, 16, 8192, 300, 65535, 65535, 16} {
		sent = append(sent, message(uint32(i), length))
	}
	for range 1000 {
		sent = append(sent, message(uint32(len(sent)), 16+len(sent)%97))
	}
	all := slices.Concat(sent...)
	for name, step := range map[string]int{"at once": len(all), "in pieces": 1000, "in odd pieces": 7,
		"byte by byte": 1} {
		t.Run(name, func(t *testing.T) {
			l := open(t, Options{})
			g := receive(t, l)
			conn := dial(t, l)
			pieces := all
			if step == 1 {
				pieces = slices.Concat(sent[:6]...) // enough: a system call for each byte
			}
			for piece := range slices.Chunk(pieces, step) {
				write(t, conn, piece)
			}
			conn.Close()
			waitFor(t, "the end", func() bool { return g.endedCount() == 1 })
			want := sent
			if step == 1 {
				want = sent[:6]
			}
			if !slices.EqualFunc(g.messages[1], want, bytes.Equal) {
				t.Errorf("%d messages came, %d were sent, or they differ", len(g.messages[1]), len(want))
			}
			if n := ends(l, Ended); n != 1 {
				t.Errorf("ends are %v", l.Stats().Ended)
			}
			if stats := l.Stats(); stats.Messages != uint64(len(want)) || stats.Bytes != uint64(len(pieces)) {
				t.Errorf("%d messages, %d bytes are counted", stats.Messages, stats.Bytes)
			}
		})
	}
}

func TestEachConnectionIsASession(t *testing.T) {
	l := open(t, Options{})
	g := receive(t, l)
	conns := []*net.TCPConn{dial(t, l), dial(t, l), dial(t, l)}
	for i := range 100 {
		for _, conn := range conns {
			write(t, conn, message(uint32(i), 64))
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	waitFor(t, "the ends", func() bool { return g.endedCount() == 3 })
	for session, messages := range g.messages {
		if len(messages) != 100 {
			t.Errorf("session %d has %d messages", session, len(messages))
		}
		for i, m := range messages {
			if binary.BigEndian.Uint32(m[8:]) != uint32(i) {
				t.Fatalf("session %d: message %d is another", session, i)
			}
		}
	}
	if len(g.sources) != 3 || slices.ContainsFunc(conns, func(c *net.TCPConn) bool {
		own := c.LocalAddr().(*net.TCPAddr).AddrPort()
		return !slices.Contains([]netip.AddrPort{g.sources[1], g.sources[2], g.sources[3]}, own)
	}) {
		t.Errorf("sources are %v", g.sources)
	}
}

func TestWhatIsWrongCostsTheConnection(t *testing.T) {
	good := message(1, 100)
	tests := []struct {
		name   string
		sent   []byte
		reason Reason
		before int // messages that are taken first
	}{
		{"text", []byte("GET / HTTP/1.1\r\n\r\n"), NotIPFIX, 0},
		{"NetFlow v9", slices.Concat(good, []byte{0, 9, 0, 1, 0, 0, 0, 0}), NotIPFIX, 1},
		{"TLS", []byte{22, 3, 1, 2, 0, 1, 0}, NotIPFIX, 0},
		{"a length below the header's", slices.Concat(good, good, []byte{0, 10, 0, 15}), NotIPFIX, 2},
		{"a length of 0", []byte{0, 10, 0, 0}, NotIPFIX, 0},
		{"an end within a header", slices.Concat(good, good[:3]), Cut, 1},
		{"an end within a message", slices.Concat(good, good[:99]), Cut, 1},
		{"an end without a message", nil, Ended, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := open(t, Options{})
			g := receive(t, l)
			other := dial(t, l)
			conn := dial(t, l)
			write(t, conn, test.sent)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			isClosed(t, conn)
			waitFor(t, "the end", func() bool { return g.endedCount() == 1 })
			if n := ends(l, test.reason); n != 1 {
				t.Errorf("ends are %v, want one of %s", l.Stats().Ended, test.reason)
			}
			if g.count() != test.before {
				t.Errorf("%d messages, want %d", g.count(), test.before)
			}
			write(t, other, good)
			waitFor(t, "a message of another connection", func() bool { return g.count() == test.before+1 })
		})
	}
}

func TestOnlyAllowedExportersMayConnect(t *testing.T) {
	l := open(t, Options{Allowed: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	g := receive(t, l)
	isClosed(t, dial(t, l))
	waitFor(t, "the refusal", func() bool { return ends(l, NotAllowed) == 1 })
	l.Allow(nil)
	conn := dial(t, l)
	write(t, conn, message(1, 64))
	waitFor(t, "a message", func() bool { return g.count() == 1 })
	l.Allow([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	write(t, conn, message(1, 64))
	waitFor(t, "another message", func() bool { return g.count() == 2 })
	l.Allow([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}) // a connection that is open ends too
	isClosed(t, conn)
	waitFor(t, "the end", func() bool { return ends(l, NotAllowed) == 2 && g.endedCount() == 1 })
	if end := (End{NotAllowed, netip.MustParseAddr("127.0.0.1")}); l.Stats().Ended[end] != 2 {
		t.Errorf("ends are %v", l.Stats().Ended)
	}
}

// At a stop what the kernel has is read, however much that is, and a sender that goes on does not keep it from ending.
func TestStopTakesWhatHadCome(t *testing.T) {
	l := open(t, Options{})
	conns := []*net.TCPConn{dial(t, l), dial(t, l), dial(t, l)}
	const each = 500
	for _, conn := range conns {
		for i := range uint32(each) {
			write(t, conn, message(i, 100))
		}
	}
	waitFor(t, "the connections", func() bool { return openConnections(l) == len(conns) })
	for _, conn := range conns {
		waitFor(t, "the kernel to have all", func() bool { return unacknowledged(t, conn) == 0 })
	}
	go func() { // until it is closed
		for {
			if _, err := conns[0].Write(message(0, 1000)); err != nil {
				return
			}
		}
	}()
	l.Close()
	g := receive(t, l)
	<-g.done
	for session, messages := range g.messages {
		if len(messages) < each {
			t.Errorf("session %d: %d messages of %d", session, len(messages), each)
		}
	}
	if len(g.messages) != 3 || g.endedCount() != 3 || ends(l, Stopping) != 3 {
		t.Errorf("%d sessions, %d ended, ends %v", len(g.messages), g.endedCount(), l.Stats().Ended)
	}
	if _, err := net.Dial("tcp", l.Addresses(TCP)[0]); err == nil {
		t.Error("a connection after the stop")
	}
}

// unacknowledged is how many bytes of a connection the other side's kernel does not have yet.
func unacknowledged(t *testing.T, conn *net.TCPConn) (n int) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAbortDoesNotWait(t *testing.T) {
	l := open(t, Options{})
	conn := dial(t, l)
	for i := range uint32(1000) {
		write(t, conn, message(i, 100))
	}
	l.Abort()
	isClosed(t, conn)
	var none *Listener
	none.Abort()
	none.Close()
	none.Allow(nil)
	if stats := none.Stats(); stats.Open != nil {
		t.Errorf("a listener that is not there has %v", stats)
	}
}

func TestOpenNamesTheAddress(t *testing.T) {
	l := open(t, Options{})
	receive(t, l)
	address := l.Addresses(TCP)[0]
	_, err := Open(Options{TCP: []string{"127.0.0.1:0", address}})
	if want := "listen on TCP " + address + ": "; err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
		t.Errorf("got %v, want %s…", err, want)
	}
}

func BenchmarkReceive(b *testing.B) {
	l, err := Open(Options{TCP: []string{"127.0.0.1:0"}})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Abort()
	conn, err := net.Dial("tcp", l.Addresses(TCP)[0])
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	chunk := bytes.Repeat(message(1, 1400), 40)
	go func() {
		for {
			if _, err := conn.Write(chunk); err != nil {
				return
			}
		}
	}()
	b.SetBytes(1400)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		batch, err := l.Receive(time.Second)
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Messages)
	}
}
