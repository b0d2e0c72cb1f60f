package schema

import (
	"strings"
	"testing"
)

// SQL that no server understands is known before a table is to be made of it.
func TestCheckExpressions(t *testing.T) {
	conn := engine(t)
	for _, test := range []struct {
		name   string
		change func(*Settings)
		want   []string // parts of the only error; none: all is well
	}{
		{"the defaults", func(*Settings) {}, nil},
		{"an unknown function", func(s *Settings) { s.FlowPartitionBy = "toYYYYMD(start_time)" },
			[]string{"flow partition", "toYYYYMD"}},
		{"an unknown column", func(s *Settings) { s.FlowPartitionBy = "toYYYYMM(begin_time)" },
			[]string{"flow partition", "begin_time"}},
		{"two columns", func(s *Settings) { s.FlowPartitionBy = "(toYYYYMM(start_time), flow_type)" }, nil},
		{"a view's", func(s *Settings) { s.Views[1].PartitionBy = "toYYYYMM(start_time" },
			[]string{"partition of view interface 5m"}},
		{"volumes", func(s *Settings) {
			s.FlowTTL.Interval = "2 DAY TO VOLUME 'cold', start_time + INTERVAL 30 DAY"
		}, nil},
		{"volumes, misspelt", func(s *Settings) { s.FlowTTL.Interval = "2 DAY TO VOLUM 'cold'" }, []string{"flow TTL"}},
		{"loss", func(s *Settings) { s.LossPartitionBy = "toDate(nothing)" }, []string{"loss partition", "nothing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := goldenSettings()
			test.change(&s)
			if err := s.Validate(); err != nil {
				t.Fatal(err)
			}
			bad := CheckExpressions(t.Context(), conn, s)
			if (len(bad) > 0) != (len(test.want) > 0) || len(bad) > 1 {
				t.Fatalf("got %v", bad)
			}
			for _, part := range test.want {
				if text := bad[0].Error(); !strings.Contains(text, part) || strings.Contains(text, "\n") {
					t.Errorf("%q does not say %q in a line", text, part)
				}
			}
			if usual := test.name == "the defaults"; s.HasExpressions() == usual {
				t.Errorf("HasExpressions is %v", !usual)
			}
		})
	}
}

// Settings that are wrong in other places do not keep SQL from being checked, and are not told twice.
func TestCheckExpressions_ofWrongSettings(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.FlowPartitionBy = "toYYYYMD(start_time)"
	s.FlowTTL.Column, s.LossTTL.Interval, s.LossPartitionBy = "strat_time", "30 DAYZ", "1; DROP TABLE x"
	s.FlowExtensions, s.Tables.IP = append(s.FlowExtensions, "bgb"), "meta ip"
	s.Views[0].Window, s.Views[1].TTL.Interval = "7q", "never"
	if s.Validate() == nil {
		t.Fatal("the settings are valid")
	}
	if bad := CheckExpressions(t.Context(), conn, s); len(bad) != 1 || bad[0].Setting != "flow partition" {
		t.Errorf("got %v, want the flow partition alone", bad)
	}
}

// A server's message is cut where it begins to quote the query that we made around an expression.
func TestJudgement(t *testing.T) {
	for message, want := range map[string]string{
		"Function with name `f` does not exist. In scope SELECT f(a) FROM (SELECT 1): While x": "Function with name " +
			"`f` does not exist",
		"Unknown expression identifier `b` in scope: In scope SELECT b": "Unknown expression identifier `b` in scope",
		"Cannot parse: while executing 'FUNCTION g'":                    "Cannot parse",
		"Two lines\nof text":                      "Two lines",
		"It failed: While executing TTLTransform": "It failed",
		"Days. Not in scope of this":              "Days. Not in scope of this",
	} {
		if got := judgement(message); got != want {
			t.Errorf("%q: got %q", message, got)
		}
	}
}
