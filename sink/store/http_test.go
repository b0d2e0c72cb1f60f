package store_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// reply is what came back for a request.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func send(t testing.TB, method, url, body string, header ...string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	must(t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return do(t, r)
}

func do(t testing.TB, r *http.Request) reply {
	t.Helper()
	res, err := (&http.Client{Transport: &http.Transport{DisableCompression: true}}).Do(r)
	must(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(b), err}
}

// run posts a statement that has to succeed and returns its result.
func run(t testing.TB, url, sql string, header ...string) string {
	t.Helper()
	r := send(t, http.MethodPost, url, sql, header...)
	if r.status != http.StatusOK || r.err != nil {
		t.Fatalf("%s: status %d, error %v: %s", sql, r.status, r.err, r.body)
	}
	return r.body
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func TestRequests(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (a Int32, b String) ENGINE = MergeTree ORDER BY a")
	run(t, base, "INSERT INTO t VALUES (1, 'one')")
	run(t, base, "CREATE DATABASE other")
	run(t, base+"?database=other", "CREATE TABLE inside (a Int8) ENGINE = MergeTree ORDER BY a")
	e := url.QueryEscape
	get, post := http.MethodGet, http.MethodPost
	for name, c := range map[string]struct {
		method, path, body string
		header             []string // of the request
		status             int
		want               string   // the body, or its beginning where it ends in "…"
		wantHeader         []string // name, value
	}{
		"ping":         {method: get, path: "/ping", want: "Ok.\n"},
		"root":         {method: get, path: "/", want: "Ok.\n"},
		"replicas":     {method: get, path: "/replicas_status", want: "Ok.\n"},
		"no such path": {method: get, path: "/nowhere", status: 404, want: "There is no handle /nowhere…"},
		"GET": {method: get, path: "/?query=" + e("SELECT 1"), want: "1\n",
			wantHeader: []string{"X-ClickHouse-Format", "TabSeparated", "Content-Type",
				"text/tab-separated-values; charset=UTF-8", "X-ClickHouse-Timezone", "UTC"}},
		"POST":           {method: post, path: "/", body: "SELECT 1, 'a;b';", want: "1\ta;b\n"},
		"query and body": {method: post, path: "/?query=" + e("SELECT"), body: "a FROM t", want: "1\n"},
		"FORMAT": {method: post, path: "/", body: "SELECT 1 AS x FORMAT JSONEachRow",
			want: "{\"x\":1}\n", wantHeader: []string{"X-ClickHouse-Format", "JSONEachRow", "Content-Type",
				"application/x-ndjson; charset=UTF-8"}},
		"default_format": {method: post, path: "/?default_format=CSV", body: "SELECT 'x'", want: "\"x\"\n"},
		"format header": {method: post, path: "/", body: "SELECT 'x'",
			header: []string{"X-ClickHouse-Format", "CSV"}, want: "\"x\"\n"},
		"FORMAT wins": {method: post, path: "/?default_format=CSV", body: "SELECT 'x' FORMAT TSV",
			want: "x\n"},
		"parameter": {method: get, path: "/?param_a=" + e("x\\ty") + "&param_n=5&query=" +
			e("SELECT {a:String}, {n:UInt8} + 1"), want: "x\\ty\t6\n"},
		"setting": {method: get, path: "/?max_threads=3&query=" + e("SELECT getSetting('max_threads')"),
			want: "3\n"},
		"setting does not stay": {method: get, path: "/?query=" + e("SELECT getSetting('max_threads') = 3"),
			want: "0\n"},
		"unknown setting": {method: get, path: "/?no_such=3&query=" + e("SELECT 1"), status: 404,
			want:       "Code: 115. DB::Exception: Unknown setting…",
			wantHeader: []string{"X-ClickHouse-Exception-Code", "115"}},
		"query id": {method: get, path: "/?query_id=abc&query=" + e("SELECT 1"), want: "1\n",
			wantHeader: []string{"X-ClickHouse-Query-Id", "abc"}},
		"database": {method: get, path: "/?database=other&query=" + e("SELECT count() FROM inside"),
			want: "0\n"},
		"database header": {method: post, path: "/", header: []string{"X-ClickHouse-Database", "other"},
			body: "SELECT currentDatabase()", want: "other\n"},
		"unknown database": {method: post, path: "/?database=nope", body: "SELECT 1", status: 404,
			want: "Code: 81. DB::Exception: Database nope does not exist. (UNKNOWN_DATABASE) (version …"},
		"unknown table": {method: post, path: "/", body: "SELECT * FROM nope", status: 404, want: "Code: 60. …",
			wantHeader: []string{"X-ClickHouse-Exception-Code", "60"}},
		"syntax error": {method: post, path: "/", body: "SELECT FROM WHERE", status: 400, want: "Code: 62. …"},
		"empty query":  {method: post, path: "/", body: "  ", status: 400, want: "Code: 62. …"},
		"failing function": {method: post, path: "/", body: "SELECT throwIf(1)", status: 500,
			want: "Code: 395. …"},
		"two statements": {method: post, path: "/", body: "SELECT 1; DROP TABLE t", status: 400,
			want: "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed)…"},
		"a statement behind VALUES": {method: post, path: "/", body: "INSERT INTO t VALUES (2, 'two'); DROP TABLE t",
			status: 400, want: "Code: 62. DB::Exception: Syntax error (Multi-statements are not allowed)…"},
		"a statement behind VALUES in the query": {method: post,
			path: "/?query=" + e("INSERT INTO t VALUES (2, 'two'); SELECT 1"), status: 400, want: "Code: 62. …"},
		"rows behind the end of VALUES": {method: post, path: "/?query=" + e("INSERT INTO t VALUES (2, 'two');"),
			body: "(3, 'three')", status: 400, want: "Code: 62. …"},
		"a statement behind FORMAT Values": {method: post, path: "/",
			body: "INSERT INTO t FORMAT Values (2, 'two'); SELECT 1", status: 400, want: "Code: 62. …"},
		"a semicolon before the data": {method: post, path: "/?query=" + e("INSERT INTO t FORMAT CSV;"),
			body: "2,two\n", status: 400, want: "Code: 62. DB::Exception: You have excessive ';' symbol…"},
		"outfile": {method: post, path: "/", body: "SELECT 1 INTO OUTFILE '/tmp/x'", status: 500,
			want: "Code: 358. …"},
		"too long": {method: post, path: "/?max_query_size=100",
			body: "SELECT " + strings.Repeat(" ", 100) + "1", status: 400,
			want: "Code: 62. DB::Exception: Max query size exceeded…"},
		"GET changes nothing": {method: get, path: "/?query=" + e("DROP TABLE t"), status: 500, want: "Code: 164. …"},
		"GET inserts nothing": {method: get, path: "/?query=" + e("INSERT INTO t VALUES (2, 'two')"), status: 500,
			want: "Code: 164. …"},
		"readonly": {method: post, path: "/?readonly=1", body: "DROP TABLE t", status: 500,
			want: "Code: 164. …"},
		"unknown insert table": {method: post, path: "/", body: "INSERT INTO nope VALUES (1)", status: 404,
			want: "Code: 60. …"},
		"bad insert data": {method: post, path: "/?query=" + e("INSERT INTO t FORMAT CSV"), body: "x,y\n",
			status: 400, want: "Code: 27. …"},
		"bad encoding": {method: post, path: "/", header: []string{"Content-Encoding", "compress"},
			body: "SELECT 1", status: 501, want: "Code: 48. …"},
		"broken gzip": {method: post, path: "/", header: []string{"Content-Encoding", "gzip"},
			body: "SELECT 1", status: 400, want: "Code: 36. …"},
		"gzip in": {method: post, path: "/", header: []string{"Content-Encoding", "gzip"},
			body: zipped("SELECT 1"), want: "1\n"},
		"gzip out": {method: post, path: "/", header: []string{"Accept-Encoding", "gzip"},
			body: "SELECT 1", want: "\x1f\x8b…", wantHeader: []string{"Content-Encoding", "gzip"}},
		"gzip not wanted": {method: post, path: "/?enable_http_compression=0",
			header: []string{"Accept-Encoding", "gzip"}, body: "SELECT 1", want: "1\n"},
		"foreign page": {method: post, path: "/", header: []string{"Origin", "https://example.org"},
			body: "DROP TABLE t", status: 403, want: "Code: 516. …"},
		"own page": {method: post, path: "/", header: []string{"Origin", base}, body: "SELECT 1",
			want: "1\n"},
		"form": {method: post, path: "/",
			header: []string{"Content-Type", "multipart/form-data; boundary=b"},
			body:   "--b\r\nContent-Disposition: form-data; name=query\r\n\r\nSELECT 7\r\n--b--\r\n", want: "7\n"},
		"method":  {method: http.MethodPut, path: "/", status: 405},
		"options": {method: http.MethodOptions, path: "/", status: 204},
		"unknown layout": {method: post, path: "/?default_format=Native&client_protocol_version=54483",
			body: "SELECT sumState(1)", status: 501, want: "Code: 48. DB::Exception: column sumState(1): type…"},
		"summary": {method: post, path: "/", body: "SELECT a FROM t FORMAT JSONCompact", want: "{…",
			wantHeader: []string{"X-ClickHouse-Summary", `{"read_rows":"1",…`}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.status == 0 {
				c.status = http.StatusOK
			}
			r := send(t, c.method, base+c.path, c.body, c.header...)
			if r.status != c.status || r.err != nil {
				t.Errorf("status %d, want %d; error %v", r.status, c.status, r.err)
			}
			if !matches(r.body, c.want) {
				t.Errorf("body %q, want %q", r.body, c.want)
			}
			for i := 0; i < len(c.wantHeader); i += 2 {
				if got := r.header.Get(c.wantHeader[i]); !matches(got, c.wantHeader[i+1]) {
					t.Errorf("header %s is %q, want %q", c.wantHeader[i], got, c.wantHeader[i+1])
				}
			}
		})
	}
	if got := run(t, base, "SELECT count() FROM t"); got != "1\n" {
		t.Errorf("rows at the end: %q, want the one from the beginning", got)
	}
}

// matches compares with a wanted text that may leave its end open with "…".
func matches(got, want string) bool {
	if head, open := strings.CutSuffix(want, "…"); open {
		return strings.HasPrefix(got, head)
	}
	return got == want
}

// TestInsertForms sends the same row in every way an INSERT can carry its data.
func TestInsertForms(t *testing.T) {
	base := storetest.Start(t)
	e := url.QueryEscape
	for name, c := range map[string]struct {
		path, body string
		header     []string
	}{
		"values":          {"/", "INSERT INTO t VALUES (1, 'a;b')", nil},
		"values, columns": {"/", "INSERT INTO t (b, a) VALUES ('a;b', 1);", nil},
		"values, comment": {"/", "INSERT INTO t VALUES (1, 'a;b'); -- done; all\n/* ; */", nil},
		"values in body":  {"/?query=" + e("INSERT INTO t VALUES"), "(1, 'a;b')", nil},
		"format in body":  {"/?query=" + e("INSERT INTO t FORMAT"), "CSV\n1,a;b\n", nil},
		"small letters":   {"/?query=" + e("insert into t format csv"), "1,a;b\n", nil},
		"format at the end": {"/?query=" + e("INSERT INTO t (b, a)") + "&format_csv_delimiter=%7C",
			"format CSV\na;b|1", nil},
		"statement in query":  {"/?query=" + e("INSERT INTO t VALUES (1, 'a;b')"), "", nil},
		"statement in pieces": {"/?query=" + e("INSERT INTO t"), "VALUES (1, 'a;b')", nil},
		"lines":               {"/", "INSERT INTO t FORMAT TSV\n1\ta;b\n", nil},
		"JSON behind":         {"/", `INSERT INTO t FORMAT JSONEachRow {"a":1,"b":"a;b"}`, nil},
		"JSON":                {"/?query=" + e("INSERT INTO t FORMAT JSONEachRow\n"), `{"a":1,"b":"a;b"}`, nil},
		"JSON, settings": {"/", "INSERT INTO t FORMAT JSONEachRow SETTINGS input_format_skip_unknown_fields=1\n" +
			`{"a":1,"b":"a;b","c":2}`, nil},
		"setting in query": {"/?input_format_skip_unknown_fields=1&query=" + e("INSERT INTO t FORMAT JSONEachRow"),
			`{"a":1,"b":"a;b","c":2}`, nil},
		"CSV, gzip": {"/?query=" + e("INSERT INTO t FORMAT CSV"), zipped("1,a;b\n"),
			[]string{"Content-Encoding", "gzip"}},
		"RowBinary": {"/?query=" + e("INSERT INTO t FORMAT RowBinary"), "\x01\x00\x00\x00\x03a;b", nil},
		"Native": {"/?query=" + e("INSERT INTO t FORMAT Native"),
			"\x02\x01\x01a\x05Int32\x01\x00\x00\x00\x01b\x06String\x03a;b", nil},
		"Native in body": {"/",
			"INSERT INTO t FORMAT Native\n\x02\x01\x01a\x05Int32\x01\x00\x00\x00\x01b\x06String\x03a;b", nil},
		"select":     {"/", "INSERT INTO t SELECT 1, 'a;b'", nil},
		"with":       {"/", "WITH 1 AS x INSERT INTO t SELECT x, 'a;b'", nil},
		"parameters": {"/?param_x=1", "INSERT INTO t SELECT {x:Int32}, 'a;b'", nil},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, base, "CREATE OR REPLACE TABLE t (a Int32, b String) ENGINE = MergeTree ORDER BY a")
			r := send(t, http.MethodPost, base+c.path, c.body, c.header...)
			if r.status != http.StatusOK {
				t.Fatalf("status %d: %s", r.status, r.body)
			}
			if summary := r.header.Get("X-ClickHouse-Summary"); !strings.Contains(summary, `"written_rows":"1"`) {
				t.Errorf("summary %s", summary)
			}
			if got := run(t, base, "SELECT * FROM t"); got != "1\ta;b\n" {
				t.Errorf("rows %q", got)
			}
		})
	}
}

// TestStreamedResult has more rows than a block: header lines come once, and totals are not lost.
func TestStreamedResult(t *testing.T) {
	base := storetest.Start(t)
	for format, want := range map[string]int{"CSV": 200000, "CSVWithNames": 200001, "CSVWithNamesAndTypes": 200002,
		"TSVWithNames": 200001, "JSONEachRow": 200000} {
		body := run(t, base, "SELECT number AS \"n\"\"x\" FROM numbers(200000) FORMAT "+format)
		if n := strings.Count(body, "\n"); n != want {
			t.Errorf("%s: %d lines, want %d", format, n, want)
		}
		if n := strings.Count(body, "x"); !strings.HasPrefix(format, "JSON") && n != min(1, want-200000) {
			t.Errorf("%s: the name stands %d times", format, n)
		}
	}
	if got, want := run(t, base, "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k"),
		"0\t5\n1\t5\n\n0\t10\n"; got != want {
		t.Errorf("totals: %q, want %q", got, want)
	}
}

// TestExceptionInResult fails after the first rows are sent: the response must not look complete.
func TestExceptionInResult(t *testing.T) {
	base := storetest.Start(t)
	r := send(t, http.MethodPost, base+"/?max_block_size=1000&max_threads=1",
		"SELECT throwIf(number = 500000) FROM numbers(1000000)")
	tag := r.header.Get("X-ClickHouse-Exception-Tag")
	if r.status != http.StatusOK || r.err == nil {
		t.Errorf("status %d, error %v, want 200 and a broken body", r.status, r.err)
	}
	if !strings.Contains(r.body, "\r\n__exception__\r\n"+tag+"\r\nCode: 395. ") || tag == "" {
		t.Errorf("the body ends in %q", r.body[max(0, len(r.body)-300):])
	}
	c := dial(t, base, nil)
	rows, err := c.Query(t.Context(),
		"SELECT throwIf(number = 500000) FROM numbers(1000000) SETTINGS max_block_size = 1000, max_threads = 1")
	must(t, err)
	for rows.Next() {
	}
	if err := rows.Err(); err == nil || !strings.Contains(err.Error(), "throwIf") {
		t.Errorf("clickhouse-go sees %v, want the exception", err)
	}
}

// TestBoundedResult asks for a result that cannot be streamed and is too large to be built.
func TestBoundedResult(t *testing.T) {
	base := storetest.StartWith(t, store.Options{QueryMemory: 64 << 20})
	r := send(t, http.MethodPost, base, "SELECT toString(number) AS x FROM numbers(5000000) FORMAT JSON")
	if r.status != http.StatusInternalServerError ||
		!strings.HasPrefix(r.body, "Code: 396. DB::Exception: Limit for result exceeded") {
		t.Errorf("status %d: %.200s", r.status, r.body)
	}
	if got := len(run(t, base, "SELECT toString(number) AS x FROM numbers(5000000) FORMAT TSV")); got != 38888890 {
		t.Errorf("streamed result of %d bytes, want 38888890", got)
	}
}

func TestCredentials(t *testing.T) {
	base := storetest.StartWith(t, store.Options{User: "noc", Password: "s&cret"})
	basic := func(user, password string) []string {
		r, _ := http.NewRequest(http.MethodGet, base, nil)
		r.SetBasicAuth(user, password)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	for name, c := range map[string]struct {
		path   string
		header []string
		status int
	}{
		"none":           {"/", nil, 401},
		"basic":          {"/", basic("noc", "s&cret"), 200},
		"basic, wrong":   {"/", basic("noc", "secret"), 403},
		"other user":     {"/", basic("default", "s&cret"), 403},
		"headers":        {"/", []string{"X-ClickHouse-User", "noc", "X-ClickHouse-Key", "s&cret"}, 200},
		"headers, wrong": {"/", []string{"X-ClickHouse-User", "noc"}, 401},
		"parameters":     {"/?user=noc&password=s%26cret", nil, 200},
		"wrong":          {"/?user=noc&password=x", nil, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := send(t, http.MethodPost, base+c.path, "SELECT 1", c.header...)
			if r.status != c.status {
				t.Errorf("status %d, want %d: %s", r.status, c.status, r.body)
			}
			if want := map[int]string{200: "", 401: "194",
				403: "516"}[c.status]; r.header.Get("X-ClickHouse-Exception-Code") != want {
				t.Errorf("exception code %q, want %q", r.header.Get("X-ClickHouse-Exception-Code"), want)
			}
			if asks := r.header.Get("WWW-Authenticate") != ""; asks != (c.status == 401) {
				t.Errorf("asks for a password: %v", asks)
			}
		})
	}
	if r := send(t, http.MethodGet, base+"/ping", ""); r.status != 200 {
		t.Errorf("/ping without a password: status %d", r.status)
	}
}
