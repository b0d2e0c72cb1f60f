package store

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
)

// FuzzRequest reads what a client may send: the URL, the head, forms, encodings and ClickHouse's blocks, up to the data
// of an insert.
func FuzzRequest(f *testing.F) {
	w := compress.NewWriter(compress.LevelZero, compress.LZ4)
	if err := w.Compress([]byte("INSERT INTO t VALUES (1)")); err != nil {
		f.Fatal(err)
	}
	f.Add("POST", "/?decompress=1", "", "", w.Data)
	f.Add("GET", "/?query=WITH+1+AS+x+SELECT+$a$x$a$+FORMAT+TSV+SETTINGS+a=1", "", "", []byte("x"))
	f.Add("POST", "/?query=INSERT+INTO+t+FORMAT+Native&compress=1&param_x=1&max_query_size=100", "", "",
		[]byte("\x01\x02"))
	f.Add("POST", "/?query=INSERT+INTO+t+VALUES&readonly=2&max_execution_time=5", "", "", []byte("(1), (file('/x'))"))
	f.Add("POST", "/?database=x", "", "multipart/form-data; boundary=xx",
		[]byte("--xx\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\nSELECT 1\r\n--xx--\r\n"))
	for _, e := range encodings {
		var b bytes.Buffer
		w, err := e.write(&b)
		if err != nil {
			f.Fatal(err)
		}
		io.WriteString(w, "INSERT INTO t FORMAT CSV\n1,2\n")
		w.Close()
		f.Add("POST", "/", e.name, "", b.Bytes())
		f.Add("POST", "/", e.name, "", b.Bytes()[:b.Len()/2])
	}
	f.Add("POST", "/", "xz", "", []byte("\xfd7zXZ\x00"))
	const limit = 1 << 20
	f.Fuzz(func(t *testing.T, method, url, encoding, kind string, body []byte) {
		r, err := http.NewRequest(method, "http://127.0.0.1"+url, bytes.NewReader(body))
		if err != nil || len(body) > 1<<16 {
			return
		}
		r.Header.Set("Content-Encoding", encoding)
		r.Header.Set("Content-Type", kind)
		q, err := parseRequest(r, &heldBytes{}, &rules{})
		if err != nil || q.maxQuerySize > limit {
			return
		}
		if method != http.MethodPost && !q.readonly {
			t.Fatalf("%s may write", method)
		}
		st, data, err := q.head()
		if err != nil {
			return
		}
		q.rules.statement(st, q.readonly)
		if data, err = q.guardData(st, data); err == nil {
			io.CopyN(io.Discard, data, limit)
		}
		if s := q.setup(); strings.Contains(s, "\x00") {
			t.Fatalf("NUL in %q", s)
		} else if s := q.confineToReading(); q.readonly && !strings.Contains(s, "readonly = '") {
			t.Fatalf("not readonly: %q", s)
		}
	})
}

// tableName finds words behind which a table may be called file.
var tableName = regexp.MustCompile(`(?i)into|table|view|exists|dictionary`)

// FuzzGuard reads statements. What passes calls no forbidden function by its plain name outside of texts and comments.
func FuzzGuard(f *testing.F) {
	for _, sql := range []string{
		"SELECT file('x')", "SELECT `f\\x69le`('x')", "SELECT a$b$, file('x') AS a$b$", "SELECT $a$file('x')$a$",
		"SELECT * APPLY(file) FROM t",
		"CREATE DICTIONARY d (a UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE(HOST '127.0.0.1' QUERY 'SELECT 1')) " +
			"LIFETIME(0) LAYOUT(FLAT())",
		"CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local)",
		"SELECT \u201cfile\u201d\u00a0('x')",
		"ATTACH TABLE t FROM '/x' (a UInt8) ENGINE = Log", "SELECT '\\\\', file('x') -- '",
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		st := parseStatement(sql)
		for _, readonly := range []bool{false, true} {
			refused := (&rules{}).statement(st, readonly)
			if refused != nil || st.insert || strings.ContainsAny(sql, "'\"`$-#/\\") ||
				strings.ContainsFunc(sql, func(r rune) bool { return r > 126 || r < ' ' }) {
				continue
			}
			if strings.Contains(" "+sql, " file(") && !tableName.MatchString(sql) {
				t.Fatalf("%q passes", sql)
			}
		}
	})
}
