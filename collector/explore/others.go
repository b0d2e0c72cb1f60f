package explore

import (
	"fmt"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// What all others sum up to is all less the largest. A rollup has all in few rows, and those of the largest are read
// alone, so that a store with many values does not add up each of them in every step.

// whole returns a selection by other dimensions, of one sum over all the time, from the tables that are cheapest for
// it.
func (s *selection) whole(by []*dimension) *selection {
	only := s.over(by)
	only.parts = only.source.Parts(*s.sources.Load(), s.now)
	return only
}

// over returns a selection by other dimensions from the table that is cheapest for them.
func (s *selection) over(by []*dimension) *selection {
	only := *s
	only.by, only.parts = by, nil
	only.read(s.choose(by, false), s.times())
	return &only
}

// times is the time of the question.
func (s *selection) times() [][2]time.Time { return [][2]time.Time{{s.asked.From, s.asked.To}} }

// within returns the condition for rows of a table that begin in one of the ranges.
func within(source *schema.Source, ranges [][2]time.Time) string {
	var all []string
	for _, r := range ranges {
		all = append(all, source.Within(r[0], r[1]))
	}
	if len(all) == 1 {
		return all[0]
	}
	return "((" + strings.Join(all, ") OR (") + "))"
}

// from returns the table or the tables that are read, as they stand after FROM.
func (s *selection) from(alias string) string {
	table := func(source *schema.Source) string {
		return sqltext.Name(s.settings.Database) + "." + sqltext.Name(source.Table)
	}
	if len(s.parts) < 2 {
		return table(&s.source.Source) + alias
	}
	var parts []string
	for i := range s.parts {
		part := *s
		part.read(schema.Choice{Source: s.parts[i].Source}, s.parts[i].Ranges)
		parts = append(parts, "SELECT * FROM "+table(&s.parts[i].Source)+"\nWHERE "+part.where)
	}
	return "\n(\n" + indent(strings.Join(parts, "\nUNION ALL\n")) + "\n)" + alias
}

// rows returns the clause with the conditions on rows. Several tables have them already.
func (s *selection) rows() string {
	if len(s.parts) < 2 {
		return "\nWHERE " + s.where
	}
	return ""
}

// worthwhile is how many times as many flows a row of the table of all has to have, so that it is worth reading too.
const worthwhile = 10

// lessLargest returns the SELECT of t, m, the keys and v: in each step the rows of the largest, which meet the
// condition is, with m, and one of all others without. by are the dimensions as they were before limit. It is ""
// where one pass over the table costs no more.
func (s *selection) lessLargest(t string, by []*dimension, is string) string {
	all := s.over(nil)
	if is == "true" || all.source.Cost() < worthwhile*s.source.Cost() {
		return ""
	}
	largest := *s
	largest.by = by
	largest.where += " AND " + is
	keys := s.keys("%s")
	return "SELECT t, m, " + s.keys("if(m, assumeNotNull(%[1]s), "+
		"defaultValueOfArgumentType(assumeNotNull(%[1]s))) AS %[1]s") + ", sum(sign * w) AS v\nFROM\n(\n" +
		"    SELECT t, arrayJoin([true, false]) AS m, " + s.keys("if(m, o.%[1]s, NULL) AS %[1]s") +
		", if(m, 1, -1) AS sign, toInt128(o.v) AS w\n    FROM\n    (\n" + indent(indent(largest.grouped(t, "t"))) +
		"\n    ) AS o\n    UNION ALL\n    SELECT t, false AS m, " + s.keys("NULL AS %s") +
		", 1 AS sign, toInt128(v) AS w\n    FROM\n    (\n" + indent(indent(all.grouped(t, "t"))) +
		"\n    )\n)\nGROUP BY t, m, " + keys + "\nHAVING v > 0"
}

// lessEnds is lessLargest of two dimensions, each of which has its largest keys: the pairs of those, what of each
// goes to and comes from all others, and the rest. The largest of a dimension, with their sums, are found once, as a
// constant of the query. It is "" where a dimension alone has no table that is cheaper than that of both.
func (s *selection) lessEnds(by []*dimension, top string) string {
	if len(by) != 2 || !by[0].listed() || !by[1].listed() {
		return ""
	}
	all, pairs := s.whole(nil), s.whole(by)
	var constants, conditions []string
	for i, d := range by {
		end := s.whole(by[i : i+1])
		if end.source.Step == 0 || all.source.Step == 0 || end.source.Set == s.source.Set {
			return ""
		}
		constants = append(constants, fmt.Sprintf("(\n%s\n) AS top%d", indent(end.listed(top)), i+1))
		// From a subquery, for the server uses no index for an array of more than some values.
		conditions = append(conditions, fmt.Sprintf("%s IN (SELECT arrayJoin(arrayFlatten(arrayMap(x -> x.3, top%d))))",
			s.of(d.expr), i+1))
	}
	pairs.also(strings.Join(conditions, " AND "))
	// Each sum is added where it belongs and taken from the sums of others that it is a part of.
	part := func(signs, k1, k2, v, from string) string {
		return "SELECT arrayJoin([" + signs + "]) AS c, c.1 = 1 AS m1, c.2 = 1 AS m2, if(m1, " + k1 +
			", NULL) AS k1, if(m2, " + k2 + ", NULL) AS k2, c.3 * toInt128(" + v + ") AS w\nFROM\n(\n" +
			indent(from) + "\n) AS o"
	}
	parts := []string{
		part("(1, 1, 1), (1, 0, -1), (0, 1, -1), (0, 0, 1)", "o.k1", "o.k2", "o.v", pairs.grouped("", "")),
		part("(1, 0, 1), (0, 0, -1)", "o.x.1", "NULL", "o.x.2", "SELECT arrayJoin(top1) AS x"),
		part("(0, 1, 1), (0, 0, -1)", "NULL", "o.x.1", "o.x.2", "SELECT arrayJoin(top2) AS x"),
		part("(0, 0, 1)", "NULL", "NULL", "o.v", all.grouped("", "")),
	}
	const key = "if(m%[1]d, assumeNotNull(k%[1]d), defaultValueOfArgumentType(assumeNotNull(k%[1]d))) AS k%[1]d, "
	return "WITH " + strings.Join(constants, ", ") + "\nSELECT m1, m2, " + fmt.Sprintf(key, 1) + fmt.Sprintf(key, 2) +
		"sum(w) AS v\nFROM\n(\n" + indent(strings.Join(parts, "\nUNION ALL\n")) +
		"\n)\nGROUP BY m1, m2, k1, k2\nHAVING v > 0"
}

// listed reports whether the keys of rows that the largest of a dimension stand for can be a constant of a query: there
// are not many more than AS.
func (d *dimension) listed() bool {
	return d.wide() && (d.fold == "" || len(d.columns) == 1 && strings.HasSuffix(d.columns[0], "_as_id"))
}

// listed returns the SELECT of an array of the largest keys of its one dimension, with their sums and the keys of rows
// that they stand for.
func (s *selection) listed(top string) string {
	d := s.by[0]
	if d.fold == "" {
		return "SELECT groupArray((k1, v, [k1])) FROM\n(\n" + indent("SELECT k1, v FROM\n(\n"+
			indent(s.grouped("", ""))+"\n)\nORDER BY v DESC, k1 LIMIT "+top) + "\n)"
	}
	rows := *s
	rows.by = []*dimension{{expr: d.expr}}
	return "SELECT groupArray((k1, v, rows)) FROM\n(\n" + indent("SELECT l.value AS k1, sum(g.v) AS v, "+
		"groupArray(g.k1) AS rows FROM\n(\n"+indent(rows.grouped("", ""))+"\n) AS g\nANY LEFT JOIN ("+d.fold+
		") AS l ON l.key = g.k1\nGROUP BY k1\nORDER BY v DESC, k1 LIMIT "+top) + "\n)"
}

// also adds a condition on rows, over data_flow.
func (s *selection) also(condition string) {
	s.filter = strings.TrimPrefix(s.filter+" AND "+condition, " AND ")
	s.read(s.source, s.times())
}
