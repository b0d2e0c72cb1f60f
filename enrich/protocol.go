package enrich

import (
	"strconv"
	"strings"
)

// protocols holds the name of each IP protocol number, and the same in lower case, by which applications are looked up.
type protocols struct{ names, lower [256]string }

// protocolNames are pmacct's names of protocols, which dashboards filter by. All other protocols are shown as decimal
// numbers.
var protocolNames = map[uint8]string{
	1: "icmp", 2: "igmp", 3: "ggp", 4: "ipencap", 6: "tcp", 8: "egp", 9: "igp", 17: "udp", 18: "mux",
	41: "ipv6", 43: "ipv6-route", 44: "ipv6-frag", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah", 55: "mobile",
	56: "tlsp", 58: "ipv6-icmp", 59: "ipv6-nonxt", 60: "ipv6-opts", 80: "iso-ip", 83: "vines", 88: "eigrp",
	89: "ospf", 91: "larp", 93: "ax.25", 94: "ipip", 98: "encap", 102: "pnni", 103: "pim", 108: "IPcomp",
	111: "ipx-in-ip", 112: "vrrp", 115: "l2tp", 124: "isis", 132: "sctp", 133: "fc",
}

// ProtocolName returns the name that rows have for an IP protocol, or its decimal number.
func ProtocolName(n uint8) string {
	if name, found := protocolNames[n]; found {
		return name
	}
	return strconv.Itoa(int(n))
}

func newProtocols() *protocols {
	p := new(protocols)
	for n := range p.names {
		name := ProtocolName(uint8(n))
		p.names[n], p.lower[n] = name, strings.ToLower(name)
	}
	return p
}
