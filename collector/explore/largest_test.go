package explore

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Candidates are of all the hours that the range touches, at each look at the rollup: a pair that only talked in the
// first hour is not lost when its AS are looked up.
func TestCandidatesOfTheWholeRange(t *testing.T) {
	s := testSettings()
	s.Rollups = []string{"talkers"}
	p := NewPlanner(&s)
	p.SetSources(s.Sources())
	from := noon.Add(-24 * time.Hour).Add(23 * time.Minute)
	q := Question{By: []string{"src.ip", "dst.ip"}, Unit: Bits, View: Table, Top: 5, From: from,
		To: from.Add(24 * time.Hour)}
	query, err := p.series(&q, q.span(noon.Add(time.Hour)), noon.Add(time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	first := regexp.MustCompile(fmt.Sprintf("rollup_talkers_1h`\\s+WHERE start_time >= toDateTime\\(%d, 'UTC'\\)",
		from.Truncate(time.Hour).Unix()))
	sql := query.SQL()
	found := len(first.FindAllString(sql, -1))
	if reads := strings.Count(sql, "rollup_talkers_1h"); reads < 2 || found != reads {
		t.Errorf("of %d looks at the rollup %d begin with its hour:\n%s", reads, found, sql)
	}
}
