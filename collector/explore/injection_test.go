package explore

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// hostile are values that would do something if they became SQL, a parameter, a pattern or a path.
var hostile = []string{
	`'`, `\`, `''`, `\'`, `' OR 1=1 --`, `") OR 1=1 --`, "`", "{p0:String}", "{p1:UInt64}", "{p0:Identifier}", "%", "_",
	"*",
	"a'; DROP TABLE data_flow --", "'); DROP TABLE data_flow; SELECT ('", "\x00", "\n", "\t\\N", "é", "𝕏",
	strings.Repeat("a", 1000), "$1", "?", "unknown'", "0x41", "NULL", "\u2028", "\\x27", "%27", "/* */", "--", "#",
	"' UNION ALL SELECT name FROM system.users --", "file('/etc/passwd')", "url('http://192.0.2.1/')",
	"“) OR 1=1 --”", "‘; DROP TABLE data_flow --’", "' SETTINGS readonly = 0 --", "' FORMAT Null --",
	"x' INTO OUTFILE '/tmp/out", "'; SYSTEM SHUTDOWN; --", "' OR sleep(3) --", "toString(now())",
	"dictGet('meta_as_dict', 'name', 1)", "(SELECT password FROM system.users)", "{p0:String}'", "{", "}}", "{{p0}}",
	"\\' OR 1=1 --", "¿' OR 1=1 --", "' OR ''='", "$$ OR 1=1 $$", "$tag$ OR $tag$", "\u02bc OR 1=1",
	"\x1a", "\r\nX-Header: x", "%' OR '%'='", "* OR 1=1", "</script><script>alert(1)</script>"}

// wild are those that may be a part of a text, or stand for one.
func wild(value string) bool {
	return value == "%" || value == "*" || value == "_" || value == "é"
}

// Whatever stands in a filter is a value, never SQL: of every field, with every comparison that the field has.
func testInjection(t *testing.T, e *Explorer) {
	fields := []string{"proto", "src.as", "org", "app", "scope"}
	for i, value := range hostile {
		for _, op := range []string{"~", "!="} {
			field := fields[i%len(fields)] // the SQL of all of them is looked at below
			q := Question{Filter: field + " " + op + " " + filter.Quote(value), Unit: Packets, View: Table, Top: 5,
				From: noon.Add(-time.Hour), To: noon}
			a, err := e.Ask(t.Context(), q)
			if err != nil {
				t.Errorf("%s: %v", q.Filter, err)
				continue
			}
			all := 0.0
			for _, s := range a.Series {
				all += s.Total / 10
			}
			if !wild(value) && op != "!=" && all != 0 || !wild(value) && op == "!=" && all != 360 {
				t.Errorf("%s takes %g", q.Filter, all)
			}
		}
	}
	testInjectionOfFields(t, e)
	testInjectionOfParameters(t, e)
	testInjectionOfScopes(t, e)
	testInjectionOfNames(t, e)
	var n uint64
	if err := e.Conn.QueryRow(t.Context(), "SELECT count() FROM explored.data_flow").Scan(&n); err != nil || n != 180 {
		t.Errorf("the table has %d rows then, %v", n, err)
	}
}

// The SQL for every field and comparison has the value in its parameters alone.
func testInjectionOfFields(t *testing.T, e *Explorer) {
	const value = `x' OR 'y'='y`
	for _, field := range e.Planner.Fields() {
		for _, form := range []string{"%s = %s", "%s != %s", "%s ~ %s", "%s in (%s, 1)", "not %s !~ %s", "%s < %s",
			"%s >= %s"} {
			text := fmt.Sprintf(form, field, filter.Quote(value))
			q := Question{Filter: text, Unit: Bits, View: Table, Top: 5, From: noon.Add(-time.Hour), To: noon}
			query, err := e.Planner.series(&q, q.span(noon), noon, false)
			if err != nil {
				continue // the value is no number, no address
			}
			if strings.Contains(query.sql, "y'='y") {
				t.Errorf("%s is in the SQL:\n%s", text, query.sql)
			}
			// As text it is quoted: reading it gives the same value.
			if printed := query.SQL(); strings.Contains(printed, "'y'='y") && !strings.Contains(printed, `\'y\'=\'y`) {
				t.Errorf("%s is not quoted in\n%s", text, printed)
			}
		}
	}
}

// The other parameters of a page are words of a list, numbers or times, whatever stands in them; what is neither is
// refused, before the store is asked.
func testInjectionOfParameters(t *testing.T, e *Explorer) {
	for i, value := range hostile {
		for _, name := range []string{"by", "unit", "view", "top", "last", "from", "to", "zone", "before"} {
			values := url.Values{name: {value}}
			if name == "to" {
				values.Set("from", "2026-03-05")
			}
			q, err := Parse(values, noon)
			if err == nil && name == "by" && len(q.By) > 0 {
				_, err = e.Ask(t.Context(), q)
			} else if err == nil && strings.TrimSpace(value) == "" {
				continue // nothing is there
			}
			if err == nil {
				t.Errorf("%s=%q is taken: %+v", name, value, q)
			} else if Status(err) != 400 {
				t.Errorf("%s=%q: status %d: %v", name, value, Status(err), err)
			}
		}
		kinds := []string{"if", "circuit", "device", "org"}
		for _, kind := range []string{"as", "ip", kinds[i%len(kinds)]} {
			s, err := ParseSubject(kind, value)
			if err != nil {
				continue
			}
			if facts, err := e.Facts(t.Context(), s, value); err != nil || len(facts) > 0 {
				t.Errorf("about %s %q: %v, %v", kind, value, facts, err)
			}
		}
	}
}

// Scopes of a user are values too, and what is completed.
func testInjectionOfScopes(t *testing.T, e *Explorer) {
	q := Question{Unit: Packets, View: Table, Top: 5, From: noon.Add(-time.Hour), To: noon, Only: hostile}
	a, err := e.Ask(t.Context(), q)
	if err != nil || len(a.Series) > 0 {
		t.Errorf("hostile scopes see %v, %v", a, err)
	}
	fields := []string{"proto", "org", "src.as", "src.ip"}
	for i, value := range hostile {
		text := fields[i%len(fields)] + " = " + filter.Quote(value)
		if _, err := e.Suggest(t.Context(), text, len(text), []string{value}); err != nil {
			t.Errorf("complete %s: %v", text, err)
		}
	}
}

// Names in the store are hostile too: they become the filters of lines, and what is printed of an answer.
func testInjectionOfNames(t *testing.T, e *Explorer) {
	batch, err := e.Conn.PrepareBatch(t.Context(), "INSERT INTO explored.data_flow (start_time, end_time, device_id, "+
		"protocol, in_interface_id, bit_count, packet_count, src_ip, dst_ip, flow_type)")
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(-48 * time.Hour)
	names := append([]string{
		"\x1b[31mred", "\u202eevil", "<b>&\"'", "مرحبا", "👩‍🚀", strings.Repeat("long ", 300),
		"\xff\xfe", "a*b", "ab"}, hostile...)
	for _, name := range names {
		if err := batch.Append(at, at, name, "tcp", name, uint64(8000), uint64(1), "2001:db8::1", "2001:db8::2",
			"netflow"); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := e.Conn.Exec(context.WithoutCancel(t.Context()),
			"ALTER TABLE explored.data_flow DROP PARTITION ID '20260303'"); err != nil {
			t.Error(err)
		}
	}()
	for _, view := range []string{"table", "flows", "sankey", "losses"} {
		a := ask(t, e, "view="+view+"&by=device,in.if&unit=packets&top=50&from=2026-03-03T11:30&to=2026-03-03T12:30")
		var printed strings.Builder
		if err := a.Print(&printed); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(printed.String(), "\x1b\x00\u202e") {
			t.Errorf("%s: what is printed may change a terminal: %q", view, printed.String())
		}
		for _, s := range a.Series {
			if s.Filter == "" {
				continue
			}
			q := a.Question
			q.Filter = s.Filter
			b, err := e.Ask(t.Context(), q)
			if err != nil {
				t.Errorf("the filter of %q: %v", s.Label(), err)
			} else if got := b.Sum().Total; got != s.Total {
				t.Errorf("the filter of %q, %s, takes %g, and the line has %g", s.Label(), s.Filter, got, s.Total)
			}
		}
		// As SQL it runs as it is.
		result, err := e.Conn.QueryFormat(t.Context(), "TSV", a.Query.SQL())
		if err != nil {
			t.Errorf("%s: %v", view, err)
			continue
		}
		if _, err := io.Copy(io.Discard, result); err != nil {
			t.Errorf("%s: %v", view, err)
		}
		_ = result.Close()
	}
}
