// Package flow holds what every stage of the collector shares: the flow record and an interface's counters. It imports
// no other package of the project.
package flow

// Record is one flow record (or one sampled packet of sFlow) as the exporter sent it: counters are not multiplied by
// the sampling rate, and nothing is looked up. Integers are in host byte order.
//
// A field is valid only if its bit is set in Has; otherwise it is zero. Slices and Names belong to the decoder and are
// valid only during the call that hands the record on.
type Record struct {
	Has Fields

	// Where the record comes from.
	Protocol   Protocol
	IPVersion  uint8  // 4 or 6, of the flow's packets; 0 if the record has no IP addresses
	TemplateID uint16 // NetFlow v9 and IPFIX; 0 otherwise
	Domain     uint32 // v9 source id, IPFIX observation domain, v5 engine type<<8 | engine id, sFlow sub-agent
	Sequence   uint32 // the datagram's sequence number, in the protocol's unit
	Exporter   Addr   // the device that measured: sFlow's agent address, IE 130/131, else Source
	Source     Addr   // the datagram's UDP source address
	Received   int64  // when the kernel received the datagram, Unix nanoseconds
	ExportMs   int64  // the datagram's header time, Unix milliseconds; the receive time for sFlow and where the
	// header's cannot be true

	// When and how much. StartMs and EndMs are Unix milliseconds, always set, and EndMs is never before StartMs. If
	// only one was sent, both have its value; if neither was, both are the export time. Has says which were sent.
	StartMs        int64
	EndMs          int64
	Bytes          uint64 // as measured, not multiplied by the sampling rate; sFlow: frame length
	Packets        uint64 // as measured, not multiplied by the sampling rate; sFlow: 1
	SamplingRate   uint32 // one in N packets; 0 if the exporter says 0 (sFlow), 1 if nothing is known
	SamplingSource SamplingSource

	// The packets' own fields.
	IPProtocol uint8
	ToS        uint8 // IPv4 type of service or IPv6 traffic class (IE 5)
	SrcMask    uint8
	DstMask    uint8
	SrcPort    uint16 // as sent: v5 ICMP records carry type<<8|code in DstPort
	DstPort    uint16
	TCPFlags   uint16
	ICMPType   uint8
	ICMPCode   uint8
	SrcAddr    Addr
	DstAddr    Addr
	NextHop    Addr // IGP next hop: IE 15/62, v5 next hop, sFlow extended router
	BGPNextHop Addr // IE 18/63, sFlow extended gateway
	SrcAS      uint32
	DstAS      uint32
	PeerSrcAS  uint32 // adjacent AS: IE 129, sFlow extended gateway's source peer
	PeerDstAS  uint32 // adjacent AS: IE 128, sFlow the first AS of the path
	FlowLabel  uint32 // IPv6 flow label, 20 bits (IE 31)

	// Interfaces.
	InIf      uint32 // ifIndex; for another kind, the reason code or count of that kind
	OutIf     uint32
	InIfKind  InterfaceKind
	OutIfKind InterfaceKind

	// Ethernet.
	VLAN           uint16 // the first of IE 58, 59, 243, 254 with a value; sFlow: switch in, else out, else the tag
	SrcVLAN        uint16 // IE 58 or 243; sFlow: extended switch in
	DstVLAN        uint16 // IE 59 or 254; sFlow: extended switch out
	InnerSrcVLAN   uint16 // IE 245
	InnerDstVLAN   uint16 // IE 255
	FrameVLAN      uint16 // the outer tag of a sampled frame
	FrameInnerVLAN uint16 // the tag behind it
	SrcMAC         [6]byte
	DstMAC         [6]byte

	// MPLS. A label entry is the 24 bits of RFC 3032: label<<4 | exp<<1 | bottom of stack.
	MPLSCount uint8 // entries of the stack
	// number of consecutive label elements in the template from IE 70 on, empty ones included; 0: not NetFlow
	MPLSElements     uint8
	MPLSTopLabelType uint8 // IE 46
	MPLS             [10]uint32
	MPLSPseudowire   uint32  // IE 249
	MPLSTopLabelAddr Addr    // IE 47/140
	MPLSRD           [8]byte // IE 90 of the record, else of its VRF's option record; RFC 4364 §4.2

	IngressVRF uint32 // IE 234
	EgressVRF  uint32 // IE 235

	// Translation and policy.
	PostNATSrcAddr   Addr // IE 225/281
	PostNATDstAddr   Addr // IE 226/282
	PostNATSrcPort   uint16
	PostNATDstPort   uint16
	NATEvent         uint8 // IE 230
	FirewallEvent    uint8 // IE 233
	ForwardingStatus uint8 // IE 89: status<<6 | reason
	Direction        uint8 // IE 61: 0 ingress, 1 egress
	FlowEndReason    uint8 // IE 136

	// BGP (sFlow extended gateway). Path segments are flattened in order.
	LocalPref    uint32
	MED          uint32
	ASPath       []uint32
	Communities  []uint32 // RFC 1997: AS<<16 | value
	SRv6Segments []Addr   // IE 497 (RFC 9487), top first

	// Names that this exporter's option records gave; nil if there are none.
	Names *Names
}

// Names are the names of interfaces and VRFs in an exporter's option records. They belong to one decoder and are not
// safe for concurrent use.
type Names struct {
	Interface map[uint32]InterfaceName // by ifIndex
	VRF       map[uint32]string        // IE 236, by VRF id (IE 234)
	RD        map[uint32][8]byte       // IE 90, by VRF id: the decoder copies it to Record.MPLSRD
}

// InterfaceName holds IE 82 and IE 83 of an interface.
type InterfaceName struct {
	Name        string
	Description string
}

// Reset makes r an empty record.
func (r *Record) Reset() { *r = Record{} }

// Set marks f as sent.
func (r *Record) Set(f Fields) { r.Has |= f }

// Sent reports whether all of f were sent.
func (r *Record) Sent(f Fields) bool { return r.Has&f == f }
