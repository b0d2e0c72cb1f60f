package explore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Suggestion is a possible completion at a place of a filter.
type Suggestion struct {
	Text string `json:"text"` // what is written there
	Note string `json:"note"` // what it is; "" where the text says it
	// Filter is the whole filter with it, and At the place to go on from, in bytes. Open says that more must follow.
	Filter string `json:"filter"`
	At     int    `json:"at"`
	Open   bool   `json:"open"`
}

// What suggestions may cost: they are asked for while somebody types.
const (
	mostSuggestions = 20
	suggestSeconds  = 2
	suggestRows     = 5_000_000
	suggestTime     = time.Hour // of flows in which values are looked for
)

// Suggest completes a filter at an offset, in bytes: with fields, comparisons, and values that the store has. What the
// store takes too long to find is left out. Only are the scopes whose flows may be seen; none: all.
func (e *Explorer) Suggest(ctx context.Context, text string, at int, only []string) ([]Suggestion, error) {
	if len(text) > filter.MaxLength {
		return nil, nil
	}
	place := filter.At(text, at)
	var all []Suggestion
	switch place.Want {
	case filter.WantField:
		all = e.Planner.suggestFields(place.Typed)
	case filter.WantOperator:
		all = e.Planner.suggestOperators(place)
	case filter.WantValue:
		var err error
		if all, err = e.suggestValues(ctx, place, only); err != nil {
			return nil, err
		}
	case filter.WantWord:
		for _, word := range []string{"and", "or"} {
			if strings.HasPrefix(word, strings.ToLower(place.Typed)) {
				all = append(all, Suggestion{Text: word, Open: true})
			}
		}
	}
	all = all[:min(len(all), mostSuggestions)]
	for i := range all {
		s := &all[i]
		end := " "
		if rest := text[place.To:]; strings.HasPrefix(rest, " ") || strings.HasPrefix(rest, ",") ||
			strings.HasPrefix(rest, ")") || strings.HasSuffix(s.Text, "(") {
			end = ""
		}
		s.Filter = text[:place.From] + s.Text + end + text[place.To:]
		s.At = place.From + len(s.Text) + len(end)
	}
	return all, nil
}

// suggestFields returns the fields that begin with the typed text, then those with the text in their name or label.
func (p *Planner) suggestFields(typed string) []Suggestion {
	typed = strings.ToLower(strings.ReplaceAll(typed, "_", "."))
	var begin, hold []Suggestion
	for i := range p.list {
		d := &p.list[i]
		s := Suggestion{Text: d.Name, Note: d.Label, Open: true}
		switch {
		case strings.HasPrefix(d.Name, typed):
			begin = append(begin, s)
		case strings.Contains(d.Name, typed) || strings.Contains(strings.ToLower(d.Label), typed):
			hold = append(hold, s)
		}
	}
	return append(begin, hold...)
}

// suggestOperators returns the comparisons that a field allows.
func (p *Planner) suggestOperators(place filter.Place) []Suggestion {
	d, ok := p.dimensions[filter.Canonical(place.Field)]
	if !ok {
		return nil
	}
	all := []Suggestion{{Text: "=", Note: "is"}, {Text: "!=", Note: "is not"}, {Text: "in (", Note: "is one of"},
		{Text: "not in (", Note: "is none of"}}
	switch d.kind {
	case filter.Number, filter.Size:
		all = append(all, Suggestion{Text: ">=", Note: "at least"}, Suggestion{Text: "<=", Note: "at most"})
	case filter.Address:
		all = append(all, Suggestion{Text: "in", Note: "of a prefix"})
	default:
		all = append(all, Suggestion{Text: "~", Note: "has this in it"},
			Suggestion{Text: "!~", Note: "does not have this in it"})
	}
	all = slices.DeleteFunc(all, func(s Suggestion) bool {
		return !strings.HasPrefix(s.Text, strings.ToLower(place.Typed))
	})
	for i := range all {
		all[i].Open = true
	}
	return all
}

// suggestValues returns values of a field that contain the typed text, or whose names contain it.
func (e *Explorer) suggestValues(ctx context.Context, place filter.Place, only []string) ([]Suggestion, error) {
	d, ok := e.Planner.dimensions[filter.Canonical(place.Field)]
	if !ok {
		return nil, nil
	}
	if d.kind == filter.Size {
		return []Suggestion{{Text: "1M"}, {Text: "10M"}, {Text: "100M"}, {Text: "1G"}}, nil
	}
	query := e.Planner.valuesLike(d, place.Typed, only, e.Now())
	limits := e.limits(idOf(ctx))
	maps.Copy(limits, chgo.Settings{
		"max_execution_time": suggestSeconds, "timeout_overflow_mode": "break", "max_memory_usage": maxMemory / 4,
		"max_rows_to_read": suggestRows, "read_overflow_mode": "break",
	})
	var all []Suggestion
	if err := e.runWithin(ctx, limits, query, func(rows driver.Rows) error {
		var value, name string
		if err := rows.Scan(&value, &name); err != nil {
			return err
		}
		if value = d.key(value); value != "" {
			all = append(all, Suggestion{Text: filter.Quote(value), Note: name})
		}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look for values of %s: %w", d.Name, err)
	}
	return all, nil
}

// valuesLike returns the query for values that contain a text. They are from the metadata if it has them, otherwise
// from the flows of the last hour, largest first.
func (p *Planner) valuesLike(d *dimension, typed string, only []string, now time.Time) *Query {
	var params parameters
	for len(d.both) > 0 && d.expr == "" { // values of either end are those of one
		d = p.dimension(d.both[0])
	}
	if d.kind == filter.AS && len(typed) > 2 && strings.EqualFold(typed[:2], "as") {
		if _, ok := filter.ASNumber(typed); ok {
			typed = typed[2:]
		}
	}
	like := func(text string) string {
		return "position(lowerUTF8(" + text + "), lowerUTF8(" + params.text(typed) + "))"
	}
	limit := fmt.Sprintf("LIMIT %d", mostSuggestions)
	order := func(key string) string {
		return "\nORDER BY " + like(key) + " != 1, length(" + key + "), " + key + "\n" + limit
	}
	switch {
	case d.fold != "":
		value := "value"
		if d.values {
			value = "arrayJoin(value)"
		}
		return &Query{sql: "SELECT DISTINCT toString(" + value + ") AS text, '' AS name\nFROM\n(\n" + indent(d.fold) +
			"\n)\nWHERE notEmpty(text) AND " + like("text") + " > 0" + order("text"), params: params}
	case d.names != "":
		return &Query{sql: "SELECT toString(key) AS text, toString(value) AS name\nFROM\n(\n" + indent(d.names) +
			"\n)\nWHERE " + like("text") + " > 0 OR " + like("name") + " > 0\nORDER BY " + like("text") + " != 1, " +
			like("name") + " != 1, length(text), text\n" + limit, params: params}
	}
	key, scoped := d.expr, ""
	if d.many {
		key = "arrayJoin(" + key + ")"
	}
	if len(only) > 0 {
		scoped = " AND " + params.ofScopes(only)
	}
	show := "toString(key)"
	if d.show != "" {
		show = fmt.Sprintf(d.show, "key")
	}
	return &Query{sql: "SELECT " + show + " AS text, '' AS name\nFROM\n(\n    SELECT " + key +
		" AS key, sum(bit_count) AS bits\n    FROM " + sqltext.Name(p.settings.Database) + "." +
		sqltext.Name(p.settings.Tables.Flow) + "\n    WHERE start_time >= toDateTime64(" +
		params.text(stamp(now.Add(-suggestTime))) + ", 3, 'UTC') AND start_time < toDateTime64(" +
		params.text(stamp(now)) + ", 3, 'UTC')" + scoped + "\n    GROUP BY key\n)\nWHERE notEmpty(text) AND " +
		like("text") +
		" > 0\nORDER BY " + like("text") + " != 1, bits DESC, text\n" + limit, params: params}
}
