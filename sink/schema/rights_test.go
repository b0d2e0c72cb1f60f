package schema

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// limited is a connection of a user who may not send statements that denied matches.
type limited struct {
	driver.Conn
	denied *regexp.Regexp
	sent   []string // by Exec
}

func (l *limited) check(query string) error {
	if l.denied != nil && l.denied.MatchString(query) {
		return &chgo.Exception{Code: 497, Message: "Not enough privileges"}
	}
	return nil
}

func (l *limited) Exec(ctx context.Context, query string, args ...any) error {
	l.sent = append(l.sent, query)
	if err := l.check(query); err != nil {
		return err
	}
	return l.Conn.Exec(ctx, query, args...)
}

func (l *limited) Select(ctx context.Context, dest any, query string, args ...any) error {
	if err := l.check(query); err != nil {
		return err
	}
	return l.Conn.Select(ctx, dest, query, args...)
}

func (l *limited) QueryRow(ctx context.Context, query string, args ...any) driver.Row {
	if err := l.check(query); err != nil {
		return deniedRow{err: err}
	}
	return l.Conn.QueryRow(ctx, query, args...)
}

type deniedRow struct {
	driver.Row
	err error
}

func (r deniedRow) Scan(...any) error { return r.err }
func (r deniedRow) Err() error        { return r.err }

// A user who may not create or alter anything will do where all tables are there (operations F18).
func TestApplyWithoutRights(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.DictionarySource = DictionarySource{Username: "default"}
	apply(t, conn, s)
	const create = `^(CREATE|ALTER|DROP)`
	text := func(changes []Change) string {
		var lines []string
		for _, c := range changes {
			lines = append(lines, fmt.Sprint(c.Line, " ", c.Warning))
		}
		return strings.Join(lines, "\n")
	}
	for _, test := range []struct {
		name, denied string
		prepare      func(*Settings)
		statement    string // is run before
		want         string // in the lines; "": none
		err          string
	}{
		{"all is there", create, func(*Settings) {}, "", "", ""},
		{"system tables are not readable", create + `|system\.`, func(*Settings) {}, "",
			"the tables of database golden are taken as they are", ""},
		{"nothing may be looked at", create + `|system\.|^EXISTS`, func(*Settings) {}, "", "", "Not enough privileges"},
		{"a password for dictionaries", create, func(s *Settings) { s.DictionarySource.Password = "x" }, "",
			"not done, as this user may not; it stays as it is: dictionary meta_as_dict: definition replaced", ""},
		{"a view that is not seen", create, func(*Settings) {}, "DROP VIEW golden.data_flow_by_ip_version_5m_mv",
			"not done, as this user may not; its table is filled only if somebody else has made it: view " +
				"data_flow_by_ip_version_5m_mv: created: CREATE", ""},
		{"a longer memory of tokens", create, func(s *Settings) { s.DeduplicationWindow *= 2 }, "",
			"may be stored twice: table data_flow: ", ""},
		{"a dictionary that may not be read", create + `|^SELECT 1 FROM`, func(*Settings) {}, "", "", ""},
		{"a column that rows can do without", create, func(*Settings) {},
			"ALTER TABLE golden.data_flow DROP COLUMN tcp_flags",
			"rows are stored without it: table data_flow: column tcp_flags", ""},
		{"a column that is missing", create, func(*Settings) {}, "ALTER TABLE golden.data_flow DROP COLUMN dst_port",
			"", "column dst_port"},
		{"a table that is missing", create, func(*Settings) {},
			"DROP TABLE golden.meta_device SETTINGS check_table_dependencies = 0", "", "table meta_device: created"},
		{"a table that is missing, unseen", create + `|system\.`, func(*Settings) {},
			"DROP TABLE golden.meta_device SETTINGS check_table_dependencies = 0", "", "table meta_device: created"},
	} {
		t.Run(test.name, func(t *testing.T) {
			apply(t, conn, s)
			if test.statement != "" {
				run(t, conn, test.statement)
			}
			s := s
			test.prepare(&s)
			changes, err := Apply(context.Background(), &limited{Conn: conn, denied: regexp.MustCompile(test.denied)},
				s)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if got := text(changes); !strings.Contains(got, test.want) || test.want == "" && test.err == "" &&
				got != "" {
				t.Errorf("said %q, want %q", got, test.want)
			}
		})
	}
}

// Errors other than of rights are errors.
func TestExecuteFailsForOtherReasons(t *testing.T) {
	conn := failing{err: &chgo.Exception{Code: 62, Message: "Syntax error"}}
	if _, err := execute(context.Background(), conn,
		[]step{{statement: "CREATE", line: "x", without: "y"}}); err == nil {
		t.Error("no error")
	}
}

type failing struct {
	driver.Conn
	err error
}

func (f failing) Exec(context.Context, string, ...any) error { return f.err }

// The TTL is the table's, whatever the settings say (operations F31).
func TestTTLOfTheTable(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	apply(t, conn, s)
	for _, test := range []struct {
		alter string
		want  TTL
		known bool
	}{
		{"", TTL{"30 DAY", "start_time"}, true},
		{"MODIFY TTL start_time + INTERVAL 100 YEAR", TTL{"100 YEAR", "start_time"}, true},
		{"MODIFY TTL toDateTime(start_time) + INTERVAL 3 MONTH DELETE", TTL{"3 MONTH", "start_time"}, true},
		{"MODIFY TTL insert_time + toIntervalWeek(2)", TTL{"2 WEEK", "insert_time"}, true},
		{"MODIFY TTL start_time + INTERVAL 1 DAY DELETE WHERE src_port = 1", TTL{}, false},
		{"MODIFY TTL toStartOfMonth(start_time) + INTERVAL 1 DAY", TTL{}, false},
		{"REMOVE TTL", TTL{}, true},
	} {
		if test.alter != "" {
			run(t, conn, "ALTER TABLE golden.data_flow "+test.alter)
		}
		got, known, err := FlowTTL(context.Background(), conn, &s)
		if err != nil || got != test.want || known != test.known {
			t.Errorf("after %q: %v, %v, %v; want %v, %v", test.alter, got, known, err, test.want, test.known)
		}
	}
	if lines := apply(t, conn, s); len(lines) != 1 || !strings.Contains(lines[0], "its TTL is none") {
		t.Errorf("said %q", lines)
	}
	// The statement that the line gives does what it says.
	_, warnings, err := Compare(context.Background(), conn, s)
	if err != nil || len(warnings) != 1 {
		t.Fatal(warnings, err)
	}
	_, statement, _ := strings.Cut(warnings[0], "To change it: ")
	offers, err := Offers(context.Background(), conn, s)
	if err != nil || len(offers) != 1 || offers[0].Statement != statement {
		t.Fatalf("offered %+v, %v; want %s", offers, err, statement)
	}
	run(t, conn, statement)
	if lines := apply(t, conn, s); len(lines) > 0 {
		t.Errorf("after %s: %q", statement, lines)
	}
	if got, _, err := FlowTTL(context.Background(), &limited{Conn: conn, denied: regexp.MustCompile("system")},
		&s); err != nil || got != s.FlowTTL {
		t.Errorf("where it cannot be read: %v, %v", got, err)
	}
	s.Tables.Flow = "nothing"
	if got, known, err := FlowTTL(context.Background(), conn, &s); err != nil || !known || got != s.FlowTTL {
		t.Errorf("where there is no table: %v, %v", got, err)
	}
}

func TestParseTTL(t *testing.T) {
	for text, want := range map[string]TTL{
		"": {},
		"start_time + toIntervalDay(30), start_time + toIntervalDay(7) TO VOLUME 'cold'":     {"30 DAY", "start_time"},
		"start_time + toIntervalDay(7) TO DISK 's3', start_time + toIntervalDay(30) DELETE":  {"30 DAY", "start_time"},
		"`start_time` + toIntervalDay(1)":                                                    {"1 DAY", "start_time"},
		"toDate(start_time) + toIntervalYear(2), start_time + toIntervalDay(1) RECOMPRESS X": {"2 YEAR", "start_time"},
	} {
		if got, known := parseTTL(text); !known || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, known, want)
		}
	}
	for _, text := range []string{"start_time + toIntervalDay(30), insert_time + toIntervalDay(30)", "now()",
		"start_time + toIntervalDay(30) GROUP BY a SET b = max(b)"} {
		if got, known := parseTTL(text); known {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// Views that are not in the settings any more are named with the statement that ends them. An operator's own are not.
func TestViewsThatAreLeft(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	apply(t, conn, s)
	run(t, conn, "CREATE TABLE golden.own (start_time DateTime, bits UInt64) ENGINE = Null",
		"CREATE MATERIALIZED VIEW golden.own_mv TO golden.own AS SELECT start_time, bit_count AS bits FROM "+
			"golden.data_flow")
	removed := s.Views[0]
	s.Views = s.Views[1:]
	lines := slices.DeleteFunc(apply(t, conn, s), func(line string) bool {
		return strings.HasPrefix(line, "view edge_") // these read another table from now on
	})
	if len(lines) != 1 || !strings.Contains(lines[0],
		"view "+removed.name()+": is not in the settings and goes on being filled") {
		t.Fatalf("said %q", lines)
	}
	_, statement, _ := strings.Cut(lines[0], "to end that: ")
	statement, _, _ = strings.Cut(statement, ";")
	run(t, conn, statement)
	if lines := apply(t, conn, s); len(lines) > 0 {
		t.Errorf("after %s: %q", statement, lines)
	}
}

// Times that a view cannot hold are counted in its first or last window, and its TTL does not take them for old ones
// (review B14).
func TestViewsHoldEveryTime(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = ""
	for i, window := range []string{"5m", "1w", "1y", "2w"} {
		view := NewView(ByIPVersion, window)
		if window == "2w" {
			view.TTL.Interval = ""
		}
		s.Views = append(s.Views[:i:i], view)
	}
	apply(t, conn, s)
	run(t, conn,
		"INSERT INTO golden.data_flow (start_time, bit_count) SELECT toDateTime64(v, 3, 'UTC'), 8 FROM VALUES('v "+
			"String', "+
			"'1900-01-01 00:00:00', '1969-12-31 23:59:59', '1970-01-01 00:00:00', toString(now()), '2099-12-31 "+
			"23:59:59', "+
			"'2106-02-07 06:28:16', '2106-02-08 00:00:00', '2200-01-01 00:00:00', '2299-12-31 23:59:59')")
	for _, view := range s.Views {
		table := "golden." + view.Table
		if got := ask(t, conn, "SELECT sum(flow_count) FROM "+table); view.TTL.Interval == "" && got != "9" {
			t.Errorf("%s: %s flows, want 9", view.Table, got) // elsewhere those of long ago are the TTL's to drop
		}
		if got := ask(t, conn, "SELECT sum(flow_count) FROM "+table+" WHERE start_time >= '2099-01-01'"); got != "5" {
			t.Errorf("%s: %s flows in the last windows, want 5", view.Table, got)
		}
		run(t, conn, "OPTIMIZE TABLE "+table+" FINAL")
		if got := ask(t, conn, "SELECT sum(flow_count) FROM "+table+" WHERE start_time >= '2026-01-01'"); got != "6" {
			t.Errorf("%s: %s flows of now and later after merges, want 6", view.Table, got)
		}
	}
}
