package service

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/verdict"
)

// A problem with routes is logged when it begins, once an hour while it lasts, and when it is over; notes are not.
func TestMinute_saysVerdictsOnRoutes(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	m := &minute{log: zap.New(core)}
	start := time.Unix(1e9, 0)
	down := verdict.Verdict{Severity: verdict.Warning, Code: "session_down", About: "192.0.2.1", Text: "since 12:00"}
	other := verdict.Verdict{Severity: verdict.Warning, Code: "session_down", About: "192.0.2.2", Text: "since 12:01"}
	note := verdict.Verdict{Severity: verdict.Note, Code: "session_refused"}
	var got []string
	say := func(after time.Duration, all ...verdict.Verdict) {
		m.sayVerdicts(start.Add(after), all)
		for _, line := range logs.TakeAll() {
			got = append(got, fmt.Sprintf("%s: %s %v%v", after, line.Message, line.ContextMap()["what"],
				line.ContextMap()["of"]))
		}
	}
	say(0, note)
	say(time.Minute, down, note)
	say(2*time.Minute, down, other)
	say(3*time.Minute, down)
	say(62*time.Minute, down)
	say(63 * time.Minute)
	want := []string{
		"1m0s: something is wrong with routes since 12:00<nil>",
		"2m0s: something is wrong with routes since 12:01<nil>",
		"3m0s: routes: a problem is over <nil>192.0.2.2",
		"1h2m0s: something is wrong with routes since 12:00<nil>",
		"1h3m0s: routes: a problem is over <nil>192.0.2.1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var many []verdict.Verdict
	for n := range 3 * maxWarnings {
		many = append(many, verdict.Verdict{Severity: verdict.Warning, Code: "session_down", About: fmt.Sprint(n)})
	}
	m.sayVerdicts(start, many)
	if n := logs.Len(); n != maxWarnings {
		t.Errorf("%d lines at once, want %d", n, maxWarnings)
	}
}
