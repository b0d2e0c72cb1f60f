package store_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// clientsForm is what clients read code, message, name and version from.
var clientsForm = regexp.MustCompile(`(?s)^Code: \d+\. DB::Exception: .* \([A-Z_]+\) \(version [0-9.]+\)\n$`)

// manyKeys is a GROUP BY whose hash table takes more memory than the tests below allow: one step of its growth alone
// asks for 256 MiB.
const manyKeys = "SELECT count(), sum(n) FROM (SELECT toString(number % 3000000) AS k, count() AS n FROM " +
	"numbers(6000000) GROUP BY k)"

// TestGroupBySpills counts more keys than fit into the memory of a query: the engine goes on in files.
func TestGroupBySpills(t *testing.T) {
	base := storetest.StartWith(t, store.Options{QueryMemory: 200 << 20})
	if got := run(t, base, manyKeys); got != "3000000\t6000000\n" {
		t.Errorf("got %q", got)
	}
	// Without files it does not fit.
	r := send(t, http.MethodPost,
		base+"?max_bytes_before_external_group_by=0&max_bytes_ratio_before_external_group_by=0",
		manyKeys)
	if r.status == http.StatusOK {
		t.Error("the GROUP BY fits into memory: the test shows nothing")
	}
}

// TestQueryOverBound has queries beyond each of the store's bounds: the error says which it was and what to do.
func TestQueryOverBound(t *testing.T) {
	base := storetest.StartWith(t, store.Options{QueryMemory: 200 << 20, QueryTime: time.Second, QueryRows: 50_000})
	run(t, base, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	run(t, base+"?max_execution_time=0", "INSERT INTO t SELECT number FROM numbers(100000)")
	const manyRows = "SELECT max(sipHash64(n)) FROM t"
	narrow := []string{"Narrow the time range", "rollup"}
	for name, c := range map[string]struct {
		query, sql string
		header     []string
		code       string // "" is no error
		want       []string
		wantNot    string
	}{
		"memory": {sql: "SELECT uniqExact(number) FROM numbers(20000000)",
			query: "max_execution_time=0&max_rows_to_read=0",
			code:  "241", want: append(narrow, "store.query_memory", "200 MiB")},
		"memory of the request's own": {sql: "SELECT uniqExact(number) FROM numbers(20000000)",
			query: "max_execution_time=0&max_rows_to_read=0&max_memory_usage=100000000", code: "241",
			wantNot: "store.query_memory"},
		"time": {sql: endless, query: "max_rows_to_read=0", code: "159",
			want: append(narrow, "store.query_time", "1s")},
		"time of the statement's own": {sql: endless + " SETTINGS max_execution_time = 2, max_rows_to_read = 0",
			code: "159", wantNot: "store.query_time"},
		"rows": {sql: manyRows, query: "max_execution_time=0", code: "158",
			want: append(narrow, "store.query_rows", "50000 rows")},
		"rows, GET":         {sql: "GET", code: "158", want: append(narrow, "store.query_rows")},
		"rows asked for":    {sql: manyRows, query: "max_execution_time=0&max_rows_to_read=1000000"},
		"a few of the rows": {sql: "SELECT n FROM t ORDER BY n LIMIT 3", query: "max_execution_time=0"},
		"the collector's":   {sql: manyRows, header: ownAgent},
		"a large result": {sql: "SELECT number, toString(number) FROM numbers(10000000) FORMAT JSON",
			query: "max_rows_to_read=0&max_execution_time=0", code: "396", want: []string{"LIMIT", "piece by piece"}},
	} {
		method, address, body := http.MethodPost, base+"?"+c.query, c.sql
		if c.sql == "GET" {
			method, address, body = http.MethodGet, base+"?max_execution_time=0&query="+url.QueryEscape(manyRows), ""
		}
		r := send(t, method, address, body, c.header...)
		got := r.header.Get("X-ClickHouse-Exception-Code")
		if got != c.code {
			t.Errorf("%s: code %q, want %q: %s", name, got, c.code, r.body)
		}
		for _, want := range c.want {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s: no %q in %s", name, want, r.body)
			}
		}
		if c.wantNot != "" && strings.Contains(r.body, c.wantNot) {
			t.Errorf("%s: %q in %s", name, c.wantNot, r.body)
		}
		// Clients read code and name at these places.
		if c.code != "" && !clientsForm.MatchString(r.body) {
			t.Errorf("%s: clients do not read %q", name, r.body)
		}
	}
}

// TestManyLargeQueries has 20 queries at once, most of which need more memory than they may have, and inserts beside
// them. Every query gets its result or a reason, every insert is stored, and the store lives.
func TestManyLargeQueries(t *testing.T) {
	s := storetest.Supervise(t, store.Options{Memory: 1200 << 20, Queries: 3, QueryMemory: 100 << 20})
	base := s.URL()
	run(t, base, "CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n")
	statements := []string{manyKeys, "SELECT uniqExact(number) FROM numbers(20000000)",
		"SELECT count() FROM t", "SELECT max(n) FROM t",
		"SELECT toString(number) AS k, count() FROM numbers(1000000) GROUP BY k ORDER BY k LIMIT 1"}
	var g errgroup.Group
	answers := make([]reply, 20)
	for i := range answers {
		g.Go(func() error {
			answers[i] = send(t, http.MethodPost, base, statements[i%len(statements)])
			return answers[i].err
		})
	}
	const inserts, rows = 20, 1000
	for i := range inserts {
		run(t, base, fmt.Sprintf("INSERT INTO t (n, s) FORMAT TSV\n%s",
			strings.Repeat(fmt.Sprintf("%d\tx\n", i), rows)))
	}
	must(t, g.Wait())
	for i, r := range answers {
		if r.status != http.StatusOK && (r.header.Get("X-ClickHouse-Exception-Code") != "241" ||
			!strings.Contains(r.body, "Narrow the time range")) {
			t.Errorf("query %d: status %d: %s", i, r.status, r.body)
		}
	}
	if got, want := run(t, base, "SELECT count() FROM t"), fmt.Sprintln(inserts*rows); got != want {
		t.Errorf("%q rows, want %q", got, want)
	}
	if n := s.Restarts(); n != 0 {
		t.Errorf("the store ended %d times", n)
	}
}
