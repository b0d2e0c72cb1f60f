package store

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseStatement(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		want statement
		data string
	}{
		"select": {"SELECT 1", statement{text: "SELECT 1", verb: "SELECT"}, ""},
		"comment first": {"-- x\n/* ; */ # y\nselect 1;  ",
			statement{text: "-- x\n/* ; */ # y\nselect 1", verb: "SELECT"}, ""},
		"comments within comments": {"/* /* ; */ ' */ SELECT 1 /*/*;*/ ;*/;",
			statement{text: "/* /* ; */ ' */ SELECT 1 /*/*;*/ ;*/", verb: "SELECT"}, ""},
		"slashes": {"// ;'\nSELECT 1 / 2 // ;", statement{text: "// ;'\nSELECT 1 / 2 // ;", verb: "SELECT"}, ""},
		"parenthesis first": {"(SELECT 1) UNION ALL (SELECT 2)",
			statement{text: "(SELECT 1) UNION ALL (SELECT 2)", verb: "SELECT"}, ""},
		"format": {"SELECT 1 FORMAT JSON",
			statement{text: "SELECT 1 FORMAT JSON", verb: "SELECT", format: "JSON"}, ""},
		"format in text": {"SELECT ' FORMAT CSV', (SELECT 1 AS FORMAT)",
			statement{text: "SELECT ' FORMAT CSV', (SELECT 1 AS FORMAT)", verb: "SELECT"}, ""},
		"semicolon in text": {"SELECT 'a;''\\';', $$;$$, $x$;$$;$x$, `;`",
			statement{text: "SELECT 'a;''\\';', $$;$$, $x$;$$;$x$, `;`", verb: "SELECT"}, ""},
		"two": {"SELECT 1; DROP TABLE t", statement{text: "SELECT 1", verb: "SELECT", multi: true},
			""},
		"totals": {"SELECT a FROM t GROUP BY a WITH TOTALS",
			statement{text: "SELECT a FROM t GROUP BY a WITH TOTALS", verb: "SELECT", totals: true}, ""},
		"outfile": {"SELECT 1 INTO OUTFILE '/x'",
			statement{text: "SELECT 1 INTO OUTFILE '/x'", verb: "SELECT", outfile: true}, ""},
		"values": {"INSERT INTO t VALUES (1)",
			statement{text: "INSERT INTO t ", verb: "INSERT", format: "Values", insert: true, complete: true}, " (1)"},
		"columns": {"insert into d.t (a, `format`) values (1);",
			statement{text: "insert into d.t (a, `format`) ", verb: "INSERT", format: "Values", insert: true,
				complete: true}, " (1);"},
		"table named values": {"INSERT INTO values VALUES (1)",
			statement{text: "INSERT INTO values ", verb: "INSERT", format: "Values", insert: true, complete: true},
			" (1)"},
		"table named function": {"INSERT INTO function FORMAT CSV",
			statement{text: "INSERT INTO function ", verb: "INSERT", format: "CSV", insert: true, complete: true}, ""},
		"keyword table": {"INSERT INTO TABLE t FORMAT CSV 1",
			statement{text: "INSERT INTO TABLE t ", verb: "INSERT", format: "CSV", insert: true, complete: true}, " 1"},
		"table function": {"INSERT INTO FUNCTION null('a Int8') VALUES (1)",
			statement{text: "INSERT INTO FUNCTION null('a Int8') ", verb: "INSERT", format: "Values", insert: true,
				complete: true}, " (1)"},
		"binary behind": {"INSERT INTO t FORMAT Native\n\x00;SELECT",
			statement{text: "INSERT INTO t ", verb: "INSERT", format: "Native", insert: true, complete: true},
			"\n\x00;SELECT"},
		"settings before": {"INSERT INTO t SETTINGS a=1 FORMAT TSV\n1",
			statement{text: "INSERT INTO t SETTINGS a=1 ", verb: "INSERT", format: "TSV", insert: true, complete: true},
			"\n1"},
		"settings behind": {"INSERT INTO t FORMAT TSV SETTINGS a=1, b='x'\n1",
			statement{text: "INSERT INTO t  SETTINGS a=1, b='x'", verb: "INSERT", format: "TSV", insert: true,
				complete: true}, "\n1"},
		"format to follow": {"INSERT INTO t FORMAT",
			statement{text: "INSERT INTO t FORMAT", verb: "INSERT", insert: true}, "INSERT INTO t FORMAT"},
		"semicolon before the data": {"INSERT INTO t FORMAT CSV;\n1",
			statement{text: "INSERT INTO t ", verb: "INSERT", format: "CSV", insert: true, complete: true, early: true},
			";\n1"},
		"semicolon of the data": {"INSERT INTO t FORMAT CSV ;\n1",
			statement{text: "INSERT INTO t ", verb: "INSERT", format: "CSV", insert: true, complete: true}, " ;\n1"},
		"no format": {"INSERT INTO t (a)",
			statement{text: "INSERT INTO t (a)", verb: "INSERT", insert: true}, "INSERT INTO t (a)"},
		"insert select in parentheses": {"INSERT INTO t (a) (SELECT 1) UNION ALL (SELECT 2); ",
			statement{text: "INSERT INTO t (a) (SELECT 1) UNION ALL (SELECT 2)", verb: "INSERT"}, ""},
		"a column called select": {"INSERT INTO t (`select`) VALUES (1)",
			statement{text: "INSERT INTO t (`select`) ", verb: "INSERT", format: "Values", insert: true,
				complete: true}, " (1)"},
		"insert select with a format": {"INSERT INTO t SELECT 1 FORMAT TSV",
			statement{text: "INSERT INTO t SELECT 1 FORMAT TSV", verb: "INSERT"}, ""},
		"insert select": {"INSERT INTO t SELECT 1; ", statement{text: "INSERT INTO t SELECT 1", verb: "INSERT"},
			""},
		"insert with": {"INSERT INTO t (a) WITH 1 AS x SELECT x",
			statement{text: "INSERT INTO t (a) WITH 1 AS x SELECT x", verb: "INSERT"}, ""},
		"with insert": {"WITH 1 AS x INSERT INTO t SELECT x",
			statement{text: "WITH 1 AS x INSERT INTO t SELECT x", verb: "INSERT"}, ""},
		"insert select, two": {"INSERT INTO t SELECT 1; SELECT 2",
			statement{text: "INSERT INTO t SELECT 1", verb: "INSERT", multi: true}, ""},
		"infile": {"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
			statement{text: "INSERT INTO t FROM INFILE 'x' ", verb: "INSERT", format: "CSV", insert: true,
				complete: true, outfile: true}, ""},
		"open quote": {"SELECT 'a; b", statement{text: "SELECT 'a; b", verb: "SELECT"}, ""},
		"nothing":    {" \n", statement{text: " \n"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseStatement(c.sql)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(statement{}),
				cmpopts.IgnoreFields(statement{}, "data")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if data := c.sql[got.data:]; got.insert && data != c.data {
				t.Errorf("data %q, want %q", data, c.data)
			}
		})
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, s := range []string{"INSERT INTO t FORMAT CSV SETTINGS a=1,b=2\n1",
		"SELECT $x$ ; $x$ /* */ 'a' FORMAT JSON;", "(((", "INSERT", "WITH x AS (SELECT 1) SELECT x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		st := parseStatement(sql)
		if st.data > len(sql) || !st.insert && !strings.HasPrefix(sql, st.text) {
			t.Errorf("%q: %+v", sql, st)
		}
	})
}
