package explore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/schema"
)

// limit replaces the keys of the i-th dimension that are not among the largest by one key, and returns the condition
// for rows of the largest. A subquery finds those first. Otherwise a dimension with many keys would take memory for
// each key, and several dimensions for each combination. Keys that fold does not have are kept: together they have the
// value "unknown", which may be among the largest.
func (s *selection) limit(i int, top string) string {
	d := s.by[i]
	if !d.wide() {
		return "true"
	}
	expr, largest := s.of(d.expr), s.largest(s.by[i:i+1], top)
	is := expr + " IN (" + largest + ")"
	if d.fold != "" {
		is = expr + " NOT IN (SELECT key FROM (" + d.fold + ") WHERE value NOT IN (" + largest + "))"
	}
	s.by = slices.Clone(s.by)
	s.by[i] = d.limited(is, expr)
	return is
}

// limitAll is limit for the combinations of all dimensions, if each has one key of a row: pairs of addresses are as
// many as flows.
func (s *selection) limitAll(top string) string {
	if !slices.ContainsFunc(s.by, (*dimension).wide) {
		return "true"
	}
	var exprs []string
	var raw []*dimension
	for _, d := range s.by {
		if d.fold != "" || d.several() {
			return "true"
		}
		exprs = append(exprs, s.of(d.expr))
		raw = append(raw, d.rawKeys()...)
	}
	is := s.candidates(raw, top)
	if is == "" {
		is = s.amongLargest(raw, top)
	}
	s.by = slices.Clone(s.by)
	for i, d := range s.by {
		s.by[i] = d.limited(is, exprs[i])
	}
	return is
}

// amongLargest returns the condition for rows whose keys of all dimensions are the largest.
func (s *selection) amongLargest(raw []*dimension, top string) string {
	var columns []string
	for _, d := range raw {
		columns = append(columns, s.of(d.expr))
	}
	key := "(" + strings.Join(columns, ", ") + ")"
	if slices.ContainsFunc(s.by, func(d *dimension) bool { return d.kind != filter.AS }) {
		// Adding up by a hash takes a third of the time of addresses and texts. Two keys with the same one would both
		// be among the largest, each with its own figures.
		key, raw = "cityHash64"+key, []*dimension{{expr: "cityHash64" + key, columns: s.columns(raw)}}
	}
	return key + " IN (" + s.largest(raw, top) + ")"
}

// moreThanShown is how many times as many keys as are shown are candidates. A rollup of the largest may lack some of
// the traffic of a key, by which it is found further down. Rows of each candidate are read, so more cost more.
const moreThanShown = "2"

// candidates returns the condition for rows of those keys that may be the largest, as a rollup of the largest says. The
// figures are then of the rows, of which the condition finds those of a pair by their primary key. It is "" where there
// is no such rollup.
func (s *selection) candidates(raw []*dimension, top string) string {
	if s.source.Step > 0 || s.unit != Bits && s.unit != Volume {
		return ""
	}
	asked := s.asked
	asked.Dimensions = s.columns(raw)
	choice, ok := schema.ChooseLargest(asked, *s.sources.Load(), s.now)
	if !ok {
		return ""
	}
	var columns []string
	for _, column := range slices.Concat(schema.FlowKey(), asked.Dimensions) {
		if choice.Columns[column] != "" && !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
	}
	found := *s
	found.by, found.asked.From, found.asked.To = raw, choice.From, choice.To
	found.read(choice, found.times())
	found.parts = choice.Parts(*s.sources.Load(), s.now)
	keys := found.keys("%s")
	is := "SELECT " + keys + " FROM\n(\n" + indent(found.grouped("", "")) + "\n)\nORDER BY v DESC, " + keys +
		" LIMIT " + moreThanShown + " * " + top
	if !slices.Equal(columns, asked.Dimensions) { // with those of the primary key that the question does not have
		found.also("(" + strings.Join(asked.Dimensions, ", ") + ") IN (" + is + ")")
		found.by = plainDimensions(columns)
		is = "SELECT " + found.keys("%s") + " FROM\n(\n" + indent(found.grouped("", "")) + "\n)"
	}
	s.source.Why += "; " + choice.Why
	s.source.LargestBy = choice.Table
	s.with = "WITH (\n" + indent("SELECT groupArray(("+found.keys("%s")+")) FROM\n(\n"+indent(is)+"\n)") +
		"\n) AS candidates\n"
	return amongCandidates(columns)
}

// amongCandidates returns the condition for rows whose columns are one of the candidates, tuples that are a constant of
// the query. Addresses are compared by themselves too: the server reads the other columns only of what is left, and few
// rows are.
func amongCandidates(columns []string) string {
	var all, elements []string
	for i, column := range columns {
		elements = append(elements, fmt.Sprintf("x.%d", i+1))
		if strings.HasSuffix(column, "_ip") {
			all = append(all, fmt.Sprintf("%s IN (SELECT arrayJoin(candidates.%d))", column, i+1))
		}
	}
	all = append(all, "("+strings.Join(columns, ", ")+") IN (SELECT "+strings.Join(elements, ", ")+
		" FROM (SELECT arrayJoin(candidates) AS x))")
	return "(" + strings.Join(all, " AND ") + ")"
}

// rawKeys returns the dimensions of the columns that the key is made of where these are cheaper to group by and say the
// same, else the dimension itself.
func (d *dimension) rawKeys() []*dimension {
	if len(d.raw) == 0 {
		return []*dimension{d}
	}
	return plainDimensions(d.raw)
}

// plainDimensions returns dimensions whose keys are columns as they are.
func plainDimensions(columns []string) []*dimension {
	var all []*dimension
	for _, column := range columns {
		all = append(all, &dimension{expr: column, columns: []string{column}})
	}
	return all
}

// largest returns the SELECT of the keys of dimensions that have the largest sums.
func (s *selection) largest(by []*dimension, top string) string {
	only := s.whole(by)
	keys := only.keys("%s")
	return "SELECT " + keys + " FROM\n(\n" + indent(only.grouped("", "")) + "\n)\nORDER BY v DESC, " + keys +
		" LIMIT " + top
}

// limited returns the dimension with expr as the key of rows that meet a condition, and an empty key for the others.
func (d *dimension) limited(condition, expr string) *dimension {
	x := *d
	x.expr = "if(" + condition + ", " + expr + ", defaultValueOfArgumentType(" + expr + "))"
	return &x
}

// several reports whether a row can have several keys of a dimension.
func (d *dimension) several() bool { return d.many || d.values || len(d.both) > 0 }

// wide reports whether a dimension can have so many keys that limit is worthwhile.
func (d *dimension) wide() bool {
	if d.several() || d.few {
		return false // there is no one key to compare, or nothing to gain
	}
	return d.fold != "" || d.kind == filter.AS || d.kind == filter.Address || d.kind == filter.Application ||
		d.kind == filter.Number || d.Name == "as.path"
}
