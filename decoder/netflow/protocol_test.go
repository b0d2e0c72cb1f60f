package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// A template for all protocols has ICMP's elements for both families: the other family's are 0, wherever they stand.
func TestCase74_ICMPOfBothFamilies(t *testing.T) {
	for _, test := range []struct {
		name     string
		protocol uint8
		items    []item
		want     [2]uint8 // type, code
	}{
		{"ICMP, 32 before 139", 1, []item{el(32, u16(0x0301)), el(139, u16(0))}, [2]uint8{3, 1}},
		{"ICMP, 139 before 32", 1, []item{el(139, u16(0)), el(32, u16(0x0301))}, [2]uint8{3, 1}},
		{"ICMPv6, 139 before 32", 58, []item{el(139, u16(0x8101)), el(32, u16(0))}, [2]uint8{129, 1}},
		{"ICMP, 176 and 177 before 178 and 179", 1,
			[]item{el(176, u8(3)), el(177, u8(1)), el(178, u8(0)), el(179, u8(0))}, [2]uint8{3, 1}},
		{"ICMPv6, 178 and 179 before 176 and 177", 58,
			[]item{el(178, u8(129)), el(179, u8(1)), el(176, u8(0)), el(177, u8(0))}, [2]uint8{129, 1}},
		{"32 before 176 and 177 that are empty", 1, []item{el(32, u16(0x0301)), el(176, u8(0)), el(177, u8(0))},
			[2]uint8{3, 1}},
		{"176 and 177 before 32 that is empty", 1, []item{el(176, u8(3)), el(177, u8(1)), el(32, u16(0))},
			[2]uint8{3, 1}},
		{"echo reply", 1, []item{el(32, u16(0)), el(139, u16(0))}, [2]uint8{}},
	} {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				items := append([]item{el(4, u8(test.protocol)), el(1, u32(1500))}, test.items...)
				r := newLab(t, Options{}).one(p, items...)
				equal(t, "type and code", [2]uint8{r.ICMPType, r.ICMPCode}, test.want)
				equal(t, "sent", r.Sent(flow.ICMP), true)
			})
		}
	}
}

// softflowd 1.0.0 has templates for ICMP without the protocol, which their elements show.
func TestCase74_ProtocolOfATemplateWithoutIt(t *testing.T) {
	v4 := []item{el(8, ip("198.51.100.1")), el(12, ip("203.0.113.9")), el(1, u32(1500))}
	v6 := []item{el(27, ip("2001:db8::1")), el(28, ip("2001:db8::2")), el(1, u32(1500))}
	for _, test := range []struct {
		name     string
		flow     []item
		items    []item
		protocol uint8
		sent     bool
	}{
		{"type and code of ICMP", v4, []item{el(32, u16(0x0800))}, 1, true},
		{"type and code of ICMPv6", v6, []item{el(139, u16(0x8000))}, 58, true},
		{"two elements", v6, []item{el(178, u8(128)), el(179, u8(0))}, 58, true},
		{"elements of both, IPv4", v4, []item{el(32, u16(0x0800)), el(139, u16(0))}, 1, true},
		{"elements of both, IPv6", v6, []item{el(139, u16(0x8000)), el(32, u16(0))}, 58, true},
		{"ports of UDP", v4, []item{el(180, u16(53)), el(181, u16(4000))}, 17, true},
		{"ports of TCP", v4, []item{el(182, u16(443)), el(183, u16(4000))}, 6, true},
		{"ports of both", v4, []item{el(180, u16(53)), el(181, u16(4000)), el(182, u16(0)), el(183, u16(0))}, 0, false},
		{"ports of any protocol beside ICMP", v4, []item{el(7, u16(1)), el(11, u16(2)), el(32, u16(0))}, 0, false},
		{"ports of TCP beside ICMP", v4, []item{el(182, u16(1)), el(183, u16(2)), el(32, u16(0))}, 0, false},
		{"the element of 0", v4, []item{el(4, u8(0)), el(32, u16(0x0800))}, 0, true},
		{"the element", v4, []item{el(4, u8(47)), el(182, u16(0))}, 47, true},
		{"nothing", v4, nil, 0, false},
	} {
		for _, p := range both {
			t.Run(p.String()+" "+test.name, func(t *testing.T) {
				r := newLab(t, Options{}).one(p, append(slices.Clone(test.flow), test.items...)...)
				equal(t, "protocol", r.IPProtocol, test.protocol)
				equal(t, "sent", r.Sent(flow.IPProtocol), test.sent)
			})
		}
	}
}
