package flow

// Fields is a set of record fields: which of them the exporter sent.
type Fields uint64

// One bit for each field whose absence differs from zero.
const (
	Start Fields = 1 << iota
	End
	Bytes
	Packets
	IPProtocol
	ToS
	SrcMask
	DstMask
	SrcPort
	DstPort
	TCPFlags
	ICMP
	SrcAddr
	DstAddr
	NextHop
	BGPNextHop
	SrcAS
	DstAS
	PeerSrcAS
	PeerDstAS
	FlowLabel
	InIf
	OutIf
	VLAN
	SrcVLAN
	DstVLAN
	InnerSrcVLAN
	InnerDstVLAN
	FrameVLAN
	FrameInnerVLAN
	SrcMAC
	DstMAC
	MPLS
	MPLSTopLabelType
	MPLSTopLabelAddr
	MPLSPseudowire
	MPLSRD
	IngressVRF
	EgressVRF
	PostNATSrcAddr
	PostNATDstAddr
	PostNATSrcPort
	PostNATDstPort
	NATEvent
	FirewallEvent
	ForwardingStatus
	Direction
	FlowEndReason
	ASPath
	Communities
	LocalPref
	MED
	SRv6Segments
)

// Protocol is the export protocol of a datagram.
type Protocol uint8

// The export protocols. A value is not the wire's version number (sFlow and NetFlow both have a version 5).
const (
	UnknownProtocol Protocol = iota
	NetFlowV5
	NetFlowV9
	IPFIX
	SFlow5
)

// String returns the protocol's usual name in lower case, as metrics and logs use it.
func (p Protocol) String() string {
	switch p {
	case NetFlowV5:
		return "netflow5"
	case NetFlowV9:
		return "netflow9"
	case IPFIX:
		return "ipfix"
	case SFlow5:
		return "sflow5"
	}
	return "unknown"
}

// WireVersion returns the version number that stands in the datagram.
func (p Protocol) WireVersion() uint16 {
	switch p {
	case NetFlowV5, SFlow5:
		return 5
	case NetFlowV9:
		return 9
	case IPFIX:
		return 10
	}
	return 0
}

// InterfaceKind says what an interface number means. Only sFlow uses another kind than an index
// (sflow_version_5.txt, "input" and "output" of flow_sample).
type InterfaceKind uint8

// The kinds of interface numbers.
const (
	InterfaceIndex     InterfaceKind = iota // an ifIndex; 0 is "unknown" to sFlow
	InterfaceInternal                       // sent or received by the device itself (0x3fffffff)
	InterfaceDiscarded                      // the packet was dropped; the number is the reason code
	InterfaceMultiple                       // sent to several interfaces; the number is how many, 0 unknown
)

// SamplingSource says where a record's sampling rate comes from.
type SamplingSource uint8

// The sources of a sampling rate. SamplingExporter to SamplingHeader16 and SamplingAmbiguous are readings that the
// collector chose, because what the exporter says leaves room: the page of the exporter says so as well.
const (
	SamplingAssumed   SamplingSource = iota // nothing known: 1 assumed
	SamplingOverride                        // set by the operator
	SamplingRecord                          // in the flow record or the sFlow sample
	SamplingSelector                        // an option record of this sampler or selector
	SamplingInterface                       // an option record of the interface where the flow was metered
	SamplingDomain                          // an option record of the whole observation domain
	SamplingHeader                          // the NetFlow v5 header
	SamplingExporter                        // an option record of another observation domain of the same exporter
	SamplingInferred                        // the only rate of the exporter's samplers, of which the record names none
	SamplingSwapped                         // a rate whose bytes are in the wrong order, put right
	SamplingHeader16                        // the NetFlow v5 header, whose mode bits are part of the rate
	// an option record of the line card, port, VRF or observation point that the record names
	SamplingPart
	SamplingAmbiguous // the lowest of rates of which the record does not say which is its own
)

// String returns the source as the sampling_source column holds it.
func (s SamplingSource) String() string {
	switch s {
	case SamplingOverride:
		return "override"
	case SamplingRecord:
		return "record"
	case SamplingSelector:
		return "selector"
	case SamplingInterface:
		return "interface"
	case SamplingDomain:
		return "domain"
	case SamplingHeader:
		return "header"
	case SamplingExporter:
		return "exporter"
	case SamplingInferred:
		return "inferred"
	case SamplingSwapped:
		return "byte_swapped"
	case SamplingHeader16:
		return "header_16_bit"
	case SamplingPart:
		return "part"
	case SamplingAmbiguous:
		return "ambiguous"
	}
	return "assumed"
}
