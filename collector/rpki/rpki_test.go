package rpki

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/rtr"
)

// cache is the other side of one connection.
type cache struct {
	t       *testing.T
	conn    net.Conn
	version uint8
	session uint16
	signals chan uint32 // from the test
}

// query reads what the client asks: "all", "since N", or "error CODE".
func (c *cache) query() string {
	r := rtr.NewReader(c.conn)
	m, err := r.Read()
	switch {
	case err != nil:
		return "end"
	case m.Version != c.version && m.Type != rtr.ErrorReport:
		return fmt.Sprintf("version %d", m.Version)
	case m.Type == rtr.ResetQuery:
		return "all"
	case m.Type == rtr.SerialQuery && m.Session == c.session:
		return fmt.Sprintf("since %d", m.Serial)
	case m.Type == rtr.ErrorReport:
		return "error " + m.Code.String()
	}
	return fmt.Sprintf("message %d", m.Type)
}

func (c *cache) want(query string) {
	c.t.Helper()
	if got := c.query(); got != query {
		c.t.Errorf("the client says %q, want %q", got, query)
	}
}

func (c *cache) send(all ...rtr.Message) {
	for i := range all {
		all[i].Version = c.version
		if all[i].Type != rtr.IPv4Prefix && all[i].Session == 0 {
			all[i].Session = c.session
		}
		_, _ = c.conn.Write(all[i].Append(nil)) // the client may have closed it
	}
}

// data is an answer: +prefix or -prefix, each for AS 64500, and the serial number.
func (c *cache) data(serial uint32, prefixes ...string) {
	c.send(rtr.Message{Type: rtr.CacheResponse})
	for _, p := range prefixes {
		prefix := netip.MustParsePrefix(p[1:])
		c.send(rtr.Message{Type: rtr.IPv4Prefix, Announce: p[0] == '+', Prefix: prefix,
			MaxLength: uint8(prefix.Bits()), AS: 64500})
	}
	c.send(rtr.Message{Type: rtr.EndOfData, Serial: serial, Refresh: time.Hour, Retry: 10 * time.Minute,
		Expire: 2 * time.Hour})
}

// idle waits until the client has closed the connection.
func (c *cache) idle() { _, _ = io.Copy(io.Discard, c.conn) }

// scripts answers the connections to each address in turn. A connection without a script is refused.
type scripts struct {
	t       *testing.T
	mu      sync.Mutex
	of      map[string][]func(*cache)
	made    map[string]int
	signals chan uint32
}

func (s *scripts) dial(_ context.Context, address string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.made[address]
	s.made[address]++
	if n >= len(s.of[address]) || s.of[address][n] == nil {
		return nil, errors.New("refused")
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		s.of[address][n](&cache{s.t, theirs, 1, 7, s.signals})
	}()
	return ours, nil
}

// run has a client with these caches for as long as f takes, in time that passes at once.
func run(t *testing.T, o Options, of map[string][]func(*cache), f func(*Client, chan<- uint32)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripts{t: t, of: of, made: map[string]int{}, signals: make(chan uint32)}
		o.dial, o.Log = s.dial, zap.NewNop()
		o.pause = cmp.Or(o.pause, -1) // none
		c := Open(o)
		defer c.Close()
		synctest.Wait()
		f(c, s.signals)
	})
}

// states compares the states of prefixes of AS 64500; "" is no table.
func states(t *testing.T, c *Client, prefixes, want string) {
	t.Helper()
	synctest.Wait()
	table, got := c.Current().Table(), ""
	if table != nil {
		var all []string
		for _, p := range strings.Fields(prefixes) {
			all = append(all, table.Validate(netip.MustParsePrefix(p), 64500).String())
		}
		got = strings.Join(all, " ")
	}
	if got != want {
		t.Errorf("%s: %q, want %q", prefixes, got, want)
	}
}

const twoPrefixes = "10.0.0.0/8 11.0.0.0/8"

// one is a client with one cache.
func one(t *testing.T, f func(*Client, chan<- uint32), connections ...func(*cache)) {
	run(t, Options{Caches: []string{"a:1"}}, map[string][]func(*cache){"a:1": connections}, f)
}

func TestUpdates(t *testing.T) {
	one(t, func(c *Client, notify chan<- uint32) {
		states(t, c, twoPrefixes, "valid unknown")
		notify <- 2
		states(t, c, twoPrefixes, "valid valid")
		notify <- 3
		states(t, c, twoPrefixes, "unknown valid")
		time.Sleep(time.Hour + time.Second) // the refresh interval
		states(t, c, twoPrefixes, "unknown unknown")
		x := c.Stats().Sources[0]
		if x.State != stateSynced || !x.InUse || x.Serial != 4 || x.Updates != 4 || x.Payloads != 0 || x.Error != "" ||
			x.Version != 1 || x.RouterKeys != 1 {
			t.Errorf("%+v", x)
		}
	}, func(x *cache) {
		x.want("all")
		x.data(1, "+10.0.0.0/8")
		x.send(rtr.Message{Type: rtr.SerialNotify, Serial: <-x.signals})
		x.want("since 1")
		_, _ = x.conn.Write(append([]byte{1, byte(rtr.RouterKey), 1, 0, 0, 0, 0, 40}, make([]byte, 32)...))
		x.data(2, "+11.0.0.0/8")
		x.send(rtr.Message{Type: rtr.SerialNotify, Serial: <-x.signals})
		x.want("since 2")
		x.data(3, "-10.0.0.0/8")
		x.want("since 3")
		x.data(4, "-11.0.0.0/8")
		x.idle()
	})
}

// A session that ends goes on where it was; a cache that cannot do that says so.
func TestReconnect(t *testing.T) {
	one(t, func(c *Client, _ chan<- uint32) {
		states(t, c, twoPrefixes, "valid unknown")
		time.Sleep(1500 * time.Millisecond)
		states(t, c, twoPrefixes, "valid valid")
		time.Sleep(2 * time.Second) // each session that ends soon is waited for longer
		states(t, c, twoPrefixes, "unknown valid")
	}, func(x *cache) {
		x.want("all")
		x.data(1, "+10.0.0.0/8")
	}, func(x *cache) {
		x.want("since 1")
		x.data(2, "+11.0.0.0/8")
	}, func(x *cache) {
		x.want("since 2")
		x.send(rtr.Message{Type: rtr.CacheReset})
		x.want("all")
		x.session = 9
		x.data(77, "+11.0.0.0/8")
		x.idle()
	})
}

// A cache that restarted may close the connection at the session number of before, and what it says of it can get lost:
// the next query is for all data, in the same version.
func TestReconnect_closedAtOldSession(t *testing.T) {
	one(t, func(c *Client, _ chan<- uint32) {
		states(t, c, twoPrefixes, "valid unknown")
		time.Sleep(4 * time.Second)
		states(t, c, twoPrefixes, "unknown valid")
		if x := c.Stats().Sources[0]; x.Version != 1 || x.Serial != 3 || x.State != stateSynced {
			t.Errorf("%+v", x)
		}
	}, func(x *cache) {
		x.want("all")
		x.data(5, "+10.0.0.0/8")
	}, func(x *cache) {
		x.want("since 5")
	}, func(x *cache) {
		x.session = 9
		x.want("all")
		x.data(3, "+11.0.0.0/8")
		x.idle()
	})
}

func TestVersions(t *testing.T) {
	check := func(c *Client, _ chan<- uint32) {
		time.Sleep(3 * time.Second)
		states(t, c, "10.0.0.0/8", "valid")
		if x := c.Stats().Sources[0]; x.Version != 0 || x.State != stateSynced {
			t.Errorf("%+v", x)
		}
	}
	old := func(x *cache) {
		x.version = 0
		x.want("all")
		x.data(1, "+10.0.0.0/8")
		x.idle()
	}
	t.Run("the cache answers in version 0", func(t *testing.T) {
		one(t, check, func(x *cache) {
			x.want("all")
			x.version = 0
			x.data(1, "+10.0.0.0/8")
			x.idle()
		})
	})
	t.Run("the cache refuses version 1", func(t *testing.T) {
		one(t, check, func(x *cache) {
			x.want("all")
			x.version = 0
			x.send(rtr.Message{Type: rtr.ErrorReport, Code: rtr.UnsupportedVersion})
			x.idle()
		}, old)
	})
	t.Run("the cache closes at version 1", func(t *testing.T) {
		one(t, check, func(x *cache) { x.want("all") }, old)
	})
	t.Run("a notify in another version before the answer", func(t *testing.T) {
		one(t, check, func(x *cache) {
			x.version = 0
			x.send(rtr.Message{Type: rtr.SerialNotify, Serial: 5})
			x.version = 1
			x.want("all")
			x.version = 0
			x.data(1, "+10.0.0.0/8")
			x.idle()
		})
	})
}

// What a cache must not send ends the session with an error report, and the next one asks for everything. The data
// stays unless the session number says that it is of another cache.
func TestErrors(t *testing.T) {
	prefix := rtr.Message{Type: rtr.IPv4Prefix, Announce: true, Prefix: netip.MustParsePrefix("10.0.0.0/8"),
		MaxLength: 8, AS: 64500}
	tests := []struct {
		name  string
		wrong func(*cache)
		code  rtr.ErrorCode
		after string // of 10.0.0.0/8
	}{
		{"announced twice", func(x *cache) {
			x.send(rtr.Message{Type: rtr.SerialNotify, Serial: 2})
			x.want("since 1")
			x.send(rtr.Message{Type: rtr.CacheResponse}, prefix)
		}, rtr.DuplicateAnnounced, "valid"},
		{"withdrawn what was not there", func(x *cache) {
			x.send(rtr.Message{Type: rtr.SerialNotify, Serial: 2})
			x.want("since 1")
			other := prefix
			other.AS, other.Announce = 1, false
			x.send(rtr.Message{Type: rtr.CacheResponse}, other)
		}, rtr.WithdrawalOfUnknown, "valid"},
		{"a prefix outside a response", func(x *cache) { x.send(prefix) }, rtr.CorruptData, "valid"},
		{"an end outside a response", func(x *cache) { x.send(rtr.Message{Type: rtr.EndOfData}) }, rtr.CorruptData,
			"valid"},
		{"an unexpected reset", func(x *cache) { x.send(rtr.Message{Type: rtr.CacheReset}) },
			rtr.CorruptData, "valid"},
		{"another version", func(x *cache) {
			x.version = 0
			x.send(rtr.Message{Type: rtr.SerialNotify, Serial: 2})
		}, rtr.UnexpectedVersion, "valid"},
		{"an unknown type", func(x *cache) { _, _ = x.conn.Write([]byte{1, 11, 0, 0, 0, 0, 0, 8}) },
			rtr.UnsupportedType, "valid"},
		{"a length beyond all bounds", func(x *cache) {
			_, _ = x.conn.Write([]byte{1, 4, 0, 0, 0xff, 0xff, 0xff, 0xff})
		}, rtr.CorruptData, "valid"},
		{"another session in a notify", func(x *cache) {
			x.send(rtr.Message{Type: rtr.SerialNotify, Session: 8, Serial: 2})
		}, rtr.CorruptData, "unknown"},
		{"another session in an answer", func(x *cache) {
			x.send(rtr.Message{Type: rtr.SerialNotify, Serial: 2})
			x.want("since 1")
			x.send(rtr.Message{Type: rtr.CacheResponse, Session: 8})
		}, rtr.CorruptData, "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			one(t, func(c *Client, _ chan<- uint32) {
				states(t, c, "10.0.0.0/8", test.after)
				x := c.Stats().Sources[0]
				if x.State != stateDown || x.Errors != 1 || !strings.Contains(x.Error, test.code.String()) {
					t.Errorf("%+v", x)
				}
				time.Sleep(2 * time.Second)
				states(t, c, twoPrefixes, "unknown valid")
			}, func(x *cache) {
				x.want("all")
				x.data(1, "+10.0.0.0/8")
				test.wrong(x)
				x.version = 1
				x.want("error " + test.code.String())
			}, func(x *cache) {
				x.want("all")
				x.data(3, "+11.0.0.0/8")
				x.idle()
			})
		})
	}
}

// A cache without data yet keeps the session; an error report is not answered with one.
func TestErrorReports(t *testing.T) {
	one(t, func(c *Client, _ chan<- uint32) {
		states(t, c, "10.0.0.0/8", "")
		if x := c.Stats().Sources[0]; x.State != stateLoading || !strings.Contains(x.Error, "no data") {
			t.Errorf("%+v", x)
		}
		time.Sleep(time.Minute + time.Millisecond)
		states(t, c, "10.0.0.0/8", "valid")
		if x := c.Stats().Sources[0]; x.State != stateDown || !strings.Contains(x.Error, `internal error "sorry"`) {
			t.Errorf("%+v", x)
		}
	}, func(x *cache) {
		x.want("all")
		x.send(rtr.Message{Type: rtr.ErrorReport, Code: rtr.NoDataAvailable})
		x.want("all")
		x.data(1, "+10.0.0.0/8")
		x.send(rtr.Message{Type: rtr.ErrorReport, Code: rtr.InternalError, Text: "sorry"})
		x.want("end")
	})
}
