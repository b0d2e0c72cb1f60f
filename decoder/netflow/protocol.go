package netflow

import "github.com/metranova/flow-collector/decoder/flow"

// impliedProtocol returns the IP protocol of a template that has no IE 4, but elements of one protocol only: the ports
// of UDP or TCP (IE 180-183), or ICMP's type and code (IE 32, 139, 176-179) and no ports. softflowd 1.0.0 has such
// templates. Of elements for ICMP and ICMPv6 the last one counts here; the flow's addresses decide. 0: it is unknown.
func impliedProtocol(all []step, used *places) (protocol uint8) {
	if used[opProtocol] > 0 {
		return 0
	}
	for i := range all {
		switch s := &all[i]; s.op {
		case opSrcPort, opDstPort:
			return 0
		case opTransportSrcPort, opTransportDstPort, opICMPTypeCode, opICMPType, opICMPCode:
			if protocol != 0 && protocol != s.arg && !(isICMP(protocol) && isICMP(s.arg)) {
				return 0
			}
			protocol = s.arg
		}
	}
	return protocol
}

// finishProtocol sets the protocol that a template without an element for it implies. ICMP is that of the flow's
// family.
func finishProtocol(t *template, r *flow.Record) {
	r.IPProtocol = t.protocol
	switch {
	case !isICMP(t.protocol):
	case r.IPVersion == 4:
		r.IPProtocol = protocolICMP
	case r.IPVersion == 6:
		r.IPProtocol = protocolICMPv6
	}
	r.Has |= flow.IPProtocol
}

func isICMP(protocol uint8) bool { return protocol == protocolICMP || protocol == protocolICMPv6 }
