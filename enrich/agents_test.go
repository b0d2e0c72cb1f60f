package enrich

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// severalRouters have the routes of routers that are named by their addresses, which are those of their sessions.
func severalRouters(t testing.TB, of map[string][]testRoute) *rib.RIB {
	t.Helper()
	r, err := rib.New(rib.Options{MaxMemory: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	at := map[flow.Addr]*rib.Router{}
	for name, all := range of {
		router := r.Router(name, true)
		s := router.NewSource(0)
		s.Begin()
		b := &route.Batch{Decode: func(data []byte, a *route.Attributes) error {
			x := &all[data[0]]
			a.Path, a.Communities = append(a.Path, x.path...), append(a.Communities, x.communities...)
			if x.next != "" {
				a.NextHop = addr(x.next)
			}
			return nil
		}}
		for i := range all {
			data := []byte{byte(i), name[len(name)-1]}
			b.Changes = append(b.Changes, route.Change{Prefix: route.PrefixFrom(netip.MustParsePrefix(all[i].prefix)),
				Class: all[i].class, RD: all[i].rd, PathID: all[i].id,
				Bundle: b.AddBundle(r.Hasher().Sum(data), data)})
		}
		if refused, bad, err := s.Apply(b); refused+bad > 0 || err != nil {
			t.Fatal(refused, bad, err)
		}
		if a, err := netip.ParseAddr(name); err == nil {
			at[flow.AddrFrom(a)] = router
		}
	}
	r.Publish()
	r.SetAddresses(at, nil)
	return r
}

func TestRouteMaps(t *testing.T) {
	r := severalRouters(t, map[string][]testRoute{
		"192.0.2.1": {{prefix: "10.0.0.0/8", path: sequence(1)},
			{prefix: "10.0.0.0/8", class: route.VPN, rd: 64500<<32 | 7, path: sequence(17)}},
		"192.0.2.2": {{prefix: "10.0.0.0/8", path: sequence(2)}},
		"192.0.2.3": {{prefix: "0.0.0.0/0", path: sequence(3), next: "192.0.2.1"},
			{prefix: "2001:db8::/32", path: sequence(36)}},
		"mrt:lookglas": {{prefix: "20.0.0.0/8", path: sequence(4)}},
	})
	seven, eight := uint32(7), uint32(8)
	rd := [8]byte{2: 0xfb, 3: 0xf4, 7: 7}
	all := netip.MustParsePrefix("198.51.100.0/24")
	maps := new(CurrentMaps)
	maps.Set(RouteMaps{
		Agents: []AgentRule{
			{Match{Exporter: all, In: &seven}, addr("192.0.2.2")},
			{Match{Exporter: all, Out: &eight, NotOut: true}, addr("192.0.2.3")},
			{Match{Exporter: all, IPVersion: 6}, addr("192.0.2.3")},
			{Match{Exporter: all}, addr("192.0.2.1")},
			{Match{Exporter: netip.MustParsePrefix("203.0.113.1/32")}, addr("192.0.2.99")}, // has no routes
		},
		VRFs: []VRFRule{
			{Match{Exporter: netip.MustParsePrefix("192.0.2.1/32"), VRF: &seven}, rd},
			{Match{Exporter: netip.MustParsePrefix("192.0.2.1/32"), BottomLabel: &eight}, rd},
			{Match{Exporter: netip.MustParsePrefix("192.0.2.1/32"), NextHop: netip.MustParsePrefix("203.0.113.0/24")},
				rd},
			{Match{Exporter: netip.MustParsePrefix("192.0.2.1/32"), VRF: &eight}, [8]byte{}},
		},
	})
	with := func(o RouteOptions) RouteOptions {
		o.RIB, o.Maps = r, maps
		return o
	}
	tests := []struct {
		name, exporter string
		o              RouteOptions
		change         func(*flow.Record)
		want           string
	}{
		{"by address", "192.0.2.2", with(RouteOptions{}), nil, "2 hit"},
		{"by input interface", "198.51.100.5", with(RouteOptions{}),
			func(r *flow.Record) { r.InIf, r.OutIf = 7, 8 }, "2 hit"},
		{"by any other output interface", "198.51.100.5", with(RouteOptions{}),
			func(r *flow.Record) { r.OutIf = 9 }, "3 default"},
		{"by IP version", "198.51.100.5", with(RouteOptions{}), func(r *flow.Record) {
			r.OutIf, r.IPVersion, r.DstAddr = 8, 6, addr("2001:db8::1")
		}, "36 hit"},
		{"by the prefix of the exporter", "198.51.100.5", with(RouteOptions{}),
			func(r *flow.Record) { r.OutIf = 8 }, "1 hit"},
		{"a map without routes", "203.0.113.1", with(RouteOptions{}), nil, "0 no router"},
		{"VRF by its id", "192.0.2.1", with(RouteOptions{}), func(r *flow.Record) { r.IngressVRF = 7 }, "17 hit"},
		{"VRF by the egress id", "192.0.2.1", with(RouteOptions{}), func(r *flow.Record) { r.EgressVRF = 7 }, "17 hit"},
		{"VRF by label", "192.0.2.1", with(RouteOptions{}),
			func(r *flow.Record) { r.MPLS[0], r.MPLSCount = 8<<4|1, 1 }, "17 hit"},
		{"VRF by next hop", "192.0.2.1", with(RouteOptions{}), func(r *flow.Record) {
			r.BGPNextHop = addr("203.0.113.7")
			r.Set(flow.BGPNextHop)
		}, "17 hit"},
		{"the global table by the map", "192.0.2.1", with(RouteOptions{}),
			func(r *flow.Record) { r.EgressVRF, r.MPLSRD = 8, rd }, "1 hit"},
		{"unknown VRF", "192.0.2.2", with(RouteOptions{}), func(r *flow.Record) { r.MPLSRD = rd }, "2 hit"},
		{"unknown VRF, none", "192.0.2.2", with(RouteOptions{StrictVRF: true}),
			func(r *flow.Record) { r.MPLSRD = rd }, "0 no VRF"},
		{"default route", "192.0.2.3", with(RouteOptions{}), nil, "3 default"},
		{"default route followed", "192.0.2.3", with(RouteOptions{FollowDefault: 1}), nil, "1 hit"},
		{"default route followed without better", "192.0.2.3", with(RouteOptions{FollowDefault: 1}),
			func(r *flow.Record) { r.DstAddr = addr("99.0.0.1") }, "3 default"},
		{"fallback", "203.0.113.9", with(RouteOptions{Fallback: []string{"none", "mrt:lookglas", "192.0.2.2"}}),
			func(r *flow.Record) { r.DstAddr = addr("20.0.0.1") }, "4 fallback"},
		{"the next fallback", "203.0.113.9", with(RouteOptions{Fallback: []string{"mrt:lookglas", "192.0.2.2"}}), nil,
			"2 fallback"},
		{"no fallback for an exporter with a router", "192.0.2.1",
			with(RouteOptions{Fallback: []string{"mrt:lookglas"}}),
			func(r *flow.Record) { r.DstAddr = addr("20.0.0.1") }, "0 miss"},
		{"no router", "203.0.113.9", with(RouteOptions{}), nil, "0 no router"},
	}
	s, _ := NewBuilder().Build()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := New(Options{Routes: test.o})
			record := flow.Record{Exporter: addr(test.exporter), IPVersion: 4, DstAddr: addr("10.0.0.1")}
			if test.change != nil {
				test.change(&record)
			}
			var row Row
			e.Begin()
			e.Enrich(s, &record, &row)
			got := fmt.Sprint(row.DstASID)
			e.End()
			for name, n := range map[string]uint64{"hit": e.RouteCounts().Hit, "default": e.RouteCounts().Default,
				"miss": e.RouteCounts().Miss, "no VRF": e.RouteCounts().NoVRF, "no router": e.RouteCounts().NoRouter,
				"fallback": e.RouteCounts().Fallback} {
				if n > 0 {
					got += " " + name
				}
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if n := e.RouteCounts().Total(); n != 1 {
				t.Errorf("%d look-ups of one row", n)
			}
		})
	}
	t.Run("a changed map counts from the next batch on", func(t *testing.T) {
		e := New(Options{Routes: with(RouteOptions{})})
		look := func() uint32 {
			var row Row
			e.Begin()
			defer e.End()
			e.Enrich(s, &flow.Record{Exporter: addr("198.51.100.9"), OutIf: 8, DstAddr: addr("10.0.0.1")}, &row)
			return row.DstASID
		}
		if got := look(); got != 1 {
			t.Error(got)
		}
		maps.Set(RouteMaps{Agents: []AgentRule{{Match{Exporter: all}, addr("192.0.2.2")}}})
		if got := look(); got != 2 {
			t.Error(got)
		}
	})
}

// The groups bgp_src and bgp_meta, and what stays empty without them.
func TestRouteColumns(t *testing.T) {
	r, source := testRIB(t, []testRoute{
		{prefix: "10.0.0.0/8", next: "192.0.2.10", path: sequence(64501, 64501, 64502), pref: 200, med: 5,
			communities: []uint32{1, 2}},
		{prefix: "20.0.0.0/8", path: []route.Segment{{Kind: route.ConfedSequence, AS: []uint32{65001, 65002}},
			{Kind: route.Sequence, AS: []uint32{64504}}}},
	})
	s, _ := NewBuilder().Build()
	look := func(o RouteOptions, record flow.Record) string {
		o.RIB = r
		e := New(Options{Routes: o})
		var row Row
		e.Begin()
		defer e.End()
		e.Enrich(s, &record, &row)
		c := &row.Route
		text := ""
		if row.PathRoute != nil {
			text = string(row.PathRoute.AppendPathText(nil, '_'))
		}
		return fmt.Sprintf("src %v %v %v %d/%d peer %d; %s of %q, %s>%s; to %d, path %v %s", c.SrcPath, c.SrcPadding,
			c.SrcCommunities, c.SrcLocalPref, c.SrcMED, c.PeerAS, c.Source, c.Router, c.From, c.To, record.PeerDstAS,
			row.ASPathID, text)
	}
	record := flow.Record{Exporter: addr("192.0.2.1"), SrcAddr: addr("10.1.1.1"), DstAddr: addr("20.1.1.1")}
	both := RouteOptions{Source: true, Meta: true}
	for _, test := range []struct {
		name   string
		o      RouteOptions
		change func(*flow.Record)
		want   string
	}{
		{"off", RouteOptions{}, nil,
			`src [] [] [] 0/0 peer 0;  of "", 0.0.0.0/0>0.0.0.0/0; to 64504, path [64504] (65001_65002)_64504`},
		{"on", both, nil, `src [64501 64502] [2 1] [1 2] 200/5 peer 64501; bgp of "router", 10.0.0.0/8>20.0.0.0/8; ` +
			`to 64504, path [64504] (65001_65002)_64504`},
		{"the record's previous AS", both, func(r *flow.Record) { r.PeerSrcAS = 7 },
			`src [64501 64502] [2 1] [1 2] 200/5 peer 7; bgp of "router", 10.0.0.0/8>20.0.0.0/8; ` +
				`to 64504, path [64504] (65001_65002)_64504`},
		{"confederations kept", RouteOptions{Meta: true, Confederations: true}, nil,
			`src [] [] [] 0/0 peer 0; bgp of "router", 10.0.0.0/8>20.0.0.0/8; ` +
				`to 65001, path [65001 65002 64504] (65001_65002)_64504`},
		{"no route, a path in the record", both, func(r *flow.Record) {
			r.SrcAddr, r.DstAddr, r.ASPath = addr("50.0.0.1"), addr("50.0.0.2"), []uint32{1}
			r.Set(flow.ASPath)
		}, `src [] [] [] 0/0 peer 0; exporter of "", 0.0.0.0/0>0.0.0.0/0; to 0, path [1] `},
		{"nothing is known", both, func(r *flow.Record) { r.Exporter = addr("203.0.113.9") },
			`src [] [] [] 0/0 peer 0;  of "", 0.0.0.0/0>0.0.0.0/0; to 0, path [] `},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := record
			if test.change != nil {
				test.change(&x)
			}
			if got := look(test.o, x); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
	source.End()
	if got, want := look(RouteOptions{Meta: true}, record), `src [] [] [] 0/0 peer 0; stale of "router", `+
		`10.0.0.0/8>20.0.0.0/8; to 64504, path [64504] (65001_65002)_64504`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An exporter whose device has the address of a router's session gets that router's routes.
func TestRouterOfTheSameDevice(t *testing.T) {
	r := severalRouters(t, map[string][]testRoute{"192.0.2.1": {{prefix: "10.0.0.0/8", path: sequence(1)}}})
	b := NewBuilder()
	b.AddDevice(Device{ID: "rtr1", Ref: "rtr1__v1", Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1"),
		netip.MustParseAddr("203.0.113.1")}})
	s, _ := b.Build()
	e := New(Options{Routes: RouteOptions{RIB: r}})
	for exporter, want := range map[string]uint32{"203.0.113.1": 1, "203.0.113.2": 0} {
		var row Row
		e.Begin()
		e.Enrich(s, &flow.Record{Exporter: addr(exporter), DstAddr: addr("10.0.0.1")}, &row)
		e.End()
		if row.DstASID != want {
			t.Errorf("%s: AS %d, want %d", exporter, row.DstASID, want)
		}
	}
}
