package verdict

import (
	"fmt"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/enrich"
)

// Routing has the facts about sessions with routers and the routing table.
type Routing struct {
	Now, Started time.Time
	routing.Stats
	Validates bool // there are RPKI caches or a file
	RPKI      rpki.Stats
	Window    time.Duration      // how far back LookUps goes
	LookUps   enrich.RouteCounts // of destinations, one for each row
}

// The thresholds: below them there is no verdict.
const (
	flapWindow    = 10 * time.Minute
	flaps         = 3
	noEORAfter    = 5 * time.Minute
	neverAfter    = 5 * time.Minute // after the start
	someLookUps   = 1000
	mostlyDefault = 0.5
	manyMisses    = 0.2
	countsOff     = 0.01
	fewRoutesOff  = 100 // that a router and we may count differently
	muchLimbo     = 64 << 20
	mostRouters   = 8 // that are named in a verdict of one kind
)

// OfRouting returns what is wrong with sessions, routes and look-ups, the worst first. None of it keeps rows from their
// destination, so that nothing is worse than a warning.
func OfRouting(r *Routing) []Verdict {
	var l list
	l.routing(r)
	return l.sorted()
}

func (l *list) routing(r *Routing) {
	l.restored(r)
	for i := range r.Sessions {
		l.session(r, &r.Sessions[i])
	}
	for i := range r.BMP.Sessions {
		l.monitored(r, &r.BMP.Sessions[i])
	}
	l.absent(r)
	l.table(r)
	l.files(r)
	l.validation(r)
	l.lookUps(r)
}

// starting reports whether routers need not have connected again yet.
func (r *Routing) starting() bool { return r.Now.Sub(r.Started) < neverAfter }

// restored describes the routers that have not connected again since the start.
func (l *list) restored(r *Routing) {
	if !r.starting() {
		return
	}
	n := uint64(0)
	for i := range r.Sessions {
		if s := &r.Sessions[i]; !s.Up && s.Restored {
			n++
		}
	}
	for i := range r.BMP.Sessions {
		if s := &r.BMP.Sessions[i]; !s.Up && s.Restored {
			n++
		}
	}
	if n > 0 {
		l.add(Note, "routes_restored", "nothing, if they connect again",
			"the routes of the last run are used for %s, until their sessions are up again", count(n, "router"))
	}
}

// few keeps some verdicts of each kind that is about one router, and counts the others.
func (l list) few() list {
	seen, more := map[string]int{}, map[string]int{}
	var kept list
	for _, v := range l {
		if seen[v.Code]++; v.About != "" && seen[v.Code] > mostRouters {
			more[v.Code]++
			continue
		}
		kept = append(kept, v)
	}
	for i := range kept {
		if n := more[kept[i].Code]; n > 0 {
			kept[i].Text += fmt.Sprintf(" (and %d more like this: see /routing)", n)
			delete(more, kept[i].Code)
		}
	}
	return kept
}

// session describes a neighbour and its BGP sessions.
func (l *list) session(r *Routing, s *routing.Session) {
	name := named(s.Address.String(), s.Router)
	routes := int64(0)
	complete, families := true, 0
	for i, n := range s.Routes {
		routes += n
		if n > 0 {
			families++
			complete = complete && s.Complete[i]
		}
	}
	l.flapping(r, "BGP", name, s.Ends)
	switch {
	case !s.Up && s.Restored && r.starting(): // see restored
	case !s.Up:
		l.add(Warning, "session_down",
			"see the router: its routes are used until then, and replaced when it connects again",
			"the BGP session of %s is down since %s (%s): its %s stay until %s", name, moment(s.Since, r.Now), s.Why,
			count(uint64(routes), "route"), moment(s.Until, r.Now))
		l.about(name)
	case families > 0 && !complete && r.Now.Sub(s.Since) >= noEORAfter:
		severity := Note
		if s.Graceful {
			severity = Warning
		}
		l.add(severity, "no_eor",
			"harmless if it is a router without graceful restart (RFC 4724); else see whether it still sends its table",
			"%s has not said that it has announced all its routes (End-of-RIB) in %s: those of its session before "+
				"were removed after 5 minutes", name, lasting(r.Now.Sub(s.Since)))
		l.about(name)
	}
	if s.LeftOut > 0 {
		l.leftOut(name, s.LeftOut, s.MaxRoutes, "the collector asks for them again (ROUTE-REFRESH) once there is room")
	}
}

// leftOut describes routes that did not fit. most is the bound of the neighbour alone; 0: it has none.
func (l *list) leftOut(name string, n uint64, most int64, after string) {
	key := "routing.max_memory or routing.max_routes"
	if most > 0 {
		key = "routing.bgp.neighbor_max_routes or routing.max_memory"
	}
	l.add(Warning, "routes_limited", "raise "+key+"; "+after, "%s of %s are left out: the routing table is full",
		count(n, "route"), name)
	l.about(name)
}

// flapping describes a router whose sessions end again and again.
func (l *list) flapping(r *Routing, protocol, name string, ends []time.Time) {
	recent := 0
	for _, at := range ends {
		if r.Now.Sub(at) < flapWindow {
			recent++
		}
	}
	if recent >= flaps {
		l.add(Warning, "session_flaps", "see the router's log: hold times, MTU, or its own load",
			"the %s session of %s ended %s in the last 10 min", protocol, name, count(uint64(recent), "time"))
		l.about(protocol + " " + name)
	}
}

// monitored describes a router and its BMP sessions.
func (l *list) monitored(r *Routing, s *routing.BMPSession) {
	who := s.Router
	if s.Name != "" {
		who = s.Name
	}
	name := named(s.Address.String(), who)
	l.flapping(r, "BMP", name, s.Ends)
	if !s.Up && !(s.Restored && r.starting()) {
		l.add(Warning, "session_down",
			"see the router: its routes are used until then, and replaced when it connects again",
			"the BMP session of %s is down since %s (%s): its routes stay until %s", name, moment(s.Since, r.Now),
			s.Why, moment(s.Until, r.Now))
		l.about("BMP " + name)
	}
	if s.LeftOut > 0 {
		l.leftOut(name, s.LeftOut, 0,
			"the collector then ends the BMP session once, so that the router sends all again")
	}
	for v := range bmp.View(bmp.Views) {
		theirs, ours := s.Claimed[v], s.Counted[v]
		off := max(theirs-ours, ours-theirs)
		if !s.Up || !s.Settled || theirs < 0 || off < fewRoutesOff || float64(off) < countsOff*float64(theirs) {
			continue
		}
		l.add(Warning, "bmp_counts_differ",
			"if it lasts, reset the BMP session: some routers drop messages when the collector or the network is slow",
			"%s says that it has %s in %s, and has reported %s", name, count(uint64(theirs), "route"), v,
			groups(uint64(ours)))
		l.about(fmt.Sprintf("%s %s", name, v))
	}
}

// absent describes configured routers that are not there.
func (l *list) absent(r *Routing) {
	never := map[string][]string{}
	for _, x := range r.Absent {
		switch {
		case !x.Since.IsZero():
			l.add(Warning, "session_down", "see the router, and the network between",
				"no %s session with %s since %s: %s", x.Protocol, x.Router,
				moment(x.Since, r.Now), x.Why)
			l.about(x.Protocol + " " + x.Router)
		case r.Now.Sub(r.Started) >= neverAfter:
			never[x.Protocol] = append(never[x.Protocol], x.Router)
		}
	}
	for _, protocol := range []string{"BGP", "BMP"} {
		if all := never[protocol]; len(all) > 0 {
			l.add(Warning, "session_never",
				"is it configured to connect to this host and port, does a firewall let it, and is its address "+
					"that one? a wrong TCP-MD5 key looks the same",
				"no %s session since the start with %s", protocol, some(all))
			l.about(protocol)
		}
	}
	if n := r.Refused + r.BMP.Refused; n > 0 {
		from := ""
		if r.Stranger.IsValid() {
			from = fmt.Sprintf(", the latest of %s", r.Stranger)
		}
		l.add(Note, "session_refused", "routing.bgp.neighbors and routing.bmp.allowed say who may connect",
			"%s of routers that may not connect%s", count(n, "connection"), from)
	}
	if r.WrongKeys > 0 {
		l.add(Warning, "session_keys", "compare the key in routing.bgp.md5_file with the router's",
			"%s came without the TCP-MD5 key of their neighbor or with a wrong one, since the start (of all sockets "+
				"of this host)", count(r.WrongKeys, "TCP segment"))
	}
}

// table describes the routing table as a whole.
func (l *list) table(r *Routing) {
	if r.RIB.LimboBytes >= muchLimbo {
		l.add(Warning, "routes_limbo", "a worker does not finish its batch: see the log, and report it",
			"%d MiB of removed routes wait until no worker can read them any more", r.RIB.LimboBytes>>20)
	}
	if r.Unsaved != "" {
		l.add(Warning, "routes_not_saved", "after a restart routes would be those of "+
			"the latest file, until their routers connect", "the routes are not saved: %s", r.Unsaved)
	}
}

func (l *list) files(r *Routing) {
	for _, f := range r.MRT {
		if f.Err != "" {
			l.add(Warning, "mrt_file", "the routes of before stay in use", "the MRT file %s cannot be read: %s", f.Name,
				f.Err)
			l.about(f.Name)
		}
		if f.Refused > 0 {
			l.leftOut("the MRT file "+f.Name, f.Refused, 0, "the file is then read when it changes")
		}
	}
}

// validation describes RPKI data.
func (l *list) validation(r *Routing) {
	if !r.Validates {
		return
	}
	switch {
	case r.RPKI.Expired:
		l.add(Warning, "rpki_expired", "bring a cache back, or set routing.rpki.file",
			"the data of all RPKI caches is too old: all routes are unknown")
	case !r.RPKI.Loaded && r.Now.Sub(r.Started) >= settled:
		l.add(Warning, "rpki_no_data", "see the caches below, or set routing.rpki.file",
			"no RPKI cache has sent its data yet: routes are not validated")
	}
	for _, s := range r.RPKI.Sources {
		if s.Error == "" || s.Up() || s.State == "standby" {
			continue
		}
		l.add(Warning, "rpki_cache_down", "see the cache, and routing.rpki.caches; others are used meanwhile",
			"the RPKI source %s does not answer since %s: %s", s.Name, moment(s.Since, r.Now), s.Error)
		l.about(s.Name)
	}
}

// lookUps describes what rows got.
func (l *list) lookUps(r *Routing) {
	n := &r.LookUps
	asked := n.Total() - n.NoRouter
	if asked < someLookUps {
		return
	}
	if part := share(n.Default, asked); part > mostlyDefault {
		l.add(Warning, "default_only",
			"let the router announce its full table, or set routing.follow_default or routing.fallback",
			"%s of the destinations have only a default route, in %s", percent(part), span(r.Window))
	}
	if part := share(n.Miss+n.NoVRF, asked); part > manyMisses {
		l.add(Warning, "low_hit_rate",
			"does the router announce all its routes? collector routes shows what it has for an address",
			"%s of the destinations have no route, in %s", percent(part), span(r.Window))
	}
	if part := share(n.Fallback, asked); part > mostlyDefault {
		l.add(Note, "routes_fallback", "let the exporters' own routers connect, or set routing.agents",
			"%s of the destinations have a route of a fallback, in %s", percent(part), span(r.Window))
	}
}

// named is an address and the name that goes with it.
func named(address, name string) string {
	if name == "" || name == address {
		return address
	}
	return fmt.Sprintf("%s (%s)", address, name)
}

// some names the first of a list, and counts the others.
func some(all []string) string {
	if len(all) <= mostRouters {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:mostRouters], ", "), len(all)-mostRouters)
}
