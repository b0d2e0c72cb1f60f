package packet

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

// frameCase is a frame, and the record that it makes.
type frameCase struct {
	name  string
	first Layer
	frame []byte
	want  flow.Record
}

// An MPLS label entry with its TTL.
var (
	label18Top    = bin("00012 0 ff")
	label16Bottom = bin("00010 1 ff")
	label16Exp5   = bin("00010 b ff")
	explicitNull4 = bin("00000 1 ff")
	explicitNull6 = bin("00002 1 ff")
)

var linkCases = []frameCase{
	{"Ethernet II", Ethernet, join(ether(0x0800), outer4(6, tcp())),
		with(link, net4(6, outer4Src, outer4Dst), segment)},
	{"Ethernet II without IP", Ethernet, join(ether(0x0806), make([]byte, 28)), with(link)},
	{"802.3 with SNAP", Ethernet, join(macs, u16(0x40), bin("aaaa03 000000 0800"), outer4(17, udp(53))),
		with(link, net4(17, outer4Src, outer4Dst), ports(5000, 53))},
	{"802.3 with SNAP behind a tag", Ethernet,
		join(ether(0x8100), bin("0064 0040 aaaa03 000000 86dd"), outer6(17, udp(53))),
		with(link, tag(100), net6(17, outer6Src, outer6Dst), ports(5000, 53))},
	{"802.3 with another LLC", Ethernet, join(macs, u16(0x26), bin("424203 0000000000"), outer4(6, tcp())), with(link)},
	{"VLAN, its priority left out", Ethernet, join(ether(0x8100), bin("e064 0800"), outer4(6, tcp())),
		with(link, tag(100), net4(6, outer4Src, outer4Dst), segment)},
	{"priority tag", Ethernet, join(ether(0x8100), bin("e000 0800"), outer4(6, tcp())),
		with(link, tag(0), net4(6, outer4Src, outer4Dst), segment)},
	{"QinQ 0x88a8", Ethernet, join(ether(0x88a8), bin("00c8 8100 0064 0800"), outer4(6, tcp())),
		with(link, tag(200), innerTag(100), net4(6, outer4Src, outer4Dst), segment)},
	{"QinQ 0x9100", Ethernet, join(ether(0x9100), bin("00c8 8100 0064 86dd"), outer6(6, tcp())),
		with(link, tag(200), innerTag(100), net6(6, outer6Src, outer6Dst), segment)},
	{"three tags, of which two are kept", Ethernet,
		join(ether(0x8100), bin("0001 8100 0002 8100 0003 0800"), outer4(6, tcp())),
		with(link, tag(1), innerTag(2), net4(6, outer4Src, outer4Dst), segment)},
	{"five tags, which is too deep", Ethernet,
		join(ether(0x8100), bin("0001 8100 0002 8100 0003 8100 0004 8100 0005 0800"), outer4(6, tcp())),
		with(link, tag(1), innerTag(2))},
	{"padding of a short frame is no UDP header", Ethernet, join(ether(0x0800), outer4(17), make([]byte, 26)),
		with(link, net4(17, outer4Src, outer4Dst))},
	{"padding of a short IPv6 frame", Ethernet, join(ether(0x86dd), outer6(58, bin("87")), make([]byte, 5)),
		with(link, net6(58, outer6Src, outer6Dst))},
	{"PPPoE session, IPv4", Ethernet, join(ether(0x8864), bin("1100 0007 0020 0021"), outer4(6, tcp())),
		with(link, net4(6, outer4Src, outer4Dst), segment)},
	{"PPPoE session, IPv6, behind a tag", Ethernet,
		join(ether(0x8100), bin("0064 8864 1100 0007 0020 0057"), outer6(6, tcp())),
		with(link, tag(100), net6(6, outer6Src, outer6Dst), segment)},
	{"PPPoE session, LCP", Ethernet, join(ether(0x8864), bin("1100 0007 0008 c021 0901000800000000")), with(link)},
	{"PPP", PPP, join(bin("0021"), outer4(6, tcp())), with(net4(6, outer4Src, outer4Dst), segment)},
	{"PPP with address and control", PPP, join(bin("ff03 0057"), outer6(6, tcp())),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"PPP with a protocol number of one byte", PPP, join(bin("21"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"PPP with labels", PPP, join(bin("ff03 0281"), label16Bottom, outer4(6, tcp())),
		with(stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"frame relay", FrameRelay, join(bin("1841 03 cc"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"frame relay, IPv6, padded", FrameRelay, join(bin("1841 03 00 8e"), outer6(6, tcp())),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"frame relay with SNAP", FrameRelay, join(bin("1841 03 00 80 000000 86dd"), outer6(6, tcp())),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"frame relay of Cisco", FrameRelay, join(bin("1841 0800"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"frame relay, a bridged frame", FrameRelay, join(bin("1841 03 00 80 0080c2 0007 0000"), ether(0x0800),
		outer4(6, tcp())), with(link, net4(6, outer4Src, outer4Dst), segment)},
	{"frame relay, IS-IS", FrameRelay, join(bin("1841 03 83"), make([]byte, 40)), with()},
	{"ATM", LLC, join(bin("aaaa03 000000 86dd"), outer6(6, tcp())), with(net6(6, outer6Src, outer6Dst), segment)},
	{"ATM without LLC", LLC, outer4(6, tcp()), with(net4(6, outer4Src, outer4Dst), segment)},
	{"FDDI", FDDI, join(bin("50"), macs, bin("aaaa03 000000 0800"), outer4(6, tcp())),
		with(link, net4(6, outer4Src, outer4Dst), segment)},
	{"802.11 data", IEEE80211, join(bin("0801 0000"), make([]byte, 20), bin("aaaa03 000000 0800"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"802.11 data with quality of service", IEEE80211,
		join(bin("8801 0000"), make([]byte, 22), bin("aaaa03 000000 86dd"), outer6(17, udp(53))),
		with(net6(17, outer6Src, outer6Dst), ports(5000, 53))},
	{"802.11 data with high throughput control", IEEE80211,
		join(bin("8881 0000"), make([]byte, 26), bin("aaaa03 000000 0800"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"802.11 data between access points", IEEE80211,
		join(bin("0803 0000"), make([]byte, 26), bin("aaaa03 000000 0800"), outer4(6, tcp())),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"802.11 encrypted", IEEE80211, join(bin("0841 0000"), make([]byte, 20), bin("aaaa03 000000 0800"),
		outer4(6, tcp())), with()},
	{"802.11 null function", IEEE80211, join(bin("4801 0000"), make([]byte, 20), bin("aaaa03 000000 0800"),
		outer4(6, tcp())), with()},
	{"802.11 beacon", IEEE80211, join(bin("8000 0000"), make([]byte, 20), bin("aaaa03 000000 0800"), outer4(6, tcp())),
		with()},
}

var mplsCases = []frameCase{
	{"MPLS, two labels, IPv4", Ethernet, join(ether(0x8847), label18Top, label16Bottom, outer4(6, tcp())),
		with(link, stack(0x120, 0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"MPLS keeps the traffic class, IPv6", MPLS, join(label16Exp5, outer6(6, tcp())),
		with(stack(0x10b), net6(6, outer6Src, outer6Dst), segment)},
	{"MPLS multicast", Ethernet, join(ether(0x8848), label16Bottom, outer4(17, udp(53))),
		with(link, stack(0x101), net4(17, outer4Src, outer4Dst), ports(5000, 53))},
	{"MPLS explicit null, IPv4", Ethernet, join(ether(0x8847), explicitNull4, outer4(6, tcp())),
		with(link, stack(0x001), net4(6, outer4Src, outer4Dst), segment)},
	{"MPLS explicit null, IPv6", Ethernet, join(ether(0x8847), explicitNull6, outer6(6, tcp())),
		with(link, stack(0x021), net6(6, outer6Src, outer6Dst), segment)},
	{"MPLS behind a tag", Ethernet, join(ether(0x8100), bin("0064 8847"), label16Bottom, outer4(6, tcp())),
		with(link, tag(100), stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"MPLS, twelve labels, of which ten are kept", MPLS,
		join(join(label18Top, label18Top, label18Top, label18Top, label18Top, label18Top), label18Top, label18Top,
			label18Top,
			label18Top, label18Top, label16Bottom, outer4(6, tcp())),
		with(stack(0x120, 0x120, 0x120, 0x120, 0x120, 0x120, 0x120, 0x120, 0x120, 0x120), net4(6, outer4Src, outer4Dst),
			segment)},
	{"pseudowire with control word", Ethernet,
		join(ether(0x8847), label16Bottom, bin("0000 0007"), innerEther(0x0800), outer4(6, tcp())),
		with(link, stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"pseudowire with control word, tagged within", Ethernet,
		join(ether(0x8100), bin("0064 8847"), label16Bottom, bin("0000 0000"), innerEther(0x8100), bin("00c8 86dd"),
			outer6(6, tcp())),
		with(link, tag(100), stack(0x101), net6(6, outer6Src, outer6Dst), segment)},
	{"pseudowire without control word", Ethernet,
		join(ether(0x8847), label16Bottom, innerEther(0x0800), outer4(6, tcp())),
		with(link, stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"pseudowire without control word to an address like IPv4", Ethernet,
		join(ether(0x8847), label16Bottom, bin("4c0000000012 020000000011 0800"), outer4(6, tcp())),
		with(link, stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"pseudowire without control word to an address like IPv6", Ethernet,
		join(ether(0x8847), label16Bottom, bin("640000000012 020000000011 86dd"), outer6(6, tcp())),
		with(link, stack(0x101), net6(6, outer6Src, outer6Dst), segment)},
	{"pseudowire seen without a link", MPLS,
		join(label16Bottom, bin("0000 0000"), innerEther(0x0800), outer4(6, tcp())),
		with(innerLink, stack(0x101), net4(6, outer4Src, outer4Dst), segment)},
	{"channel of a pseudowire", Ethernet, join(ether(0x8847), label16Bottom, bin("1000 0021"), make([]byte, 30)),
		with(link, stack(0x101))},
}

var networkCases = []frameCase{
	{"IP, version 4", IP, outer4(6, tcp()), with(net4(6, outer4Src, outer4Dst), segment)},
	{"IP, version 6", IP, outer6(6, tcp()), with(net6(6, outer6Src, outer6Dst), segment)},
	{"IP, version 5", IP, bin("55000014 00000000 00000000 00000000 00000000"), with()},
	{"IPv4 that says it is version 6", IPv4, outer6(6, tcp()), with()},
	{"IPv6 that says it is version 4", IPv6, join(outer4(6, tcp()), make([]byte, 20)), with()},
	{"IPv4 options", IPv4, join(header4(6, outer4Src, outer4Dst, 0, bin("94040000 01010100"), 20), tcp()),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"IPv4 header shorter than can be", IPv4, append([]byte{0x44}, outer4(6, tcp())[1:]...),
		with(net4(6, outer4Src, outer4Dst))},
	{"IPv4 of unknown length", IPv4, join(bin("45b8 0000"), outer4(6, tcp())[4:]),
		with(net4(6, outer4Src, outer4Dst), segment)},
	{"IPv4 first fragment", IPv4, join(header4(17, outer4Src, outer4Dst, 0x2000, nil, 8), udp(53)),
		with(net4(17, outer4Src, outer4Dst), ports(5000, 53))},
	{"IPv4 later fragment has no ports", IPv4, join(header4(17, outer4Src, outer4Dst, 0x20b9, nil, 8), udp(53)),
		with(net4(17, outer4Src, outer4Dst))},
	{"IPv4 last fragment has no ports", IPv4, join(header4(6, outer4Src, outer4Dst, 0x0001, nil, 20), tcp()),
		with(net4(6, outer4Src, outer4Dst))},
	{"IPv6 hop-by-hop", IPv6, outer6(0, bin("06 00 050200000000"), tcp()),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"IPv6 routing with one segment", IPv6, outer6(43, bin("06 02 0400 00000000"), ip("2001:db8::9"), tcp()),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"IPv6 destination options", IPv6, outer6(60, bin("11 00 010400000000"), udp(53)),
		with(net6(17, outer6Src, outer6Dst), ports(5000, 53))},
	{"IPv6 mobility", IPv6, outer6(135, bin("3b 00 000000000000")), with(net6(59, outer6Src, outer6Dst))},
	{"IPv6 first fragment", IPv6, outer6(44, bin("11 00 0001 00000007"), udp(53)),
		with(net6(17, outer6Src, outer6Dst), ports(5000, 53))},
	{"IPv6 later fragment has no ports", IPv6, outer6(44, bin("11 00 05a9 00000007"), udp(53)),
		with(net6(17, outer6Src, outer6Dst))},
	{"IPv6 AH", IPv6, outer6(51, bin("06 04 0000 00000001 00000001"), make([]byte, 12), tcp()),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"IPv6 ESP ends what can be read", IPv6, outer6(50, bin("00000001 00000001"), tcp()),
		with(net6(50, outer6Src, outer6Dst))},
	{"IPv6 all of them", IPv6, outer6(0, bin("3c00050200000000 2b00010400000000 2c02040000000000"), ip("2001:db8::9"),
		bin("3300000100000007 0604000000000001 00000001"), make([]byte, 12), tcp()),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"IPv6 jumbogram", IPv6, join(header6(6, outer6Src, outer6Dst, 0), tcp()),
		with(net6(6, outer6Src, outer6Dst), segment)},
	{"TCP", IPv4, outer4(6, tcp()), with(net4(6, outer4Src, outer4Dst), segment)},
	{"UDP", IPv4, outer4(17, udp(53)), with(net4(17, outer4Src, outer4Dst), ports(5000, 53))},
	{"UDP-Lite", IPv4, outer4(136, udp(53)), with(net4(136, outer4Src, outer4Dst), ports(5000, 53))},
	{"DCCP", IPv4, outer4(33, udp(53)), with(net4(33, outer4Src, outer4Dst), ports(5000, 53))},
	{"SCTP", IPv6, outer6(132, udp(53)), with(net6(132, outer6Src, outer6Dst), ports(5000, 53))},
	{"ICMP port unreachable", IPv4, outer4(1, bin("0303 0000 00000000"), inner4(17, udp(53))),
		with(net4(1, outer4Src, outer4Dst), icmp(3, 3))},
	{"ICMPv6 neighbour solicitation", IPv6, outer6(58, bin("8700 0000 00000000")),
		with(net6(58, outer6Src, outer6Dst), icmp(135, 0))},
	{"OSPF has no ports", IPv4, outer4(89, bin("0201002c")), with(net4(89, outer4Src, outer4Dst))},
}

func TestParse(t *testing.T) {
	for _, cases := range [][]frameCase{linkCases, mplsCases, networkCases} {
		for _, test := range cases {
			t.Run(test.name, func(t *testing.T) {
				var got flow.Record
				Options{}.Parse(test.frame, test.first, &got)
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}
