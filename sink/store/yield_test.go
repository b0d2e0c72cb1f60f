package store

import (
	"testing"
	"time"
)

func TestYield(t *testing.T) {
	for name, test := range map[string]struct {
		kind      placeKind
		mayRenice bool
		threads   int
		busy      bool
		client    []parameter // settings of the request
		session   string
		want      parameter
	}{
		"query": {kind: queryPlaces, mayRenice: true, threads: 4, want: parameter{niceSetting, "10"}},
		"own query": {kind: ownPlaces, mayRenice: true, threads: 4, busy: true,
			want: parameter{niceSetting, "10"}},
		"insert": {kind: insertPlaces, mayRenice: true, threads: 4, want: parameter{niceSetting, "5"}},
		"own insert": {kind: ownInsertPlaces, mayRenice: true, threads: 4, busy: true,
			want: parameter{niceSetting, "5"}},
		"no right, quiet":  {kind: queryPlaces, threads: 4},
		"no right, busy":   {kind: queryPlaces, threads: 4, busy: true, want: parameter{threadsSetting, "3"}},
		"no right, insert": {kind: ownInsertPlaces, threads: 4, busy: true},
		"a session":        {kind: queryPlaces, threads: 4, busy: true, session: "s"},
		"one core":         {kind: queryPlaces, threads: 1, busy: true},
		"the client's own": {kind: queryPlaces, threads: 4, busy: true, client: []parameter{{threadsSetting, "2"}},
			want: parameter{threadsSetting, "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{places: newPlaces(1, nil), mayRenice: test.mayRenice, threads: test.threads}
			if test.busy {
				s.places.inserts = usage{running: 1, share: 1, at: time.Now()}
			}
			q := &request{settings: test.client, sessionID: test.session}
			s.yield(q, test.kind)
			var got parameter
			for _, p := range q.settings {
				got = p
			}
			if len(q.settings) > 1 || got != test.want {
				t.Errorf("settings %v, want %v", q.settings, test.want)
			}
		})
	}
}

// The share follows what ran in the last seconds.
func TestUsage(t *testing.T) {
	var u usage
	now := time.Unix(1_800_000_000, 0)
	for i, step := range []struct {
		after time.Duration
		add   int
		busy  bool
	}{
		{0, 1, false},
		{2 * time.Second, 0, false}, // it runs for two seconds
		{20 * time.Second, 1, true}, // and a second one with it
		{time.Second, -1, true},
		{time.Second, -1, true},
		{4 * time.Second, 0, true}, // none runs
		{8 * time.Second, 1, false},
	} {
		now = now.Add(step.after)
		u.add(step.add, now)
		if busy := u.share >= busyEnough; busy != step.busy {
			t.Errorf("step %d: busy %v with a share of %.2f", i, busy, u.share)
		}
	}
	if u.running != 1 {
		t.Errorf("%d run", u.running)
	}
}
