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

// keepMadeRollups turns off the rollups that are not there yet, if data_flow has rows. It is for RollupsLater.
func (have *state) keepMadeRollups(s *Settings) {
	if flow := have.tables[s.local(s.Tables.Flow)]; flow.Rows != nil && *flow.Rows == 0 {
		return
	}
	var made []string
	for _, r := range s.rollups() {
		if _, there := have.tables[r.Table(r.Steps[0])+viewSuffix]; there {
			made = append(made, r.Name)
		}
	}
	s.Rollups = made
}

// readRollupsSince finds out since when the views of rollups count rows: those that are there say it, those to be made
// begin soon, or count all where data_flow is not there yet or has no rows. A row is counted by the view or by Fill, as
// its insert_time says, and never by both.
func (have *state) readRollupsSince(ctx context.Context, conn driver.Conn, s *Settings) error {
	s.RollupsSince = maps.Clone(s.RollupsSince)
	if s.RollupsSince == nil {
		s.RollupsSince = map[string]time.Time{}
	}
	s.RollupsUnmade = map[string]bool{}
	var soon time.Time
	for _, r := range s.rollups() {
		name := r.Table(r.Steps[0]) + viewSuffix
		// One that was about to be dropped counts no rows any more: it is made anew.
		if old, there := have.tables[name]; there && !untilText.MatchString(old.Select) {
			if m := sinceText.FindStringSubmatch(old.Select); m != nil {
				since, err := time.Parse(sinceLayout, m[1])
				if err != nil {
					return fmt.Errorf("view %s: since when it counts rows: %w", name, err)
				}
				s.RollupsSince[r.Name] = since
			}
			continue
		}
		s.RollupsUnmade[r.Name] = true
		if flow := have.tables[s.local(s.Tables.Flow)]; flow.Rows == nil || *flow.Rows == 0 {
			continue
		}
		if soon.IsZero() {
			if err := conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&soon); err != nil {
				return fmt.Errorf("read the server's time: %w", err)
			}
			soon = soon.Add(sinceDelay)
		}
		s.RollupsSince[r.Name] = soon
	}
	return nil
}

// firstStep returns the begin of the first step of which a rollup has all rows, if it counts them since a time.
func firstStep(since time.Time, step time.Duration) time.Time { return since.Truncate(step).Add(step) }

// readRollupsFilled finds out which rollups have the rows from before their views.
func (have *state) readRollupsFilled(ctx context.Context, conn driver.Conn, s *Settings) error {
	s.RollupsFilled = map[string]bool{}
	if _, there := have.tables[FillTable]; !there || len(s.RollupsSince) == 0 {
		return nil
	}
	var filled []struct {
		Rollup string    `ch:"rollup"`
		Since  time.Time `ch:"since"`
	}
	if err := conn.Select(ctx, &filled, "SELECT DISTINCT rollup, since FROM "+s.qualified(FillTable)+
		fmt.Sprintf(" WHERE hour = toDateTime(%d, 'UTC')", allHours.Unix())); err != nil {
		return fmt.Errorf("read which rollups are filled: %w", err)
	}
	for _, f := range filled {
		if f.Since.Equal(s.RollupsSince[f.Rollup]) {
			s.RollupsFilled[f.Rollup] = true
		}
	}
	return nil
}
