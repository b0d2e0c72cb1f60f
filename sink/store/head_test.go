package store

import (
	"io"
	"strings"
	"testing"
)

// The SQL of an insert ends with the name of its format, wherever the request has the one and the other.
func TestRequest_head(t *testing.T) {
	rows := strings.Repeat("1\n", 30)
	for name, c := range map[string]struct{ query, body, format, data string }{
		"data in the body":                  {"INSERT INTO t FORMAT TSV", "1\n", "TSV", "1\n"},
		"small letters, a space":            {"insert into t format tsv ", "1\n", "tsv", "1\n"},
		"a line end":                        {"INSERT INTO t FORMAT TSV\r\n", "1\n", "TSV", "1\n"},
		"data that begins with a line end":  {"INSERT INTO t FORMAT TSV", "\n1\n", "TSV", "\n1\n"},
		"data in the URL":                   {"INSERT INTO t FORMAT TSV 1", "", "TSV", "1\n"},
		"data that begins with a tab":       {"INSERT INTO t FORMAT TSV\n\t1", "", "TSV", "\t1\n"},
		"data in both":                      {"INSERT INTO t VALUES (1)", "(2)", "Values", "(1)\n(2)"},
		"the name in the body":              {"INSERT INTO t FORMAT", "TSV\n1\n", "TSV", "1\n"},
		"the clause in the body":            {"INSERT INTO t", "format TSV 1\n", "TSV", "1\n"},
		"all in the body":                   {"", "INSERT INTO t FORMAT TSV\n\t1\n", "TSV", "\t1\n"},
		"all in the body, without data":     {"", "INSERT INTO t FORMAT TSV", "TSV", ""},
		"data longer than SQL may be":       {"", "INSERT INTO t FORMAT TSV\n" + rows, "TSV", rows},
		"a table and a column named format": {"INSERT INTO format (format) FORMAT TSV", "1\n", "TSV", "1\n"},
	} {
		q := &request{query: c.query, body: strings.NewReader(c.body), maxQuerySize: 50, total: &heldBytes{}}
		st, data, err := q.head()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := io.ReadAll(data)
		if err != nil || st.format != c.format || string(got) != c.data || !st.insert {
			t.Errorf("%s: %+v with %q, %v", name, st, got, err)
		}
	}
	// A name that is cut off is none.
	q := &request{body: strings.NewReader("INSERT INTO t FORMAT TabSeparated\n1\n"), maxQuerySize: 24,
		total: &heldBytes{}}
	if st, _, err := q.head(); err == nil || !strings.Contains(err.Error(), "Max query size exceeded") {
		t.Errorf("%+v, %v", st, err)
	}
}
