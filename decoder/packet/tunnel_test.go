package packet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

// tunnelCase is a frame with a flow inside another: what a record has of it as a rule, and what with Options.Inner.
type tunnelCase struct {
	name  string
	frame []byte
	outer flow.Record
	inner flow.Record
}

var (
	vxlan     = bin("08000000 00007b00")
	gre4      = bin("0000 0800")
	innerFlow = with(link, net4(6, inner4Src, inner4Dst), segment)
)

func geneve(kind uint16, options []byte) []byte {
	return join([]byte{byte(len(options) / 4), 0}, u16(kind), bin("00007b00"), options)
}

// outerUDP is the record of the outer flow of tunnels in UDP.
func outerUDP(dst uint16) flow.Record {
	return with(link, net4(17, outer4Src, outer4Dst), ports(5000, dst))
}

var tunnelCases = []tunnelCase{
	{"GRE", join(ether(0x0800), outer4(47, gre4, inner4(6, tcp()))),
		with(link, net4(47, outer4Src, outer4Dst)), innerFlow},
	{"GRE with checksum, key and sequence number", join(ether(0x0800),
		outer4(47, bin("b000 0800 11110000 00000007 00000009"), inner4(6, tcp()))),
		with(link, net4(47, outer4Src, outer4Dst)), innerFlow},
	{"GRE with Ethernet", join(ether(0x0800),
		outer4(47, bin("2000 6558 00007b00"), innerEther(0x86dd), inner6(17, udp(53)))),
		with(link, net4(47, outer4Src, outer4Dst)), with(link, net6(17, inner6Src, inner6Dst), ports(5000, 53))},
	{"GRE with routes", join(ether(0x0800), outer4(47, bin("4000 0800 00000000 00000000"), inner4(6, tcp()))),
		with(link, net4(47, outer4Src, outer4Dst)), with(link, net4(47, outer4Src, outer4Dst))},
	{"PPTP", join(ether(0x0800), outer4(47, bin("3001 880b 00100001 00000001"), bin("0021"), inner4(6, tcp()))),
		with(link, net4(47, outer4Src, outer4Dst)), with(link, net4(47, outer4Src, outer4Dst))},
	{"IPv4 in IPv4", join(ether(0x0800), outer4(4, inner4(6, tcp()))), with(link, net4(4, outer4Src, outer4Dst)),
		innerFlow},
	{"IPv6 in IPv4", join(ether(0x0800), outer4(41, inner6(6, tcp()))),
		with(link, net4(41, outer4Src, outer4Dst)), with(link, net6(6, inner6Src, inner6Dst), segment)},
	{"IPv4 in IPv6 leaves the outer flow label out", join(ether(0x86dd), outer6(4, inner4(6, tcp()))),
		with(link, net6(4, outer6Src, outer6Dst)), innerFlow},
	{"IPv6 in IPv6 behind a routing header", join(ether(0x86dd),
		outer6(43, bin("29 02 0400 00000000"), ip("2001:db8::9"), inner6(6, tcp()))),
		with(link, net6(41, outer6Src, outer6Dst)), with(link, net6(6, inner6Src, inner6Dst), segment)},
	{"Ethernet in IPv6 (SRv6)", join(ether(0x86dd), outer6(143, innerEther(0x0800), inner4(6, tcp()))),
		with(link, net6(143, outer6Src, outer6Dst)), innerFlow},
	{"VXLAN", join(ether(0x0800), outer4(17, udp(4789, vxlan, innerEther(0x0800), inner4(6, tcp())))), outerUDP(4789),
		innerFlow},
	{"VXLAN, tags outside and within", join(ether(0x8100), bin("0064 0800"),
		outer4(17, udp(4789, vxlan, innerEther(0x8100), bin("00c8 0800"), inner4(6, tcp())))),
		with(link, tag(100), net4(17, outer4Src, outer4Dst), ports(5000, 4789)),
		with(link, tag(100), net4(6, inner4Src, inner4Dst), segment)},
	{"VXLAN, two tags within", join(ether(0x0800),
		outer4(17, udp(4789, vxlan, innerEther(0x8100), bin("00c8 8100 0064 0800"), inner4(6, tcp())))),
		outerUDP(4789), with(link, tag(200), net4(6, inner4Src, inner4Dst), segment)},
	{"GRE with labels, which are the tunnel's",
		join(ether(0x0800), outer4(47, bin("0000 8847"), label16Bottom, inner4(6, tcp()))),
		with(link, net4(47, outer4Src, outer4Dst)), innerFlow},
	{"VXLAN's port without a network identifier", join(ether(0x0800),
		outer4(17, udp(4789, make([]byte, 8), innerEther(0x0800), inner4(6, tcp())))), outerUDP(4789), outerUDP(4789)},
	{"VXLAN with ARP inside", join(ether(0x0800), outer4(17, udp(4789, vxlan, innerEther(0x0806), make([]byte, 28)))),
		outerUDP(4789), outerUDP(4789)},
	{"Geneve", join(ether(0x0800), outer4(17, udp(6081, geneve(0x6558, nil), innerEther(0x0800), inner4(6, tcp())))),
		outerUDP(6081), innerFlow},
	{"Geneve with options and IP", join(ether(0x0800),
		outer4(17, udp(6081, geneve(0x0800, bin("01020001 00000007")), inner4(6, tcp())))),
		outerUDP(6081), innerFlow},
	{"Geneve with options beyond the packet",
		join(ether(0x0800), outer4(17, udp(6081, bin("3f00 0800 00007b00"), inner4(6, tcp())))),
		outerUDP(6081), outerUDP(6081)},
	{"later fragment inside a tunnel", join(ether(0x0800), outer4(4,
		header4(17, inner4Src, inner4Dst, 0x20b9, nil, 8), udp(53))),
		with(link, net4(4, outer4Src, outer4Dst)), with(link, net4(17, inner4Src, inner4Dst))},
	{"later fragment of a tunnel", join(ether(0x0800), header4(4, outer4Src, outer4Dst, 0x00b9, nil, 40),
		inner4(6, tcp())),
		with(link, net4(4, outer4Src, outer4Dst)), with(link, net4(4, outer4Src, outer4Dst))},
	{"the sample ends before the flow inside", join(ether(0x0800), outer4(4, inner4(6, tcp())))[:14+20+19],
		with(link, net4(4, outer4Src, outer4Dst)), with(link, net4(4, outer4Src, outer4Dst))},
}

func TestParse_Tunnels(t *testing.T) {
	for _, test := range tunnelCases {
		for _, want := range []struct {
			name   string
			o      Options
			record flow.Record
		}{{"outer", Options{}, test.outer}, {"inner", Options{Inner: true}, test.inner}} {
			t.Run(test.name+"/"+want.name, func(t *testing.T) {
				var got flow.Record
				want.o.Parse(test.frame, Ethernet, &got)
				if diff := cmp.Diff(want.record, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// nested is a TCP segment within so many IP headers, the innermost numbered 0.
func nested(headers int) []byte {
	packet := header4(6, "10.9.0.0", inner4Dst, 0, nil, 20)
	packet = append(packet, tcp()...)
	for n := 1; n < headers; n++ {
		src := [4]byte{10, 9, 0, byte(n)}
		packet = join(header4(4, flow.AddrFrom4(src).String(), inner4Dst, 0, nil, len(packet)), packet)
	}
	return packet
}

func TestParse_DepthLimit(t *testing.T) {
	for headers, want := range map[int]string{1: "10.9.0.0", 5: "10.9.0.0", 6: "10.9.0.1", 60: "10.9.0.55"} {
		var r flow.Record
		Options{Inner: true}.Parse(nested(headers), IPv4, &r)
		if got := r.SrcAddr.String(); got != want {
			t.Errorf("%d headers: the flow is from %s, want %s", headers, got, want)
		}
	}
}

// Pseudowires nest without IP: they count as tunnels, whatever the options are.
func TestParse_DepthLimitOfPseudowires(t *testing.T) {
	wire := join(label16Bottom, bin("0000 0000"), ether(0x8847))
	packet := join(label16Bottom, outer4(6, tcp()))
	for depth := 0; depth < 6; depth++ {
		var r flow.Record
		info := Options{}.Parse(packet, MPLS, &r)
		if want := depth <= maxTunnels; info.IP != want {
			t.Errorf("depth %d: IP is %t, want %t", depth, info.IP, want)
		}
		packet = join(wire, packet)
	}
}
