package stream

import (
	"bytes"
	"math"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlowSendersLoseTheirConnection(t *testing.T) {
	l := open(t, Options{times: times{message: 50 * time.Millisecond}})
	g := receive(t, l)
	quiet := dial(t, l) // no message has begun
	slow := dial(t, l)
	m := message(2, 60_000)
	go func() {
		for _, b := range m { // a byte now and then does not help
			if _, err := slow.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	isClosed(t, slow)
	waitFor(t, "the end", func() bool { return g.endedCount() == 1 })
	if n := ends(l, Slow); n != 1 || openConnections(l) < 1 {
		t.Errorf("ends are %v", l.Stats().Ended)
	}
	quiet.Close()
	waitFor(t, "the end of the other", func() bool { return ends(l, Ended) == 1 })
}

// The time that a message may take is that of its sender alone.
func TestTimeThatAMessageMayTake(t *testing.T) {
	m := message(1, 1000)
	tests := []struct {
		name   string
		sends  func(peer net.Conn, worker func(parts int))
		reason Reason
		parts  int
		stuck  bool // nobody takes parts but the test
	}{
		{"silence between messages", func(peer net.Conn, _ func(int)) {
			for range 3 {
				_, _ = peer.Write(m)
				time.Sleep(24 * time.Hour)
			}
		}, Ended, 3, false},
		{"a message just in time", func(peer net.Conn, _ func(int)) {
			_, _ = peer.Write(m[:1])
			time.Sleep(30*time.Second - 1)
			_, _ = peer.Write(m[1:])
		}, Ended, 1, false},
		{"a byte now and then", func(peer net.Conn, _ func(int)) {
			for i := range m {
				if _, err := peer.Write(m[i : i+1]); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, Slow, 0, false},
		{"the rest of a message after the first", func(peer net.Conn, _ func(int)) {
			_, _ = peer.Write(append(bytes.Clone(m), m[:500]...))
			time.Sleep(time.Minute)
		}, Slow, 1, false},
		{"a worker that takes its time", func(peer net.Conn, worker func(int)) {
			_, _ = peer.Write(append(bytes.Clone(m), m[:500]...))
			// the second buffer goes, the first is waited for
			_, _ = peer.Write(append(bytes.Clone(m[500:]), m[:500]...))
			time.Sleep(24 * time.Hour)
			worker(2)
			time.Sleep(29 * time.Second)
			_, _ = peer.Write(m[500:])
		}, Ended, 3, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				own, peer := net.Pipe()
				l := &Listener{o: Options{}.withDefaults(), parts: make(chan part, queued)}
				l.life = t.Context()
				c := &connection{listener: l, free: make(chan []byte, buffers)}
				c.free <- nil
				taken := 0
				worker := func(parts int) {
					for range parts {
						p := <-l.parts
						p.release()
						taken++
					}
				}
				if !test.stuck {
					go func() {
						for p := range l.parts {
							p.release()
							taken++
						}
					}()
				}
				sent := make(chan struct{})
				go func() {
					test.sends(peer, worker)
					// Until the reader waits: a pipe refuses deadlines once its peer is closed, a connection does not.
					time.Sleep(time.Nanosecond)
					peer.Close()
					close(sent)
				}()
				reason, err := c.read(own)
				own.Close()
				<-sent
				close(l.parts)
				synctest.Wait()
				worker(len(l.parts))
				if reason != test.reason || taken != test.parts {
					t.Errorf("it ended as %s (%v) after %d parts, want %s after %d", reason, err, taken, test.reason,
						test.parts)
				}
			})
		})
	}
}

// A sender that was quiet has small buffers again, and its messages still come.
func TestQuietConnectionsGiveMemoryBack(t *testing.T) {
	l := open(t, Options{times: times{shrink: time.Millisecond}})
	g := receive(t, l)
	conn := dial(t, l)
	for i := range 5 {
		write(t, conn, message(1, 60_000), message(2, 50_000), message(3, 20))
		waitFor(t, "the messages", func() bool { return g.count() == 3*(i+1) })
		time.Sleep(5 * time.Millisecond) // with or without a change of buffers the test holds
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	for name, o := range map[string]Options{
		"in total":       {MaxConnections: 3},
		"of each source": {MaxOfSource: 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, o)
			g := receive(t, l)
			conns := []*net.TCPConn{dial(t, l), dial(t, l), dial(t, l)}
			waitFor(t, "the connections", func() bool { return openConnections(l) == 3 })
			refused := dial(t, l)
			isClosed(t, refused)
			if n := ends(l, TooMany) + ends(l, TooManyOfSource); n != 1 {
				t.Errorf("ends are %v", l.Stats().Ended)
			}
			conns[0].Close()
			waitFor(t, "a free place", func() bool { return openConnections(l) == 2 })
			write(t, dial(t, l), message(1, 64))
			waitFor(t, "a message of the new one", func() bool { return g.count() == 1 })
		})
	}
}

// Where no place is free the connection that was silent for longest goes, but none that has just sent.
func TestSilentConnectionsMakePlace(t *testing.T) {
	l := open(t, Options{MaxConnections: 2})
	g := receive(t, l)
	silent, busy := dial(t, l), dial(t, l)
	write(t, silent, message(1, 64))
	write(t, busy, message(1, 64))
	waitFor(t, "both", func() bool { return g.count() == 2 })
	isClosed(t, dial(t, l)) // both have just sent
	l.mu.Lock()
	for c := range l.open {
		if c.source == silent.LocalAddr().(*net.TCPAddr).AddrPort() {
			c.heard.Store(time.Now().Add(-2 * l.o.times.idle).UnixNano())
		}
	}
	l.mu.Unlock()
	write(t, dial(t, l), message(1, 64))
	waitFor(t, "the new one", func() bool { return g.count() == 3 })
	isClosed(t, silent)
	write(t, busy, message(1, 64))
	waitFor(t, "the busy one", func() bool { return g.count() == 4 })
	waitFor(t, "the end", func() bool { return ends(l, Idle) == 1 && ends(l, TooMany) == 1 })
}

// Connections that bring no message make place, also for others of their source; one that has brought one stays.
func TestConnectionsWithoutAMessageMakePlace(t *testing.T) {
	for name, o := range map[string]Options{
		"of all":      {MaxConnections: 2, times: times{first: time.Nanosecond}},
		"of a source": {MaxOfSource: 2, times: times{first: time.Nanosecond}},
	} {
		t.Run(name, func(t *testing.T) {
			l := open(t, o)
			g := receive(t, l)
			spoke := dial(t, l)
			write(t, spoke, message(1, 64))
			waitFor(t, "a message", func() bool { return g.count() == 1 })
			mute := dial(t, l)
			write(t, mute, message(1, 64)[:7])
			waitFor(t, "both", func() bool { return openConnections(l) == 2 })
			write(t, dial(t, l), message(1, 64))
			waitFor(t, "a message of the new one", func() bool { return g.count() == 2 })
			isClosed(t, mute)
			isClosed(t, dial(t, l))
			write(t, spoke, message(1, 64))
			waitFor(t, "a message of the first one", func() bool { return g.count() == 3 })
		})
	}
}

func TestSourcesOfIPv6AreNetworks(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7":        "192.0.2.7/32",
		"2001:db8:1:2::7":  "2001:db8:1:2::/64",
		"2001:db8:1:2:3::": "2001:db8:1:2::/64",
	} {
		if got := networkOf(netip.MustParseAddr(address)).String(); got != want {
			t.Errorf("%s is of %s, want %s", address, got, want)
		}
	}
}

// A worker that does not receive stops its senders: of what they sent no more is in memory than the buffers hold, and
// nothing is lost.
func TestSlowWorkerStopsSenders(t *testing.T) {
	l := open(t, Options{})
	conn := dial(t, l)
	const total = 500
	finished := make(chan error, 1)
	go func() {
		for i := range uint32(total) {
			if _, err := conn.Write(message(i, 60_000)); err != nil {
				finished <- err
				return
			}
		}
		finished <- conn.CloseWrite()
	}()
	// 30 MB are more than the kernel's buffers take.
	waitFor(t, "a connection that waits for the worker", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for c := range l.open {
			return len(l.parts) == buffers && len(c.free) == 0 && c.heard.Load() == math.MaxInt64
		}
		return false
	})
	select {
	case err := <-finished:
		t.Fatalf("all was sent, to nobody: %v", err)
	default:
	}
	g := receive(t, l)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end", func() bool { return g.endedCount() == 1 })
	if g.count() != total || ends(l, Ended) != 1 {
		t.Errorf("%d messages of %d, ends %v", g.count(), total, l.Stats().Ended)
	}
}

func TestSourcesOfEndsAreBounded(t *testing.T) {
	c := newCounters()
	address := netip.MustParseAddr("2001:db8::")
	for range 2 * maxSources {
		address = address.Next()
		c.add(NotIPFIX, address)
		c.add(Slow, netip.MustParseAddr("192.0.2.1"))
	}
	if n := c.ended[End{NotIPFIX, netip.Addr{}}]; len(c.ended) != maxSources+2 || n != maxSources {
		t.Errorf("%d ends are told apart, %d are not", len(c.ended), n)
	}
}
