package clickhouse

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// front is an address that can be up or down, with a real server behind it.
type front struct {
	t       *testing.T
	addr    string
	handler http.Handler
	server  *httptest.Server
	lose    atomic.Int64 // answers to inserts that are still to be lost: the server has stored them
	lost    atomic.Int64
	// downAfterLoss has the address refuse everything once an answer was lost.
	downAfterLoss atomic.Bool
}

func newFront(t *testing.T, backend string) *front {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t}
	proxy := httputil.NewSingleHostReverseProxy(target)
	f.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.downAfterLoss.Load() && f.lost.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if !strings.HasPrefix(r.URL.Query().Get("query"), "INSERT") || f.lose.Load() <= 0 {
			proxy.ServeHTTP(w, r)
			return
		}
		f.lose.Add(-1)
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		if answer.Code != http.StatusOK {
			t.Errorf("an insert whose answer was to be lost failed: %s", answer.Body)
		}
		f.lost.Add(1)
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	})
	f.up()
	t.Cleanup(func() { f.down() })
	return f
}

func (f *front) up() {
	f.t.Helper()
	if f.addr == "" {
		f.addr = storetest.FreePort(f.t)
	}
	listener, err := net.Listen("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: f.handler}}
	f.server.Start()
}

func (f *front) down() {
	if f.server != nil {
		f.server.CloseClientConnections()
		f.server.Close()
		f.server = nil
	}
}

// direct is a connection past the front.
func direct(t *testing.T, backend string) driver.Conn {
	t.Helper()
	conn, err := Open(context.Background(), Options{Addrs: []string{strings.TrimPrefix(backend, "http://")},
		Database: "flows", CreateDatabase: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// What a proxy cuts off after the server has stored it is sent again and stored once, in the table and in its view.
func TestEngineAnswerLost(t *testing.T) {
	backend := storetest.Start(t)
	f := newFront(t, backend)
	server := direct(t, backend)
	conn, err := New(Options{Addrs: []string{f.addr}, Database: "flows"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	for _, onDisk := range []bool{false, true} {
		t.Run(fmt.Sprintf("spool %v", onDisk), func(t *testing.T) {
			constrained(t, server)
			o := fast()
			if onDisk {
				o = withSpool(openSpool(t, t.TempDir()))
			}
			w := NewWriter(conn, o)
			f.lose.Store(7)
			f.lost.Store(0)
			want := uint64(0)
			for i := range 10 {
				bits := numbered(i + 1)
				want += sum(bits)
				w.Enqueue(&Insert{Query: flowQuery, Token: fmt.Sprint(onDisk, i), Rows: len(bits),
					Data: bitsBlock(t, bits...)})
			}
			until(t, "all is delivered", func() bool { return w.Stats().Delivered.Inserts == 10 })
			closeWriter(t, w)
			for _, table := range []string{"data_flow", "by_day"} {
				if got := number(t, server, "SELECT sum(bit_count) FROM "+table); got != want {
					t.Errorf("%s: %d bits, want %d", table, got, want)
				}
			}
			if s := w.Stats(); f.lost.Load() != 7 || s.Retried.Inserts != 7 || len(s.Lost) != 0 {
				t.Errorf("%d answers lost, stats %+v", f.lost.Load(), s)
			}
		})
	}
}

// twoServers are two real ones with tables of their own, each behind an address that can be down.
func twoServers(t *testing.T) (a, b *front, stored func() (inA, inB uint64)) {
	t.Helper()
	var fronts [2]*front
	var conns [2]driver.Conn
	for i := range fronts {
		backend := storetest.Start(t)
		fronts[i], conns[i] = newFront(t, backend), direct(t, backend)
		constrained(t, conns[i])
	}
	return fronts[0], fronts[1], func() (inA, inB uint64) {
		t.Helper()
		for _, table := range []string{"data_flow", "by_day"} {
			inA, inB = number(t, conns[0], "SELECT sum(bit_count) FROM "+table),
				number(t, conns[1], "SELECT sum(bit_count) FROM "+table)
			if table == "data_flow" {
				defer func(a, b uint64) {
					if a != inA || b != inB {
						t.Errorf("the table has %d and %d bits, its view %d and %d", a, b, inA, inB)
					}
				}(inA, inB)
			}
		}
		return inA, inB
	}
}

// switches notes which servers were gone to.
type switches struct {
	mu sync.Mutex
	to []string
}

func (s *switches) note(to string, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, to)
}

func open2(t *testing.T, a, b *front, s *switches) driver.Conn {
	t.Helper()
	conn, err := New(Options{Addrs: []string{a.addr, b.addr}, Database: "flows", Switched: s.note})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestEngineFailover(t *testing.T) {
	a, b, stored := twoServers(t)
	var s switches
	o := withSpool(openSpool(t, t.TempDir()))
	o.SpoolAfter, o.RetryMax, o.ConfigurationRetry = time.Hour, 20*time.Millisecond, 20*time.Millisecond
	conn := open2(t, a, b, &s)
	w := NewWriter(conn, o)
	n := uint64(0)
	send := func() {
		t.Helper()
		// What goes into a connection that is just being closed may be stored, for all that is known.
		if err := conn.Ping(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.Enqueue(&Insert{Query: flowQuery, Token: fmt.Sprint(n), Rows: 1, Data: bitsBlock(t, 1)})
		n++
		until(t, "it is delivered", func() bool { return w.Stats().Delivered.Inserts == n })
	}
	expect := func(when string, wantA, wantB uint64) {
		t.Helper()
		if inA, inB := stored(); inA != wantA || inB != wantB {
			t.Errorf("%s: %d and %d rows, want %d and %d", when, inA, inB, wantA, wantB)
		}
	}
	send()
	expect("both are there", 1, 0)
	a.down()
	send()
	expect("the first is down", 1, 1)
	a.up()
	send()
	expect("the first is back, and the second is stayed with", 1, 2)
	b.down()
	send()
	expect("the second is down", 2, 2)
	a.down()
	if err := conn.Ping(context.Background()); err == nil {
		t.Error("no error while both are down")
	}
	w.Enqueue(&Insert{Query: flowQuery, Token: "late", Rows: 1, Data: bitsBlock(t, 1)})
	n++
	until(t, "it is tried while both are down", func() bool { return w.Stats().Retried.Inserts > 0 })
	b.up()
	until(t, "it is delivered", func() bool { return w.Stats().Delivered.Inserts == n })
	expect("the second is back", 2, 3)
	closeWriter(t, w)
	if want := []string{b.addr, a.addr, b.addr}; strings.Join(s.to, " ") != strings.Join(want, " ") {
		t.Errorf("went to %v, want %v", s.to, want)
	}
	if stats := w.Stats(); len(stats.Lost) > 0 {
		t.Errorf("stats %+v", stats)
	}
}

// What the first server may have stored waits for it, on disk, over a restart too, while the second takes the others.
func TestEngineFailoverOfWhatMayBeStored(t *testing.T) {
	a, b, stored := twoServers(t)
	dir := t.TempDir()
	sp := openSpool(t, dir)
	options := func(sp *spool.Spool) WriterOptions {
		o := withSpool(sp)
		o.SpoolAfter, o.ConfigurationRetry = time.Hour, 20*time.Millisecond
		return o
	}
	var s switches
	w := NewWriter(open2(t, a, b, &s), options(sp))
	a.downAfterLoss.Store(true)
	a.lose.Store(1)
	w.Enqueue(&Insert{Query: flowQuery, Token: "doubtful", Rows: 1, Data: bitsBlock(t, 1)})
	until(t, "the answer is lost", func() bool { return a.lost.Load() == 1 })
	a.down()
	for i := range 3 {
		w.Enqueue(&Insert{Query: flowQuery, Token: fmt.Sprint(i), Rows: 1, Data: bitsBlock(t, 10)})
	}
	until(t, "the others are delivered and it waits", func() bool {
		s := w.Stats()
		return s.Delivered.Inserts == 3 && s.Spool.Waiting.Entries == 1
	})
	closeWriter(t, w)
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	if inA, inB := stored(); inA != 1 || inB != 30 {
		t.Errorf("%d and %d bits, want 1 and 30", inA, inB)
	}

	sp = openSpool(t, dir)
	w = NewWriter(open2(t, a, b, &s), options(sp))
	w.Enqueue(&Insert{Query: flowQuery, Token: "after the restart", Rows: 1, Data: bitsBlock(t, 10)})
	until(t, "the other is delivered", func() bool { return w.Stats().Delivered.Inserts == 1 })
	tries := w.Stats().Retried.Inserts
	until(t, "it was tried", func() bool { return w.Stats().Retried.Inserts > tries })
	a.downAfterLoss.Store(false)
	a.up()
	until(t, "it is delivered", func() bool { return w.Stats().Delivered.Inserts == 2 })
	closeWriter(t, w)
	if inA, inB := stored(); inA != 1 || inB != 40 {
		t.Errorf("in the end %d and %d bits, want 1 and 40: stored twice", inA, inB)
	}
}

// An address that takes connections and says nothing costs one wait, not one each time.
func TestServerThatDoesNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	f := newFakeServer(t, nil)
	f.answer = func(n int, _ http.ResponseWriter, r *http.Request) { f.store(n, r) }
	var s switches
	conn, err := New(Options{
		Addrs:       []string{silent.Addr().String(), strings.TrimPrefix(f.URL, "http://")},
		DialTimeout: 200 * time.Millisecond, Switched: s.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	w := NewWriter(conn, fast())
	for i := range 20 {
		w.Enqueue(insertOf(fmt.Sprint(i)))
	}
	closeWriter(t, w)
	if stats := w.Stats(); stats.Delivered.Inserts != 20 || stats.Retried.Inserts != 0 || len(s.to) != 1 {
		t.Errorf("went to %v, stats %+v", s.to, stats)
	}
}
