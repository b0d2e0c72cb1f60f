package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Addresses and hops of both families in one template, in the shapes of several vendors (cases 18 and 67).
func TestCase67_FamiliesOfDevices(t *testing.T) {
	const none4, none6, hop4, hop6 = "0.0.0.0", "::", "203.0.113.1", "2001:db8::ff"
	a4, b4, a6, b6 := ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1"), ip("2001:db8::2")
	four := []item{el(8, a4), el(12, b4), el(27, ip(none6)), el(28, ip(none6))}
	six := []item{el(8, ip(none4)), el(12, ip(none4)), el(27, a6), el(28, b6)}
	prefix4 := []item{el(44, a4), el(45, b4), el(170, ip(none6)), el(169, ip(none6))}
	prefix6 := []item{el(44, ip(none4)), el(45, ip(none4)), el(170, a6), el(169, b6)}
	mixed4 := []item{el(8, a4), el(12, b4), el(170, ip(none6)), el(169, ip(none6))}
	mixed6 := []item{el(8, ip(none4)), el(12, ip(none4)), el(170, a6), el(169, b6)}
	frame4 := []item{el(315, frameIPv4(0))}
	frame6 := []item{el(315, slices.Concat(frameIPv4(0)[:12], u16(0x86dd), []byte{0x60, 0, 0, 0, 0, 8, 17, 64}, a6, b6,
		u16(1), u16(2), u16(8), u16(0)))}
	hops := func(v4, v6 string) []item {
		return []item{el(15, ip(v4)), el(18, ip(v4)), el(47, ip(v4)), el(62, ip(v6)), el(63, ip(v6)), el(140, ip(v6))}
	}
	only := func(ids ...uint16) []item {
		return slices.DeleteFunc(hops(hop4, hop6), func(i item) bool { return !slices.Contains(ids, i.id) })
	}
	tests := []struct {
		name                string
		ends, hops          []item
		version             uint8
		next, bgp, topLabel string
	}{
		{"IPv4 in both", four, hops(hop4, hop6), 4, hop4, hop4, hop4},
		{"IPv6 in both", six, hops(hop4, hop6), 6, hop6, hop6, hop6},
		{"prefixes of IPv4", prefix4, hops(hop4, hop6), 4, hop4, hop4, hop4},
		{"prefixes of IPv6", prefix6, hops(hop4, hop6), 6, hop6, hop6, hop6},
		{"addresses of IPv4 beside prefixes of IPv6", mixed4, hops(hop4, hop6), 4, hop4, hop4, hop4},
		{"prefixes of IPv6 beside addresses of IPv4", mixed6, hops(hop4, hop6), 6, hop6, hop6, hop6},
		{"a frame of IPv4", frame4, hops(hop4, hop6), 4, hop4, hop4, hop4},
		{"a frame of IPv6", frame6, hops(hop4, hop6), 6, hop6, hop6, hop6},
		{"a frame of IPv6, no hop of its own", frame6, hops(hop4, none6), 6, hop4, hop4, hop4},
		{"IPv4 over IPv6 (RFC 8950)", four, only(62, 63), 4, hop6, hop6, none6},
		{"IPv6 over IPv4 (6PE)", six, append(only(18, 47), el(62, ip(none6))), 6, none6, hop4, hop4},
		{"IPv6, its hop and IPv4's BGP hop of 0", six, []item{el(15, ip(none4)), el(62, ip(hop6)), el(18, ip(none4))},
			6, hop6, none4, none6},
		{"none", six, hops(none4, none6), 6, none6, none6, none6},
	}
	for _, p := range both {
		// One template for all that have the same elements: nothing of a record may be left in the next.
		for _, test := range tests {
			for _, turned := range []bool{false, true} {
				t.Run(p.String()+" "+test.name, func(t *testing.T) {
					items := append(slices.Concat(test.ends, test.hops), el(1, u32(1500)), el(2, u32(1)))
					before := slices.Clone(items)
					for i := range before { // the same, of the other family
						switch len(before[i].value) {
						case 4:
							before[i].value = ip("198.51.100.77")
						case 16:
							before[i].value = ip("2001:db8::77")
						}
					}
					if turned {
						slices.Reverse(items)
						slices.Reverse(before)
					}
					l := newLab(t, Options{})
					got := l.send(message(p, 5, set(templateSet(p), templateOf(256, items...)),
						set(256, dataOf(before...), dataOf(items...))))
					if len(got) != 2 {
						t.Fatalf("%d records, want 2", len(got))
					}
					r := &got[1]
					src, dst := ip128("192.0.2.1"), ip128("192.0.2.2")
					if test.version == 6 {
						src, dst = ip128("2001:db8::1"), ip128("2001:db8::2")
					}
					equal(t, "version", r.IPVersion, test.version)
					if test.ends[0].id != 315 || test.version == 6 {
						equal(t, "source", r.SrcAddr, src)
						equal(t, "destination", r.DstAddr, dst)
					}
					equal(t, "next hop", r.NextHop.String(), test.next)
					equal(t, "BGP next hop", r.BGPNextHop.String(), test.bgp)
					equal(t, "of the top label", r.MPLSTopLabelAddr.String(), test.topLabel)
				})
			}
		}
	}
}

// Who the exporter is, by option records and flow records of several shapes (case 63).
func TestCase63_NamesOfExporters(t *testing.T) {
	four, six := el(130, ip("203.0.113.9")), el(131, ip("2001:db8::9"))
	no4, no6 := el(130, ip("0.0.0.0")), el(131, ip("::"))
	process := el(144, u32(1))
	tests := []struct {
		name    string
		options []option
		record  []item
		want    string
	}{
		{"said in another domain", []option{{9, 1, []item{process, four}}}, nil, "203.0.113.9"},
		{"as the scope", []option{{5, 1, []item{four, el(41, u64(7))}}}, nil, "203.0.113.9"},
		{"both as scopes", []option{{5, 2, []item{six, four, el(41, u64(7))}}}, nil, "203.0.113.9"},
		{"of variable length", []option{{5, 1, []item{process, variable(130, ip("203.0.113.9"))}}}, nil,
			"203.0.113.9"},
		{"of a wrong length", []option{{5, 1, []item{process, el(131, ip("203.0.113.9")[:3])}}}, nil, "192.0.2.1"},
		{"unspecified later", []option{{5, 1, []item{process, four}}, {5, 1, []item{process, no4}}}, nil,
			"203.0.113.9"},
		{"unspecified in the other family later", []option{{5, 1, []item{process, four}}, {6, 1, []item{process, no6}}},
			nil, "203.0.113.9"},
		{"changed", []option{{5, 1, []item{process, four}}, {5, 1, []item{process, el(130, ip("203.0.113.10"))}}}, nil,
			"203.0.113.10"},
		{"IPv6 alone", []option{{5, 1, []item{process, six, no4}}}, nil, "2001:db8::9"},
		{"an IPv4 address in IPv6", []option{{5, 1, []item{process, el(131, ip("::ffff:203.0.113.9")), six}}}, nil,
			"203.0.113.9"},
		{"the record before the options", []option{{5, 1, []item{process, four}}}, []item{el(130, ip("203.0.113.77"))},
			"203.0.113.77"},
		{"an unspecified record", []option{{5, 1, []item{process, four}}}, []item{no6, no4}, "203.0.113.9"},
		{"the record's IPv6 beside the options", []option{{5, 1, []item{process, four}}}, []item{six, no4},
			"2001:db8::9"},
		{"a record of both", nil, []item{six, el(130, ip("192.0.2.1"))}, "192.0.2.1"},
	}
	for _, p := range both {
		for _, test := range tests {
			if p == flow.NetFlowV9 && test.options != nil && test.options[0].scopes > 1 {
				continue
			}
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				for _, o := range test.options {
					l.option(p, o)
				}
				items := append(slices.Clone(test.record), v4Flow()...)
				got := l.send(message(p, 5, set(templateSet(p), templateOf(256, items...)),
					set(256, dataOf(items...), dataOf(items...))))
				for _, r := range got {
					equal(t, "exporter", r.Exporter.String(), test.want)
					equal(t, "source", r.Source.String(), "192.0.2.1")
				}
				l.source = addrPort("192.0.2.2:4000")
				equal(t, "another exporter", l.one(p, v4Flow()...).Exporter.String(), "192.0.2.2")
			})
		}
	}
}

// Stations of wireless controllers beside other fields (case 68).
func TestCase68_StationsOfDevices(t *testing.T) {
	mac := []byte{2, 0xaa, 0xbb, 0xcc, 0xdd, 0xee}
	station, stationMAC := el(366, ip("10.20.30.40")), el(365, mac)
	tests := []struct {
		name       string
		items      []item
		src, dst   string
		srcM, dstM bool
	}{
		{"the direction first", []item{el(61, u8(1)), stationMAC, station}, "::", "10.20.30.40", false, true},
		{"the direction of 2 bytes", []item{stationMAC, station, el(61, u16(1))}, "::", "10.20.30.40", false, true},
		{"the address of the station is not known", []item{stationMAC, el(366, ip("0.0.0.0")), el(61, u8(0))}, "::",
			"::", true, false},
		{"its hardware only", []item{stationMAC, el(61, u8(0))}, "::", "::", true, false},
		{"beside the other end", []item{stationMAC, station, el(12, ip("192.0.2.5")), el(61, u8(0))}, "10.20.30.40",
			"192.0.2.5", true, false},
		{"beside both ends", []item{stationMAC, station, el(8, ip("192.0.2.4")), el(12, ip("192.0.2.5")),
			el(61, u8(1))}, "192.0.2.4", "192.0.2.5", false, true},
		{"beside both ends' hardware", []item{stationMAC, station, el(56, mac), el(80, mac), el(61, u8(1))}, "::",
			"10.20.30.40", true, true},
		{"with an application and an SSID", []item{el(95, u32(0x0d000001)), variable(147, text("campus")), station,
			el(367, mac), el(195, u8(0)), el(61, u8(0))}, "10.20.30.40", "::", false, false},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				items := append(test.items, el(2, u64(3)), el(1, u64(900)))
				got := newLab(t, Options{}).send(message(p, 5, set(templateSet(p), templateOf(256, items...)),
					set(256, dataOf(items...), dataOf(items...))))
				if len(got) != 2 {
					t.Fatalf("%d records, want 2", len(got))
				}
				for _, r := range got {
					equal(t, "source", r.SrcAddr.String(), test.src)
					equal(t, "destination", r.DstAddr.String(), test.dst)
					equal(t, "MAC addresses were sent", [2]bool{r.Sent(flow.SrcMAC), r.Sent(flow.DstMAC)},
						[2]bool{test.srcM, test.dstM})
				}
			})
		}
	}
}

// Route distinguishers of VRFs, said in other shapes and orders (case 69).
func TestCase69_DistinguishersOfDevices(t *testing.T) {
	rd := func(n byte) []byte { return []byte{0, 1, 192, 0, 2, n, 0, 100} }
	said := func(domain uint32, vrf uint32, n byte, more ...item) option {
		return option{domain, 1, append([]item{el(144, u32(1)), el(234, u32(vrf)), el(90, rd(n))}, more...)}
	}
	in := func(vrf uint32) []item { return []item{el(234, u32(vrf))} }
	tests := []struct {
		name    string
		options []option
		record  []item
		want    []byte
	}{
		{"said in another domain", []option{said(9, 1, 1)}, in(1), rd(1)},
		{"the VRF as the scope", []option{{5, 1, []item{el(234, u32(1)), el(90, rd(1))}}}, in(1), rd(1)},
		{"the distinguisher before the VRF", []option{{5, 1, []item{el(144, u32(1)), el(90, rd(1)), el(234, u32(1))}}},
			in(1), rd(1)},
		{"with a name of variable length between", []option{{5, 1, []item{el(144, u32(1)), el(234, u32(1)),
			variable(236, text("red")), el(90, rd(1))}}}, in(1), rd(1)},
		{"two VRFs in one set of options", []option{said(5, 1, 1), said(5, 2, 2)}, in(2), rd(2)},
		{"the VRF of 2 bytes in the record", []option{said(5, 1, 1)}, []item{el(234, u16(1))}, rd(1)},
		{"the VRF of 1 byte in the options", []option{{5, 1, []item{el(144, u32(1)), el(234, u8(1)), el(90, rd(1))}}},
			in(1), rd(1)},
		{"changed", []option{said(5, 1, 1), said(5, 1, 7)}, in(1), rd(7)},
		{"zeros, which are none, later", []option{said(5, 1, 1), {5, 1, []item{el(144, u32(1)), el(234, u32(1)),
			el(90, zeros(8))}}}, in(1), nil},
		{"of a wrong length", []option{{5, 1, []item{el(144, u32(1)), el(234, u32(1)), el(90, rd(1)[:6])}}}, in(1),
			nil},
		{"VRF 0, the global table", []option{said(5, 0, 3)}, in(0), rd(3)},
		{"both sides in one option record", []option{{5, 1, []item{el(144, u32(1)), el(234, u32(1)), el(235, u32(2)),
			el(90, rd(1))}}}, in(1), rd(1)},
		{"another VRF", []option{said(5, 1, 1)}, in(2), nil},
		{"metered at egress, the egress not known", []option{said(5, 1, 1)}, append(in(1), el(235, u32(2)),
			el(61, u8(1))), rd(1)},
	}
	for _, p := range both {
		for _, test := range tests {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				l := newLab(t, Options{})
				items := append(v4Flow(), test.record...)
				flows := func() []flow.Record {
					return l.send(message(p, 5, set(templateSet(p), templateOf(256, items...)),
						set(256, dataOf(items...), dataOf(items...))))
				}
				for _, r := range flows() {
					equal(t, "sent before the options", r.Sent(flow.MPLSRD), false)
				}
				for _, o := range test.options {
					l.option(p, o)
				}
				for _, r := range flows() {
					if equal(t, "sent", r.Sent(flow.MPLSRD), test.want != nil); test.want != nil {
						equal(t, "distinguisher", r.MPLSRD, [8]byte(test.want))
					}
				}
				l.source = addrPort("192.0.2.2:4000")
				other := l.one(p, items...)
				equal(t, "sent by another exporter", other.Sent(flow.MPLSRD), false)
			})
		}
	}
}
