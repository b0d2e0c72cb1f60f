package enrich

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// exampleSnapshot has one of everything that a row can refer to.
func exampleSnapshot(t testing.TB) *Snapshot {
	return built(t, func(b *Builder) {
		b.AddDevice(Device{ID: "r1", Ref: "r1__v1", Loopbacks: exampleLoopbacks()})
		b.AddInterface(MetaInterface{ID: "r1-1", Ref: "r1-1__v1", DeviceID: "r1", FlowIndex: 1, HasFlowIndex: true,
			Edge: true})
		b.AddInterface(MetaInterface{ID: "r1-2", Ref: "r1-2__v1", DeviceID: "r1", FlowIndex: 2, HasFlowIndex: true})
		b.AddInterface(MetaInterface{ID: "r1-self", DeviceID: "r1", FlowIndex: 0x3fffffff, HasFlowIndex: true})
		b.AddInterface(MetaInterface{ID: "byaddr-0", DeviceID: "192.0.2.50", FlowIndex: 0, HasFlowIndex: true})
		b.AddApplication(Application{ID: "https", Protocol: "TCP", PortMin: 443, PortMax: 443})
		b.AddApplication(Application{ID: "high", Protocol: "tcp", PortMin: 9000, PortMax: 8000})
		b.AddApplication(Application{ID: "zero", Protocol: "tcp", PortMin: 0, PortMax: 0})
		b.AddApplication(Application{ID: "type", Protocol: "icmp", PortMin: 2048, PortMax: 2048})
		for _, as := range []uint32{100, 200, 300} {
			b.AddAS(AS{ID: as, Ref: string(AppendASScope(nil, as)) + "__v1"})
		}
		b.AddIP(IPPrefix{Prefix: prefix("10.0.0.0/8"), ID: "ten", Ref: "ten__v1", ASID: 100, Country: "CH"})
		b.AddIP(IPPrefix{Prefix: prefix("2001:db8::/32"), ID: "doc", Ref: "doc__v1"})
		b.AddASBlock(ASPrefix{prefix("10.0.0.0/8"), 150})
		b.AddASBlock(ASPrefix{prefix("10.2.0.0/16"), 200})
		b.AddASBlock(ASPrefix{prefix("172.16.0.0/12"), 300})
		b.AddIPExtension("scireg", IPPrefix{Prefix: prefix("10.2.0.0/16"), ID: "7", Ref: "7__v1"})
	})
}

// enriched is the row of r in a new enricher.
func enriched(t testing.TB, o Options, r flow.Record) Row {
	var row Row
	New(o).Enrich(exampleSnapshot(t), &r, &row)
	return row
}

func TestDeviceAndInterfaces(t *testing.T) {
	self, edge, inner := Interface{ID: "r1-self"}, Interface{"r1-1", "r1-1__v1", true},
		Interface{"r1-2", "r1-2__v1", false}
	for _, c := range []struct {
		name    string
		record  flow.Record
		id, ref string
		in, out Interface
	}{
		{"known", flow.Record{Exporter: addr("192.0.2.1"), InIf: 1, OutIf: 2}, "r1", "r1__v1", edge, inner},
		{"known by IPv6", flow.Record{Exporter: addr("2001:db8::1"), InIf: 2, OutIf: 1}, "r1", "r1__v1", inner, edge},
		{"no such interfaces", flow.Record{Exporter: addr("192.0.2.1"), InIf: 3, OutIf: 0}, "r1", "r1__v1", Interface{},
			Interface{}},
		{"sFlow's own interface", flow.Record{Exporter: addr("192.0.2.1"), InIfKind: flow.InterfaceInternal}, "r1",
			"r1__v1", self, Interface{}},
		{"reason and count are no index (Q28)", flow.Record{Exporter: addr("192.0.2.1"), InIf: 1,
			InIfKind: flow.InterfaceDiscarded,
			OutIf:    2, OutIfKind: flow.InterfaceMultiple}, "r1", "r1__v1", Interface{}, Interface{}},
		{"not a device: the address, its interfaces", flow.Record{Exporter: addr("192.0.2.50"), OutIf: 9}, "192.0.2.50",
			"", Interface{ID: "byaddr-0"}, Interface{}},
		{"not a device, IPv6", flow.Record{Exporter: addr("2001:db8:0:0:0::9")}, "2001:db8::9", "", Interface{},
			Interface{}},
		{"no exporter, though a device claims ::", flow.Record{}, "unknown", "", Interface{}, Interface{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := enriched(t, Options{}, c.record)
			if row.DeviceID != c.id || row.DeviceRef != c.ref || row.In != c.in || row.Out != c.out {
				t.Errorf("got %q %q %+v %+v", row.DeviceID, row.DeviceRef, row.In, row.Out)
			}
		})
	}
}

func TestEndpoints(t *testing.T) {
	type end struct {
		ipRef string
		as    uint32
		asRef string
		ext   string
	}
	for _, c := range []struct {
		name, address string
		sent          uint32
		want          end
	}{
		{"no match", "203.0.113.1", 0, end{}},
		{"no match, AS as sent", "203.0.113.1", 200, end{as: 200, asRef: "as:200__v1"}},
		{"announced but in no subnet: AS stays 0", "172.16.0.1", 0, end{}},
		{"match, AS as sent", "10.1.0.1", 300, end{"ten__v1", 300, "as:300__v1", ""}},
		{"match, AS of the announced prefix, not in meta_as", "10.1.0.1", 0, end{"ten__v1", 150, "", ""}},
		{"longest ASN match of the address (Q13)", "10.2.0.1", 0, end{"ten__v1", 200, "as:200__v1", "7__v1"}},
		{"subnet without an AS (Q12)", "2001:db8::7", 0, end{ipRef: "doc__v1"}},
		{"unspecified (Q2)", "::", 0, end{}},
		{"bits of 10/8 in IPv6 (Q1)", "a02::1", 0, end{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := flow.Record{SrcAddr: addr(c.address), SrcAS: c.sent}
			row := enriched(t, Options{IPRefExtensions: []string{"absent", "scireg"}}, r)
			if got := (end{row.SrcIPRef, row.SrcASID, row.SrcASRef, refOf(row.SrcExtRef, 1)}); got != c.want ||
				refOf(row.SrcExtRef, 0) != "" {
				t.Errorf("source %+v, want %+v", got, c.want)
			}
			if row.DstIPRef != "" || row.DstASID != 0 || refOf(row.DstExtRef, 1) != "" {
				t.Errorf("destination is filled: %+v", row)
			}
			r = flow.Record{DstAddr: addr(c.address), DstAS: c.sent}
			row = enriched(t, Options{IPRefExtensions: []string{"absent", "scireg"}}, r)
			if got := (end{row.DstIPRef, row.DstASID, row.DstASRef, refOf(row.DstExtRef, 1)}); got != c.want {
				t.Errorf("destination %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestPeer(t *testing.T) {
	four, six, bgp, top := addr("10.2.0.1"), addr("2001:db8::1"), flow.BGPNextHop, flow.MPLSTopLabelAddr
	for _, c := range []struct {
		name  string
		r     flow.Record
		has   bool
		ip    flow.Addr
		as    uint32
		ipRef string
	}{
		{"none, even with a peer AS", flow.Record{PeerDstAS: 5}, false, flow.Addr{}, 0, ""},
		{"BGP next hop, AS by address", flow.Record{Has: bgp, BGPNextHop: four}, true, four, 200, "ten__v1"},
		{"BGP next hop, AS as sent", flow.Record{Has: bgp, BGPNextHop: four, PeerDstAS: 5}, true, four, 5, "ten__v1"},
		{"0.0.0.0 is a value", flow.Record{Has: bgp, BGPNextHop: addr("0.0.0.0")}, true, addr("0.0.0.0"), 0, ""},
		{":: is a value (Q2)", flow.Record{Has: bgp}, true, flow.Addr{}, 0, ""},
		{"top label (IE 47)", flow.Record{Has: top, MPLSTopLabelAddr: four}, true, four, 200, "ten__v1"},
		{"IE 18 before IE 47", flow.Record{Has: bgp | top, BGPNextHop: four, MPLSTopLabelAddr: addr("10.3.0.1")}, true,
			four, 200, "ten__v1"},
		{"IE 47 before IE 63", flow.Record{Has: bgp | top, BGPNextHop: six, MPLSTopLabelAddr: four}, true, four, 200,
			"ten__v1"},
		{"IE 63 before IE 140", flow.Record{Has: bgp | top, BGPNextHop: six, MPLSTopLabelAddr: addr("2001:db9::1")},
			true, six, 0, "doc__v1"},
		{"IGP next hop is not used", flow.Record{Has: flow.NextHop, NextHop: four}, false, flow.Addr{}, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, s := New(Options{}), exampleSnapshot(t)
			row := Row{HasPeer: true, PeerASID: 77, PeerIP: six, PeerIPRef: "stale", PeerASRef: "stale"}
			e.Enrich(s, &c.r, &row)
			if row.HasPeer != c.has || row.PeerIP != c.ip || row.PeerASID != c.as || row.PeerIPRef != c.ipRef ||
				row.PeerASRef != s.as.refs[s.as.number(c.as)] {
				t.Errorf("got %v %v %d %q %q", row.HasPeer, row.PeerIP, row.PeerASID, row.PeerIPRef, row.PeerASRef)
			}
		})
	}
}

func TestPortsAndApplication(t *testing.T) {
	const tcp, udp, icmp = 6, 17, 1
	for _, c := range []struct {
		name               string
		of                 flow.Protocol
		ip                 uint8
		src, dst           uint16
		wantSrc, wantDst   uint16
		wantApplicationOne uint16
	}{
		{"source known", flow.IPFIX, tcp, 443, 50000, 443, 50000, 443},
		{"destination known", flow.IPFIX, tcp, 50000, 8000, 50000, 8000, 8000},
		{"both known: the smaller", flow.IPFIX, tcp, 9000, 443, 9000, 443, 443},
		{"none known", flow.IPFIX, tcp, 1, 2, 1, 2, 0},
		{"port 0 is known", flow.IPFIX, tcp, 0, 443, 0, 443, 0},
		{"another protocol", flow.IPFIX, udp, 443, 443, 443, 443, 0},
		{"v5 TCP keeps ports", flow.NetFlowV5, tcp, 443, 1, 443, 1, 443},
		{"v5 UDP keeps ports", flow.NetFlowV5, udp, 3, 4, 3, 4, 0},
		{"v5 ICMP keeps type and code only", flow.NetFlowV5, icmp, 9, 2048, 0, 2048, 2048},
		{"v5, other protocols", flow.NetFlowV5, 132, 9, 9, 0, 0, 0},
		{"v9 ICMP as sent", flow.NetFlowV9, icmp, 9, 2048, 9, 2048, 2048},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := enriched(t, Options{}, flow.Record{Protocol: c.of, IPProtocol: c.ip, SrcPort: c.src, DstPort: c.dst})
			if row.SrcPort != c.wantSrc || row.DstPort != c.wantDst || row.ApplicationPort != c.wantApplicationOne {
				t.Errorf("got %d %d, application %d", row.SrcPort, row.DstPort, row.ApplicationPort)
			}
		})
	}
}

func TestTimesVersionsAndCounters(t *testing.T) {
	for _, c := range []struct {
		name                 string
		r                    flow.Record
		start, end           int64
		version              uint8
		wantBits, wantPacket uint64
	}{
		{"unscaled", flow.Record{StartMs: 5, EndMs: 7, IPVersion: 4, Bytes: 10, Packets: 2, SamplingRate: 1}, 5, 7, 4,
			80, 2},
		{"scaled", flow.Record{IPVersion: 6, Bytes: 10, Packets: 2, SamplingRate: 1000}, 0, 0, 6, 80000, 2000},
		{"NetFlow rate 0: no scaling", flow.Record{Protocol: flow.NetFlowV9, Bytes: 10, Packets: 2}, 0, 0, 4, 80, 2},
		{"sFlow rate 0 is a factor", flow.Record{Protocol: flow.SFlow5, Bytes: 10, Packets: 2}, 0, 0, 4, 0, 0},
		{"saturated (Q4)", flow.Record{Bytes: math.MaxUint64 / 4, Packets: math.MaxUint64 / 2, SamplingRate: 3}, 0, 0,
			4, math.MaxUint64, math.MaxUint64},
		{"bits saturated though the rate is 0", flow.Record{Protocol: flow.SFlow5, Bytes: math.MaxUint64}, 0, 0, 4, 0,
			0},
		{"before 1970", flow.Record{StartMs: -5, EndMs: -1}, 0, 0, 4, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := enriched(t, Options{}, c.r)
			if row.StartMs != c.start || row.EndMs != c.end || row.IPVersion != c.version || row.Bits != c.wantBits ||
				row.Packets != c.wantPacket {
				t.Errorf("got %+v", row)
			}
		})
	}
}

func TestFoldPath(t *testing.T) {
	long := make([]uint32, math.MaxUint16+9)
	for _, c := range []struct {
		name    string
		path    []uint32
		ids     []uint32
		padding []uint16
	}{
		{"none", nil, nil, nil},
		{"no prepends", []uint32{1, 2}, []uint32{1, 2}, []uint16{1, 1}},
		{"first prepended (Q9)", []uint32{1, 1, 2}, []uint32{1, 2}, []uint16{2, 1}},
		{"last prepended (Q9)", []uint32{1, 2, 2, 2}, []uint32{1, 2}, []uint16{1, 3}},
		{"again later is another run", []uint32{1, 2, 1}, []uint32{1, 2, 1}, []uint16{1, 1, 1}},
		{"longer than a count holds", long, []uint32{0}, []uint16{math.MaxUint16}},
	} {
		t.Run(c.name, func(t *testing.T) {
			row := Row{ASPathID: []uint32{9, 9, 9, 9}, ASPathPadding: []uint16{9, 9, 9, 9}}
			New(Options{}).Enrich(exampleSnapshot(t), &flow.Record{ASPath: c.path}, &row)
			if !slices.Equal(row.ASPathID, c.ids) || !slices.Equal(row.ASPathPadding, c.padding) {
				t.Errorf("got %v %v", row.ASPathID, row.ASPathPadding)
			}
		})
	}
}

func TestBottomLabel(t *testing.T) {
	for _, c := range []struct {
		name  string
		count uint8
		stack [10]uint32
		want  uint32
	}{
		{"none", 0, [10]uint32{5 << 4}, 0},
		{"last", 2, [10]uint32{5 << 4, 6<<4 | 1, 7 << 4}, 6},
		{"last is 0", 3, [10]uint32{5 << 4, 6 << 4, 1}, 6},
		{"all 0", 3, [10]uint32{15, 15, 15}, 0},
		{"full", 10, [10]uint32{9: 1048575<<4 | 15}, 1048575},
		{"count beyond the stack", 11, [10]uint32{9: 8 << 4}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			if row := enriched(t, Options{}, flow.Record{MPLSCount: c.count,
				MPLS: c.stack}); row.MPLSBottomLabel != c.want {
				t.Errorf("got %d, want %d", row.MPLSBottomLabel, c.want)
			}
		})
	}
}

func TestScopeOfRow(t *testing.T) {
	o := Options{Policy: Policy{Scopes: []string{"site"}, AutoScopes: true,
		CommunityScopes: map[string]string{"7": "seven"}}}
	r := flow.Record{SrcAddr: addr("10.2.0.1"), DstAS: 3, PeerDstAS: 4, Has: flow.BGPNextHop,
		MPLSRD: [8]byte{1: 2, 7: 7}}
	row := enriched(t, o, r)
	// The AS of the address counts, the peer's does not.
	if want := []string{"site", "as:200", "as:3", "comm:seven"}; !slices.Equal(row.PolicyScope.Append(nil), want) ||
		row.MPLSRD != "2:0:7" {
		t.Errorf("got %q, %q; want %q", row.PolicyScope.Append(nil), row.MPLSRD, want)
	}
}

// The country of an end is that of its prefix in meta_ip, also where a longer announced prefix gives the AS.
func TestCountries(t *testing.T) {
	for _, c := range []struct{ src, dst, want string }{
		{"10.1.0.1", "10.2.0.1", "CH CH"},
		{"10.1.0.1", "2001:db8::1", "CH "},
		{"172.16.0.1", "10.1.0.1", " CH"},
		{"198.51.100.1", "2001:db9::1", " "},
	} {
		row := enriched(t, Options{}, flow.Record{SrcAddr: addr(c.src), DstAddr: addr(c.dst)})
		if got := row.SrcCountry + " " + row.DstCountry; got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.src, c.dst, got, c.want)
		}
	}
	var l prefixList
	for i := range 1 << 17 {
		l.add(IPPrefix{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}), 32),
			Ref: fmt.Sprint("ref", i), Country: fmt.Sprint("country", i)})
	}
	r := l.finish()
	for n, want := range map[uint32]string{0: "country0", 65534: "country65534", 65535: "", 1<<17 - 1: ""} {
		start, _ := r.bounds(n)
		if got := r.country(start); got != want || r.ref(n) != fmt.Sprint("ref", n) || r.at(start) != &r.list[n] {
			t.Errorf("record %d: country %q, want %q; ref %s", n, got, want, r.ref(n))
		}
	}
}
