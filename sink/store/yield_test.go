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
		want      map[string]string
	}{
		"query":                 {queryPlaces, true, 4, false, nil, map[string]string{niceSetting: "10"}},
		"query of our own":      {ownPlaces, true, 4, true, nil, map[string]string{niceSetting: "10"}},
		"insert":                {insertPlaces, true, 4, false, nil, map[string]string{niceSetting: "5"}},
		"insert of our own":     {ownInsertPlaces, true, 4, true, nil, map[string]string{niceSetting: "5"}},
		"no capability, quiet":  {queryPlaces, false, 4, false, nil, nil},
		"no capability, busy":   {queryPlaces, false, 4, true, nil, map[string]string{threadsSetting: "3"}},
		"no capability, insert": {ownInsertPlaces, false, 4, true, nil, nil},
		"one core":              {queryPlaces, false, 1, true, nil, nil},
		"the client's own": {queryPlaces, false, 4, true, []parameter{{threadsSetting, "2"}},
			map[string]string{threadsSetting: "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{places: newPlaces(1, nil), mayRenice: test.mayRenice, threads: test.threads}
			if test.busy {
				s.places.inserts = usage{running: 1, share: 1, at: time.Now()}
			}
			q := &request{settings: test.client}
			s.yield(q, test.kind)
			got := map[string]string{}
			for _, p := range q.settings {
				got[p.name] = p.value
			}
			if len(got) != len(test.want) {
				t.Errorf("settings %v, want %v", got, test.want)
			}
			for name, value := range test.want {
				if got[name] != value {
					t.Errorf("settings %v, want %v", got, test.want)
				}
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
