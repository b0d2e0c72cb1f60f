package lookingglass

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

func eventually(t *testing.T, f func() string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		wrong := f()
		if wrong == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}

// glass makes a looking glass of a station.
func glass(t *testing.T, o routing.Options) *Glass {
	t.Helper()
	o.HoldTime, o.KeepStale, o.Log = 90*time.Second, time.Hour, zap.NewNop()
	o.RIB = rib.Options{MaxMemory: 512 << 20}
	s, err := routing.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Abort)
	started := time.Now()
	g := &Glass{Station: s, Routes: enrich.RouteOptions{RIB: s.RIB()}, Log: zap.NewNop(),
		Device: func(flow.Addr) (id, ref string) { return "", "" }, Exporters: func() []Exporter { return nil }}
	g.Facts = func(now time.Time) *verdict.Routing {
		return &verdict.Routing{Now: now, Started: started, Stats: s.Stats(), Validates: g.RPKI != nil,
			RPKI: g.RPKI.Stats()}
	}
	return g
}

// announcement is a route that a test's router announces.
type announcement struct {
	prefix string
	pathID uint32
	route.Attributes
}

func sequence(as ...uint32) []route.Segment {
	return []route.Segment{{Kind: route.Sequence, AS: as}}
}

func addr(text string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(text)) }

// speak has a router connect from a loopback address and announce IPv4 routes with path identifiers.
func speak(t *testing.T, g *Glass, from, id string, as uint32, all ...announcement) net.Conn {
	t.Helper()
	c := speakOnly(t, g, from, id, as, all...)
	eventually(t, func() string {
		for _, s := range g.Station.Stats().Sessions {
			if s.Address.String() == from && s.Up && s.Routes[0] == int64(len(all)) {
				return ""
			}
		}
		return fmt.Sprintf("the routes of %s do not come: %+v", from, g.Station.Stats().Sessions)
	})
	return c
}

// speakOnly is speak, and does not wait until the routes are there.
func speakOnly(t *testing.T, g *Glass, from, id string, as uint32, all ...announcement) net.Conn {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := dialer.Dial("tcp", g.Station.Addresses()[0])
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { _ = c.Close() })
	o := bgp.Open{AS: as, HoldTime: 90, ID: binary.BigEndian.Uint32(netip.MustParseAddr(id).AsSlice())}
	o.MultiProtocol, o.FourByteAS = true, true
	o.Families[route.Family{}.Index()], o.Receive[route.Family{}.Index()] = true, true
	hello := o.Append(nil)
	// ADD-PATH (RFC 7911) of IPv4 unicast: the router sends path identifiers.
	at := bytes.Index(hello, []byte{69, 4, 0, 1, 1, 1})
	hello[at+5] = 2
	message := bgp.AppendKeepalive(hello)
	for i := range all {
		x := &all[i]
		attributes := bgp.AppendAttributes(nil, &x.Attributes, route.Unicast, false)
		nlri := bgp.AppendPrefix(binary.BigEndian.AppendUint32(nil, x.pathID), route.Unicast, 0,
			route.PrefixFrom(netip.MustParsePrefix(x.prefix)))
		message = bgp.AppendHeader(message, bgp.UpdateType, 4+len(attributes)+len(nlri))
		message = binary.BigEndian.AppendUint16(append(message, 0, 0), uint16(len(attributes)))
		message = append(append(message, attributes...), nlri...)
	}
	if _, err := c.Write(message); err != nil {
		t.Error(err)
	}
	go func() { _, _ = io.Copy(io.Discard, c) }()
	return c
}

// twoRouters are two routers: one with two paths to a prefix, one with a default route to the first.
func twoRouters(t *testing.T) *Glass {
	t.Helper()
	g := glass(t, routing.Options{Listen: []string{"127.0.0.1:0"},
		Neighbors: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Names:     map[netip.Addr]string{netip.MustParseAddr("127.0.0.3"): "core3"}})
	speak(t, g, "127.0.0.2", "192.0.2.2", 64500,
		announcement{"198.51.100.0/24", 1, route.Attributes{Path: sequence(64501, 64502, 64502),
			NextHop:      addr("192.0.2.9"),
			HasLocalPref: true, LocalPref: 200, HasMED: true, MED: 7, Communities: []uint32{64500<<16 | 1, 0xffffff01},
			Extended: []uint64{0x0002fbf400000007}, Large: []route.Large{{Global: 64500, Data1: 1, Data2: 2}}}},
		announcement{"198.51.100.0/24", 2, route.Attributes{Path: sequence(64503), NextHop: addr("192.0.2.8"),
			HasLocalPref: true, LocalPref: 100}},
		announcement{"198.51.0.0/16", 1, route.Attributes{Path: sequence(64504), NextHop: addr("192.0.2.8"),
			Origin: route.Incomplete}})
	speak(t, g, "127.0.0.3", "192.0.2.3", 64500,
		announcement{"0.0.0.0/0", 1, route.Attributes{NextHop: addr("192.0.2.2")}})
	return g
}

func ask(t *testing.T, g *Glass, query string) *Answer {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(q.Values())
	if err != nil || !cmp.Equal(q, again, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })) {
		t.Errorf("%s becomes %s: %v", query, q.Values().Encode(), err)
	}
	a, err := g.Look(&q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Each router's routes to an address are there, with all that is known of them.
func TestLook(t *testing.T) {
	g := twoRouters(t)
	file := filepath.Join(t.TempDir(), "roas.json")
	if err := os.WriteFile(file, []byte(`{"roas":[{"prefix":"198.51.100.0/24","asn":64502},`+
		`{"prefix":"198.51.0.0/16","asn":64999}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g.RPKI = rpki.Open(rpki.Options{File: file, Log: zap.NewNop()})
	t.Cleanup(g.RPKI.Close)
	eventually(t, func() string {
		if g.RPKI.Current().Table() == nil {
			return "no payloads"
		}
		return ""
	})
	for query, want := range map[string][]string{
		"address=198.51.100.7": {"192.0.2.2 198.51.100.0/24 1 valid best", "192.0.2.2 198.51.100.0/24 2 invalid",
			"core3 0.0.0.0/0 1 unknown best"},
		"address=198.51.100.7&all=1": {"192.0.2.2 198.51.100.0/24 1 valid best", "192.0.2.2 198.51.100.0/24 2 invalid",
			"192.0.2.2 198.51.0.0/16 1 invalid best", "core3 0.0.0.0/0 1 unknown best"},
		"address=198.51.100.7&router=core3":        {"core3 0.0.0.0/0 1 unknown best"},
		"address=198.51.100.7&router=127.0.0.3":    {"core3 0.0.0.0/0 1 unknown best"},
		"address=198.51.100.0/23&router=192.0.2.2": {"192.0.2.2 198.51.0.0/16 1 invalid best"},
		"address=198.51.100.0/24&router=192.0.2.2": {"192.0.2.2 198.51.100.0/24 1 valid best",
			"192.0.2.2 198.51.100.0/24 2 invalid"},
		"address=203.0.113.1":                            {"core3 0.0.0.0/0 1 unknown best"},
		"address=203.0.113.1&view=mrt":                   {},
		"address=203.0.113.1&view=bgp":                   {"core3 0.0.0.0/0 1 unknown best"},
		"address=203.0.113.1&table=vpn":                  {},
		"address=203.0.113.1&table=0:64500:7":            {},
		"address=203.0.113.1&table=global":               {"core3 0.0.0.0/0 1 unknown best"},
		"address=2001:db8::1":                            {},
		"address=%3A%3Affff%3A203.0.113.1&table=unicast": {"core3 0.0.0.0/0 1 unknown best"},
	} {
		got := []string{}
		for _, r := range ask(t, g, query).Routes {
			text := fmt.Sprintf("%s %s %d %s", r.Router, r.Prefix, r.PathID, r.RPKI)
			if r.Best {
				text += " best"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	r := ask(t, g, "address=198.51.100.7").Routes[0]
	if r.Since.IsZero() || time.Since(r.Since) > patience {
		t.Errorf("the session is of %s", r.Since)
	}
	r.Since = time.Time{}
	pref, med := uint32(200), uint32(7)
	want := Route{Router: "192.0.2.2", RouterAS: 64500, Class: "unicast", Prefix: "198.51.100.0/24",
		ASPath: "64501 64502 64502", NextHop: "192.0.2.9", Origin: "IGP", LocalPref: &pref, MED: &med,
		Communities: []string{"64500:1", "no-export"}, ExtCommunities: []string{"RT:64500:7"},
		LargeCommunities: []string{"64500:1:2"}, PathID: 1, Internal: true, Protocol: "BGP", Session: "127.0.0.2",
		Up: true, Best: true, Answers: true, RPKI: "valid",
		Payloads: []string{"198.51.100.0/24-24 AS64502", "198.51.0.0/16-16 AS64999"}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
}

// What a flow of an exporter gets is said, and why.
func TestLook_exporter(t *testing.T) {
	g := twoRouters(t)
	g.Routes.FollowDefault = 1
	g.Device = func(a flow.Addr) (id, ref string) {
		if a == addr("203.0.113.77") || a == addr("127.0.0.2") {
			return "edge", "edge__v1"
		}
		return "", ""
	}
	g.Routes.Maps = &enrich.CurrentMaps{}
	in := uint32(5)
	g.Routes.Maps.Set(enrich.RouteMaps{Agents: []enrich.AgentRule{{Match: enrich.Match{
		Exporter: netip.MustParsePrefix("203.0.113.9/32"), In: &in}, Router: addr("192.0.2.2")}}})
	for query, want := range map[string]string{
		"exporter=127.0.0.2": "hit 1: its address is that of a session",
		"exporter=192.0.2.2": "hit 1: its address is a BGP identifier",
		"exporter=192.0.2.2&next_hop=192.0.2.8": "hit 2: its address is a BGP identifier; " +
			"the flow's next hop is the route's",
		"exporter=192.0.2.2&next_hop=192.0.2.7": "hit 1: its address is a BGP identifier; " +
			"no route to the prefix has the flow's next hop",
		"exporter=192.0.2.2&rd=0:64500:7": "hit 1: its address is a BGP identifier; " +
			"the flow is in VRF 0:64500:7, of which the router has no table: the global one",
		"exporter=127.0.0.3": "hit 1: its address is that of a session; " +
			"its route is a default route: that of the next hop's router 192.0.2.2",
		"exporter=203.0.113.77":     "hit 1: its device in meta_device",
		"exporter=203.0.113.9&in=5": "hit 1: a rule of routing.agents",
		"exporter=203.0.113.9&in=6": "no_router 0: no session, BGP identifier or device",
		"exporter=203.0.113.1":      "no_router 0: no session, BGP identifier or device",
		"exporter=192.0.2.2&address=203.0.113.1": "miss 0: its address is a BGP identifier; " +
			"router 192.0.2.2 has no route to 203.0.113.1",
		"exporter=127.0.0.3&address=203.0.113.1": "default 0: its address is that of a session; " +
			"only the default route holds",
	} {
		if !strings.Contains(query, "address=") {
			query += "&address=198.51.100.7"
		}
		x := ask(t, g, query).Exporter
		// The path is told by its first AS.
		path := map[string]int{"64501 64502 64502": 1, "64503": 2}[func() string {
			if x.Route == nil {
				return ""
			}
			return x.Route.ASPath
		}()]
		head, texts, _ := strings.Cut(want, ": ")
		if got := fmt.Sprintf("%s %d", x.Outcome, path); got != head {
			t.Errorf("%s: %s, want %s", query, got, head)
		}
		for i, text := range strings.Split(texts, "; ") {
			if i >= len(x.Why) || !strings.HasPrefix(x.Why[i], text) {
				t.Errorf("%s: %q, want %q", query, x.Why, text)
			}
		}
	}
	g.Routes.Fallback = []string{"core3"}
	if x := ask(t, g, "address=198.51.100.7&exporter=203.0.113.1").Exporter; x.Outcome != "fallback" ||
		!strings.Contains(x.Why[0], "routing.fallback") {
		t.Errorf("with a fallback: %+v", x)
	}
	g.Routes.Fallback, g.Routes.StrictVRF = nil, true
	if x := ask(t, g, "address=198.51.100.7&exporter=127.0.0.2&rd=0:64500:7").Exporter; x.Outcome != "no_vrf" {
		t.Errorf("an unknown VRF with routing.unknown_vrf: none: %+v", x)
	}
}

// Queries that make no sense are refused in words.
func TestParse_refuses(t *testing.T) {
	for query, want := range map[string]string{
		"":                                 "no address",
		"address=there":                    "neither an address nor a prefix",
		"address=192.0.2.1/33":             "neither an address nor a prefix",
		"address=::ffff:0.0.0.0/90":        "no prefix of IPv4",
		"address=192.0.2.1&table=main":     "is no table",
		"address=192.0.2.1&view=best":      "is no view",
		"address=192.0.2.1&all=perhaps":    "neither 1 nor 0",
		"address=192.0.2.1&exporter=core1": "not an address",
		"address=192.0.2.1&rd=7":           "route distinguisher",
		"address=192.0.2.1&next_hop=core1": "next hop",
		"address=192.0.2.1&in=up":          "interface",
		"address=192.0.2.1&router=" + strings.Repeat("x", 300): "too long",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	if _, err := twoRouters(t).Look(&Query{To: netip.MustParsePrefix("192.0.2.1/32"), Router: "core9"}); err == nil ||
		!strings.Contains(err.Error(), "core9") {
		t.Errorf("an unknown router: %v", err)
	}
	if _, err := (&Glass{}).Look(&Query{}); err == nil || !strings.Contains(err.Error(), "routing is off") {
		t.Errorf("without routes: %v", err)
	}
}

// Routes of a session that ended are stale, and those of the last run are told apart until they are announced again.
func TestLook_staleAndSaved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "routes")
	own := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	g := glass(t, routing.Options{Listen: []string{"127.0.0.1:0"}, Neighbors: own})
	first := announcement{"10.0.0.0/8", 1, route.Attributes{Path: sequence(64501), NextHop: addr("192.0.2.9")}}
	second := announcement{"11.0.0.0/8", 1, route.Attributes{Path: sequence(64502), NextHop: addr("192.0.2.9")}}
	state := func(g *Glass, to string) string {
		t.Helper()
		a := ask(t, g, "address="+to)
		if len(a.Routes) != 1 {
			return fmt.Sprintf("%d routes", len(a.Routes))
		}
		r := &a.Routes[0]
		return fmt.Sprintf("up %t stale %t saved %t", r.Up, r.Stale, r.Saved)
	}
	is := func(g *Glass, to, want string) {
		t.Helper()
		eventually(t, func() string {
			if got := state(g, to); got != want {
				return fmt.Sprintf("%s: %s, want %s", to, got, want)
			}
			return ""
		})
	}
	c := speak(t, g, "127.0.0.2", "192.0.2.2", 64500, first, second)
	is(g, "10.1.2.3", "up true stale false saved false")
	_ = c.Close()
	is(g, "10.1.2.3", "up false stale true saved false")
	if err := g.Station.SaveTo(file); err != nil {
		t.Fatal(err)
	}
	g = glass(t, routing.Options{Listen: []string{"127.0.0.1:0"}, Neighbors: own, File: file})
	is(g, "10.1.2.3", "up false stale true saved true")
	speakOnly(t, g, "127.0.0.2", "192.0.2.2", 64500, first)
	is(g, "10.1.2.3", "up true stale false saved false")
	is(g, "11.1.2.3", "up true stale true saved true")
}
