package explore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/collector/web/figures"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Subject is something with a page of its own: an AS, an address, an interface.
type Subject struct {
	Kind SubjectKind
	ID   string // as the tables have it: 64500, 192.0.2.7, core1::up
}

// SubjectKind is the kind of a subject.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectAS        SubjectKind = "as"
	SubjectAddress   SubjectKind = "ip"
	SubjectInterface SubjectKind = "if"
	SubjectCircuit   SubjectKind = "circuit"
	SubjectDevice    SubjectKind = "device"
	SubjectOrg       SubjectKind = "org"
)

// subjectKinds lists the kinds with their label, the dimension for traffic from such a subject, and their table.
var subjectKinds = []struct {
	kind        SubjectKind
	label, from string
	table       string
}{
	{SubjectAS, "AS", "src.as", schema.ASTable},
	{SubjectAddress, "Address", "src.ip", ""},
	{SubjectInterface, "Interface", "in.if", schema.InterfaceTable},
	{SubjectCircuit, "Circuit", "in.circuit", schema.CircuitTable},
	{SubjectDevice, "Device", "device", schema.DeviceTable},
	{SubjectOrg, "Organization", "src.org", ""},
}

// ParseSubject reads what a page's address says. Its error is a Refused that names the kind.
func ParseSubject(kind, id string) (Subject, error) {
	s, err := parseSubject(kind, id)
	if err != nil {
		return s, Refused(err.Error())
	}
	return s, nil
}

func parseSubject(kind, id string) (Subject, error) {
	s := Subject{SubjectKind(kind), strings.TrimSpace(id)}
	switch s.Kind {
	case SubjectAS:
		n, ok := filter.ASNumber(s.ID)
		if !ok {
			return s, fmt.Errorf("as: %q is no AS number", id)
		}
		s.ID = strconv.FormatUint(uint64(n), 10)
	case SubjectAddress:
		a, err := netip.ParseAddr(s.ID)
		if err != nil || a.Zone() != "" {
			return s, fmt.Errorf("ip: %q is no address", id)
		}
		s.ID = a.Unmap().String()
	case SubjectInterface, SubjectCircuit, SubjectDevice, SubjectOrg:
		if s.ID == "" || len(s.ID) > 500 {
			return s, fmt.Errorf("%s: there is no such id", kind)
		}
	default:
		return s, fmt.Errorf("%q is nothing that there is a page of", kind)
	}
	return s, nil
}

// SubjectOf returns the subject of a dimension's key; false if there is none.
func (p *Planner) SubjectOf(dimension, key string) (Subject, bool) {
	if key == "" {
		return Subject{}, false
	}
	name := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(dimension, "src."), "dst."),
		"in."), "out.")
	if name == "next.as" {
		name = "as"
	}
	s, err := ParseSubject(name, key)
	return s, err == nil
}

// Subjects returns the subjects that all flows of a filter have, at most three: those of an address or an AS that is
// compared for equality, and not within or and not.
func (p *Planner) Subjects(text string) []Subject {
	x, err := filter.Parse(text)
	if err != nil {
		return nil
	}
	tests := []*filter.Expr{x}
	if x.Op == filter.And {
		tests = x.Args
	}
	var all []Subject
	for _, test := range tests {
		if test.Op != filter.Test || test.Compare != filter.Equal || len(test.Values) != 1 ||
			filter.IsUnknown(test.Values[0].Text) || strings.Contains(test.Values[0].Text, "*") ||
			len(all) == mostSubjects {
			continue
		}
		s, ok := p.SubjectOf(filter.Canonical(test.Field), test.Values[0].Text)
		if ok && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// mostSubjects is how many subjects of a filter have a link.
const mostSubjects = 3

// Label returns the subject's name for people.
func (s Subject) Label() string {
	if s.Kind == SubjectAS {
		return "AS" + s.ID
	}
	return s.ID
}

// Title returns the name of the subject's kind.
func (s Subject) Title() string {
	for _, k := range subjectKinds {
		if k.kind == s.Kind {
			return k.label
		}
	}
	return ""
}

// Questions returns the questions of a subject's page: its traffic in both directions, with whom, of what, and when.
func (s Subject) Questions() []Titled {
	from := string(s.Kind)
	for _, k := range subjectKinds {
		if k.kind == s.Kind {
			from = k.from
		}
	}
	out := from + " = " + filter.Quote(s.ID) // that comes from it
	either := strings.TrimPrefix(strings.TrimPrefix(from, "src."), "in.") + " = " + filter.Quote(s.ID)
	q := Question{Filter: out, Last: 24 * time.Hour, Unit: Bits, View: Both, Top: 8, Zone: time.UTC}
	traffic := q
	what := q
	what.Filter, what.View, what.By = either, Table, []string{"app"}
	when := q
	when.Filter, when.View, when.Last = either, Hours, 7*24*time.Hour
	with := q
	with.By = []string{"dst.as"}
	titled := []Titled{{"Traffic from it, and to it downwards", traffic}, {"With whom", with}, {"What", what},
		{"When", when}}
	switch s.Kind {
	case SubjectAddress:
		titled[1].Question.By = []string{"dst.ip"}
	case SubjectDevice:
		titled[0] = Titled{"Traffic", traffic}
		titled[0].Question.View, titled[0].Question.By = Stacked, []string{"in.if"}
	case SubjectInterface, SubjectCircuit:
		titled[0].Title = "Traffic in, and out downwards"
		titled[1].Question.By = []string{"src.as"}
	}
	return titled
}

// Titled is a question with a title.
type Titled struct {
	Title    string
	Question Question
}

// Fact is a column of a subject's record in the metadata.
type Fact struct {
	Name  string // what it is, as the table's column has it
	Value string
	From  string // the table
}

// Facts returns the newest metadata record of a subject, and the sources of the record. For an address ref is the ref
// of the meta_ip record whose prefix contains it, or "".
func (e *Explorer) Facts(ctx context.Context, s Subject, ref string) ([]Fact, error) {
	if s.Kind == SubjectAddress {
		if ref == "" {
			return nil, nil
		}
		return e.record(ctx, schema.IPTable, "ref", ref)
	}
	if s.Kind == SubjectOrg {
		return e.record(ctx, schema.OrganizationTable, "name", s.ID)
	}
	for _, k := range subjectKinds {
		if k.kind != s.Kind || k.table == "" {
			continue
		}
		facts, err := e.record(ctx, k.table, "toString(id)", s.ID)
		if err != nil || s.Kind != SubjectAS {
			return facts, err
		}
		i := slices.IndexFunc(facts, func(f Fact) bool { return f.Name == "organization_id" })
		if i < 0 {
			return facts, nil
		}
		more, err := e.record(ctx, schema.OrganizationTable, "id", facts[i].Value)
		for _, f := range more {
			switch f.Name {
			case "id", "insert_time":
			case "name":
				facts = append(facts, Fact{"organization", f.Value, f.From})
			default:
				facts = append(facts, Fact{"organization: " + f.Name, f.Value, f.From})
			}
		}
		return facts, err
	}
	return nil, nil
}

// hiddenColumns are columns for internal use.
var hiddenColumns = []string{"ref", "hash", "ext", "tag"}

// record returns the columns of the newest version of a record, and the sources that have it.
func (e *Explorer) record(ctx context.Context, table, key, value string) ([]Fact, error) {
	t := tables{e.Planner.settings}
	var p parameters
	q := Query{sql: "SELECT * FROM " + t.of(table) + " WHERE " + key + " = " + p.text(value) +
		" ORDER BY insert_time DESC LIMIT 1", params: p}
	row, err := e.jsonRow(ctx, &q)
	if err != nil || row == nil {
		return nil, err
	}
	var facts []Fact
	for _, column := range row {
		if column.Value != "" && !slices.Contains(hiddenColumns, column.Name) &&
			!strings.HasSuffix(column.Name, "_ref") {
			value := column.Value
			if table == schema.InterfaceTable && column.Name == "speed" {
				value += " Mbit/s"
			}
			facts = append(facts, Fact{column.Name, value, e.Planner.settings.TableName(table)})
		}
	}
	i := slices.IndexFunc(row, func(f Fact) bool { return f.Name == "id" })
	if i < 0 {
		return facts, nil
	}
	var p2 parameters
	sources := Query{sql: "SELECT arrayStringConcat(groupUniqArray(toString(source)), ', ') AS said_by FROM " +
		t.name(schema.SourceTable) +
		" FINAL WHERE present AND table_name = " + p2.text(table) + " AND id = " + p2.text(row[i].Value), params: p2}
	said, err := e.jsonRow(ctx, &sources)
	if err != nil {
		return nil, err
	}
	if len(said) == 1 && said[0].Value != "" {
		facts = append(facts, Fact{"said by", said[0].Value, e.Planner.settings.TableName(table)})
	}
	return facts, nil
}

// HasSpeed reports whether things of the subject's kind have a speed: interfaces and circuits.
func (s Subject) HasSpeed() bool { return s.Kind == SubjectInterface || s.Kind == SubjectCircuit }

// Speed returns the speed of an interface or of a circuit in bits a second; 0 if it is not known, and of anything else.
func (e *Explorer) Speed(ctx context.Context, s Subject) (float64, error) {
	if !s.HasSpeed() {
		return 0, nil
	}
	speeds, err := e.speedsOf(ctx, nil, e.Planner.dimension(string(s.Kind)), []string{s.ID})
	return speeds[s.ID], err
}

// Fullness says how full something of that speed was in its busier direction. The answer is of View Both, without
// dimensions.
func (a *Answer) Fullness(speed float64) string {
	if speed <= 0 {
		return "Its speed is not known: meta_interface has it, from SNMP or from a file."
	}
	text := "Speed " + figures.SI(speed) + Bits.Label()
	if a.Empty() || a.OnlyPartial() || len(a.Back) == 0 {
		return text + "."
	}
	name, busy := "in", a.Series[0].Stats
	if back := a.Back[0].Stats; back.P95 > busy.P95 || back.P95 == busy.P95 && back.Mean > busy.Mean {
		name, busy = "out", back
	}
	return fmt.Sprintf("%s. The busier direction, %s, was full by %s (min), %s (mean), %s (95 %%) and %s (max), in "+
		"steps of %s.", text, name, Percent(busy.Min/speed), Percent(busy.Mean/speed), Percent(busy.P95/speed),
		Percent(busy.Max/speed), StepText(a.Fine))
}

// jsonRow returns the first row of a query as names and texts, in the order of the columns, or nil if there is none.
func (e *Explorer) jsonRow(ctx context.Context, q *Query) (row []Fact, err error) {
	ctx = chgo.Context(ctx, chgo.WithParameters(q.values()), chgo.WithSettings(e.limits(idOf(ctx))))
	result, err := e.Conn.QueryFormat(ctx, "JSONCompactEachRowWithNames", q.sql)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	decoder := json.NewDecoder(io.LimitReader(result, 1<<20))
	decoder.UseNumber()
	var names []string
	var values []any
	if err := decoder.Decode(&names); err != nil {
		return nil, fmt.Errorf("read the names of columns: %w", err)
	}
	if err := decoder.Decode(&values); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, fmt.Errorf("read a record: %w", err)
	}
	for i, name := range names[:min(len(names), len(values))] {
		row = append(row, Fact{Name: name, Value: plain(values[i])})
	}
	return row, nil
}

// plain formats a JSON value for people: a list with commas, a prefix with a slash, IPv4 without ::ffff:, null as "".
func plain(v any) string {
	list, ok := v.([]any)
	if !ok {
		if v == nil || v == false {
			return ""
		}
		return strings.TrimPrefix(fmt.Sprint(v), "::ffff:")
	}
	var all []string
	for _, item := range list {
		if pair, ok := item.([]any); ok && len(pair) == 2 {
			all = append(all, fmt.Sprintf("%s/%v", strings.TrimPrefix(fmt.Sprint(pair[0]), "::ffff:"), pair[1]))
		} else if text := plain(item); text != "" {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", ")
}

// Seen returns when the first and the last flow within the last days began that match a filter, and a scope in only
// unless that is empty. The times are zero if there is none.
func (e *Explorer) Seen(ctx context.Context, condition string, only []string, days int) (first, last time.Time,
	err error) {
	q := Question{Filter: condition, Only: only, Last: time.Duration(days) * 24 * time.Hour, Unit: Bits, View: Table,
		Top: 1}
	sel, err := e.Planner.selection(&q, span{from: e.Now().Add(-q.Last), to: e.Now(), step: time.Second}, e.Now(),
		false)
	if err != nil {
		return first, last, err
	}
	query := Query{sql: "SELECT toUnixTimestamp(min(start_time)) AS first, toUnixTimestamp(max(start_time)) AS last " +
		"FROM " +
		sqltext.Name(e.Planner.settings.Database) + "." + sqltext.Name(e.Planner.settings.Tables.Flow) + " WHERE " +
		sel.where +
		" HAVING count() > 0", params: sel.params}
	row, err := e.jsonRow(ctx, &query)
	if err != nil || len(row) != 2 {
		return first, last, err
	}
	from, err := strconv.ParseInt(row[0].Value, 10, 64)
	to, err2 := strconv.ParseInt(row[1].Value, 10, 64)
	return time.Unix(from, 0).UTC(), time.Unix(to, 0).UTC(), errors.Join(err, err2)
}
