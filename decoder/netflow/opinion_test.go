package netflow

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// opinion is what a field says of a record: the value that we should have, by the field alone, and the one we have.
type opinion struct {
	widths []int // what generated datagrams have
	want   func(v []byte, r *theirs) string
	have   func(r *flow.Record) string
}

// integer is an opinion on an integer that our record has in so many bytes.
func integer[T uint8 | uint16 | uint32 | uint64](have func(*flow.Record) T) opinion {
	return opinion{
		widths: []int{1, 2, 3, 4, 5, 6, 7, 8},
		want: func(v []byte, _ *theirs) string {
			most := uint64(^T(0))
			return fmt.Sprint(min(number(v), most)) // saturates: case 29
		},
		have: func(r *flow.Record) string { return fmt.Sprint(have(r)) },
	}
}

// flags is an opinion on flags, of which the last bytes count.
func flags[T uint8 | uint16](have func(*flow.Record) T) opinion {
	o := integer(have)
	o.want = func(v []byte, _ *theirs) string { return fmt.Sprint(T(number(v))) }
	return o
}

func address(length int, have func(*flow.Record) flow.Addr) opinion {
	return opinion{
		widths: []int{length},
		want: func(v []byte, _ *theirs) string {
			a, _ := netip.AddrFromSlice(v)
			return a.Unmap().String()
		},
		have: func(r *flow.Record) string { return have(r).String() },
	}
}

func octets(length int, have func(*flow.Record) []byte) opinion {
	return opinion{
		widths: []int{length},
		want:   func(v []byte, _ *theirs) string { return fmt.Sprintf("%x", v) },
		have:   func(r *flow.Record) string { return fmt.Sprintf("%x", have(r)) },
	}
}

func moment(widths []int, want func(v []byte, r *theirs) int64, have func(*flow.Record) int64) opinion {
	return opinion{
		widths: widths,
		want:   func(v []byte, r *theirs) string { return fmt.Sprint(want(v, r)) },
		have:   func(r *flow.Record) string { return fmt.Sprint(have(r)) },
	}
}

// since is how long before the header's uptime another one was: up to 49 days, or up to an hour after it (case 2).
func since(uptime, at uint32) int64 {
	const hour = 3_600_000
	if after := at - uptime; after < hour {
		return -int64(after)
	}
	return int64(uptime - at)
}

// opinions are those of all elements that give a value of a record by themselves.
func opinions() map[uint16]opinion {
	start := func(r *flow.Record) int64 { return r.StartMs }
	end := func(r *flow.Record) int64 { return r.EndMs }
	octetCount, packetCount := integer(func(r *flow.Record) uint64 { return r.Bytes }),
		integer(func(r *flow.Record) uint64 { return r.Packets })
	srcMask, dstMask := integer(func(r *flow.Record) uint8 { return r.SrcMask }),
		integer(func(r *flow.Record) uint8 { return r.DstMask })
	srcPort, dstPort := integer(func(r *flow.Record) uint16 { return r.SrcPort }),
		integer(func(r *flow.Record) uint16 { return r.DstPort })
	srcMAC, dstMAC := octets(6, func(r *flow.Record) []byte { return r.SrcMAC[:] }),
		octets(6, func(r *flow.Record) []byte { return r.DstMAC[:] })
	src := func(r *flow.Record) flow.Addr { return r.SrcAddr }
	dst := func(r *flow.Record) flow.Addr { return r.DstAddr }
	next := func(r *flow.Record) flow.Addr { return r.NextHop }
	bgpNext := func(r *flow.Record) flow.Addr { return r.BGPNextHop }
	exporterAddr := func(r *flow.Record) flow.Addr { return r.Exporter }
	natSrc := func(r *flow.Record) flow.Addr { return r.PostNATSrcAddr }
	natDst := func(r *flow.Record) flow.Addr { return r.PostNATDstAddr }
	vlan := func(have func(r *flow.Record) uint16) opinion {
		o := flags(have)
		o.want = func(v []byte, _ *theirs) string { return fmt.Sprint(number(v) & 0xfff) }
		return o
	}
	srcVLAN, dstVLAN := vlan(func(r *flow.Record) uint16 { return r.SrcVLAN }),
		vlan(func(r *flow.Record) uint16 { return r.DstVLAN })
	in, out := integer(func(r *flow.Record) uint32 { return r.InIf }),
		integer(func(r *flow.Record) uint32 { return r.OutIf })
	icmp := integer(func(r *flow.Record) uint16 { return uint16(r.ICMPType)<<8 | uint16(r.ICMPCode) })
	icmpType, icmpCode := integer(func(r *flow.Record) uint8 { return r.ICMPType }),
		integer(func(r *flow.Record) uint8 { return r.ICMPCode })
	label := integer(func(r *flow.Record) uint32 { return r.FlowLabel })
	label.want = func(v []byte, _ *theirs) string { return fmt.Sprint(min(number(v), 1<<32-1) & 0xfffff) }
	seconds := func(v []byte, _ *theirs) int64 { return int64(number(v)) * 1000 }
	ms := func(v []byte, _ *theirs) int64 { return int64(number(v)) }
	ntpMs := func(v []byte, _ *theirs) int64 { // the nearest millisecond; the exact rule has its own test (case 30)
		n := number(v)
		if plain := int64(n) / 1000; plain > 1e12 && plain < 3e12 {
			return plain
		}
		return int64(n>>32-ntpEpoch)*1000 + int64(float64(n&(1<<32-1))*1000/(1<<32)+1e-4)
	}
	uptime := func(v []byte, r *theirs) int64 {
		return r.header.exportMs - since(r.header.uptime, uint32(number(v)))
	}
	rate := integer(func(r *flow.Record) uint32 { return r.SamplingRate })
	four, eight := []int{4}, []int{8}
	all := map[uint16]opinion{
		1: octetCount, 2: packetCount, 4: integer(func(r *flow.Record) uint8 { return r.IPProtocol }),
		5: flags(func(r *flow.Record) uint8 { return r.ToS }),
		6: flags(func(r *flow.Record) uint16 { return r.TCPFlags }),
		7: srcPort, 8: address(4, src), 9: srcMask, 10: in, 11: dstPort, 12: address(4, dst), 13: dstMask, 14: out,
		15: address(4, next), 16: integer(func(r *flow.Record) uint32 { return r.SrcAS }),
		17: integer(func(r *flow.Record) uint32 { return r.DstAS }), 18: address(4, bgpNext),
		21: moment(four, uptime, end),
		22: moment(four, uptime, start), 23: octetCount, 24: packetCount, 27: address(16, src), 28: address(16, dst),
		29: srcMask, 30: dstMask, 31: label, 32: icmp, 34: rate, 44: address(4, src), 45: address(4, dst),
		46: integer(func(r *flow.Record) uint8 { return r.MPLSTopLabelType }),
		47: address(4, func(r *flow.Record) flow.Addr { return r.MPLSTopLabelAddr }), 50: rate, 56: srcMAC, 57: dstMAC,
		58: srcVLAN, 59: dstVLAN, 61: integer(func(r *flow.Record) uint8 { return r.Direction }), 62: address(16, next),
		63: address(16, bgpNext), 80: dstMAC, 81: srcMAC, 85: octetCount, 86: packetCount,
		89:  flags(func(r *flow.Record) uint8 { return r.ForwardingStatus }),
		90:  octets(8, func(r *flow.Record) []byte { return r.MPLSRD[:] }),
		128: integer(func(r *flow.Record) uint32 { return r.PeerDstAS }),
		129: integer(func(r *flow.Record) uint32 { return r.PeerSrcAS }),
		130: address(4, exporterAddr), 131: address(16, exporterAddr),
		136: integer(func(r *flow.Record) uint8 { return r.FlowEndReason }),
		139: icmp, 140: address(16, func(r *flow.Record) flow.Addr { return r.MPLSTopLabelAddr }),
		150: moment(four, seconds, start), 151: moment(four, seconds, end), 152: moment(eight, ms, start),
		153: moment(eight, ms, end),
		154: moment(eight, ntpMs, start), 155: moment(eight, ntpMs, end), 156: moment(eight, ntpMs, start),
		157: moment(eight, ntpMs, end),
		158: moment(four, func(v []byte, r *theirs) int64 { return r.header.exportMs - int64(number(v)/1000) }, start),
		159: moment(four, func(v []byte, r *theirs) int64 { return r.header.exportMs - int64(number(v)/1000) }, end),
		169: address(16, dst), 170: address(16, src), 176: icmpType, 177: icmpCode, 178: icmpType, 179: icmpCode,
		180: srcPort,
		181: dstPort, 182: srcPort, 183: dstPort, 225: address(4, natSrc), 226: address(4, natDst),
		227: integer(func(r *flow.Record) uint16 { return r.PostNATSrcPort }),
		228: integer(func(r *flow.Record) uint16 { return r.PostNATDstPort }),
		230: integer(func(r *flow.Record) uint8 { return r.NATEvent }), 231: octetCount,
		233: integer(func(r *flow.Record) uint8 { return r.FirewallEvent }),
		234: integer(func(r *flow.Record) uint32 { return r.IngressVRF }),
		235: integer(func(r *flow.Record) uint32 { return r.EgressVRF }),
		243: srcVLAN, 245: vlan(func(r *flow.Record) uint16 { return r.InnerSrcVLAN }),
		249: integer(func(r *flow.Record) uint32 { return r.MPLSPseudowire }), 252: in, 253: out, 254: dstVLAN,
		255: vlan(func(r *flow.Record) uint16 { return r.InnerDstVLAN }), 281: address(16, natSrc),
		282: address(16, natDst),
		298: packetCount, 305: rate, 322: moment(four, seconds, start), 323: moment(eight, ms, start),
		324: moment(eight, ntpMs, start),
		325: moment(eight, ntpMs, start), 352: octetCount,
	}
	for i := range uint16(10) {
		all[70+i] = opinion{widths: []int{3}, want: func(v []byte,
			_ *theirs) string {
			return fmt.Sprint(number(v) & 0xffffff)
		},
			have: func(r *flow.Record) string { return fmt.Sprint(r.MPLS[i]) }}
	}
	return all
}

// together are elements that mean something only beside others; the cases of their own tests say what.
func together() map[uint16]string {
	return map[uint16]string{
		48: "case 16", 302: "case 33", 306: "case 33", 309: "case 33", 310: "case 33", 311: "case 33", 60: "case 18",
		160: "case 31", 161: "case 32", 162: "case 32", 103: "case 36", 104: "case 36", 312: "case 36", 313: "case 36",
		315: "case 36", 408: "case 36", 497: "case 41", 232: "case 35", 299: "case 35",
		301: "case 71", 304: "case 71", 329: "case 71", 330: "case 71", 331: "case 71", 332: "case 71",
		390: "case 71", 396: "case 71", 397: "case 71",
		138: "case 70", 141: "case 70", 142: "case 70", 195: "case 74", 365: "case 68", 366: "case 68",
	}
}

// A difference is ours to explain, by case: the reason must hold for the record at hand.
type excuse struct {
	name  string
	ids   []uint16
	holds func(id uint16, r *theirs, have string) bool
}

func excuses() []excuse {
	all := opinions()
	// among: our value is that of another of these elements in the record.
	among := func(ids ...uint16) func(uint16, *theirs, string) bool {
		return func(id uint16, r *theirs, have string) bool {
			for _, other := range ids {
				if v, sent := r.values[other]; sent && other != id && all[other].want(v, r) == have {
					return true
				}
			}
			return false
		}
	}
	sent := func(ids ...uint16) func(uint16, *theirs, string) bool {
		return func(_ uint16, r *theirs, _ string) bool {
			return slices.ContainsFunc(ids, func(id uint16) bool { return r.values[id] != nil })
		}
	}
	counters := []uint16{1, 23, 85, 231, 352}
	packets := []uint16{2, 24, 86, 298}
	starts, ends := []uint16{22, 150, 152, 154, 156, 158, 322, 323, 324, 325}, []uint16{21, 151, 153, 155, 157, 159}
	return []excuse{
		{"case 17: another counter counts", counters, among(counters...)},
		{"case 17: another counter counts", packets, among(packets...)},
		{"case 18: the other family counts", []uint16{8, 27, 44, 170}, among(8, 27, 44, 170)},
		{"case 18: the other family counts", []uint16{12, 28, 45, 169}, among(12, 28, 45, 169)},
		{"case 18: the other family counts", []uint16{9, 29}, among(9, 29)},
		{"case 18: the other family counts", []uint16{13, 30}, among(13, 30)},
		{"case 18: the other family counts", []uint16{15, 62}, among(15, 62)},
		{"case 18: the other family counts", []uint16{18, 63}, among(18, 63)},
		{"case 18: the other family counts", []uint16{47, 140}, among(47, 140)},
		{"case 30: another form of time counts", starts, among(starts...)},
		{"case 30: another form of time counts", ends, among(ends...)},
		{"case 32: a time of 0 is none", append(slices.Clone(starts), ends...),
			func(id uint16, r *theirs, _ string) bool { return number(r.values[id]) == 0 }},
		{"case 31: IPFIX cannot place uptimes without the start of the device", []uint16{21, 22},
			func(_ uint16, r *theirs, _ string) bool { return !r.header.hasUptime }},
		{"case 38: the interface itself before the physical", []uint16{252, 253}, sent(10, 14)},
		{"case 38: the side's own MAC before that behind the device", []uint16{57, 81}, sent(56, 80)},
		{"case 38: the first tag with a value counts", []uint16{58, 59, 243, 254}, among(58, 59, 243, 254)},
		{"case 33: a rate of 0 is none", []uint16{34, 50, 305},
			func(id uint16, r *theirs, _ string) bool { return number(r.values[id]) == 0 }},
		{"ports of any protocol before those of one", []uint16{180, 181, 182, 183}, sent(7, 11)},
		{"ports of the protocol that has any", []uint16{180, 181, 182, 183}, among(180, 181, 182, 183)},
		{"another element has ICMP's type and code", []uint16{32, 139, 176, 177, 178, 179},
			sent(32, 139, 176, 177, 178, 179)},
		{"an exporter of 0.0.0.0 is none", []uint16{130, 131},
			func(id uint16, r *theirs, _ string) bool { return number(r.values[id]) == 0 }},
		{"case 36: the sampled frame counts", []uint16{4, 5, 6, 7, 8, 11, 12, 27, 28, 56, 80}, sent(104, 313, 315)},
	}
}
