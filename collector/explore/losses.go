package explore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Losses describes what is missing from an answer: the collector's known losses in its time, and the sampling of its
// exporters.
type Losses struct {
	Missing []Missing // the most first
	// Sampled is how exporters sampled what the answer has; the most first. It is of flows since SampledFrom: of all
	// the time, or of its last hour. none: not known.
	Sampled     []Sampled
	SampledFrom time.Time
	// Queries are those that this is from.
	Queries Statements
}

// Missing is a known loss of the answer's time.
type Missing struct {
	Stage, Reason, Unit string
	Count               uint64
	// Share is Count as a part of everything that was received and lost, in the unit. 0: unknown.
	Share float64
	// Points are the counts in the steps of the answer; empty where it has none.
	Points []uint64
}

// Label returns what is missing and why, for people.
func (m *Missing) Label() string {
	text := m.Unit + " (" + m.Stage
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return strings.ReplaceAll(text+")", "_", " ")
}

// Sampled is the share of the bits that has a sampling rate.
type Sampled struct {
	Rate  uint64 // one packet of so many
	Share float64
}

// Losses queries what is missing from an answer.
func (e *Explorer) Losses(ctx context.Context, a *Answer) (*Losses, error) {
	l := &Losses{}
	if e.Planner.settings.Tables.Loss != "" {
		s := span{from: a.From, to: a.To, step: a.Step}
		query := e.Planner.lost(s, false)
		l.Queries.ask("known losses of this time, and what was received", query)
		lost, err := e.readLosses(ctx, query, s)
		if err != nil {
			return nil, fmt.Errorf("read what is missing: %w", err)
		}
		for i := range lost {
			l.Missing = append(l.Missing, lost[i].Missing)
		}
	}
	if (tables{e.Planner.settings}).has("sampling_rate") {
		if err := e.sampled(ctx, l, a); err != nil {
			return nil, fmt.Errorf("read how exporters sampled: %w", err)
		}
	}
	return l, nil
}

// sampledTime is the most time whose rows are read for sampling rates. The rollups do not have them.
const sampledTime = time.Hour

func (e *Explorer) sampled(ctx context.Context, l *Losses, a *Answer) error {
	s := span{from: a.From, to: a.To, step: a.Step}
	if now := e.Now(); s.to.After(now) {
		s.to = now.Add(time.Second).Truncate(time.Second)
	}
	if from := s.to.Add(-sampledTime); s.from.Before(from) {
		s.from = from
	}
	q := a.Question
	q.By, q.Unit, q.Top, q.View = []string{"sampling"}, Bits, 4, Table
	sel, err := e.Planner.selection(&q, s, e.Now(), false)
	if err != nil {
		return err
	}
	l.SampledFrom = s.from
	all := 0.0
	query := &Query{sql: "SELECT toUInt64(k1) AS rate, toFloat64(v) AS v\nFROM\n(\n" +
		indent(sel.grouped("", "")) + "\n)\nORDER BY v DESC", params: sel.params}
	l.Queries.ask("bits by sampling rate", query)
	if err := e.run(ctx, query, func(rows driver.Rows) error {
		var x Sampled
		if err := rows.Scan(&x.Rate, &x.Share); err != nil {
			return err
		}
		all += x.Share
		l.Sampled = append(l.Sampled, x)
		return nil
	}); err != nil {
		return err
	}
	for i := range l.Sampled {
		l.Sampled[i].Share /= max(all, 1)
	}
	return nil
}
