package schema

import (
	"strings"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	s := goldenSettings()
	s.Rollups = []string{AllRollups}
	now := time.Date(2026, 11, 29, 10, 17, 30, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	midnight := now.Truncate(24 * time.Hour)
	const day = 24 * time.Hour
	sources := s.Sources()
	for name, c := range map[string]struct {
		q       Question
		change  func(*Source)
		want    string
		reasons []string // in the line
		from    time.Time
	}{
		"an hour by device": {q: Question{Dimensions: []string{"device_id"}, From: ago(time.Hour), To: now},
			want: "data_flow", reasons: []string{"single flows",
				"not rollup_traffic_1m (range is not whole steps of 1m, and short)"}},
		"two hours by device": {q: Question{Dimensions: []string{"device_id"}, From: ago(2 * time.Hour), To: now,
			Step: time.Minute}, want: "rollup_traffic_1m", from: now.Add(-2 * time.Hour).Truncate(time.Minute)},
		"a whole hour": {q: Question{Dimensions: []string{"protocol"},
			From: now.Truncate(time.Hour).Add(-time.Hour), To: now.Truncate(time.Hour)}, want: "rollup_traffic_1h"},
		"a day by device": {q: Question{Dimensions: []string{"device_id"}, From: ago(day), To: now,
			Step: 5 * time.Minute}, want: "rollup_traffic_5m", reasons: []string{"sums of 5m by traffic"}},
		"a day in hours": {q: Question{Dimensions: []string{"device_id"}, From: midnight.Add(-day),
			To: midnight, Step: time.Hour}, want: "rollup_traffic_1h",
			reasons: []string{"not rollup_traffic_1d (steps of 1d do not make 1h)"}},
		"steps of 90 s": {q: Question{Dimensions: []string{"device_id"}, From: ago(day), To: now,
			Step: 90 * time.Second}, want: "data_flow"},
		"30 days by AS": {q: Question{Dimensions: []string{"src_as_id"}, From: ago(30 * day), To: now,
			Step: time.Hour}, want: "rollup_all_src_as_1h"},
		"30 days of 6 hours by AS": {q: Question{Dimensions: []string{"dst_as_id"}, From: ago(30 * day), To: now,
			Step: 6 * time.Hour}, want: "rollup_all_dst_as_6h"},
		"a day by AS": {q: Question{Dimensions: []string{"dst_as_id"}, From: ago(day), To: now,
			Step: 5 * time.Minute}, want: "rollup_edge_dst_as_5m"},
		"of one device": {q: Question{Dimensions: []string{"src_as_id"}, Filters: []string{"device_id"},
			From: ago(30 * day), To: now}, want: "rollup_edge_src_as_1h"},
		"over the edge by AS": {q: Question{Dimensions: []string{"src_as_id"}, Filters: []string{Edge},
			From: ago(30 * day), To: now}, want: "rollup_edge_src_as_1h"},
		"AS pair": {q: Question{Dimensions: []string{"src_as_id", "dst_as_id"}, From: ago(7 * day),
			To: now}, want: "data_flow", reasons: []string{"rollup_largest_as_pair_1h (has the largest alone)"}},
		"addresses": {q: Question{Dimensions: []string{"src_ip"}, From: ago(7 * day), To: now},
			want: "data_flow"},
		"a path of ext": {q: Question{Dimensions: []string{"ext.bgp_as_path_id"}, From: ago(30 * day), To: now,
			Step: 6 * time.Hour}, want: "rollup_as_path_1h"},
		"applications of an interface": {q: Question{Dimensions: []string{"in_interface_id", "application_port"},
			From: ago(30 * day), To: now, Step: 6 * time.Hour}, want: "rollup_interface_port_6h"},
		"two years": {q: Question{Dimensions: []string{"application_port"}, From: ago(730 * day), To: now,
			Step: day}, want: "rollup_edge_application_1d"},
		"beyond what 5m keeps": {q: Question{Dimensions: []string{"application_port"}, From: ago(200 * day), To: now,
			Step: 5 * time.Minute}, want: "rollup_edge_application_5m", reasons: []string{"keeps rows for 90d"}},
		"hours a year ago": {q: Question{Dimensions: []string{"peer_as_id"}, From: ago(360 * day),
			To: ago(359 * day), Step: time.Hour}, want: "rollup_interface_peer_1h",
			from: ago(360 * day).Truncate(time.Hour)},
		"whole hours a year ago": {q: Question{Dimensions: []string{"peer_as_id"}, From: midnight.Add(-360 * day),
			To: midnight.Add(-359 * day), Step: time.Hour}, want: "rollup_interface_peer_1h"},
		"not filled in": {q: Question{Dimensions: []string{"peer_as_id"}, From: ago(10 * day), To: now,
			Step: time.Hour},
			change: func(s *Source) { s.From = ago(5 * day) }, want: "data_flow",
			reasons: []string{"complete only since 2026-11-24 10:17:30"}},
		"everything":          {q: Question{}, want: "rollup_traffic_1d"},
		"everything by scope": {q: Question{Dimensions: []string{NamedScope}}, want: "rollup_named_scope_1d"},
		"of a scope": {q: Question{Dimensions: []string{"device_id"}, Filters: []string{NamedScope},
			From: ago(30 * day), To: now}, want: "rollup_named_scope_1h"},
		"communities": {q: Question{Dimensions: []string{Community}, From: ago(30 * day), To: now},
			want: "rollup_community_1h"},
		"of a community": {q: Question{Dimensions: []string{"device_id"}, Filters: []string{Community},
			From: ago(30 * day), To: now}, want: "data_flow",
			reasons: []string{"rollup_community_1h (counts a flow at each community)"}},
		"of some hours of days": {q: Question{Dimensions: []string{"peer_as_id"}, Filters: []string{startTime},
			From: ago(30 * day), To: now}, want: "data_flow",
			reasons: []string{"rollup_interface_peer_1d (has steps, not the time of each flow)"}},
		"of a scope that may be an AS": {q: Question{Dimensions: []string{"device_id"},
			Filters: []string{"policy_scope"}, From: ago(30 * day), To: now}, want: "data_flow"},
	} {
		these := append([]Source{}, sources...)
		for i := range these {
			if c.change != nil && these[i].Step > 0 {
				c.change(&these[i])
			}
		}
		got := Choose(c.q, these, now)
		if got.Table != c.want {
			t.Errorf("%s: %s, want %s", name, got.Line(), c.want)
		}
		for _, reason := range c.reasons {
			if !strings.Contains(got.Line(), reason) {
				t.Errorf("%s: no %q in %s", name, reason, got.Line())
			}
		}
		if !c.from.IsZero() && !got.From.Equal(c.from) {
			t.Errorf("%s: from %s, want %s", name, got.From, c.from)
		}
		for _, d := range append(c.q.Dimensions, c.q.Filters...) {
			if got.Columns[d] == "" {
				t.Errorf("%s: %s has no column for %s", name, got.Table, d)
			}
		}
	}
}

// A rollup of the largest says what is among the largest of all flows, or of those that it keeps apart.
func TestChooseLargest(t *testing.T) {
	s := goldenSettings()
	s.Rollups = []string{AllRollups}
	now := time.Date(2026, 11, 29, 10, 17, 30, 0, time.UTC)
	as, addresses := []string{"src_as_id", "dst_as_id"}, []string{"src_ip", "dst_ip", "application_port"}
	for name, c := range map[string]struct {
		dimensions, filters []string
		length              time.Duration
		unfilled            bool
		want                string // "" is none
	}{
		"AS":                   {as, nil, 7 * 24 * time.Hour, false, "rollup_largest_as_pair_1h"},
		"AS of a month":        {as, nil, 30 * 24 * time.Hour, false, "rollup_largest_as_pair_1d"},
		"AS of a device":       {as, []string{"device_id"}, 24 * time.Hour, false, "rollup_largest_as_pair_1h"},
		"AS of one AS":         {as, []string{"src_as_id"}, 24 * time.Hour, false, ""},
		"AS of an hour":        {as, nil, time.Hour, false, ""},
		"AS, and applications": {append([]string{"application_port"}, as...), nil, 24 * time.Hour, false, ""},
		"addresses":            {addresses, []string{"protocol"}, 24 * time.Hour, false, "rollup_talkers_1h"},
		"addresses and their AS": {append([]string{"src_as_id"}, addresses...), nil, 24 * time.Hour, false,
			"rollup_talkers_1h"},
		"sources alone":     {[]string{"src_ip"}, nil, 24 * time.Hour, false, ""},
		"of an interface":   {addresses, []string{"in_interface_id"}, 24 * time.Hour, false, ""},
		"of an application": {addresses, []string{"application_port"}, 24 * time.Hour, false, ""},
		"not filled in":     {as, nil, 24 * time.Hour, true, ""},
	} {
		sources := s.Sources()
		for i := range sources {
			if c.unfilled {
				sources[i].From = now.Add(-time.Hour)
			}
		}
		q := Question{Dimensions: c.dimensions, Filters: c.filters, From: now.Add(-c.length), To: now}
		got, ok := ChooseLargest(q, sources, now)
		if got.Table != c.want || ok != (c.want != "") {
			t.Errorf("%s: %s, want %s", name, got.Line(), c.want)
		}
		if ok && (!strings.Contains(got.Line(), "the largest of 1") || got.From.After(q.From) || got.To.Before(q.To)) {
			t.Errorf("%s: %s from %s to %s", name, got.Line(), got.From, got.To)
		}
	}
}

// Columns within texts and longer names stay as they are.
func TestChoice_in(t *testing.T) {
	s := goldenSettings()
	s.Rollups = []string{AllRollups}
	const condition = "ext.src_ip_scireg_ref = 'ext.src_ip_scireg_ref' AND device_id IN ('it''s src_port', 'b')"
	filters := s.FiltersOf(condition)
	if got := strings.Join(filters, " "); got != "ext.src_ip_scireg_ref device_id" {
		t.Errorf("filters %s", got)
	}
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	c := Choose(Question{Filters: filters, From: now.Add(-24 * time.Hour), To: now}, s.Sources(), now)
	if c.Table != "rollup_scireg_1d" {
		t.Errorf("%s is asked", c.Line())
	}
	const want = "`src_ip_scireg_ref` = 'ext.src_ip_scireg_ref' AND `device_id` IN ('it''s src_port', 'b')"
	if got := c.In(condition); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What a rollup does not have by that name is asked of the rows.
func TestSettings_FiltersOf(t *testing.T) {
	s := goldenSettings()
	for condition, want := range map[string]string{
		"src_as_id = 3 AND NOT (src_as_id = 4)":           "src_as_id",
		"`src_as_id` = 3 AND \"dst_as_id\" = 4":           "src_as_id dst_as_id",
		"toHour(start_time) = 3":                          "start_time",
		"ext.of_mine = 1":                                 "ext.of_mine",
		"getSubcolumn(ext, 'of_mine') = 1":                "ext",
		"data_flow.src_as_id = 3":                         "data_flow.src_as_id",
		"device_id = 'src_port' /* src_port */ -- dst_ip": "device_id",
		"protocol = 'it''s src_port' # dst_ip":            "protocol",
		"-- it's a comment\nsrc_port = 80":                "src_port",
		"edge OR has(named_scope, 'a.b')":                 "edge named_scope",
	} {
		if got := strings.Join(s.FiltersOf(condition), " "); got != want {
			t.Errorf("%s: %s, want %s", condition, got, want)
		}
	}
	c := Choice{Source: s.Sources()[0]}
	if got := c.In("\"src_as_id\" = 3 -- src_as_id"); got != "`src_as_id` = 3 -- src_as_id" {
		t.Errorf("in data_flow it is %s", got)
	}
}

func TestSource_Within(t *testing.T) {
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	const plain = "start_time >= toDateTime(1793491200, 'UTC') AND start_time < toDateTime(1793577600, 'UTC')"
	for _, test := range []struct {
		name     string
		daily    bool
		from, to time.Time
		want     string
	}{
		{"days of daily partitions", true, day, day.AddDate(0, 0, 1), "indexHint(" + plain + ")"},
		{"days of other partitions", false, day, day.AddDate(0, 0, 1), plain},
		{"from within a day", true, day.Add(time.Second), day.AddDate(0, 0, 1),
			strings.Replace(plain, "1793491200", "1793491201", 1)},
		{"to within a day", true, day, day.AddDate(0, 0, 1).Add(time.Hour),
			strings.Replace(plain, "1793577600", "1793581200", 1)},
		{"midnight of another zone", true, day.Add(-5 * time.Hour), day.Add(19 * time.Hour),
			strings.NewReplacer("1793491200", "1793473200", "1793577600", "1793559600").Replace(plain)},
	} {
		s := Source{Daily: test.daily}
		if is := s.Within(test.from, test.to); is != test.want {
			t.Errorf("%s: %s, want %s", test.name, is, test.want)
		}
	}
}
