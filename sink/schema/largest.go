package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Pairs of AS and of addresses do not shrink: a table of all is a second copy of the rows. What people want of them is
// the largest. A rollup with Largest keeps those of each insert and adds up the others, so that its sums are those of
// data_flow all the same; they are kept and added up for each value of the other dimensions alone, such as the device.
// What was among the largest of some inserts alone has less than all of its traffic there. Questions therefore take
// from such a table which keys are the largest, and the figures of these from data_flow, whose key begins with AS and
// addresses.

// Folded is the column of rows that sum up what was not among the largest.
const Folded = "folded"

// Of each step in an insert one in keptShare keys is kept, and keptFewest at least. The number follows the rate:
// inserts have more keys where flows are many.
const keptFewest, keptShare = 20, 50

// folds reports whether the tables have the largest sums alone.
func (r *Rollup) folds() bool { return len(r.Largest) > 0 }

// columns are the names of the columns by which a rollup's rows are summed up.
func (r *Rollup) columns() []string {
	var all []string
	for _, d := range r.Dimensions {
		all = append(all, columnName(d))
	}
	if r.folds() {
		all = append(all, Folded)
	}
	return all
}

// foldedQuery keeps the largest of the sums of an insert and adds up the others.
func foldedQuery(r *Rollup, sums string) string {
	var columns, largest []string
	of := []string{"a.start_time"}
	for _, d := range r.Dimensions {
		name := ident(columnName(d))
		if !slices.Contains(r.Largest, d) {
			of, columns = append(of, "a."+name), append(columns, "t."+name+" AS "+name)
			continue
		}
		largest = append(largest, "a."+name)
		columns = append(columns, fmt.Sprintf("if(is_folded, defaultValueOfArgumentType(t.%[1]s), t.%[1]s) AS %[1]s",
			name))
	}
	window := func(rows string) string {
		return "(PARTITION BY " + strings.Join(of, ", ") + " ORDER BY a.bit_count DESC, " +
			strings.Join(largest, ", ") + rows + ")"
	}
	ranked := fmt.Sprintf("SELECT a.*, row_number() OVER %s > greatest(%d, intDiv(count() OVER %s, %d)) AS is_folded",
		window(""), keptFewest, window(" ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING"), keptShare) +
		"\nFROM\n(\n" + indented(sums) + "\n) AS a"
	columns = append(columns, "is_folded AS folded", "sum(t.flow_count) AS flow_count",
		"sum(t.bit_count) AS bit_count", "sum(t.packet_count) AS packet_count")
	return "SELECT\n    t.start_time AS start_time,\n    " + strings.Join(columns, ",\n    ") + "\nFROM\n(\n" +
		indented(ranked) + "\n) AS t\nGROUP BY ALL"
}

func indented(sql string) string { return "    " + strings.ReplaceAll(sql, "\n", "\n    ") }

// ChooseLargest returns the table that says at the least cost which keys of the question's dimensions have the most
// bits; not ok where only the rows know, or where the range is so short that these are as good.
func ChooseLargest(q Question, sources []Source, now time.Time) (c Choice, ok bool) {
	sorted := slices.Clone(sources)
	slices.SortStableFunc(sorted, func(a, b Source) int { return cmp.Compare(b.Cost(), a.Cost()) })
	for i := range sorted {
		s := &sorted[i]
		if s.missing(q.Dimensions) != "" || s.missing(q.Filters) != "" || !s.largestOf(&q) ||
			s.begin(now).After(q.From) || q.To.Sub(q.From) < fewestStepsOfLargest*s.Step {
			continue
		}
		c := s.chosen(&q, nil)
		c.Why = fmt.Sprintf("%s: the largest of %s by %s", s.Table, shortDuration(s.Step), s.Set)
		return c, true
	}
	return Choice{}, false
}

// largestOf reports whether the table's largest are those of the question: the largest pairs of addresses are no pairs
// of AS, and those of all flows are none of the flows that meet a condition.
func (s *Source) largestOf(q *Question) bool {
	if len(s.Largest) == 0 || slices.ContainsFunc(q.Filters, func(d string) bool {
		return slices.Contains(s.Largest, d)
	}) {
		return false
	}
	finest := FlowKey()[:2]
	if slices.Contains(s.Largest, "src_ip") {
		finest = FlowKey()[2:]
	}
	return !slices.ContainsFunc(finest, func(d string) bool { return !slices.Contains(q.Dimensions, d) })
}

// fewestStepsOfLargest is how many steps of a table a range must have. It is widened to whole steps, which may only
// change what is among the largest, not their figures.
const fewestStepsOfLargest = 12
