package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// words are comments and texts in quotes, which are passed over, and names, of columns among them.
var words = regexp.MustCompile(`--[^\n]*|#[ !][^\n]*|(?s:/\*.*?\*/)|` +
	"'(?:[^'\\\\]|\\\\.|'')*'|`[^`]*`|\"[^\"]*\"|[A-Za-z_][A-Za-z0-9_.]*")

// nameOf is a word without the quotes that a name may have.
func nameOf(word string) string {
	for _, quote := range []string{"`", `"`} {
		if strings.HasPrefix(word, quote) {
			return strings.Trim(word, quote)
		}
	}
	return word
}

// FiltersOf are the columns of data_flow and paths of its ext that a condition names, for Question.Filters. The
// condition is SQL as it would stand in WHERE of a query of data_flow. start_time is among them: a rollup has the begin
// of its step there. So are names with dots, such as paths of ext without a type: only data_flow may have them.
func (s *Settings) FiltersOf(condition string) []string {
	columns := s.Sources()[0].Columns
	var filters []string
	for _, word := range words.FindAllString(condition, -1) {
		name := nameOf(word)
		if strings.ContainsAny(word[:1], "-#/'") || slices.Contains(filters, name) {
			continue
		}
		if columns[name] != "" || strings.Contains(name, ".") {
			filters = append(filters, name)
		}
	}
	return filters
}

// In is an expression over data_flow, a condition or a key, as it is written over the chosen table: paths of ext are
// columns of rollups.
func (c *Choice) In(expression string) string {
	return words.ReplaceAllStringFunc(expression, func(word string) string {
		if column := c.Columns[nameOf(word)]; column != "" {
			return column
		}
		return word
	})
}

// SQL is the query that answers the question from the chosen table: a row for each step and each value of the
// dimensions, with flows, bits and packets. condition is as in FiltersOf; "" is none. With limit, and without a step,
// these are the rows with the most bits.
func (c *Choice) SQL(s *Settings, q Question, condition string, limit int) string {
	var columns, where []string
	order := "bits DESC"
	if q.Step > 0 {
		columns = append(columns, fmt.Sprintf("toStartOfInterval(start_time, INTERVAL %d SECOND) AS time",
			int(q.Step.Seconds())))
		order = "time, bits DESC"
	}
	for _, d := range q.Dimensions {
		columns = append(columns, c.Columns[d]+" AS "+ident(columnName(d)))
	}
	columns = append(columns, c.Flows()+" AS flows", c.Bits()+" AS bits", c.Packets()+" AS packets")
	if !c.From.IsZero() {
		where = append(where, "start_time >= "+sinceLiteral(c.From))
	}
	if !c.To.IsZero() {
		where = append(where, "start_time < "+sinceLiteral(c.To))
	}
	if condition != "" {
		where = append(where, "("+c.In(condition)+"\n)") // it may end with a comment
	}
	sql := "SELECT " + strings.Join(columns, ", ") + "\nFROM " + s.qualified(c.Table)
	if len(where) > 0 {
		sql += "\nWHERE " + strings.Join(where, " AND ")
	}
	sql += "\nGROUP BY ALL\nORDER BY " + order
	if limit > 0 {
		sql += fmt.Sprintf("\nLIMIT %d", limit)
	}
	return sql
}
