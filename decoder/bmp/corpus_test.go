package bmp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/decoder/route/routetest"
)

var hasher = route.NewHasher()

// logged is a line of pmacct's log. Lists are texts with spaces in some tests, and null where they are empty.
type logged struct {
	EventType string `json:"event_type"`
	LogType   string `json:"log_type"`
	Message   string `json:"bmp_msg_type"`

	PeerIP string `json:"peer_ip"`
	PeerAS uint32 `json:"peer_asn"`
	ID     string `json:"bgp_id"`
	View   string `json:"bmp_rib_type"`
	RD     string

	routetest.Logged

	LocalAS    uint32 `json:"local_as"`
	LocalIP    string `json:"local_ip"`
	LocalPort  uint16 `json:"local_port"`
	RemotePort uint16 `json:"remote_port"`
	PeerType   uint8  `json:"peer_type"`
	VRF        string `json:"bmp_peer_up_info_vrf_table_name"`

	Reason uint8 `json:"reason_type"`

	Counter uint16 `json:"counter_type"`
	Value   uint64 `json:"counter_value"`

	SysName  string `json:"bmp_init_info_sysname"`
	SysDescr string `json:"bmp_init_info_sysdescr"`
}

func (l *logged) kind() string {
	if l.EventType == "dump" && l.Message == "route_monitor" {
		return "dump"
	}
	if l.LogType != "" {
		return l.LogType
	}
	return l.Message
}

func (l *logged) String() string {
	peer := fmt.Sprintf("%s peer %s as %d id %s %s rd %s", l.kind(), l.PeerIP, l.PeerAS, l.ID, l.View, l.RD)
	switch l.kind() {
	case "init":
		return fmt.Sprintf("init %s %s", l.SysName, l.SysDescr)
	case "peer_up":
		return fmt.Sprintf("%s type %d local %s:%d as %d remote port %d table %s", peer, l.PeerType, l.LocalIP,
			l.LocalPort,
			l.LocalAS, l.RemotePort, l.VRF)
	case "peer_down":
		return fmt.Sprintf("%s reason %d", peer, l.Reason)
	case "stats":
		return fmt.Sprintf("%s counter %d of %v/%v = %d", peer, l.Counter, routetest.Words(l.AFI),
			routetest.Words(l.SAFI), l.Value)
	case "end-of-rib":
		return fmt.Sprintf("%s %s/%s", peer, routetest.Words(l.AFI), routetest.Words(l.SAFI))
	}
	return peer + ": " + l.Logged.String()
}

// expected are the lines of pmacct's logs by what they are of.
func expected(t *testing.T, paths []string) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
			var l logged
			if err := decoder.Decode(&l); err != nil {
				t.Fatal(path, err)
			}
			if kind := l.kind(); kind != "" && (l.EventType == "log" || kind == "dump") {
				if all[kind] == nil {
					all[kind] = map[string]bool{}
				}
				all[kind][l.String()] = true
			}
		}
	}
	return all
}

// monitor reads the stream of a router as pmacct logs it.
type monitor struct {
	t       *testing.T
	ups     map[PeerKey]Up
	walkers map[string]*bgp.Walker
	routes  map[string]logged // by where they are
	lines   map[string]map[string]bool
	reasons [bgp.Reasons]uint64
}

func (m *monitor) log(l logged) {
	if m.lines[l.kind()] == nil {
		m.lines[l.kind()] = map[string]bool{}
	}
	m.lines[l.kind()][l.String()] = true
}

func addressText(a flow.Addr) string {
	if a.IsUnspecified() {
		return "0.0.0.0"
	}
	return a.String()
}

func idText(id uint32) string {
	return flow.AddrFrom4([4]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}).String()
}

func (m *monitor) read(b []byte) {
	for len(b) > 0 {
		n, kind, err := Header(b)
		if err != nil {
			m.t.Fatal(err)
		}
		if n > len(b) {
			m.t.Logf("the capture ends within a message of %d bytes, %d are there", n, len(b))
			return
		}
		m.message(kind, b[HeaderBytes:n])
		b = b[n:]
	}
}

func (m *monitor) message(kind Type, body []byte) {
	if kind == Initiation {
		x := ReadInformation(body, kind)
		m.log(logged{EventType: "log", Message: "init", SysName: x.SysName, SysDescr: x.SysDescr})
		return
	}
	p, rest, ok := ReadPeer(body)
	if !ok {
		m.t.Fatalf("a message of type %s without a per-peer header", kind)
	}
	l := logged{EventType: "log", PeerIP: addressText(p.Address), PeerAS: p.AS, ID: idText(p.ID), PeerType: p.Type,
		View: [...]string{"Loc-Rib", "Adj-Rib-In Post-Policy", "Adj-Rib-In Pre-Policy", "Adj-Rib-Out Post-Policy",
			"Adj-Rib-Out Pre-Policy"}[p.View()]}
	if p.RD != 0 {
		l.RD = p.RD.String()
	}
	switch kind {
	case PeerUp:
		u, ok := ReadUp(rest)
		if !ok {
			m.t.Logf("an OPEN cannot be read: %x", rest)
		}
		m.ups[p.Key()] = u
		l.Message, l.LocalIP, l.LocalAS, l.VRF = "peer_up", addressText(u.Local), u.Sent.AS, u.Table
		l.LocalPort, l.RemotePort = u.LocalPort, u.RemotePort
		m.log(l)
	case PeerDown:
		l.Message, l.Reason = "peer_down", rest[0]
		m.log(l)
		for at, r := range m.routes {
			if r.PeerIP == l.PeerIP && r.ID == l.ID && r.View == l.View {
				m.gone(at)
			}
		}
	case StatisticsReport:
		Statistics(rest, func(s Statistic) {
			l.Message, l.Counter, l.Value = "stats", s.Type, s.Value
			l.AFI, l.SAFI = nil, nil
			if s.HasFamily {
				l.AFI, l.SAFI = bgp.Identifiers(s.Family)
			}
			m.log(l)
		})
	case RouteMonitoring:
		m.monitoring(&p, l, rest)
	}
}

func (m *monitor) gone(at string) {
	r := m.routes[at]
	r.LogType, r.Message = "delete", "internal"
	m.log(r)
	delete(m.routes, at)
}

func (m *monitor) monitoring(p *Peer, l logged, rest []byte) {
	key := fmt.Sprint(p.Key(), p.View())
	w := m.walkers[key]
	if w == nil {
		u := m.ups[p.Key()]
		w = bgp.NewWalker(u.Rules(p), hasher)
		m.walkers[key] = w
	}
	var batch route.Batch
	before := w.Counts
	inner := *p
	inner.RD = 0 // here it matters what the router has sent, not which table it is for
	if !Routes(w, &inner, rest, &batch) {
		m.t.Errorf("Route Monitoring of %v cannot be read: %x", p, rest)
	}
	for r := range before {
		m.reasons[r] += w.Counts[r] - before[r]
	}
	l.Message = "route_monitor"
	for _, f := range batch.Complete {
		l.LogType = "end-of-rib"
		l.AFI, l.SAFI = bgp.Identifiers(f)
		m.log(l)
	}
	for i := range batch.Changes {
		c := &batch.Changes[i]
		x := l
		x.LogType = "update"
		x.AFI, x.SAFI = bgp.Identifiers(route.Family{Class: c.Class, V6: c.Prefix.V6})
		x.Prefix = c.Prefix.String()
		switch {
		case c.RD != 0:
			x.RD = c.RD.String()
		case c.Class == route.Labelled:
			x.RD = "" // pmacct says none, even if the peer is of a VRF
		}
		if c.PathID != 0 {
			x.PathID = c.PathID
		}
		at := fmt.Sprint(key, x.AFI, x.SAFI, x.Prefix, x.RD, x.PathID)
		if c.Bundle == route.Withdrawn {
			if was, found := m.routes[at]; found {
				was.LogType = "withdraw"
				m.log(was)
				delete(m.routes, at)
			}
			continue
		}
		var a route.Attributes
		if err := bgp.Decode(batch.Bundles[c.Bundle].Data, &a); err != nil {
			m.t.Fatal(err)
		}
		x.Fill(&a)
		m.routes[at] = x
		m.log(x)
	}
}

// What real routers say is what pmacct's tests expect: of peers, of routes as they come, go and are there at the end.
func TestCorpus(t *testing.T) {
	captures, _ := filepath.Glob(routetest.Corpus + "/bmp-*/capture.pcap")
	if len(captures) == 0 {
		t.Skip("the captures are not here: ", routetest.Corpus)
	}
	for _, path := range captures {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			outputs, _ := filepath.Glob(dir + "/origin/output-bmp*.json")
			want, got := expected(t, outputs), map[string]map[string]bool{}
			for _, b := range routetest.Streams(t, path, 1790) {
				m := &monitor{t: t, ups: map[PeerKey]Up{}, walkers: map[string]*bgp.Walker{}, lines: got,
					routes: map[string]logged{}}
				m.read(b)
				left := slices.Collect(maps.Keys(m.routes))
				for _, at := range left {
					r := m.routes[at]
					r.EventType, r.LogType = "dump", ""
					m.log(r)
				}
				if len(want["delete"]) > 0 && !strings.Contains(dir, "-204-") { // pmacct logs what goes at the end
					for _, at := range left {
						m.gone(at)
					}
				}
				t.Log("reasons", m.reasons)
			}
			for _, kind := range []string{"init", "peer_up", "peer_down", "stats", "update", "withdraw", "end-of-rib",
				"delete", "dump"} {
				if kind == "dump" && len(want[kind]) == 0 {
					continue
				}
				t.Logf("%s: %d of %d", kind, len(got[kind]), len(want[kind]))
				diff := cmp.Diff(slices.Sorted(maps.Keys(want[kind])), slices.Sorted(maps.Keys(got[kind])))
				if diff != "" {
					t.Errorf("pmacct (-), read (+):\n%.3000s", diff)
				}
			}
		})
	}
}
