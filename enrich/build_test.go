package enrich

import (
	"net/netip"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

func addr(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// built is the snapshot of what fill adds.
func built(t testing.TB, fill func(b *Builder)) *Snapshot {
	t.Helper()
	b := NewBuilder()
	fill(b)
	s, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLookupDevice(t *testing.T) {
	s := built(t, func(b *Builder) {
		loopbacks := func(all ...string) (a []netip.Addr) {
			for _, one := range all {
				a = append(a, netip.MustParseAddr(one))
			}
			return a
		}
		b.AddDevice(Device{ID: "r1", Ref: "r1__v1", Version: 1,
			Loopbacks: loopbacks("192.0.2.1", "::ffff:192.0.2.2", "2001:db8:0:0::1")})
		b.AddDevice(Device{ID: "new", Ref: "new__v2", Version: 2, Loopbacks: loopbacks("192.0.2.9")})
		b.AddDevice(Device{ID: "old", Ref: "old__v1", Version: 1, Loopbacks: loopbacks("192.0.2.9")})
		b.AddDevice(Device{ID: "b", Ref: "b__v1", Loopbacks: loopbacks("192.0.2.8")})
		b.AddDevice(Device{ID: "a", Ref: "a__v1", Loopbacks: loopbacks("192.0.2.8")})
	})
	for _, c := range []struct{ name, address, id string }{
		{"first loopback", "192.0.2.1", "r1"},
		{"loopback recorded as v4-mapped", "192.0.2.2", "r1"},
		{"exporter v4-mapped (Q24)", "::ffff:192.0.2.1", "r1"},
		{"both v4-mapped", "::ffff:192.0.2.2", "r1"},
		{"IPv6 in another spelling (Q24)", "2001:0db8::0001", "r1"},
		{"IPv6 with a zone", "2001:db8::1%eth0", "r1"},
		{"newer version wins though it came first", "192.0.2.9", "new"},
		{"greater id wins though it came first", "192.0.2.8", "b"},
		{"unknown", "192.0.2.77", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, found := s.LookupDevice(netip.MustParseAddr(c.address))
			if d.ID != c.id || found != (c.id != "") {
				t.Errorf("got %+v, %v; want %q", d, found, c.id)
			}
		})
	}
}

func TestLookupInterface(t *testing.T) {
	all := []MetaInterface{
		{ID: "edge", DeviceID: "r1", FlowIndex: 1, HasFlowIndex: true, Edge: true, Version: 1},
		{ID: "inner", DeviceID: "r1", FlowIndex: 1, HasFlowIndex: true, Version: 9},
		{ID: "new", DeviceID: "r1", FlowIndex: 2, HasFlowIndex: true, Version: 2},
		{ID: "old", DeviceID: "r1", FlowIndex: 2, HasFlowIndex: true, Version: 1},
		{ID: "b", DeviceID: "r1", FlowIndex: 3, HasFlowIndex: true},
		{ID: "a", DeviceID: "r1", FlowIndex: 3, HasFlowIndex: true},
		{ID: "none", DeviceID: "r1", FlowIndex: 0},
		{ID: "r2-0", DeviceID: "r2", FlowIndex: 0, HasFlowIndex: true},
	}
	forward := built(t, func(b *Builder) {
		for _, i := range all {
			b.AddInterface(i)
		}
	})
	backward := built(t, func(b *Builder) {
		for n := range all {
			b.AddInterface(all[len(all)-1-n])
		}
	})
	for _, c := range []struct {
		name, device string
		index        uint32
		id           string
	}{
		{"edge first, newer or not", "r1", 1, "edge"},
		{"then the newest", "r1", 2, "new"},
		{"then the greatest id", "r1", 3, "b"},
		{"without a flow index", "r1", 0, ""},
		{"index 0 like any other", "r2", 0, "r2-0"},
		{"of another device", "r2", 1, ""},
		{"unknown device", "r3", 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, s := range []*Snapshot{forward, backward} {
				if i, found := s.LookupInterface(c.device, c.index); i.ID != c.id || found != (c.id != "") {
					t.Errorf("got %+v, %v; want %q", i, found, c.id)
				}
			}
		})
	}
}

func TestLookupApplications(t *testing.T) {
	s := built(t, func(b *Builder) {
		b.AddApplication(Application{ID: "system", Protocol: "tcp", PortMin: 0, PortMax: 1023})
		b.AddApplication(Application{ID: "https", Protocol: "TCP", PortMin: 443, PortMax: 443})
		b.AddApplication(Application{ID: "reversed", Protocol: "udp", PortMin: 5010, PortMax: 5000})
		b.AddApplication(Application{ID: "last", Protocol: "udp", PortMin: 65535, PortMax: 65535})
		b.AddApplication(Application{ID: "wide", Protocol: "sctp", PortMin: 5, PortMax: 500})
		b.AddApplication(Application{ID: "narrow", Protocol: "sctp", PortMin: 5, PortMax: 50})
	})
	for _, c := range []struct {
		name, protocol string
		port           uint16
		ids            []string
	}{
		{"narrowest first (Q17)", "tcp", 443, []string{"https", "system"}},
		{"narrowest first of one beginning", "sctp", 9, []string{"narrow", "wide"}},
		{"protocol in upper case", "TCP", 443, []string{"https", "system"}},
		{"lower bound", "tcp", 0, []string{"system"}},
		{"upper bound", "tcp", 1023, []string{"system"}},
		{"behind", "tcp", 1024, nil},
		{"other protocol", "udp", 443, nil},
		{"reversed, lower bound", "udp", 5000, []string{"reversed"}},
		{"reversed, upper bound", "udp", 5010, []string{"reversed"}},
		{"last port", "udp", 65535, []string{"last"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := s.LookupApplications(c.protocol, c.port)
			if len(all) != len(c.ids) {
				t.Fatalf("got %+v, want %v", all, c.ids)
			}
			for i, id := range c.ids {
				if all[i].ID != id {
					t.Errorf("%d: got %+v, want %q", i, all[i], id)
				}
			}
		})
	}
}

func TestLookupIP(t *testing.T) {
	records := []IPPrefix{
		{Prefix: prefix("10.0.0.0/8"), ID: "ten", Ref: "ten__v1", ASID: 10},
		{Prefix: prefix("10.1.2.3/16"), ID: "host-bits", Ref: "host-bits__v1", ASID: 11},
		{Prefix: prefix("2001:db8::/32"), ID: "doc", Ref: "doc__v1", ASID: 12},
		{Prefix: prefix("2001:db8:1::/48"), ID: "doc1", Ref: "doc1__v12"},
		{Prefix: prefix("::ffff:172.16.0.0/108"), ID: "mapped", Ref: "mapped__v1", ASID: 13},
		{Prefix: prefix("192.0.2.0/24"), ID: "b", Ref: "b__v1", ASID: 14},
		{Prefix: prefix("192.0.2.0/24"), ID: "a", Ref: "a__v9", ASID: 15},
		{Prefix: prefix("198.51.100.0/24"), ID: "two", Ref: "two__v1", ASID: 16},
		{Prefix: prefix("203.0.113.0/24"), ID: "two", Ref: "two__v1", ASID: 16},
		{},
	}
	add := func(b *Builder, p IPPrefix) { b.AddIP(p); b.AddIPExtension("scireg", p) }
	forward := built(t, func(b *Builder) {
		for _, p := range records {
			add(b, p)
		}
	})
	backward := built(t, func(b *Builder) {
		for n := range records {
			add(b, records[len(records)-1-n])
		}
	})
	for _, c := range []struct {
		name, address, ref, prefix string
		as                         uint32
	}{
		{"shorter", "10.9.9.9", "ten__v1", "10.0.0.0/8", 10},
		{"longest, recorded with host bits", "10.1.9.9", "host-bits__v1", "10.1.0.0/16", 11},
		{"v4-mapped address (Q26)", "::ffff:10.1.9.9", "host-bits__v1", "10.1.0.0/16", 11},
		{"v4-mapped prefix", "172.17.0.1", "mapped__v1", "172.16.0.0/12", 13},
		{"IPv6", "2001:db8:2::1", "doc__v1", "2001:db8::/32", 12},
		{"IPv6, longest, without an AS (Q12)", "2001:db8:1::1", "doc1__v12", "2001:db8:1::/48", 0},
		{"bits of 10/8 in IPv6 (Q1)", "a00::5", "", "", 0},
		{"bits of 2001:db8::/32 in IPv4 (Q1)", "32.1.13.184", "", "", 0},
		{"one prefix twice: greater id", "192.0.2.1", "b__v1", "192.0.2.0/24", 14},
		{"first subnet of a record", "198.51.100.1", "two__v1", "198.51.100.0/24", 16},
		{"second subnet of a record", "203.0.113.1", "two__v1", "203.0.113.0/24", 16},
		{"unspecified (Q2)", "::", "", "", 0},
		{"loopback (Q2)", "::1", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, s := range map[string]*Snapshot{"forward": forward, "backward": backward} {
				m, found := s.LookupIP(netip.MustParseAddr(c.address))
				x, foundX := s.LookupExtension("scireg", netip.MustParseAddr(c.address))
				want := IPMatch{Ref: c.ref, ASID: c.as}
				if c.prefix != "" {
					want.Prefix = prefix(c.prefix)
				}
				if m != want || x != want || found != (c.ref != "") || foundX != found {
					t.Errorf("%s: got %+v, extension %+v, want %+v", name, m, x, want)
				}
			}
		})
	}
	if _, found := forward.LookupExtension("other", netip.MustParseAddr("10.0.0.1")); found {
		t.Error("an extension that is not there holds an address")
	}
}

func TestLookupASAndOrganization(t *testing.T) {
	s := built(t, func(b *Builder) {
		b.AddAS(AS{ID: 64496, Ref: "64496__v1", Name: "one", OrganizationID: "o1", OrganizationRef: "o1__v1"})
		b.AddOrganization(Organization{ID: "o1", Ref: "o1__v1", Name: "Org"})
		b.AddASBlock(ASPrefix{prefix("10.0.0.0/8"), 1})
		b.AddASBlock(ASPrefix{prefix("10.1.0.0/16"), 2})
		b.AddASBlock(ASPrefix{prefix("10.1.0.0/16"), 3})
		b.AddIP(IPPrefix{Prefix: prefix("10.0.0.0/8"), ID: "ten", Ref: "ten__v1"})
		b.AddIPExtension("x", IPPrefix{Prefix: prefix("10.0.0.0/8"), ID: "ten", Ref: "ten__v1"})
	})
	if a, found := s.LookupAS(64496); !found || a.Name != "one" || a.OrganizationRef != "o1__v1" {
		t.Errorf("AS: %+v, %v", a, found)
	}
	if _, found := s.LookupAS(1); found {
		t.Error("AS 1 is not known")
	}
	if o, found := s.LookupOrganization("o1"); !found || o.Name != "Org" {
		t.Errorf("organization: %+v, %v", o, found)
	}
	if _, found := s.LookupOrganization("o2"); found {
		t.Error("organization o2 is not known")
	}
	if p, as, found := s.LookupASBlock(netip.MustParseAddr("::ffff:10.1.0.1")); !found || as != 3 ||
		p != prefix("10.1.0.0/16") {
		t.Errorf("block of a v4-mapped address: %v, %d, %v; want the last added of the longest", p, as, found)
	}
	if _, _, found := s.LookupASBlock(netip.MustParseAddr("a00::1")); found {
		t.Error("an IPv4 block holds an IPv6 address (Q1)")
	}
	if n := s.Stats(); n.AS != 1 || n.Organizations != 1 || n.ASBlocks != 2 || n.IPs != 1 || n.Extensions["x"] != 1 {
		t.Errorf("stats %+v", n)
	}
}
