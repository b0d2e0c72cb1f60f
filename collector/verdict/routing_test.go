package verdict

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// goodRouting is a router with BGP and one with BMP, with which all is well.
func goodRouting() *Routing {
	r := &Routing{Now: noon, Started: noon.Add(-time.Hour), Validates: true, Window: time.Minute,
		RPKI:    rpki.Stats{Loaded: true, Sources: []rpki.Source{{Name: "cache:323", State: "synced", InUse: true}}},
		LookUps: enrich.RouteCounts{Hit: 9000, Miss: 100, Default: 100}}
	s := routing.Session{Address: address, Router: "core1", Up: true, Since: noon.Add(-time.Hour), Graceful: true}
	s.Routes[0], s.Complete[0] = 1000, true
	r.Sessions = []routing.Session{s}
	b := routing.BMPSession{Address: other, Name: "edge1", Up: true, Since: noon.Add(-time.Hour), Settled: true}
	for v := range bmp.View(bmp.Views) {
		b.Claimed[v] = -1
	}
	b.Claimed[bmp.LocRIB], b.Counted[bmp.LocRIB] = 100_000, 99_500
	r.BMP.Sessions = []routing.BMPSession{b}
	return r
}

type routingTest struct {
	name, code string
	change     func(*Routing)
	severity   Severity
	text       string
}

func routingTests() []routingTest {
	session := func(f func(*routing.Session)) func(*Routing) {
		return func(r *Routing) { f(&r.Sessions[0]) }
	}
	monitored := func(f func(*routing.BMPSession)) func(*Routing) {
		return func(r *Routing) { f(&r.BMP.Sessions[0]) }
	}
	ends := []time.Time{noon.Add(-time.Hour), noon.Add(-9 * time.Minute), noon.Add(-8 * time.Minute), noon}
	return []routingTest{
		{"BGP", "session_down", session(func(s *routing.Session) {
			s.Up, s.Since, s.Until, s.Why = false, noon.Add(-5*time.Minute), noon.Add(5*time.Minute), "it closed"
		}), Warning,
			"the BGP session of 192.0.2.1 (core1) is down since 11:55 (it closed): its 1,000 routes stay until 12:05"},
		{"BMP", "session_down", monitored(func(s *routing.BMPSession) {
			s.Up, s.Since, s.Until, s.Why = false, noon.Add(-5*time.Minute), noon.Add(5*time.Minute), "it closed"
		}), Warning,
			"the BMP session of 10.0.0.1 (edge1) is down since 11:55 (it closed): its routes stay until 12:05"},
		{"gone", "session_down", func(r *Routing) {
			r.Absent = []routing.Absent{{Protocol: "BGP", Router: "192.0.2.9", Since: noon.Add(-time.Hour),
				Why: "it closed"}}
		}, Warning, "no BGP session with 192.0.2.9 since 11:00: it closed"},
		{"restored, and just started", "session_down", func(r *Routing) {
			r.Started, r.Sessions[0].Up, r.Sessions[0].Restored = noon.Add(-time.Minute), false, true
		}, 0, ""},
		{"restored", "routes_restored", func(r *Routing) {
			r.Started, r.Sessions[0].Up, r.Sessions[0].Restored = noon.Add(-time.Minute), false, true
			r.BMP.Sessions[0].Up, r.BMP.Sessions[0].Restored = false, true
		}, Note, "the routes of the last run are used for 2 routers, until their sessions are up again"},
		{"restored long ago", "routes_restored", session(func(s *routing.Session) {
			s.Up, s.Restored = false, true
		}), 0, ""},
		{"up", "session_down", session(func(s *routing.Session) { s.Since = noon }), 0, ""},
		{"never", "session_never", func(r *Routing) {
			r.Absent = []routing.Absent{{Protocol: "BGP", Router: "192.0.2.8"}, {Protocol: "BGP", Router: "192.0.2.9"}}
		}, Warning, "no BGP session since the start with 192.0.2.8, 192.0.2.9"},
		{"many", "session_never", func(r *Routing) {
			for range 10 {
				r.Absent = append(r.Absent, routing.Absent{Protocol: "BMP", Router: "192.0.2.8"})
			}
		}, Warning, "no BMP session since the start with " + strings.Repeat("192.0.2.8, ", 7) + "192.0.2.8 and 2 more"},
		{"just started", "session_never", func(r *Routing) {
			r.Absent, r.Started = []routing.Absent{{Protocol: "BGP", Router: "192.0.2.8"}}, noon
		}, 0, ""},
		{"three ends", "session_flaps", session(func(s *routing.Session) { s.Ends = ends }), Warning,
			"the BGP session of 192.0.2.1 (core1) ended 3 times in the last 10 min"},
		{"three ends of BMP", "session_flaps", monitored(func(s *routing.BMPSession) { s.Ends = ends }), Warning,
			"the BMP session of 10.0.0.1 (edge1) ended 3 times in the last 10 min"},
		{"two ends", "session_flaps", session(func(s *routing.Session) { s.Ends = ends[:3] }), 0, ""},
		{"strangers", "session_refused", func(r *Routing) {
			r.Refused, r.BMP.Refused, r.Stranger = 2, 1, netip.MustParseAddr("192.0.2.66")
		}, Note, "3 connections of routers that may not connect, the latest of 192.0.2.66"},
		{"failures", "session_refused", func(r *Routing) { r.Failed = 3 }, 0, ""},
		{"wrong keys", "session_keys", func(r *Routing) { r.WrongKeys = 4 }, Warning,
			"4 TCP segments came without the " +
				"TCP-MD5 key of their neighbor or with a wrong one, since the start (of all sockets of this host)"},
		{"no wrong keys", "session_keys", func(r *Routing) { r.Refused = 4 }, 0, ""},
		{"graceful restart", "no_eor", session(func(s *routing.Session) { s.Complete[0] = false }), Warning,
			"192.0.2.1 (core1) has not said that it has announced all its routes (End-of-RIB) in 60 minutes: those " +
				"of its session before were removed after 5 minutes"},
		{"no graceful restart", "no_eor",
			session(func(s *routing.Session) { s.Complete[0], s.Graceful = false, false }), Note,
			"192.0.2.1 (core1) has not said that it has announced all its routes (End-of-RIB) in 60 minutes: those " +
				"of its session before were removed after 5 minutes"},
		{"a young session", "no_eor",
			session(func(s *routing.Session) { s.Complete[0], s.Since = false, noon.Add(-time.Minute) }), 0, ""},
		{"a family without routes", "no_eor", session(func(s *routing.Session) {
			s.Families[route.Family{V6: true}.Index()] = true
		}), 0, ""},
		{"BGP left out", "routes_limited", session(func(s *routing.Session) { s.LeftOut = 7 }), Warning,
			"7 routes of 192.0.2.1 (core1) are left out: the routing table is full"},
		{"BMP left out", "routes_limited", monitored(func(s *routing.BMPSession) { s.LeftOut = 1 }), Warning,
			"1 route of 10.0.0.1 (edge1) are left out: the routing table is full"},
		{"asked for again", "routes_limited", session(func(s *routing.Session) { s.Refused = 7 }), 0, ""},
		{"limbo", "routes_limbo", func(r *Routing) { r.RIB.LimboBytes = 65 << 20 }, Warning,
			"65 MiB of removed routes wait until no worker can read them any more"},
		{"little limbo", "routes_limbo", func(r *Routing) { r.RIB.LimboBytes = 63 << 20 }, 0, ""},
		{"not saved", "routes_not_saved", func(r *Routing) { r.Unsaved = "no space" }, Warning,
			"the routes are not saved: no space"},
		{"saved", "routes_not_saved", func(r *Routing) { r.Saved = noon }, 0, ""},
		{"counts differ", "bmp_counts_differ",
			monitored(func(s *routing.BMPSession) { s.Counted[bmp.LocRIB] = 98_000 }),
			Warning, "10.0.0.1 (edge1) says that it has 100,000 routes in loc_rib, and has reported 98,000"},
		{"few differ", "bmp_counts_differ", monitored(func(s *routing.BMPSession) {
			s.Claimed[bmp.LocRIB], s.Counted[bmp.LocRIB] = 99, 0
		}), 0, ""},
		{"a view that is not sent", "bmp_counts_differ", monitored(func(s *routing.BMPSession) {
			s.Reported[bmp.InPre] = 100_000
		}), 0, ""},
		{"still loading", "bmp_counts_differ", monitored(func(s *routing.BMPSession) {
			s.Counted[bmp.LocRIB], s.Settled = 0, false
		}), 0, ""},
		{"a file", "mrt_file", func(r *Routing) {
			r.MRT = []routing.MRTStats{{Name: "rrc00", Err: "not an MRT file"}}
		}, Warning, "the MRT file rrc00 cannot be read: not an MRT file"},
		{"a good file", "mrt_file", func(r *Routing) { r.MRT = []routing.MRTStats{{Name: "rrc00", Loaded: noon}} }, 0,
			""},
		{"a cache", "rpki_cache_down", func(r *Routing) {
			r.RPKI.Sources[0] = rpki.Source{Name: "cache:323", State: "down", Since: noon, Error: "refused"}
		}, Warning, "the RPKI source cache:323 does not answer since 12:00: refused"},
		{"a cache in reserve", "rpki_cache_down", func(r *Routing) {
			r.RPKI.Sources = append(r.RPKI.Sources, rpki.Source{Name: "b", State: "standby", Error: "before"})
		}, 0, ""},
		{"old data", "rpki_expired", func(r *Routing) { r.RPKI.Expired = true }, Warning,
			"the data of all RPKI caches is too old: all routes are unknown"},
		{"no validation", "rpki_expired", func(r *Routing) { r.RPKI.Expired, r.Validates = true, false }, 0, ""},
		{"no data", "rpki_no_data", func(r *Routing) { r.RPKI.Loaded = false }, Warning,
			"no RPKI cache has sent its data yet: routes are not validated"},
		{"no data yet", "rpki_no_data", func(r *Routing) { r.RPKI.Loaded, r.Started = false, noon }, 0, ""},
		{"defaults", "default_only", func(r *Routing) { r.LookUps = enrich.RouteCounts{Hit: 400, Default: 600} },
			Warning,
			"60 % of the destinations have only a default route, in the last minute"},
		{"few look-ups", "default_only", func(r *Routing) { r.LookUps = enrich.RouteCounts{Default: 600} }, 0, ""},
		{"misses", "low_hit_rate", func(r *Routing) { r.LookUps = enrich.RouteCounts{Hit: 700, Miss: 300} }, Warning,
			"30 % of the destinations have no route, in the last minute"},
		{"no router", "low_hit_rate", func(r *Routing) {
			r.LookUps = enrich.RouteCounts{Hit: 1000, Miss: 100, NoRouter: 10_000}
		}, 0, ""},
		{"fallback", "routes_fallback", func(r *Routing) { r.LookUps = enrich.RouteCounts{Fallback: 1000} }, Note,
			"100 % of the destinations have a route of a fallback, in the last minute"},
		{"little fallback", "routes_fallback", func(r *Routing) {
			r.LookUps = enrich.RouteCounts{Hit: 600, Fallback: 400}
		}, 0, ""},
	}
}

func TestOfRouting(t *testing.T) {
	if all := OfRouting(goodRouting()); len(all) != 0 {
		t.Errorf("of routing with which all is well: %v", all)
	}
	for _, test := range routingTests() {
		t.Run(test.code+"/"+test.name, func(t *testing.T) {
			r := goodRouting()
			test.change(r)
			all := OfRouting(r)
			expect(t, all, test.code, test.severity, test.text)
			for _, v := range all {
				if v.Severity == Problem {
					t.Errorf("%s makes the collector unready", v.Code)
				}
			}
		})
	}
	c := goodCollector()
	if c.Routing = goodRouting(); len(OfCollector(c)) != 0 {
		t.Errorf("the collector's: %v", OfCollector(c))
	}
	for range 2 * mostRouters {
		s := c.Routing.Sessions[0]
		s.Up, s.Why = false, "it closed"
		c.Routing.Sessions = append(c.Routing.Sessions, s)
	}
	if all := OfCollector(c); len(all) != mostRouters ||
		!strings.HasSuffix(all[0].Text, " (and 8 more like this: see /routing)") {
		t.Errorf("of many routers that are down: %d verdicts, the first is %v", len(all), all[0])
	}
	c.Routing = goodRouting()
	c.Recent.LookUps = enrich.RouteCounts{Miss: 2000}
	expect(t, OfCollector(c), "low_hit_rate", Warning, "100 % of the destinations have no route, in the last minute")
}
