package explore

import (
	"strings"
	"testing"
)

// Fields, comparisons and values of the store complete a filter; "|" is where somebody writes.
func testSuggest(t *testing.T, e *Explorer) {
	for text, want := range map[string]string{
		"src.a|":                    "src.as…",
		"disci|":                    "src.sci.discipline…",
		"nothing.like.this|":        "",
		"proto |":                   "=, !=, in (, not in (, ~, !~",
		"bytes |":                   "=, !=, in (, not in (, >=, <=",
		"src.ip |":                  "=, !=, in (, not in (, in",
		"nofield = |":               "",
		"bytes > |":                 "1M, 10M, 100M, 1G",
		"src.as = uni|":             "AS64500",
		"as = AS645|":               "AS64500, AS64501",
		"src.as = lab|":             "AS64501",
		`src.org = "université d|`:  `"Université de Genève"`,
		"country = swi|":            "Switzerland",
		"src.sci.project = |":       "CMS",
		"if = world|":               "r1::up",
		"circuit in (c1, |":         "c1, c2",
		"app = http|":               "tcp/443",
		"proto = |":                 "tcp, udp, icmp",
		"scope = lh|":               "comm:lhcone",
		"src.ip = 192|":             "192.0.2.7",
		"device = |":                "r1",
		"vrf = b|":                  "blue",
		"src.as = 64500 |":          "and, or",
		"device = '; DROP TABLE x|": "",
	} {
		at := strings.IndexByte(text, '|')
		all, err := e.Suggest(t.Context(), text[:at], at, nil)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for _, s := range all {
			got = append(got, s.Text)
			if s.At > len(s.Filter) || !strings.Contains(s.Filter, s.Text) {
				t.Errorf("%s: %+v", text, s)
			}
		}
		list := strings.Join(got, ", ")
		begin, more := strings.CutSuffix(want, "…")
		if list != want && !(more && strings.HasPrefix(list, begin)) {
			t.Errorf("%s: %s, want %s", text, list, want)
		}
	}
	// Each field has values, or none; never an error of the store.
	for _, d := range e.Planner.list {
		for _, typed := range []string{"", "a", `\'"%_`} {
			if _, err := e.Suggest(t.Context(), d.Name+" = "+`"`+typed, len(d.Name)+4+len(typed), nil); err != nil {
				t.Errorf("%s: %v", d.Name, err)
			}
		}
	}
	all, err := e.Suggest(t.Context(), "proto = t and version = 4", len("proto = t"), nil)
	if err != nil || len(all) != 1 || all[0].Filter != "proto = tcp and version = 4" ||
		all[0].At != len("proto = tcp") {
		t.Errorf("in the middle: %+v, %v", all, err)
	}
}
