package filter

import (
	"slices"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/enrich"
)

// families are words for the IP versions.
var families = map[string]string{"ipv4": "4", "ip4": "4", "inet": "4", "ipv6": "6", "ip6": "6", "inet6": "6",
	"ipv0": "0"}

// protocolWords are the protocols that may stand alone in a filter, by the names that rows have for them.
var protocolWords = map[string]string{"tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmp6": "ipv6-icmp",
	"icmpv6": "ipv6-icmp", "ipv6-icmp": "ipv6-icmp", "igmp": "igmp", "gre": "gre", "esp": "esp", "ah": "ah",
	"sctp": "sctp", "ospf": "ospf", "pim": "pim", "l2tp": "l2tp", "ipip": "ipip"}

// protocolName returns the name that rows have for a protocol: 6 is tcp, icmp6 is ipv6-icmp. What is no number and no
// other name is returned as it is.
func protocolName(text string) string {
	if n, err := strconv.ParseUint(text, 10, 8); err == nil {
		return enrich.ProtocolName(uint8(n))
	}
	if name, found := protocolWords[strings.ToLower(text)]; found {
		return name
	}
	return text
}

// units are the units of sizes.
var units = map[string]bool{"K": true, "M": true, "G": true, "T": true, "KB": true, "MB": true, "GB": true, "TB": true,
	"KIB": true, "MIB": true, "GIB": true}

// FlagNames are the names of the TCP flags from the lowest bit on (RFC 9293, section 3.1).
func FlagNames() []string { return []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} }

// flagsNumber returns the number of TCP flags written by name, SYN+ACK, or by first letters, SA. What is neither is
// returned as it is. The letter C is CWR, E is ECE.
func flagsNumber(text string) string {
	if strings.EqualFold(text, "none") {
		return "0"
	}
	bits, names := 0, FlagNames()
	for word := range strings.FieldsFuncSeq(strings.ToUpper(text), func(r rune) bool { return r == '+' || r == ' ' }) {
		if i := slices.Index(names, word); i >= 0 {
			bits |= 1 << i
			continue
		}
		for _, letter := range word {
			i := slices.IndexFunc(names, func(name string) bool { return rune(name[0]) == letter })
			if i < 0 {
				return text
			}
			bits |= 1 << i
		}
	}
	if bits == 0 {
		return text
	}
	return strconv.Itoa(bits)
}

// dscpNumber returns the number of a code point by name: EF (RFC 3246), CS1 (RFC 2474), AF41 (RFC 2597), LE (RFC 8622).
func dscpNumber(text string) string {
	name := strings.ToUpper(text)
	switch {
	case name == "EF":
		return "46"
	case name == "LE":
		return "1"
	case name == "BE":
		return "0"
	case len(name) == 3 && strings.HasPrefix(name, "CS") && name[2] >= '0' && name[2] <= '7':
		return strconv.Itoa(8 * int(name[2]-'0'))
	case len(name) == 4 && strings.HasPrefix(name, "AF") && name[2] >= '1' && name[2] <= '4' && name[3] >= '1' &&
		name[3] <= '3':
		return strconv.Itoa(8*int(name[2]-'0') + 2*int(name[3]-'0'))
	}
	return text
}

// applicationName returns protocol/port for port/protocol.
func applicationName(text string) string {
	if port, proto, ok := strings.Cut(text, "/"); ok && isDigits(port) && !isDigits(proto) && port != "" {
		return proto + "/" + port
	}
	return text
}

// named returns what stands in the store for a value of a field that has other names.
func named(field, value string) string {
	switch field {
	case "proto":
		return protocolName(value)
	case "app":
		return applicationName(value)
	case "flags":
		return flagsNumber(value)
	case "dscp":
		return dscpNumber(value)
	case "version":
		if n, found := families[strings.ToLower(value)]; found {
			return n
		}
	}
	return value
}
