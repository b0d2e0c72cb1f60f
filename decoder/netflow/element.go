package netflow

import "github.com/metranova/flow-collector/decoder/flow"

// An opcode is what to do with a field of a record.
type opcode uint8

// The opcodes, by what they fill; those from opcodeCount on are of simpleElements. Those of the second block, from
// opBytes on, fill the raw values that finish resolves.
const (
	opSkip opcode = iota
	opProtocol
	opToS
	opDSCP // IE 195: only where 5 is not sent
	opSrcMask
	opDstMask
	opSrcPort
	opDstPort
	opTCPFlags
	opICMPTypeCode
	opICMPType
	opICMPCode
	opSrcAddr4
	opDstAddr4
	opSrcAddr6
	opDstAddr6
	opSrcPrefix // IE 44, 169: only where 8 or 27 are not sent
	opDstPrefix
	opNextHop4
	opNextHop6
	opBGPNextHop4
	opBGPNextHop6
	opSrcAS
	opDstAS
	opInIf
	opOutIf
	opSrcVLAN
	opDstVLAN
	opInnerSrcVLAN
	opInnerDstVLAN
	opSrcMAC
	opDstMAC
	opPostSrcMAC // IE 81, 57: where 56, 80 are not sent or empty
	opPostDstMAC
	opMPLSLabel // IE 70-79, in order
	opMPLSTopAddr4
	opMPLSTopAddr6
	opPostNATSrcAddr4
	opPostNATDstAddr4
	opPostNATSrcAddr6
	opPostNATDstAddr6
	opDirection
	opSRv6Segments
	opIPVersion

	opBytes       // IE 1
	opPackets     // IE 2
	opFirstUptime // IE 22
	opLastUptime
	opStartMillis
	opEndMillis
	opSamplingInterval
	opSamplerID

	// From here on they fill values that few records have.
	opTransportSrcPort // IE 180, 182: only where 7 is not sent
	opTransportDstPort
	opInIfPhysical // IE 252, 253: where 10, 14 are not sent or 0
	opOutIfPhysical
	opBytesTotal // IE 85
	opPacketsTotal
	opBytesOut // IE 23
	opPacketsOut
	opBytesInitiator // IE 231
	opPacketsInitiator
	opBytesResponder // IE 232: of the other direction
	opPacketsResponder
	opBytesLayer2 // IE 352
	opReverseBytes
	opReversePackets
	opReverseBytesTotal
	opReversePacketsTotal
	opReversed     // another element of the other direction; step.of is its opcode
	opStartSeconds // IE 150
	opEndSeconds
	opStartMicros
	opEndMicros
	opStartNanos
	opEndNanos
	opStartDelta // IE 158
	opEndDelta
	opDurationMillis
	opDurationMicros
	opObserved               // IE 322-325
	opInitTime               // IE 160
	opSamplingPacketInterval // IE 305, 396
	opSamplingPacketSpace
	opSamplingSize // IE 309
	opSamplingPopulation
	opSamplingProbability
	opSamplingAlgorithm // IE 304, 390
	opHashRange         // IE 329-332
	opPart              // IE 138, 141, 142, 301: the part of the exporter that metered, see partAt
	opFrameSize         // IE 312, 103
	opFrameLink         // IE 315, 104
	opFrameIP           // IE 313
	opLinkType          // IE 408
	opExporter4         // IE 130, 131
	opExporter6
	opStationMAC // IE 365, 366: from wireless controllers; the direction says which end it is
	opStationAddr4
	opcodeCount
)

// firstRare is the first opcode of values that few records have.
const firstRare = opTransportSrcPort

// reversePEN marks an element of the other direction (RFC 5103 §6.1).
const reversePEN = 29305

// element is how an element is handled. Integers and times have no fixed width: RFC 7011 §6.2 lets exporters shorten
// them, and many lengthen them.
type element struct {
	op  opcode
	arg uint8
}

// elements returns the information elements that are used, by their IANA number.
func elements() map[uint16]element {
	m := map[uint16]element{
		1: {op: opBytes}, 2: {op: opPackets}, 4: {op: opProtocol}, 5: {op: opToS}, 6: {op: opTCPFlags},
		7: {op: opSrcPort}, 8: {op: opSrcAddr4}, 9: {op: opSrcMask}, 10: {op: opInIf}, 11: {op: opDstPort},
		12: {op: opDstAddr4}, 13: {op: opDstMask}, 14: {op: opOutIf}, 15: {op: opNextHop4}, 16: {op: opSrcAS},
		17: {op: opDstAS}, 18: {op: opBGPNextHop4}, 21: {op: opLastUptime}, 22: {op: opFirstUptime},
		23: {op: opBytesOut}, 24: {op: opPacketsOut}, 27: {op: opSrcAddr6}, 28: {op: opDstAddr6},
		29: {op: opSrcMask, arg: v6Mask}, 30: {op: opDstMask, arg: v6Mask},
		32: {op: opICMPTypeCode, arg: protocolICMP},
		34: {op: opSamplingInterval}, 44: {op: opSrcPrefix}, 45: {op: opDstPrefix},
		47: {op: opMPLSTopAddr4}, 48: {op: opSamplerID}, 50: {op: opSamplingInterval}, 56: {op: opSrcMAC},
		57: {op: opPostDstMAC}, 58: {op: opSrcVLAN}, 59: {op: opDstVLAN}, 60: {op: opIPVersion}, 61: {op: opDirection},
		62: {op: opNextHop6}, 63: {op: opBGPNextHop6}, 80: {op: opDstMAC}, 81: {op: opPostSrcMAC},
		85: {op: opBytesTotal}, 86: {op: opPacketsTotal},
		103: {op: opFrameSize}, 104: {op: opFrameLink},
		130: {op: opExporter4}, 131: {op: opExporter6}, 139: {op: opICMPTypeCode, arg: protocolICMPv6},
		140: {op: opMPLSTopAddr6}, 150: {op: opStartSeconds}, 151: {op: opEndSeconds}, 152: {op: opStartMillis},
		153: {op: opEndMillis}, 154: {op: opStartMicros}, 155: {op: opEndMicros}, 156: {op: opStartNanos},
		157: {op: opEndNanos}, 158: {op: opStartDelta}, 159: {op: opEndDelta}, 160: {op: opInitTime},
		161: {op: opDurationMillis}, 162: {op: opDurationMicros}, 169: {op: opDstPrefix}, 170: {op: opSrcPrefix},
		176: {op: opICMPType, arg: protocolICMP}, 177: {op: opICMPCode, arg: protocolICMP},
		178: {op: opICMPType, arg: protocolICMPv6}, 179: {op: opICMPCode, arg: protocolICMPv6},
		180: {op: opTransportSrcPort, arg: protocolUDP}, 181: {op: opTransportDstPort, arg: protocolUDP},
		182: {op: opTransportSrcPort, arg: protocolTCP}, 183: {op: opTransportDstPort, arg: protocolTCP},
		195: {op: opDSCP},
		225: {op: opPostNATSrcAddr4}, 226: {op: opPostNATDstAddr4},
		231: {op: opBytesInitiator}, 232: {op: opBytesResponder},
		243: {op: opSrcVLAN}, 245: {op: opInnerSrcVLAN},
		252: {op: opInIfPhysical}, 253: {op: opOutIfPhysical}, 254: {op: opDstVLAN}, 255: {op: opInnerDstVLAN},
		281: {op: opPostNATSrcAddr6}, 282: {op: opPostNATDstAddr6}, 298: {op: opPacketsInitiator},
		299: {op: opPacketsResponder}, 302: {op: opSamplerID},
		304: {op: opSamplingAlgorithm}, 305: {op: opSamplingPacketInterval}, 306: {op: opSamplingPacketSpace},
		309: {op: opSamplingSize},
		310: {op: opSamplingPopulation}, 311: {op: opSamplingProbability}, 312: {op: opFrameSize},
		313: {op: opFrameIP}, 315: {op: opFrameLink}, 322: {op: opObserved, arg: formSeconds},
		323: {op: opObserved, arg: formMillis}, 324: {op: opObserved, arg: formMicros},
		325: {op: opObserved, arg: formNanos},
		352: {op: opBytesLayer2}, 365: {op: opStationMAC}, 366: {op: opStationAddr4},
		390: {op: opSamplingAlgorithm}, 396: {op: opSamplingPacketInterval}, 397: {op: opSamplingPacketSpace},
		408: {op: opLinkType}, 497: {op: opSRv6Segments},
	}
	for i, e := range simpleElements {
		m[e.id] = element{op: opcodeCount + opcode(i)}
	}
	for i := range uint16(4) {
		m[329+i] = element{op: opHashRange, arg: uint8(i)}
	}
	for _, id := range []uint16{138, 141, 142, 301} {
		m[id] = element{op: opPart, arg: partAt(scopeElement(id))}
	}
	for i := range uint16(10) {
		m[70+i] = element{op: opMPLSLabel, arg: uint8(i)}
	}
	return m
}

// vendorElements are NetFlow v9 types above IANA's range: Cisco ASA's equivalents of 225-228 and 233.
func vendorElements() map[uint16]element {
	m := map[uint16]element{40001: {op: opPostNATSrcAddr4}, 40002: {op: opPostNATDstAddr4}}
	for i, e := range simpleElements {
		if e.cisco != 0 {
			m[e.cisco] = element{op: opcodeCount + opcode(i)}
		}
	}
	return m
}

// v6Mask marks an IPv6 prefix length: if a template has both families, the flow's own counts.
const v6Mask = 1

// reverseElements are the counters of RFC 5103 that make a biflow's second record.
func reverseElements() map[uint16]element {
	return map[uint16]element{
		1: {op: opReverseBytes}, 2: {op: opReversePackets}, 85: {op: opReverseBytesTotal},
		86: {op: opReversePacketsTotal},
	}
}

// reversible reports whether an element may differ between the directions of a biflow. The reverse form has the value
// of the element in a record of the other direction (RFC 5103 §6.1).
func reversible(op opcode) bool {
	if op >= opcodeCount {
		return simpleElements[op-opcodeCount].reversible
	}
	switch op {
	case opToS, opDSCP, opTCPFlags, opICMPTypeCode, opICMPType, opICMPCode, opInIf, opOutIf, opInIfPhysical,
		opOutIfPhysical,
		opSrcVLAN, opDstVLAN, opInnerSrcVLAN, opInnerDstVLAN, opSrcMAC, opDstMAC, opPostSrcMAC, opPostDstMAC,
		opNextHop4, opNextHop6, opBGPNextHop4, opBGPNextHop6, opSrcAS, opDstAS,
		opPostNATSrcAddr4, opPostNATDstAddr4, opPostNATSrcAddr6, opPostNATDstAddr6,
		opDirection,
		opFirstUptime, opLastUptime, opStartMillis, opEndMillis, opStartSeconds, opEndSeconds, opStartMicros,
		opEndMicros,
		opStartNanos, opEndNanos, opStartDelta, opEndDelta, opDurationMillis, opDurationMicros:
		return true
	}
	return false
}

// sentBy returns the record field that an opcode fills, for opcodes that only fill one.
func sentBy(op opcode) flow.Fields {
	if op >= opcodeCount {
		return simpleElements[op-opcodeCount].sent
	}
	switch op {
	case opProtocol:
		return flow.IPProtocol
	case opToS:
		return flow.ToS
	case opSrcMask:
		return flow.SrcMask
	case opDstMask:
		return flow.DstMask
	case opSrcPort:
		return flow.SrcPort
	case opDstPort:
		return flow.DstPort
	case opTCPFlags:
		return flow.TCPFlags
	case opICMPTypeCode, opICMPType, opICMPCode:
		return flow.ICMP
	case opSrcAddr4, opSrcAddr6:
		return flow.SrcAddr
	case opDstAddr4, opDstAddr6:
		return flow.DstAddr
	case opNextHop4, opNextHop6:
		return flow.NextHop
	case opBGPNextHop4, opBGPNextHop6:
		return flow.BGPNextHop
	case opSrcAS:
		return flow.SrcAS
	case opDstAS:
		return flow.DstAS
	case opInIf:
		return flow.InIf
	case opOutIf:
		return flow.OutIf
	case opSrcVLAN:
		return flow.SrcVLAN
	case opDstVLAN:
		return flow.DstVLAN
	case opInnerSrcVLAN:
		return flow.InnerSrcVLAN
	case opInnerDstVLAN:
		return flow.InnerDstVLAN
	case opSrcMAC:
		return flow.SrcMAC
	case opDstMAC:
		return flow.DstMAC
	case opMPLSTopAddr4, opMPLSTopAddr6:
		return flow.MPLSTopLabelAddr
	case opPostNATSrcAddr4, opPostNATSrcAddr6:
		return flow.PostNATSrcAddr
	case opPostNATDstAddr4, opPostNATDstAddr6:
		return flow.PostNATDstAddr
	case opDirection:
		return flow.Direction
	}
	return 0
}
