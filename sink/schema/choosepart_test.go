package schema

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A sum over a range is put together from the widest tables, and no time is in two of them or in none.
func TestChoice_Parts(t *testing.T) {
	s := rollupSettings()
	at := func(text string) time.Time {
		when, err := time.Parse("01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return when.AddDate(2026, 0, 0)
	}
	now := at("11-30 12:00")
	for name, c := range map[string]struct {
		dimension, from, to string
		step                time.Duration
		change              func(*Source)
		want                string
	}{
		"days in the middle": {"src_as_id", "11-01 06:00", "11-30 12:00", 6 * time.Hour, nil,
			"all_src_as_6h 11-01 06:00 11-02 00:00 11-30 00:00 11-30 12:00, all_src_as_1d 11-02 00:00 11-30 00:00"},
		"hours in the middle": {"src_as_id", "11-30 01:15", "11-30 04:15", 15 * time.Minute, nil,
			"edge_src_as_5m 11-30 01:15 11-30 02:00 11-30 04:00 11-30 04:15, " +
				"edge_src_as_1h 11-30 02:00 11-30 04:00"},
		"all three": {"src_as_id", "11-28 23:45", "11-30 00:15", 15 * time.Minute, nil,
			"edge_src_as_5m 11-28 23:45 11-29 00:00 11-30 00:00 11-30 00:15, " +
				"edge_src_as_1d 11-29 00:00 11-30 00:00"},
		"whole days": {"src_as_id", "11-28 00:00", "11-30 00:00", time.Hour, nil,
			"all_src_as_1d 11-28 00:00 11-30 00:00"},
		"less than an hour": {"src_as_id", "11-30 01:15", "11-30 02:15", 5 * time.Minute, nil,
			"edge_src_as_5m 11-30 01:15 11-30 02:15"},
		"days are not complete": {"src_as_id", "11-01 06:00", "11-30 12:00", 6 * time.Hour, func(s *Source) {
			if s.Step == 24*time.Hour {
				s.From = at("11-02 00:01")
			}
		}, "all_src_as_6h 11-01 06:00 11-30 12:00"},
		"rows": {"src_ip", "11-01 06:00", "11-30 12:00", 6 * time.Hour, nil, "data_flow 11-01 06:00 11-30 12:00"},
	} {
		sources := s.Sources()
		for i := range sources {
			if c.change != nil {
				c.change(&sources[i])
			}
		}
		q := Question{Dimensions: []string{c.dimension}, From: at(c.from), To: at(c.to), Step: c.step}
		choice := Choose(q, sources, now)
		var parts []string
		for _, p := range choice.Parts(sources, now) {
			text := strings.TrimPrefix(p.Table, "rollup_")
			for _, r := range p.Ranges {
				text += fmt.Sprint(" ", r[0].Format("01-02 15:04"), " ", r[1].Format("01-02 15:04"))
			}
			parts = append(parts, text)
		}
		if got := strings.Join(parts, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
