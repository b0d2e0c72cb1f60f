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
		"SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number) = 3%' AND query NOT LIKE '%processes%'", ownAgent...))
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
