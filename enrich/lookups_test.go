package enrich

import (
	"fmt"
	"sync"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// What destinations got is counted by exporter, over all enrichers; exporters beyond the bound are counted together.
func TestLookUps(t *testing.T) {
	r := severalRouters(t, map[string][]testRoute{
		"192.0.2.1": {{prefix: "10.0.0.0/8", path: sequence(1)}},
		"192.0.2.2": {{prefix: "0.0.0.0/0", path: sequence(2)},
			{prefix: "30.0.0.0/8", class: route.VPN, rd: 64500<<32 | 7, path: sequence(3)}},
		"192.0.2.3": {{prefix: "20.0.0.0/8", path: sequence(4)}},
	})
	rd := [8]byte{2: 0xfb, 3: 0xf4, 7: 7}
	shared := NewLookUps(4)
	options := RouteOptions{RIB: r, Fallback: []string{"192.0.2.3"}, LookUps: shared}
	workers := []*Enricher{New(Options{Routes: options}), New(Options{Routes: options})}
	s, _ := NewBuilder().Build()
	enrich := func(e *Enricher, exporter, dst string, rd [8]byte) {
		var row Row
		e.Begin()
		defer e.End()
		e.Enrich(s, &flow.Record{Exporter: addr(exporter), IPVersion: 4, DstAddr: addr(dst), MPLSRD: rd}, &row)
	}
	first, second := workers[0], workers[1]
	enrich(first, "192.0.2.1", "10.0.0.1", [8]byte{})
	enrich(second, "192.0.2.1", "10.0.0.1", [8]byte{})
	enrich(second, "192.0.2.1", "20.0.0.1", [8]byte{})   // only the fallback has it
	enrich(first, "192.0.2.1", "10.0.0.1", rd)           // the global table's
	enrich(first, "192.0.2.1", "20.0.0.1", rd)           // in no table
	enrich(first, "192.0.2.2", "10.0.0.1", [8]byte{})    // by default
	enrich(first, "192.0.2.2", "30.0.0.1", rd)           // of the VRF
	enrich(first, "192.0.2.2", "10.0.0.1", rd)           // not in the VRF
	enrich(second, "203.0.113.1", "20.0.0.1", [8]byte{}) // of the fallback
	enrich(second, "203.0.113.1", "10.0.0.1", [8]byte{}) // not even there
	enrich(second, "203.0.113.2", "20.0.0.1", rd)        // the fallback has no table of the VRF
	enrich(second, "203.0.113.3", "20.0.0.1", [8]byte{}) // one too many
	enrich(first, "203.0.113.3", "10.0.0.1", [8]byte{})  // one too many
	enrich(first, "203.0.113.1", "20.0.0.1", [8]byte{})  // the other enricher was the first to have it
	first.SetPolicy(Policy{})                            // forgets exporters, but not what is counted
	enrich(first, "192.0.2.1", "10.0.0.1", [8]byte{})
	all, others := shared.All()
	got := map[string]string{"others": text(&others)}
	sum := others.RouteCounts
	for i := range all {
		got[all[i].Exporter.String()] = text(&all[i])
		sum.Add(all[i].RouteCounts)
	}
	want := map[string]string{
		"192.0.2.1":   "hit 4, miss 1, no_vrf 1, global 1",
		"192.0.2.2":   "hit 1, default 1, miss 1",
		"203.0.113.1": "fallback 2, miss 1",
		"203.0.113.2": "fallback 1",
		"others":      "fallback 1, miss 1",
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s: %s, want %s", name, got[name], want[name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("counted are %v", got)
	}
	total := first.RouteCounts()
	total.Add(second.RouteCounts())
	if sum != total || total.Total() != 15 {
		t.Errorf("%+v by exporter, %+v in all", sum, total)
	}
}

func text(x *ExporterLookUps) (s string) {
	add := func(what string, n uint64) {
		if n > 0 {
			if s != "" {
				s += ", "
			}
			s += fmt.Sprint(what, " ", n)
		}
	}
	for o, n := range x.All() {
		add(o.String(), n)
	}
	add("global", x.UnknownVRF)
	return s
}

// A flood of exporters takes no memory beyond the bound.
func TestLookUps_bounded(t *testing.T) {
	r, _ := testRIB(t, []testRoute{{prefix: "10.0.0.0/8", path: sequence(1)}})
	shared := NewLookUps(10)
	s, _ := NewBuilder().Build()
	var all sync.WaitGroup
	for range 2 {
		e := New(Options{Routes: RouteOptions{RIB: r, LookUps: shared}})
		all.Go(func() {
			var row Row
			for i := range 3 * maxExporters {
				e.Begin()
				e.Enrich(s, &flow.Record{Exporter: flow.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}),
					DstAddr: addr("10.0.0.1")}, &row)
				e.End()
				if i%100 == 0 {
					shared.All()
				}
			}
			if len(e.routes.counters.own) > 10 {
				t.Errorf("%d counters", len(e.routes.counters.own))
			}
		})
	}
	all.Wait()
	counted, others := shared.All()
	n := others.Total()
	for i := range counted {
		n += counted[i].Total()
	}
	if want := uint64(2 * 3 * maxExporters); len(counted) != 10 || n != want {
		t.Errorf("%d exporters, %d look-ups of %d", len(counted), n, want)
	}
}
