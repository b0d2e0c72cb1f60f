package flow

// Fields is a set of record fields: those that the exporter sent.
type Fields uint64

// One bit for each field for which "not sent" differs from zero.
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

// The export protocols. The values are not version numbers of the wire (both sFlow and NetFlow have a version 5).
const (
	UnknownProtocol Protocol = iota
	NetFlowV5
	NetFlowV9
	IPFIX
	SFlow5
)

// String returns the protocol's name in lower case, for metrics and logs.
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

// WireVersion returns the version number in the datagram's header.
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

// InterfaceKind is the meaning of an interface number. Only sFlow has kinds other than an index (sflow_version_5.txt,
// "input" and "output" of flow_sample).
type InterfaceKind uint8

// The kinds of interface numbers.
const (
	InterfaceIndex     InterfaceKind = iota // an ifIndex; in sFlow 0 is "unknown"
	InterfaceInternal                       // sent or received by the device itself (0x3fffffff)
	InterfaceDiscarded                      // the packet was dropped; the number is the reason code
	InterfaceMultiple                       // sent to several interfaces; the number is how many, 0 unknown
)

// SamplingSource is where a record's sampling rate comes from.
type SamplingSource uint8

// The sources of a sampling rate. SamplingExporter to SamplingHeader16 and SamplingAmbiguous are interpretations that
// the collector chose because the exporter leaves room for several. The exporter's page shows them.
const (
	SamplingAssumed   SamplingSource = iota // no rate is known: 1 is assumed
	SamplingOverride                        // set by the operator
	SamplingRecord                          // in the flow record or the sFlow sample
	SamplingSelector                        // an option record of this sampler or selector
	SamplingInterface                       // an option record of the interface where the flow was metered
	SamplingDomain                          // an option record of the whole observation domain
	SamplingHeader                          // the NetFlow v5 header
	SamplingExporter                        // an option record of another observation domain of the same exporter
	SamplingInferred                        // the only rate of the exporter's samplers; the record names no sampler
	SamplingSwapped                         // a rate with its bytes in the wrong order, corrected
	SamplingHeader16                        // the NetFlow v5 header, with the mode bits taken as part of the rate
	// an option record of the line card, port, VRF or observation point that the record names
	SamplingPart
	SamplingAmbiguous // the lowest of several rates, as the record does not say which one applies
)

// String returns the source as in the column sampling_source.
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
