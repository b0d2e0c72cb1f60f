package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// endless is a statement that nobody waits for to end.
const endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 3"

// abandon begins statements and returns what ends their clients.
func abandon(t *testing.T, base, sql string, n int) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	for i := range n {
		go func() {
			url := base
			if i%2 == 1 {
				url += "?wait_end_of_query=1&max_execution_time=0"
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(sql))
			if err != nil {
				return
			}
			if res, err := http.DefaultClient.Do(r); err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		}()
	}
	return cancel
}

// ownAgent is how the collector's connections call themselves.
var ownAgent = []string{"User-Agent", "flow-collector/1"}

func runningEndless(t *testing.T, base string) string {
	return strings.TrimSpace(run(t, base,
		"SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number) = 3%' AND query NOT LIKE "+
			"'%processes%'", ownAgent...))
}

// TestAbandonedStatementsEnd lets the clients of as many statements as there are places go: the next one is answered.
func TestAbandonedStatementsEnd(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Queries: 4, QueryRows: 1 << 60})
	for _, sql := range []string{endless, endless + " FORMAT JSON", "INSERT INTO FUNCTION null('n UInt64') " + endless,
		endless + " SETTINGS max_threads = 1"} {
		leave := abandon(t, base, sql, 4)
		waitFor(t, "the statements to run", func() bool { return runningEndless(t, base) == "4" })
		leave()
		waitFor(t, "the statements to end", func() bool { return runningEndless(t, base) == "0" })
		if got := run(t, base, "SELECT 1"); got != "1\n" {
			t.Error(got)
		}
	}
}

// TestPlaces takes all places for queries: inserts and the collector's own connection have theirs.
func TestPlaces(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Queries: 3, QueryRows: 1 << 60})
	run(t, base, "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a")
	leave := abandon(t, base, endless, 3)
	defer leave()
	waitFor(t, "the statements to run", func() bool { return runningEndless(t, base) == "3" })
	run(t, base, "INSERT INTO t VALUES (1)")
	conn, err := clickhouse.Open(t.Context(), clickhouse.Options{Addrs: []string{strings.TrimPrefix(base, "http://")}})
	must(t, err)
	defer conn.Close()
	var n uint64
	must(t, conn.QueryRow(t.Context(), "SELECT count() FROM t").Scan(&n))
	if n != 1 {
		t.Errorf("%d rows", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base, strings.NewReader("SELECT 1"))
	must(t, err)
	if res, err := http.DefaultClient.Do(r); err == nil {
		t.Errorf("a fourth query is answered: %s", res.Status)
	}
}

// TestBounds looks at what requests get that give no bounds of their own.
func TestBounds(t *testing.T) {
	base := storetest.StartWith(t, store.Options{QueryMemory: 1 << 30, Memory: 6_000_000_000})
	const ask = "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage')"
	for name, c := range map[string]struct {
		query, want string
		header      []string
	}{
		"nothing given":     {"", "600\t1073741824\n", nil},
		"given":             {"?max_execution_time=5&max_memory_usage=1000000000", "5\t1000000000\n", nil},
		"none asked for":    {"?max_execution_time=0", "0\t1073741824\n", nil},
		"the collector's":   {"", "0\t1500000000\n", ownAgent},
		"a comment is kept": {"?log_comment=mine", "600\t1073741824\n", nil},
	} {
		if got := run(t, base+c.query, ask, c.header...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := run(t, base+"?log_comment=mine", "SELECT getSetting('log_comment')"); !strings.HasSuffix(got, " mine\n") {
		t.Errorf("comment %q", got)
	}
}

// TestTricklingRequest sends a part of a statement and then nothing: the request is given up after half a minute.
func TestTricklingRequest(t *testing.T) {
	t.Parallel()
	base := storetest.Start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	must(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nSELECT")
	must(t, conn.SetReadDeadline(time.Now().Add(2*time.Minute)))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		t.Errorf("status %s", res.Status)
	}
}

// TestKillQuery kills as the collector, as another client, and as one from another address: each ends its own
// statements alone.
func TestKillQuery(t *testing.T) {
	// both are taken: killing needs none of them
	base := storetest.StartWith(t, store.Options{Queries: 2, QueryRows: 1 << 60})
	elsewhere := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	clients := map[string]func(ctx context.Context, sql string) (string, error){}
	for name, agent := range map[string]string{"the collector": "flow-collector/1", "a client": "curl/8",
		"elsewhere": "curl/8"} {
		clients[name] = func(ctx context.Context, sql string) (string, error) {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost,
				base+"/?query_id="+strings.ReplaceAll(name, " ", "-"), strings.NewReader(sql))
			if err != nil {
				return "", err
			}
			r.Header.Set("User-Agent", agent)
			client := http.DefaultClient
			if name == "elsewhere" {
				client = elsewhere
			}
			res, err := client.Do(r)
			if err != nil {
				return "", err
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			return string(b), err
		}
	}
	kill := func(name, where string) string {
		text, err := clients[name](t.Context(), "KILL QUERY WHERE "+where)
		must(t, err)
		return text
	}
	ended := make(chan string, len(clients))
	for name, ask := range clients {
		go func() {
			// 394 is QUERY_WAS_CANCELLED.
			if text, _ := ask(t.Context(), endless); strings.Contains(text, "394") {
				ended <- name
			}
		}()
	}
	next := func() string {
		select {
		case name := <-ended:
			return name
		case <-time.After(time.Minute):
			return "nobody"
		}
	}
	waitFor(t, "the statements to run", func() bool { return runningEndless(t, base) == "3" })
	for _, where := range []string{"1", "query_id = 'a-client' OR 1 --", "query_id != '' SYNC", "1 /* x", "1) OR (1",
		"1 // '\n) OR (1 // '", "1 /* /* */ ' */) OR (1 -- '", "query LIKE '%sipHash64%' ASYNC FORMAT TSV",
		"query_id = 'a-client'"} {
		kill("elsewhere", where)
	}
	if name := next(); name != "elsewhere" {
		t.Fatalf("the statement of %s was ended", name)
	}
	kill("a client", "query_id = 'the-collector'")
	kill("a client", "query_id = 'a-client' SYNC")
	if name := next(); name != "a client" {
		t.Fatalf("the statement of %s was ended", name)
	}
	if got := runningEndless(t, base); got != "1" {
		t.Errorf("%s statements run, want the collector's", got)
	}
	kill("the collector", "1")
	if name := next(); name != "the collector" {
		t.Errorf("the statement of %s was ended", name)
	}
}

// TestSlowInserts begins more inserts than there are places, of which no byte of data comes: others have their turn.
func TestSlowInserts(t *testing.T) {
	base := storetest.StartWith(t, store.Options{Queries: 2})
	run(t, base, "CREATE TABLE t (a Int32) ENGINE = MergeTree ORDER BY a")
	for range 5 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		must(t, err)
		defer conn.Close()
		fmt.Fprintf(conn, "POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: 127.0.0.1\r\n"+
			"Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
		// The store asks for the body once it has read the head.
		line, err := bufio.NewReader(conn).ReadString('\n')
		must(t, err)
		if !strings.Contains(line, "100") {
			t.Fatalf("answer %q", line)
		}
	}
	for range 4 {
		run(t, base+"?query=INSERT+INTO+t+FORMAT+CSV", "1\n")
	}
}

// TestManyConnections opens more connections than one user may have that send nothing but the beginning of a head: the
// store's own user is answered all the same, and another user is not locked out by idle ones.
func TestManyConnections(t *testing.T) {
	base := storetest.Start(t)
	for range 600 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		must(t, err)
		defer conn.Close()
		fmt.Fprint(conn, "P")
	}
	if got := run(t, base, "SELECT 1"); got != "1\n" {
		t.Error(got)
	}
}

// TestHeldBytes asks for a statement that is longer than all requests together may hold.
func TestHeldBytes(t *testing.T) {
	base := storetest.Start(t)
	body := io.MultiReader(strings.NewReader("SELECT 1 --"), io.LimitReader(zeros{}, 300<<20))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/?max_query_size=1000000000", body)
	must(t, err)
	if res, err := http.DefaultClient.Do(r); err == nil {
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode == http.StatusOK || !strings.Contains(string(b), "Requests hold") {
			t.Errorf("%s: %s", res.Status, b)
		}
	}
	if got := run(t, base, "SELECT 1"); got != "1\n" { // what it held is given back
		t.Error(got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
