package explore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

func (e *Explorer) links(ctx context.Context, a *Answer, s span, by []*dimension) error {
	if len(by) < 2 || a.Question.View == Matrix && len(by) != 2 {
		return Refused(fmt.Sprintf("by: a %s needs %s", a.Question.View,
			map[View]string{Sankey: "two to four dimensions", Matrix: "two dimensions"}[a.Question.View]))
	}
	query, err := e.Planner.links(&a.Question, s, e.Now())
	if err != nil {
		return err
	}
	a.Query = query
	a.Queries.ask("from where to where (rank 0: all others of a dimension)", query)
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		link := Link{Nodes: make([]Node, len(by))}
		ranks := make([]uint64, len(by))
		var into []any
		for i := range by {
			into = append(into, &link.Nodes[i].Key, &ranks[i])
		}
		if err := rows.Scan(append(into, &link.Total)...); err != nil {
			return err
		}
		var keys []string
		for i, rank := range ranks {
			link.Nodes[i].Rank = int(rank)
			keys = append(keys, link.Nodes[i].Key)
		}
		if !slices.Contains(ranks, 0) {
			link.Filter = condition(by, keys)
		}
		for i := range link.Nodes {
			if link.Nodes[i].Rank != 0 {
				link.Nodes[i].Filter = condition(by[i:i+1], keys[i:i+1])
			}
		}
		a.Links = append(a.Links, link)
		return nil
	}); err != nil {
		return err
	}
	return e.nameLinks(ctx, a, by)
}

func (e *Explorer) hours(ctx context.Context, a *Answer, s span) error {
	query, err := e.Planner.hours(&a.Question, s, e.Now())
	if err != nil {
		return err
	}
	a.Query = query
	a.Queries.ask("the sum of each hour of each day", query)
	return e.run(ctx, query, func(rows driver.Rows) error {
		var date string
		var hour uint8
		var v float64
		if err := rows.Scan(&date, &hour, &v); err != nil {
			return err
		}
		if n := len(a.Days); n == 0 || a.Days[n-1].Date != date {
			a.Days = append(a.Days, Day{Date: date})
		}
		if hour < 24 {
			a.Days[len(a.Days)-1].Hours[hour] = a.Question.Unit.figure(v,
				a.Question.hourOf(date, int(hour)))
		}
		return nil
	})
}

// hourOf returns how long an hour of a day is in the question's zone.
func (q Question) hourOf(date string, hour int) time.Duration {
	day, err := ParseDate(date, q.Location())
	if err != nil {
		return time.Hour
	}
	from, to := q.Hour(day, hour)
	return to.Sub(from)
}

// Hour returns when an hour of a day begins and ends in the question's zone. Where clocks go back within it, it is two
// hours long.
func (q Question) Hour(day time.Time, hour int) (from, to time.Time) {
	at := func(hour int) time.Time {
		t := time.Date(day.Year(), day.Month(), day.Day(), hour, 0, 0, 0, q.Location())
		if earlier := t.Add(-time.Hour); earlier.Hour() == t.Hour() { // the second of two
			return earlier
		}
		return t
	}
	from, to = at(hour), at(hour+1)
	if to.Sub(from) < time.Hour { // clocks go forward at its end
		to = from.Add(time.Hour)
	}
	return from, to
}
