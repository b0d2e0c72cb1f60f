package explore

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/schema"
)

// Query is SQL with its parameters.
type Query struct {
	sql    string
	params parameters
	Source schema.Choice // the table that it reads, and why; the zero value for tables of metadata
}

// SQL returns the query with the parameters inserted, for `collector query`.
func (q *Query) SQL() string { return q.params.literal(q.sql) }

// Planner translates questions to queries. Its methods are safe for concurrent use.
type Planner struct {
	settings   *schema.Settings
	list       []dimension
	dimensions map[string]*dimension
	sources    atomic.Pointer[[]schema.Source] // the tables that can answer
}

// NewPlanner returns a planner for the tables of the settings, which must not change. It uses only data_flow until
// SetSources adds rollups.
func NewPlanner(s *schema.Settings) *Planner {
	p := &Planner{settings: s, list: dimensions(s), dimensions: map[string]*dimension{}}
	p.SetSources(s.Sources()[:1])
	for i := range p.list {
		p.dimensions[p.list[i].Name] = &p.list[i]
	}
	return p
}

// SetSources sets the tables that can answer, data_flow first, and since when each is complete.
func (p *Planner) SetSources(sources []schema.Source) { p.sources.Store(&sources) }

// dimension returns the dimension of that name; nil if there is none. Where all rows have its key in a column, that is
// read.
func (p *Planner) dimension(name string) *dimension {
	d := p.dimensions[name]
	if d == nil || d.stored == nil {
		return d
	}
	rows := &(*p.sources.Load())[0]
	if rows.Columns[d.needs] == "" || slices.Contains(rows.Later, d.needs) {
		return d
	}
	return d.stored
}

// by returns the dimensions of a question. reversed exchanges source and destination.
func (p *Planner) by(q *Question, reversed bool) ([]*dimension, error) {
	var all []*dimension
	for _, name := range q.By {
		if reversed {
			name = reverse(name)
		}
		d := p.dimension(name)
		if d == nil || d.Only {
			return nil, Refused(fmt.Sprintf("by: %q is no dimension here", name))
		}
		all = append(all, d)
	}
	return all, nil
}

// selection is a query under construction.
type selection struct {
	*Planner
	params parameters
	source schema.Choice // the table, and why
	where  string        // conditions on the time and of the filter
	value  string        // what is added up
	by     []*dimension
	unit   Unit
	asked  schema.Question // the time and the filters, without dimensions
	now    time.Time
	filter string // conditions of the filter, over data_flow; "" for none
	// parts are the tables of the time, for one sum over all of it; nil is source alone.
	parts []schema.Part
	with  string // WITH and the constants of the query; "" for none
}

func (p *Planner) selection(q *Question, s span, now time.Time, reversed bool) (*selection, error) {
	by, err := p.by(q, reversed)
	if err != nil {
		return nil, err
	}
	x, err := filter.Parse(q.Filter)
	if err != nil {
		return nil, err
	}
	sel := &selection{Planner: p, by: by}
	compiler := &compiler{p, &sel.params, reversed}
	condition, err := compiler.where(x)
	if err != nil {
		return nil, err
	}
	filters := compiler.columns(x)
	if len(q.Only) > 0 {
		filters = append(filters, columnsOf(p.settings, scopesOf(q.Only))...)
	}
	if len(q.Only) > 0 {
		condition = strings.TrimPrefix(condition+" AND "+sel.params.ofScopes(q.Only), " AND ")
	}
	sel.unit, sel.now, sel.filter = q.Unit, now, condition
	sel.asked = schema.Question{Filters: filters, From: s.from, To: s.to, Step: s.aligned()}
	sel.read(sel.choose(by, q.View == Single), sel.times())
	return sel, nil
}

// choose returns the table that answers the question by these dimensions.
func (s *selection) choose(by []*dimension, single bool) schema.Choice {
	asked := s.asked
	asked.Dimensions = s.columns(by)
	choice := schema.Choose(asked, *s.sources.Load(), s.now)
	// The rows have single flows, and paths that no extension types.
	if choice.Table == "" || single {
		return schema.Choice{Source: (*s.sources.Load())[0], Why: s.settings.Tables.Flow + ": single flows"}
	}
	return choice
}

// read has the selection read the rows of a table that begin in one of the ranges.
func (s *selection) read(source schema.Choice, ranges [][2]time.Time) {
	s.source = source
	s.value = map[Unit]string{Bits: source.Bits(), Packets: source.Packets(), Flows: source.Flows(),
		Volume: source.Bits()}[s.unit]
	if s.where = within(&source.Source, ranges); s.filter != "" {
		s.where += " AND " + s.of(s.filter)
	}
	if len(source.Largest) > 0 {
		s.where += " AND NOT " + schema.Folded
	}
}

const scopeColumn = "policy_scope"

// scopesOf returns the expression of the scopes of a flow among which the given ones are looked for.
func scopesOf(scopes []string) string {
	if slices.ContainsFunc(scopes, func(s string) bool { return strings.HasPrefix(s, schema.ASScope) }) {
		return scopeColumn
	}
	return schema.NamedScopeOf
}

// ofScopes returns the condition for flows of any of the scopes.
func (p *parameters) ofScopes(scopes []string) string {
	var list []string
	for _, scope := range scopes {
		list = append(list, p.text(scope))
	}
	return "hasAny(" + scopesOf(scopes) + ", [" + strings.Join(list, ", ") + "])"
}

// columns returns the columns that the dimensions read.
func (p *Planner) columns(by []*dimension) []string {
	var all []string
	for _, d := range by {
		all = append(all, d.columns...)
		for _, side := range d.both {
			all = append(all, p.dimension(side).columns...)
		}
	}
	return all
}

// of translates an expression over data_flow to the chosen table: a rollup has columns instead of paths of ext and of
// derived dimensions.
func (s *selection) of(expr string) string {
	if s.source.Step == 0 {
		return expr
	}
	if column := s.source.Columns[schema.NamedScope]; column != "" {
		expr = strings.ReplaceAll(expr, schema.NamedScopeOf, column)
	}
	return pathName.ReplaceAllStringFunc(expr, func(path string) string { return s.source.Columns[path] })
}

var pathName = regexp.MustCompile(`\bext\.[a-z_0-9]+`)

// aligned returns the widest step of a rollup, from UTC midnight, whose rows never cross a step of the span.
func (s span) aligned() time.Duration {
	step, offset := int64(s.step/time.Second), s.from.Unix()
	for offset %= step; offset != 0; step, offset = offset, step%offset {
	}
	return time.Duration(step) * time.Second
}

// stamp writes a time as toDateTime64 reads it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// keys lists k1, k2, …, the names of the keys' columns in every subquery, each formatted by format.
func (s *selection) keys(format string) string {
	var all []string
	for i := range s.by {
		all = append(all, fmt.Sprintf(format, fmt.Sprintf("k%d", i+1)))
	}
	return strings.Join(all, ", ")
}

// comma appends a comma to a list that is not empty.
func comma(list string) string {
	if list == "" {
		return ""
	}
	return list + ", "
}

// grouped returns the SELECT that sums rows by the dimensions' keys and by more terms, which have aliases. Keys of a
// dimension with fold are replaced by their value.
func (s *selection) grouped(terms, aliases string) string {
	g := grouping{ofRows: aliases != "" && s.joinsRows()}
	for i, d := range s.by {
		s.addKey(&g, d, fmt.Sprintf("k%d", i+1))
	}
	group := strings.Trim(comma(aliases)+strings.Join(g.keys, ", "), ", ")
	sql := "SELECT " + comma(terms) + comma(strings.Join(g.terms, ", ")) + s.value + " AS v\nFROM " + s.from("") +
		s.rows()
	if group != "" {
		sql += "\nGROUP BY " + group
	}
	if len(g.joins) == 0 {
		return sql
	}
	if g.ofRows {
		return "SELECT " + comma(terms) + strings.Join(g.folded, ", ") + ", " + s.value + " AS v\nFROM " +
			s.from(" AS g") + "\n" + strings.Join(g.rowJoins, "\n") + s.rows() + "\nGROUP BY " +
			strings.Trim(comma(aliases)+s.keys("%s"), ", ")
	}
	return "SELECT " + comma(aliases) + strings.Join(g.folded, ", ") + ", sum(g.v) AS v\nFROM\n(\n" + indent(sql) +
		"\n) AS g\n" + strings.Join(g.joins, "\n") + "\nGROUP BY " + strings.Trim(comma(aliases)+s.keys("%s"), ", ")
}

// joinsRows reports whether values are joined to rows, and not to the keys after grouping. It is so where there would
// be too many keys: pairs of both ends, or prefixes.
func (s *selection) joinsRows() bool {
	return slices.ContainsFunc(s.by, func(d *dimension) bool {
		if len(d.both) > 0 && d.fold != "" {
			return !s.dimension(d.both[0]).few
		}
		return d.fold != "" && (slices.Contains(d.columns, "src_ip_ref") || slices.Contains(d.columns, "dst_ip_ref"))
	})
}

// grouping holds the parts of grouped's query: the keys of rows and the values that replace them. rowJoins join rows
// instead of keys.
type grouping struct {
	ofRows                               bool // rows are joined
	terms, keys, folded, joins, rowJoins []string
}

func (s *selection) addKey(g *grouping, d *dimension, key string) {
	if d.fold == "" {
		expr := s.of(d.expr)
		if d.many {
			expr = "arrayJoin(emptyArrayToSingle(" + expr + "))"
		}
		g.terms, g.keys, g.folded = append(g.terms, expr+" AS "+key), append(g.keys, key), append(g.folded, key)
		if g.ofRows {
			g.folded[len(g.folded)-1] = expr + " AS " + key
		}
		return
	}
	sides := []*dimension{d}
	if len(d.both) > 0 {
		sides = []*dimension{s.dimension(d.both[0]), s.dimension(d.both[1])}
	}
	var values []string
	for i, side := range sides {
		name, join := fmt.Sprintf("%s_%d", key, i+1), fmt.Sprintf("l%s_%d", key, i+1)
		g.terms, g.keys = append(g.terms, s.of(side.expr)+" AS "+name), append(g.keys, name)
		g.joins = append(g.joins, fmt.Sprintf("ANY LEFT JOIN (%s) AS %s ON %s.key = g.%s", side.fold, join, join, name))
		g.rowJoins = append(g.rowJoins, fmt.Sprintf("ANY LEFT JOIN (%s) AS %s ON %s.key = %s", side.fold, join, join,
			s.of(side.expr)))
		values = append(values, join+".value")
	}
	folded := values[0]
	switch {
	case d.values:
		folded = "arrayJoin(emptyArrayToSingle(arrayDistinct(arrayConcat(" + strings.Join(values, ", ") + "))))"
	case len(values) > 1:
		folded = "arrayJoin(arrayDistinct([" + strings.Join(values, ", ") + "]))"
	}
	g.folded = append(g.folded, folded+" AS "+key)
}

func indent(sql string) string { return "    " + strings.ReplaceAll(sql, "\n", "\n    ") }

// shown returns the keys as texts. Keys beyond the top ranks are one line together.
func (s *selection) shown(condition string) string {
	var all []string
	for i, d := range s.by {
		key := fmt.Sprintf("k%d", i+1)
		show := "toString(" + key + ")"
		if d.show != "" {
			show = fmt.Sprintf(d.show, key)
		}
		all = append(all, fmt.Sprintf("if(%s, %s, '') AS s%d", condition, show, i+1))
	}
	return strings.Join(all, ", ")
}

// series returns the query for the largest lines over time: the texts of a line's keys, its rank, the step, and the sum
// in the step. Rank 0 is all other lines together. reversed exchanges source and destination.
func (p *Planner) series(q *Question, s span, now time.Time, reversed bool) (*Query, error) {
	sel, err := p.selection(q, s, now, reversed)
	if err != nil {
		return nil, err
	}
	t := fmt.Sprintf("intDiv(toUnixTimestamp(start_time) - %d, %d) AS t", s.from.Unix(), int64(s.step/time.Second))
	if len(sel.by) == 0 {
		return &Query{"SELECT toUInt64(1) AS rank, toInt64(t) AS t, toFloat64(v) AS v\nFROM\n(\n" +
			indent(sel.grouped(t, "t")) + "\n)\nORDER BY t", sel.params, sel.source}, nil
	}
	top := sel.params.number(uint64(q.Top))
	mark, by := "true", sel.by
	switch {
	case q.Top > MaxTop: // a map has all of them
	case len(sel.by) == 1:
		mark = sel.limit(0, top)
	default:
		mark = sel.limitAll(top)
	}
	sums := sel.lessLargest(t, by, mark)
	if sums == "" {
		sums = sel.grouped(t+", "+mark+" AS m", "t, m")
	}
	lines := "SELECT " + sel.keys("%s") + ", m, groupArray((t, v)) AS points, sum(v) AS total\nFROM\n(\n" +
		indent(sums) + "\n)\nGROUP BY m, " + sel.keys("%s")
	ranked := "SELECT *, row_number() OVER (ORDER BY m DESC, total DESC, " + sel.keys("%s") + ") AS n\nFROM\n(\n" +
		indent(lines) + "\n)"
	points := "SELECT " + sel.shown("m AND n <= "+top) + ", if(m AND n <= " + top +
		", n, 0) AS rank, arrayJoin(points) AS point\nFROM\n(\n" + indent(ranked) + "\n)"
	var texts []string
	for i := range sel.by {
		texts = append(texts, fmt.Sprintf("s%d", i+1))
	}
	list := strings.Join(texts, ", ")
	return &Query{sel.with + "SELECT " + list +
		", toUInt64(rank) AS rank, toInt64(point.1) AS t, toFloat64(sum(point.2)) AS v\nFROM\n(\n" +
		indent(points) + "\n)\nGROUP BY " + list + ", rank, t\nORDER BY rank, t", sel.params, sel.source}, nil
}

// links is the query for what goes from where to where: the texts and ranks of each dimension, and the sum. Rank 0 is
// all others of that dimension together.
func (p *Planner) links(q *Question, s span, now time.Time) (*Query, error) {
	sel, err := p.selection(q, s, now, false)
	if err != nil {
		return nil, err
	}
	var sums, ranks, texts, lists, terms, marks []string
	top := sel.params.number(uint64(q.Top))
	by := sel.by
	for i := range by {
		term, mark := sel.limit(i, top), fmt.Sprintf("m%d", i+1)
		terms, marks = append(terms, term+" AS "+mark), append(marks, mark)
	}
	for i, d := range by {
		key := fmt.Sprintf("k%d", i+1)
		sums = append(sums, fmt.Sprintf("sum(v) OVER (PARTITION BY m%d, %s) AS sum%d", i+1, key, i+1))
		ranks = append(ranks, fmt.Sprintf("dense_rank() OVER (ORDER BY m%d DESC, sum%d DESC, %s) AS n%d", i+1, i+1, key,
			i+1))
		show := "toString(" + key + ")"
		if d.show != "" {
			show = fmt.Sprintf(d.show, key)
		}
		texts = append(texts, fmt.Sprintf("if(m%[1]d AND n%[1]d <= %[2]s, %[3]s, '') AS s%[1]d, "+
			"if(m%[1]d AND n%[1]d <= %[2]s, n%[1]d, 0) AS r%[1]d", i+1, top, show))
		lists = append(lists, fmt.Sprintf("s%d, toUInt64(r%d) AS rank%d", i+1, i+1, i+1))
	}
	list := strings.Join(marks, ", ")
	rows := sel.lessEnds(by, top)
	if rows == "" {
		rows = sel.grouped(strings.Join(terms, ", "), list)
	}
	sql := "SELECT " + sel.keys("%s") + ", " + list + ", v, " + strings.Join(sums, ", ") + "\nFROM\n(\n" +
		indent(rows) + "\n)"
	sql = "SELECT " + sel.keys("%s") + ", " + list + ", v, " + strings.Join(ranks, ", ") + "\nFROM\n(\n" + indent(sql) +
		"\n)"
	sql = "SELECT v, " + strings.Join(texts, ", ") + "\nFROM\n(\n" + indent(sql) + "\n)"
	var group []string
	for i := range sel.by {
		group = append(group, fmt.Sprintf("s%d, r%d", i+1, i+1))
	}
	return &Query{"SELECT " + strings.Join(lists, ", ") + ", toFloat64(sum(v)) AS total\nFROM\n(\n" + indent(sql) +
		"\n)\nGROUP BY " + strings.Join(group, ", ") + "\nORDER BY total DESC", sel.params, sel.source}, nil
}

// hours returns the query for the sum of each hour of each day in the question's zone.
func (p *Planner) hours(q *Question, s span, now time.Time) (*Query, error) {
	alone := *q
	alone.By = nil
	s.step = time.Hour // of what is added up
	sel, err := p.selection(&alone, s, now, false)
	if err != nil {
		return nil, err
	}
	zone := sel.params.text(q.Location().String())
	terms := "toDate(start_time, " + zone + ") AS day, toHour(start_time, " + zone + ") AS hour"
	return &Query{"SELECT toString(day) AS day, toUInt8(hour) AS hour, toFloat64(v) AS v\nFROM\n(\n" +
		indent(sel.grouped(terms, "day, hour")) + "\n)\nORDER BY day, hour", sel.params, sel.source}, nil
}

// valuesOf returns the query for the rows of lookup, a SELECT of key and value, with those keys; both are returned as
// text. Keys are compared without a conversion, so that the store uses its index.
func valuesOf(lookup string, keys []string, k filter.Kind) *Query {
	var params parameters
	var list []string
	for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		if k != filter.AS {
			list = append(list, params.text(key))
		} else if n, err := strconv.ParseUint(key, 10, 32); err == nil {
			list = append(list, params.number(n))
		}
	}
	if len(list) == 0 {
		list = []string{"NULL"}
	}
	return &Query{sql: "SELECT toString(key) AS name, toString(value) AS text\nFROM\n(\n" + indent(lookup) +
		"\n)\nWHERE key IN (" + strings.Join(list, ", ") + ")", params: params}
}
