package netflow

import "github.com/metranova/flow-collector/decoder/flow"

// A simpleElement is an information element whose value is one field of a record, whatever else the record has. The
// last one of a template counts. Its opcode is opcodeCount plus its index.
type simpleElement struct {
	id         uint16      // IANA's number
	cisco      uint16      // the number of Cisco's ASA in NetFlow v9; 0: none
	length     int         // the only length that values have, in bytes; 0: integers have any (RFC 7011 §6.2)
	reversible bool        // it may differ between the directions of a biflow (RFC 5103 §6.1)
	sent       flow.Fields // the record's field
	set        func(r *flow.Record, v []byte)
}

// simpleElements has such elements. To read another one into a record, add it here, and its field to package flow.
var simpleElements = [...]simpleElement{
	{id: 31, reversible: true, sent: flow.FlowLabel,
		set: func(r *flow.Record, v []byte) { r.FlowLabel = unsigned32(v) & 0xfffff }},
	{id: 46, sent: flow.MPLSTopLabelType, set: func(r *flow.Record, v []byte) { r.MPLSTopLabelType = unsigned8(v) }},
	{id: 89, reversible: true, sent: flow.ForwardingStatus,
		set: func(r *flow.Record, v []byte) { r.ForwardingStatus = forwardingStatus(v) }},
	{id: 90, length: 8, sent: flow.MPLSRD, set: func(r *flow.Record, v []byte) { r.MPLSRD = [8]byte(v) }},
	{id: 128, reversible: true, sent: flow.PeerDstAS,
		set: func(r *flow.Record, v []byte) { r.PeerDstAS = unsigned32(v) }},
	{id: 129, reversible: true, sent: flow.PeerSrcAS,
		set: func(r *flow.Record, v []byte) { r.PeerSrcAS = unsigned32(v) }},
	{id: 136, reversible: true, sent: flow.FlowEndReason,
		set: func(r *flow.Record, v []byte) { r.FlowEndReason = unsigned8(v) }},
	{id: 227, cisco: 40003, reversible: true, sent: flow.PostNATSrcPort,
		set: func(r *flow.Record, v []byte) { r.PostNATSrcPort = unsigned16(v) }},
	{id: 228, cisco: 40004, reversible: true, sent: flow.PostNATDstPort,
		set: func(r *flow.Record, v []byte) { r.PostNATDstPort = unsigned16(v) }},
	{id: 230, sent: flow.NATEvent, set: func(r *flow.Record, v []byte) { r.NATEvent = unsigned8(v) }},
	{id: 233, cisco: 40005, sent: flow.FirewallEvent,
		set: func(r *flow.Record, v []byte) { r.FirewallEvent = unsigned8(v) }},
	{id: 234, reversible: true, sent: flow.IngressVRF,
		set: func(r *flow.Record, v []byte) { r.IngressVRF = unsigned32(v) }},
	{id: 235, reversible: true, sent: flow.EgressVRF,
		set: func(r *flow.Record, v []byte) { r.EgressVRF = unsigned32(v) }},
	{id: 249, sent: flow.MPLSPseudowire, set: func(r *flow.Record, v []byte) { r.MPLSPseudowire = unsigned32(v) }},
}
