package schema

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// sinceText is filledSince as the server writes it.
var sinceText = regexp.MustCompile(`insert_time >= toDateTime64\('([0-9: .-]{23})', 3, 'UTC'\)`)

// sinceDelay is how far ahead a new view begins: all inserts that the server takes from then on know it.
const sinceDelay = 5 * time.Second

// readRollupsSince finds out since when the views of rollups count rows: those that are there say it, those to be made
// begin soon, or count all where data_flow is not there yet or has no rows. A row is counted by the view or by Fill, as
// its insert_time says, and never by both.
func (have *state) readRollupsSince(ctx context.Context, conn driver.Conn, s *Settings) error {
	s.RollupsSince = maps.Clone(s.RollupsSince)
	if s.RollupsSince == nil {
		s.RollupsSince = map[string]time.Time{}
	}
	if flow := have.tables[s.local(s.Tables.Flow)]; s.RollupsLater && (flow.Rows == nil || *flow.Rows > 0) {
		var made []string
		for _, r := range s.rollups() {
			if _, there := have.tables[r.Table(r.Steps[0])+viewSuffix]; there {
				made = append(made, r.Name)
			}
		}
		s.Rollups = made
	}
	var soon time.Time
	for _, r := range s.rollups() {
		name := r.Table(r.Steps[0]) + viewSuffix
		if old, there := have.tables[name]; there {
			if m := sinceText.FindStringSubmatch(old.Select); m != nil {
				since, err := time.Parse(sinceLayout, m[1])
				if err != nil {
					return fmt.Errorf("view %s: since when it counts rows: %w", name, err)
				}
				s.RollupsSince[name] = since
			}
			continue
		}
		if flow := have.tables[s.local(s.Tables.Flow)]; flow.Rows == nil || *flow.Rows == 0 {
			continue
		}
		if soon.IsZero() {
			if err := conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&soon); err != nil {
				return fmt.Errorf("read the server's time: %w", err)
			}
			soon = soon.Add(sinceDelay)
		}
		s.RollupsSince[name] = soon
	}
	return nil
}

// readRollupsFilled finds out which rollups have the rows from before their views.
func (have *state) readRollupsFilled(ctx context.Context, conn driver.Conn, s *Settings) error {
	s.RollupsFilled = map[string]bool{}
	if _, there := have.tables[FillTable]; !there {
		return nil
	}
	for _, r := range s.rollups() {
		f := Filling{Rollup: r.Name, Since: s.RollupsSince[r.Table(r.Steps[0])+viewSuffix]}
		if f.Since.IsZero() {
			continue
		}
		done, err := s.filledHours(ctx, conn, &f)
		if err != nil {
			return err
		}
		s.RollupsFilled[r.Name] = done[allHours]
	}
	return nil
}
