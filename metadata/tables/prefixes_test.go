package tables

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
)

// TestVersionRun has rows in the order of their refs, as EachPrefix reads them.
func TestVersionRun(t *testing.T) {
	row := func(id, ref string, time uint32) prefixRow {
		return prefixRow{id: id, ref: ref, time: time, subnets: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	}
	for _, c := range []struct {
		name string
		rows []prefixRow
		want string
	}{
		{"none", nil, ""},
		{"one version each", []prefixRow{row("a", "a__v1", 1), row("b", "b__v1", 1)}, "a__v1 b__v1"},
		{"the newest counts, wherever it is", []prefixRow{row("a", "a__v1", 9), row("a", "a__v2", 2)}, "a__v1"},
		{"by number where the second is the same",
			[]prefixRow{row("a", "a__v1", 5), row("a", "a__v10", 5), row("a", "a__v9", 5)}, "a__v10"},
		{"an id that starts like a ref", []prefixRow{row("a", "a__v1", 1), row("a__v1b", "a__v1b__v1", 1),
			row("a__v1b", "a__v1b__v2", 2), row("a", "a__v2", 2), row("b", "b__v1", 1)},
			"a__v2 a__v1b__v2 b__v1"},
		{"one that comes before", []prefixRow{row("a__v0", "a__v0__v1", 1), row("a", "a__v1", 1), row("a", "a__v2", 2)},
			"a__v0__v1 a__v2"},
		{"refs that are none", []prefixRow{row("a", "", 1), row("b", "", 1), row("c", "x", 1)}, "a= b= c=x"},
	} {
		var got []string
		run := versionRun{add: func(p enrich.IPPrefix) {
			if strings.Contains(p.Ref, "__v") {
				got = append(got, p.Ref)
				return
			}
			got = append(got, p.ID+"="+p.Ref)
		}}
		for _, r := range c.rows {
			run.take(r)
		}
		run.flush()
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
	}
}
