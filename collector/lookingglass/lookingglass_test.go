package lookingglass

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/rpki"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
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

// manyRoutes is an MRT file with routes of all classes and both families, some with path identifiers.
func manyRoutes(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w, err := mrt.NewWriter(&b, time.Unix(1, 0), 1, "", []mrt.Peer{
		{ID: 1, Address: addr("192.0.2.1"), AS: 64500}, {ID: 2, Address: addr("2001:db8::2"), AS: 4200000001}})
	if err != nil {
		t.Fatal(err)
	}
	one := &route.Attributes{Path: []route.Segment{{Kind: route.Sequence, AS: []uint32{64500, 64500, 4200000000}},
		{Kind: route.Set, AS: []uint32{64510, 64511}}}, NextHop: addr("192.0.2.9"), HasLocalPref: true, LocalPref: 120,
		HasMED: true, MED: 3, Communities: []uint32{64500<<16 | 5}, Extended: []uint64{0x0002fbf400000007},
		Large: []route.Large{{Global: 1, Data1: 2, Data2: 3}}}
	six := *one
	six.NextHop, six.Origin = addr("2001:db8::9"), route.Incomplete
	bare := &route.Attributes{NextHop: addr("192.0.2.8")}
	write := func(class route.Class, rd route.RD, prefix string, all ...mrt.Entry) {
		t.Helper()
		if err := w.Write(class, rd, route.PrefixFrom(netip.MustParsePrefix(prefix)), all); err != nil {
			t.Fatal(err)
		}
	}
	write(route.Unicast, 0, "0.0.0.0/0", mrt.Entry{Attributes: bare})
	write(route.Unicast, 0, "10.0.0.0/8", mrt.Entry{Attributes: one}, mrt.Entry{Peer: 1, Attributes: bare})
	write(route.Unicast, 0, "10.1.2.128/25", mrt.Entry{Attributes: one, PathID: 7},
		mrt.Entry{Attributes: bare, PathID: 8}, mrt.Entry{Peer: 1, Attributes: bare, PathID: 7})
	write(route.Unicast, 0, "2001:db8::/32", mrt.Entry{Attributes: &six})
	write(route.Unicast, 0, "2001:db8:1::/48", mrt.Entry{Attributes: &six, PathID: 9})
	write(route.Labelled, 0, "10.2.0.0/16", mrt.Entry{Attributes: one})
	write(route.VPN, 0xfbf400000007, "10.3.0.0/16", mrt.Entry{Attributes: one})
	write(route.VPN, 0xfbf400000008, "10.3.0.0/16", mrt.Entry{Peer: 1, Attributes: bare})
	for n := range uint32(600) { // more than a page of slots
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], 0xac100000|n<<8)
		x := *one
		x.MED = n % 50
		write(route.Unicast, 0, netip.PrefixFrom(netip.AddrFrom4(a), 24).String(), mrt.Entry{Attributes: &x})
	}
	path := filepath.Join(t.TempDir(), "routes.mrt")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// loaded is a looking glass of an MRT file.
func loaded(t *testing.T, file string, routes int64) *Glass {
	t.Helper()
	g := glass(t, routing.Options{MRT: []routing.MRTFile{{Name: "file", File: file}}})
	eventually(t, func() string {
		if s := g.Station.Stats(); s.RIB.Routes != routes || s.MRT[0].Loaded.IsZero() || s.MRT[0].Bad > 0 {
			return fmt.Sprintf("%+v", s)
		}
		return ""
	})
	return g
}

// entriesOf are all routes of a glass as text.
func entriesOf(g *Glass) (all []string) {
	reader := g.Station.RIB().NewReader()
	defer reader.Close()
	routers, _ := g.routers("")
	for _, group := range tableGroups(routers) {
		for _, v6 := range []bool{false, true} {
			walk := reader.Walk(group, v6)
			for more := true; more; {
				reader.Enter()
				more, _ = walk.Next(func(p route.Prefix, entries []rib.Entry) error {
					for i := range entries {
						r := newRoute(&entries[i], nil)
						r.File, r.Since = "", time.Time{}
						text, _ := json.Marshal(r)
						all = append(all, string(text))
					}
					return nil
				})
				reader.Leave()
			}
		}
	}
	slices.Sort(all)
	return all
}

// What is dumped is read back as it was: by us, and by bgpdump where it is installed.
func TestDump_roundTrip(t *testing.T) {
	const routes = 1 + 2 + 3 + 1 + 1 + 1 + 1 + 1 + 600
	g := loaded(t, manyRoutes(t), routes)
	path := filepath.Join(t.TempDir(), "again.mrt")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := g.Dump(f, "")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || d != (Dumped{Peers: 2, Routes: routes}) {
		t.Fatalf("%+v, %v", d, err)
	}
	want, got := entriesOf(g), entriesOf(loaded(t, path, routes))
	if diff := cmp.Diff(want, got); diff != "" || len(want) != routes {
		t.Errorf("%d routes: %s", len(want), diff)
	}
	if _, err := g.Dump(io.Discard, "core9"); err == nil {
		t.Error("an unknown router is dumped")
	}
	bgpdump, err := exec.LookPath("bgpdump")
	if err != nil {
		t.Skip("bgpdump is not installed: only our own reader has read the dump")
	}
	out, err := exec.Command(bgpdump, "-m", path).CombinedOutput()
	if err != nil {
		t.Fatalf("bgpdump: %v: %s", err, out)
	}
	// bgpdump 1.6.2 reads unicast routes without path identifiers alone.
	for _, line := range []string{
		"|B|192.0.2.1|64500|10.0.0.0/8|64500 64500 4200000000 {64510,64511}|IGP|192.0.2.9|120|3|64500:5",
		"|B|2001:db8::2|4200000001|10.0.0.0/8||IGP|192.0.2.8|",
		"|2001:db8::/32|64500 64500 4200000000 {64510,64511}|INCOMPLETE|2001:db8::9|120|3|64500:5",
	} {
		if !strings.Contains(string(out), line) {
			t.Errorf("bgpdump does not say %s", line)
		}
	}
	if t.Failed() {
		t.Logf("bgpdump: %.2000s", out)
	}
}

// serve mounts a glass on a server.
func serve(t *testing.T, g *Glass) string {
	t.Helper()
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	g.Mount(server)
	return server.URL()
}

func get(t *testing.T, url string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header
}

// lookUp has one flow of each exporter looked up, of which so many have counts of their own. The first one is to an
// address without a route, and the second one in a VRF without a table.
func lookUp(g *Glass, most int, exporters ...string) {
	g.LookUps = enrich.NewLookUps(most)
	o := g.Routes
	o.LookUps = g.LookUps
	e := enrich.New(enrich.Options{Routes: o})
	snapshot, _ := enrich.NewBuilder().Build()
	var row enrich.Row
	for i, exporter := range exporters {
		r := flow.Record{Exporter: addr(exporter), DstAddr: addr("198.51.100.7")}
		switch i {
		case 0:
			r.DstAddr = addr("203.0.113.1")
		case 1:
			r.MPLSRD = [8]byte{7: 7}
		}
		e.Begin()
		e.Enrich(snapshot, &r, &row)
		e.End()
	}
}

// The page shows sessions to everybody, and routes to those who may look at the traffic.
func TestPages(t *testing.T) {
	g := twoRouters(t)
	g.Viewers = access.Viewers{LocalOnly: true}
	g.Exporters = func() []Exporter {
		return []Exporter{{Address: netip.MustParseAddr("127.0.0.2"), FlowsPerSecond: 12},
			{Address: netip.MustParseAddr("203.0.113.1"), Device: "<b>lost</b>"}}
	}
	lookUp(g, 1, "127.0.0.2", "127.0.0.2", "127.0.0.2", "203.0.113.8")
	at := serve(t, g)
	elsewhere := func(r *http.Request) { r.Header.Set("X-Forwarded-For", "198.51.100.1") }
	status, text, header := get(t, at+"/routing", elsewhere)
	for _, want := range []string{"192.0.2.2", "core3", "ipv4 unicast", "up for", "let its router connect",
		"&lt;b&gt;lost", `http-equiv="refresh"`, "no such prefix 33.3 %",
		"no table of the VRF, so a route of the global one 33.3 %", `data-label="Own route">66.7 %<`,
		`data-label="No route">33.3 %<`, "1 looked up", "no router 100.0 %"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	if status != http.StatusOK || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") ||
		strings.Contains(text, "<script") {
		t.Errorf("the page: %d %v", status, header)
	}
	status, text, _ = get(t, at+"/routing?address=198.51.100.7&exporter=127.0.0.2")
	for _, want := range []string{"64501 64502 64502", "64500:1 no-export", "its address is that of a session"} {
		if !strings.Contains(text, want) {
			t.Errorf("the look-up does not have %q", want)
		}
	}
	if status != http.StatusOK || strings.Contains(text, `http-equiv="refresh"`) {
		t.Errorf("the look-up: %d", status)
	}
	for path, want := range map[string]int{
		"/routing.json": http.StatusOK, "/routes.json?address=192.0.2.1": http.StatusOK, "/routing.css": http.StatusOK,
		"/routes.mrt": http.StatusOK, "/routes.json?address=here": http.StatusBadRequest,
		"/routing?address=here": http.StatusBadRequest, "/routes.mrt?router=core9": http.StatusBadRequest,
	} {
		if status, text, _ := get(t, at+path); status != want {
			t.Errorf("%s: %d %.200s", path, status, text)
		}
	}
	for _, path := range []string{"/routing?address=192.0.2.1", "/routes.json?address=192.0.2.1", "/routes.mrt"} {
		if status, _, _ := get(t, at+path, elsewhere); status != http.StatusForbidden {
			t.Errorf("%s from elsewhere: %d", path, status)
		}
		if status, _,
			_ := get(t, at+path, func(r *http.Request) { r.Host = "evil.example" }); status != http.StatusForbidden {
			t.Errorf("%s under another name: %d", path, status)
		}
	}
	status, text, _ = get(t, serve(t, &Glass{Log: zap.NewNop()})+"/routing")
	if status != http.StatusOK || !strings.Contains(text, "Routing is off") {
		t.Errorf("without routes: %d %s", status, text)
	}
}

// Users of some policy scopes see no routes: these are of no scope.
func TestPages_users(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	// The password of both is "secret".
	const hash = "$2y$05$3KyJLAl5VeyAR7Gk8bJdUeq5Mxfqj8DwNDIcvArZwUaEsS6q7QT/2"
	if err := os.WriteFile(users, []byte("all:"+hash+"\nsome:"+hash+":comm:lhcone\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := access.LoadUsers(users)
	if err != nil {
		t.Fatal(err)
	}
	g := twoRouters(t)
	g.Viewers = access.Viewers{Users: known}
	at := serve(t, g)
	as := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	for name, want := range map[string]int{"all": http.StatusOK, "some": http.StatusForbidden} {
		if status, _, _ := get(t, at+"/routes.json?address=192.0.2.1", as(name, "secret")); status != want {
			t.Errorf("%s: %d, want %d", name, status, want)
		}
	}
	if status, _, _ := get(t, at+"/routes.json?address=192.0.2.1",
		as("all", "wrong")); status != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", status)
	}
}

// The texts for terminals have what the JSON has.
func TestText(t *testing.T) {
	g := twoRouters(t)
	var out strings.Builder
	WriteAnswer(&out, ask(t, g, "address=198.51.100.7&exporter=127.0.0.3"))
	for _, want := range []string{"a flow of exporter 127.0.0.3 to 198.51.100.7: default",
		"router 192.0.2.2 AS64500, table unicast",
		"path 64501 64502 64502", "communities 64500:1 no-export", "extended communities RT:64500:7", "path id 1",
		"from BGP session of 127.0.0.2, session up for", "best, iBGP", "(empty: the router's own AS)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	out.Reset()
	if err := WriteSummary(&out, g.Summary()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"4 routes to 3 prefixes", "core3", "3 ipv4 unicast"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
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

// Look-ups and dumps beside a writer find whole routes. It is for the race detector, with which the routing table
// checks each read.
func TestLook_besideTheWriter(t *testing.T) {
	g := twoRouters(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint32(0); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			var all []announcement
			for i := range uint32(50) {
				all = append(all, announcement{fmt.Sprintf("10.%d.0.0/16", i), 1 + n%3,
					route.Attributes{Path: sequence(64500+n%7, i+1), NextHop: addr("192.0.2.9"), HasMED: true, MED: n}})
			}
			c := speakOnly(t, g, "127.0.0.9", "192.0.2.9", 64500, all...)
			if c == nil {
				return
			}
			time.Sleep(time.Millisecond)
			_ = c.Close()
		}
	}()
	for n := range 300 {
		for _, r := range ask(t, g, fmt.Sprintf("address=10.%d.1.1&all=1", n%50)).Routes {
			if r.Router == "192.0.2.9" && !strings.HasSuffix(r.ASPath, fmt.Sprintf(" %d", n%50+1)) {
				t.Errorf("10.%d.0.0/16 has the path %s", n%50, r.ASPath)
			}
		}
		if n%10 == 0 {
			if _, err := g.Dump(io.Discard, ""); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	<-done
}
