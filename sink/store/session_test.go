package store_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestSession goes through what a session keeps, and what it does not.
func TestSession(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE DATABASE other")
	run(t, base, "CREATE TABLE other.inside (x UInt8) ENGINE = MergeTree ORDER BY x")
	for _, step := range []struct {
		name, query, sql, want string
	}{
		{"a temporary table", "session_id=a", "CREATE TEMPORARY TABLE mine (x UInt8)", ""},
		{"is there in the next request", "session_id=a", "SELECT count() FROM mine", "0\n"},
		{"takes rows", "session_id=a&query=" + url.QueryEscape("INSERT INTO mine FORMAT TSV"), "5\n", ""},
		{"and shows them to GET too", "session_id=a", "SELECT x FROM mine", "5\n"},
		{"not to another session", "session_id=b", "SELECT x FROM mine", "Code: 60."},
		{"nor to none", "", "SELECT x FROM mine", "Code: 60."},
		{"a setting stays", "session_id=a", "SET max_threads = 3", ""},
		{"in the next request", "session_id=a", "SELECT getSetting('max_threads')", "3\n"},
		{"a request's setting wins", "session_id=a&max_threads=2", "SELECT getSetting('max_threads')", "2\n"},
		{"for that request alone", "session_id=a", "SELECT getSetting('max_threads')", "3\n"},
		{"a setting with quotes", "session_id=a&max_threads=1&log_comment=" + url.QueryEscape(`it's \ x`), "SELECT 1",
			"1\n"},
		{"a request's database", "session_id=a&database=other", "SELECT count() FROM inside", "0\n"},
		{"is for that request", "session_id=a", "SELECT currentDatabase()", "default\n"},
		{"a readonly request reads", "session_id=a&readonly=1", "SELECT x FROM mine", "5\n"},
		{"and changes nothing", "session_id=a&readonly=1", "DROP TABLE other.inside", "Code: 164."},
		{"the next one may", "session_id=a", "SET max_threads = 4", ""},
		{"USE", "session_id=a", "USE other", ""},
		{"stays", "session_id=a", "SELECT currentDatabase()", "other\n"},
		{"an error", "session_id=a", "SELECT throwIf(1)", "Code: 395."},
		{"leaves it as it was", "session_id=a&session_check=1", "SELECT getSetting('max_threads'), x FROM mine",
			"4\t5\n"},
		{"close", "session_id=a&close_session=1", "SELECT x FROM mine", "5\n"},
		{"forgets", "session_id=a&session_check=1", "SELECT 1", "Code: 372."},
		{"another session", "session_id=d", "CREATE TEMPORARY TABLE mine (x UInt8)", ""},
		{"has the threads of a request", "session_id=d&max_threads=7", "SELECT getSetting('max_threads')", "7\n"},
		{"and its own, as many as there are cores", "session_id=d&session_check=1",
			"SELECT value LIKE '%auto%', count() FROM system.settings LEFT JOIN mine ON 1 = x " +
				"WHERE name = 'max_threads' GROUP BY value", "1\t1\n"},
		{"a client that keeps nothing", "session_id=c", "SELECT 1", "1\n"},
		{"is known too", "session_id=c&session_check=1", "SELECT 1", "1\n"},
	} {
		r := send(t, http.MethodPost, base+"?"+step.query, step.sql)
		if r.err != nil || r.body != step.want &&
			(!strings.HasPrefix(step.want, "Code") || !strings.HasPrefix(r.body, step.want)) {
			t.Errorf("%s: %q, want %q; error %v", step.name, r.body, step.want, r.err)
		}
	}
}

// A session beyond those that may keep something is told so, and the store goes on.
func TestManySessions(t *testing.T) {
	base := storetest.Start(t)
	const most = 64
	for i := range most + 1 {
		r := send(t, http.MethodPost, fmt.Sprintf("%s?session_id=%d", base, i), "SET max_threads = 1")
		if full := i == most; r.err != nil || full != strings.HasPrefix(r.body, "Code: 202.") {
			t.Errorf("session %d: %q, %v", i, r.body, r.err)
		}
	}
	for _, step := range [][2]string{{"session_id=0&close_session=1", "1\n"}, {"session_id=another", ""}} {
		sql := "SELECT 1"
		if step[1] == "" {
			sql = "SET max_threads = 1"
		}
		if r := send(t, http.MethodPost, base+"?"+step[0], sql); r.err != nil || r.body != step[1] {
			t.Errorf("%s: %q, %v", step[0], r.body, r.err)
		}
	}
}

// TestInsertTwice sees that rows sent twice are there twice, unless the client says that they are the same insert.
func TestInsertTwice(t *testing.T) {
	base := storetest.Start(t)
	for _, c := range []struct{ name, query, want string }{
		{"nothing said", "", "2\n"},
		{"a token", "insert_deduplication_token=t", "1\n"},
		{"insert_deduplicate", "insert_deduplicate=1", "1\n"},
		{"insert_deduplicate off", "insert_deduplicate=0", "2\n"},
	} {
		run(t, base, "CREATE OR REPLACE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x")
		for range 2 {
			run(t, base+"?"+c.query+"&query="+url.QueryEscape("INSERT INTO t FORMAT TSV"), "1\n")
		}
		if got := run(t, base, "SELECT count() FROM t"); got != c.want {
			t.Errorf("%s: %q rows, want %q", c.name, got, c.want)
		}
	}
}

// TestExternalTables sends tables beside a statement, as parts of a form.
func TestExternalTables(t *testing.T) {
	base := storetest.Start(t)
	for _, c := range []struct{ name, query, parameters, data, want string }{
		{"a structure", "SELECT sum(a), any(b) FROM x", "x_structure=a UInt8, b String", "1\tp\n2\tp\n", "3\tp\n"},
		{"types", "SELECT _1, _2 FROM x", "x_format=CSV&x_types=UInt8, Decimal(9, 2)", "1,2.5\n", "1\t2.5\n"},
		{"in a session", "SELECT a FROM x", "session_id=s&x_structure=a UInt8", "7\n", "7\n"},
		{"a readonly request", "SELECT a FROM x", "readonly=1&x_structure=a UInt8", "7\n", "7\n"},
		{"no columns", "SELECT 1 FROM x", "", "1\n", "Code: 36."},
		{"an engine", "SELECT 1 FROM x", "x_structure=a UInt8) ENGINE = File(CSV) AS SELECT (1", "1\n", "Code: 497."},
		{"two statements", "SELECT 1 FROM x", "x_structure=a UInt8)%3B DROP TABLE y%3B --", "1\n", "Code: 36."},
		{"bad data", "SELECT 1 FROM x", "x_structure=a UInt8", "no\n", "Code: 27."},
		{"too much", "SELECT 1 FROM x", "x_structure=a String", strings.Repeat("x", 64<<20+1), "Code: 307."},
	} {
		parameters, err := url.ParseQuery(c.parameters)
		must(t, err)
		parameters.Set("query", c.query)
		body := "--b\r\nContent-Disposition: form-data; name=x; filename=x\r\n\r\n" + c.data + "\r\n--b--\r\n"
		r := send(t, http.MethodPost, base+"?"+parameters.Encode(), body, "Content-Type",
			"multipart/form-data; boundary=b")
		if r.err != nil || r.body != c.want && (!strings.HasPrefix(c.want, "Code") ||
			!strings.HasPrefix(r.body, c.want)) {
			t.Errorf("%s: %.300q, want %q; error %v", c.name, r.body, c.want, r.err)
		}
		if r := send(t, http.MethodPost, base+"?session_id=s", "SELECT 1 FROM x"); !strings.HasPrefix(r.body,
			"Code: 60.") {
			t.Errorf("%s: the table is still there: %.300q", c.name, r.body)
		}
	}
}
