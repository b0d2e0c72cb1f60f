package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
)

func TestQuery(t *testing.T) {
	cfg := testkit.Config(t)
	for _, test := range []struct{ name, sql, format, want string }{
		{"a table", "SELECT 1 AS one, 'x' AS text", "PrettyCompactMonoBlock",
			"┌─one─┬─text─┐\n│   1 │ x    │\n└─────┴──────┘\n"},
		{"for programs", "SELECT 1 AS one", "JSONEachRow", "{\"one\":1}\n"},
		{"its own format", "SELECT 1 AS one\nformat CSVWithNames", "PrettyCompactMonoBlock", "\"one\"\n1\n"},
		{"a word that is no clause", "SELECT 'FORMAT x' AS f", "TSV", "FORMAT x\n"},
		{"addresses for people", "SELECT toIPv6('192.0.2.7') AS a, toIPv6('2001:db8::1') AS b, " +
			"CAST(NULL AS Nullable(IPv6)) AS `c d`, number FROM numbers(3) ORDER BY number DESC LIMIT 2 -- end",
			"PrettyCompactMonoBlock",
			"┌─a─────────┬─b───────────┬─c d──┬─number─┐\n" +
				"│ 192.0.2.7 │ 2001:db8::1 │ ᴺᵁᴸᴸ │      2 │\n" +
				"│ 192.0.2.7 │ 2001:db8::1 │ ᴺᵁᴸᴸ │      1 │\n" +
				"└───────────┴─────────────┴" +
				"──────┴────────┘\n"},
		{"addresses for programs", "SELECT toIPv6('192.0.2.7') AS a", "TSV", "::ffff:192.0.2.7\n"},
		{"several statements", "-- one; only\nSELECT 1 AS one;\n\nSELECT ';' AS two FORMAT TSV;\n", "CSVWithNames",
			"\"one\"\n1\n;\n"},
		{"several for people", "-- addresses\nSELECT toIPv6('192.0.2.7') AS a; SELECT 2 AS b", "PrettyCompactMonoBlock",
			"┌─a─────────┐\n│ 192.0.2.7 │\n" +
				"└───────────┘\n\n┌─b─┐\n│ 2 │\n└───┘\n"},
		{"what stands behind an INSERT", "CREATE TABLE i (x String) ENGINE = Memory; INSERT INTO i VALUES ('a;'); " +
			"INSERT INTO i VALUES ('b'); SELECT arrayStringConcat(arraySort(groupArray(x))) FROM i", "TSV", "a;b\n"},
		{"an escape sequence for people", "SELECT 'a\\x1b]0;b\\x07' AS x", "PrettySpaceNoEscapes",
			" x   \n\n a?]0;b? \n"},
		{"an escape sequence for programs", "SELECT 'a\\x1b]0;b\\x07' AS x", "TSV", "a\x1b]0;b\x07\n"},
		{"a statement without a result", "CREATE TABLE t (x UInt8) ENGINE = Memory", "TSV", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := setup.Query(t.Context(), cfg, test.sql, test.format, &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got %q, want %q", out.String(), test.want)
			}
		})
	}
}

// Without --write nothing is changed.
func TestQuery_readsOnly(t *testing.T) {
	cfg := testkit.Config(t)
	var out bytes.Buffer
	if err := setup.Query(t.Context(), cfg, "CREATE TABLE t ENGINE = Memory AS SELECT 1 AS x", "TSV",
		&out); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"INSERT INTO t VALUES (2)", "DROP TABLE t", "ALTER TABLE t DELETE WHERE 1",
		"SELECT 1; DROP TABLE t", "SELECT 1 SETTINGS readonly = 0; DROP TABLE t", "DROP TABLE t SETTINGS readonly = 0",
		"INSERT INTO t SELECT 3 SETTINGS readonly = 0", "SET readonly = 0; DROP TABLE t", "TRUNCATE TABLE t",
		"CREATE TABLE u (x UInt8) ENGINE = Memory", "INSERT INTO t SELECT 3"} {
		if err := setup.Read(t.Context(), cfg, sql, "TSV", &out); !errors.Is(err, setup.ErrReadOnly) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	for _, sql := range []string{"SELECT sum(x) FROM t SETTINGS max_threads = 1", "SHOW TABLES LIKE 't'", "DESCRIBE t",
		"EXPLAIN SELECT x FROM t", "WITH 1 AS one SELECT one"} {
		if err := setup.Read(t.Context(), cfg, sql, "TSV", &out); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	out.Reset()
	if err := setup.Read(t.Context(), cfg, "SELECT sum(x) FROM t", "PrettyCompact", &out); err != nil ||
		!strings.Contains(out.String(), "│      1 │") {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestQuery_errorsAreOneLine(t *testing.T) {
	cfg := testkit.Config(t)
	for _, sql := range []string{"SELECT nonsense FROM nowhere", "SELEC 1"} {
		var out bytes.Buffer
		err := setup.Query(t.Context(), cfg, sql, "TSV", &out)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	cfg.Server.Port = 1
	var out bytes.Buffer
	if err := setup.Query(t.Context(), cfg, "SELECT 1", "TSV", &out); err == nil ||
		!strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("a server that is not there: %v", err)
	}
}
