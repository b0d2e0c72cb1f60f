package schema

import "slices"

//go:generate go run ./generate

// Column is one column of data_flow. FlowColumns is the only place that lists them: the DDL, the comments that DESCRIBE
// shows, what a block appends, both Kafka encodings of rows, flow.proto and the SQL files of conf.example/kafka all
// follow from it. To add a column, add it there and run `go generate ./sink/schema`.
type Column struct {
	Name    string
	Type    string // as system.columns spells it
	Comment string // for people: what DESCRIBE and flow.proto say

	// Default and Codec are SQL. A column with a default is filled by the server; rows do not carry it. Codec "" is
	// codecPlain.
	Default, Codec string

	// Value is the Go expression of a row's value, of the Go type that fits Type: r is the *enrich.Row, f its
	// *flow.Record. With Constant it is the same in all rows, and l is the Layout of the block or the message.
	Value    string
	Constant bool
	// When is the Go condition under which a Nullable column has a value; "" where an empty text means NULL.
	When string
	// Steady says that the text is mostly the one of the row before, which blocks compare first.
	Steady bool
	// Wire is the type that blocks send where it is cheaper than Type; the server casts it.
	Wire string

	// Optional columns are ours and stand after the reference's. The operator can leave each of them out.
	Optional bool
	// Later is what rows have that were inserted before the column was added to the table. "": the type's own default.
	Later string

	// Number is the field's number in message Flow of flow.proto. It never changes and is never used again.
	Number int
	// FieldComment follows Comment in flow.proto.
	FieldComment string
	// MessageOnly is for fields of Flow that are no column; Type is then that of the value.
	MessageOnly bool
}

// Path is one path of the ext column of data_flow.
type Path struct {
	// Extension is the flow extension that types it; "" for IPRef paths and for those that no extension types. Paths of
	// bgp_meta, bgp_src and rpki are filled only with their extension.
	Extension string
	Name      string
	Type      string // where the extension is on; as system.columns spells it
	// Also are other types of the path with the same values: those of earlier versions, and those that an operator may
	// choose. Blocks can be written with them too.
	Also    []string
	Comment string

	// Value is a Go expression as in Column. "" is for a path that no exporter sends: it is typed and stays empty.
	Value string
	// Sent names the flow.Fields constant that says whether the record has a value; When is a further Go condition.
	Sent, When string

	// Number is the field's number in message Ext of flow.proto; 0 for none.
	Number int
	// IPRef is "src" or "dst" for the refs of the IP reference extensions: one path for each extension, as
	// src_ip_<extension>_ref, and one map in flow.proto.
	IPRef string
}

// Types that several columns have.
const (
	typeText     = "LowCardinality(String)"
	typeTextNull = "LowCardinality(Nullable(String))"
	typeTexts    = "Array(LowCardinality(String))"

	typePlainTexts = "Array(String)"

	typeRef    = "Nullable(String)"
	typeMillis = "DateTime64(3, 'UTC')"

	// Codecs, by measured bytes a row of mixed traffic against the server's default (LZ4): times 2.9 instead of 5.0,
	// counters of sampled traffic 1.4 instead of 3.3 (all are multiples of the sampling rate, which GCD takes out),
	// refs a third. Rows are in the order of AS and address, so what looks at neighbours (DoubleDelta, Gorilla) makes
	// times and counters longer.
	codecTime    = "T64, ZSTD(1)"
	codecCounter = "GCD, T64, ZSTD(1)"
	codecText    = "ZSTD(3)"
	codecPlain   = "ZSTD(1)"

	// sFlowNumbers are the interface numbers of sFlow that are no ifIndex (sflow_version_5.txt, "interface").
	sFlowNumbers = "sFlow: 0x3fffffff the device itself, 0x40000000 + reason dropped, 0x80000000 + n sent to n " +
		"interfaces."
)

// FlowColumns returns the columns of data_flow in their order, ext among them without its paths, and after them what
// only the messages of flow.proto have.
func FlowColumns() []Column {
	return []Column{
		{Name: "start_time", Type: typeMillis, Codec: codecTime, Value: "r.StartMs", Number: 1,
			Comment:      "First packet of the flow. sFlow: when the collector received the sample.",
			FieldComment: "Unix time in milliseconds."},
		{Name: "end_time", Type: typeMillis, Codec: codecTime, Value: "r.EndMs", Number: 2,
			Comment:      "Last packet of the flow; as start_time if the exporter sends no end.",
			FieldComment: "Unix time in milliseconds."},
		{Name: "insert_time", Type: typeMillis, Default: "now64()", Codec: codecCounter,
			Comment: "When the row was inserted."},
		{Name: "collector_id", Type: typeText, Value: "l.CollectorID", Constant: true, Number: 35,
			Comment: "Which collector made the row (collector_id of its settings)."},
		{Name: "policy_originator", Type: typeText, Value: "l.PolicyOriginator", Constant: true, Number: 36,
			Comment: "Who the data belongs to (policy.originator)."},
		{Name: "policy_level", Type: typeText, Value: "l.PolicyLevel", Constant: true, Number: 37,
			Comment: "How far the row may be shared (policy.level), a TLP level."},
		{Name: "policy_scope", Type: typeTexts, Codec: codecText, Value: "&r.PolicyScope", Number: 38,
			Comment: "Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>."},
		{Name: "ext", Type: "JSON", Number: 39,
			Comment: "What only some exporters send: BGP, DSCP, flow label, MPLS, VLAN, refs of further prefix " +
				"tables."},
		{Name: "flow_type", Type: typeText, Value: "f.Protocol.Family()", Steady: true, Number: 18,
			Comment: "Family of the export protocol: netflow (v5, v9, IPFIX) or sflow."},
		{Name: "device_id", Type: typeText, Value: "r.DeviceID", Steady: true, Number: 10,
			Comment: "The exporter: its id in meta_device, else its address as text, else unknown."},
		{Name: "device_ref", Type: typeRef, Codec: codecText, Value: "r.DeviceRef", Wire: typeTextNull, Number: 24,
			Comment: "Version of the meta_device record that held when the flow was received."},
		{Name: "src_as_id", Type: "UInt32", Value: "r.SrcASID", Number: 11,
			Comment: "AS number of the source: the exporter's, else that of the prefix in meta_ip; 0 is not known."},
		{Name: "src_as_ref", Type: typeRef, Codec: codecText, Value: "r.SrcASRef", Number: 25,
			Comment: "Version of the source's meta_as record."},
		{Name: "src_ip", Type: "IPv6", Value: "f.SrcAddr", Number: 3,
			Comment: "Source address; IPv4 as ::ffff:a.b.c.d."},
		{Name: "src_ip_ref", Type: typeRef, Codec: codecText, Value: "r.SrcIPRef", Number: 27,
			Comment: "Version of the meta_ip record with the longest prefix that holds the source."},
		{Name: "src_port", Type: "UInt16", Value: "r.SrcPort", Number: 5,
			Comment: "Source port; 0 where the protocol has none."},
		{Name: "dst_as_id", Type: "UInt32", Value: "r.DstASID", Number: 12,
			Comment: "AS number of the destination, as src_as_id."},
		{Name: "dst_as_ref", Type: typeRef, Codec: codecText, Value: "r.DstASRef", Number: 26,
			Comment: "Version of the destination's meta_as record."},
		{Name: "dst_ip", Type: "IPv6", Value: "f.DstAddr", Number: 4,
			Comment: "Destination address; IPv4 as ::ffff:a.b.c.d."},
		{Name: "dst_ip_ref", Type: typeRef, Codec: codecText, Value: "r.DstIPRef", Number: 28,
			Comment: "Version of the meta_ip record with the longest prefix that holds the destination."},
		{Name: "dst_port", Type: "UInt16", Value: "r.DstPort", Number: 6,
			Comment: "Destination port; 0 where the protocol has none. ICMP in NetFlow: type * 256 + code."},
		{Name: "protocol", Type: typeText, Value: "r.Protocol", Number: 7,
			Comment: "IP protocol by its name (tcp, ipv6-icmp), else its decimal number."},
		{Name: "in_interface_id", Type: typeTextNull, Value: "r.In.ID", Number: 13,
			Comment: "Interface that the flow came in by: its id in meta_interface, else <device_id>::<name> as the " +
				"exporter names it, without a ref."},
		{Name: "in_interface_ref", Type: typeRef, Codec: codecText, Value: "r.In.Ref", Wire: typeTextNull, Number: 29,
			Comment: "Version of that meta_interface record."},
		{Name: "in_interface_edge", Type: "Bool", Value: "r.In.Edge", Number: 22,
			Comment: "The interface is at the edge of the network (edge of meta_interface)."},
		{Name: "out_interface_id", Type: typeTextNull, Value: "r.Out.ID", Number: 14,
			Comment: "Interface that the flow went out by, as in_interface_id."},
		{Name: "out_interface_ref", Type: typeRef, Codec: codecText, Value: "r.Out.Ref", Wire: typeTextNull, Number: 30,
			Comment: "Version of that meta_interface record."},
		{Name: "out_interface_edge", Type: "Bool", Value: "r.Out.Edge", Number: 23,
			Comment: "The interface is at the edge of the network (edge of meta_interface)."},
		{Name: "peer_as_id", Type: "Nullable(UInt32)", Value: "r.PeerASID", When: "r.HasPeer", Number: 32,
			Comment: "AS number of the BGP next hop; 0 is not known."},
		{Name: "peer_as_ref", Type: typeRef, Codec: codecText, Value: "r.PeerASRef", When: "r.HasPeer", Number: 34,
			Comment: "Version of the next hop's meta_as record."},
		{Name: "peer_ip", Type: "Nullable(IPv6)", Value: "r.PeerIP", When: "r.HasPeer", Number: 31,
			Comment: "BGP next hop, or in its place the address of the top MPLS label. Without one all peer columns " +
				"are NULL."},
		{Name: "peer_ip_ref", Type: typeRef, Codec: codecText, Value: "r.PeerIPRef", When: "r.HasPeer", Number: 33,
			Comment: "Version of the meta_ip record with the longest prefix that holds the next hop."},
		{Name: "ip_version", Type: "UInt8", Value: "r.IPVersion", Number: 15,
			Comment: "4 or 6."},
		{Name: "application_port", Type: "UInt16", Value: "r.ApplicationPort", Number: 19,
			Comment: "The port that meta_application knows, the smaller one of two; 0 if it knows none."},
		{Name: "bit_count", Type: "UInt64", Codec: codecCounter, Value: "r.Bits", Number: 8,
			Comment: "Bytes on the wire * 8 * sampling rate."},
		{Name: "packet_count", Type: "UInt64", Codec: codecCounter, Value: "r.Packets", Number: 9,
			Comment: "Packets * sampling rate."},

		// Ours, after the columns that existing dashboards know.
		{Name: "sampling_rate", Type: "UInt32", Value: "f.SamplingRate", Optional: true, Number: 20,
			Comment: "One packet in so many was sampled; 0 if the exporter said 0."},
		{Name: "sampling_source", Type: typeText, Value: "f.SamplingSource.String()", Steady: true,
			Optional: true, Number: 21,
			Comment: "Where the rate comes from: override, record, byte_swapped, selector, exporter, interface, " +
				"part, domain, inferred, ambiguous, header, header_16_bit, assumed."},
		{Name: "in_if_index", Type: "UInt32", Value: "f.InIfKind.Number(f.InIf)", Optional: true, Number: 40,
			Comment: "ifIndex that the flow came in by, whether metadata knows it or not; 0 is not known. " +
				sFlowNumbers},
		{Name: "out_if_index", Type: "UInt32", Value: "f.OutIfKind.Number(f.OutIf)", Optional: true, Number: 41,
			Comment: "ifIndex that the flow went out by, as in_if_index."},
		{Name: "tcp_flags", Type: "Nullable(UInt16)", Value: "f.TCPFlags", When: "f.Sent(flow.TCPFlags)",
			Optional: true, Number: 42,
			Comment: "TCP flags of all packets of the flow: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32; NULL is not " +
				"sent."},
		{Name: "forwarding_status", Type: "Nullable(UInt8)", Value: "f.ForwardingStatus",
			When: "f.Sent(flow.ForwardingStatus)", Optional: true, Number: 43,
			Comment: "IE 89: from 64 on forwarded, from 128 on dropped, from 192 on consumed; NULL is not sent."},
		{Name: "next_hop", Type: "Nullable(IPv6)", Value: "f.NextHop", When: "f.Sent(flow.NextHop)",
			Optional: true, Number: 44,
			Comment: "IP next hop (IE 15, 62); IPv4 as ::ffff:a.b.c.d; NULL is not sent. The BGP next hop is peer_ip."},
		{Name: "icmp_type", Type: "Nullable(UInt8)", Value: "f.ICMPType", When: "f.Sent(flow.ICMP)",
			Optional: true, Number: 45,
			Comment: "ICMP type, of ICMP or ICMPv6 as protocol says; NULL for other protocols."},
		{Name: "icmp_code", Type: "Nullable(UInt8)", Value: "f.ICMPCode", When: "f.Sent(flow.ICMP)",
			Optional: true, Number: 46,
			Comment: "ICMP code, as icmp_type."},
		{Name: srcCountry, Type: typeText, Value: "r.SrcCountry", Optional: true, Later: LaterCountry, Number: 47,
			Comment: "Country of the source: country_code of its meta_ip record, or country_name if that has no " +
				"code; empty is not known, " + LaterCountry + " is of a version that did not write it."},
		{Name: dstCountry, Type: typeText, Value: "r.DstCountry", Optional: true, Later: LaterCountry, Number: 48,
			Comment: "Country of the destination, as src_country."},

		{Name: "protocol_number", Type: "UInt8", Value: "f.IPProtocol", MessageOnly: true, Number: 16,
			Comment: "Number of the IP protocol (IANA)."},
		{Name: "exporter_ip", Type: "Nullable(IPv6)", Value: "f.Exporter",
			When: "f.Exporter != (flow.Addr{})", MessageOnly: true, Number: 17,
			Comment: "The exporter: sFlow's agent address, the one it names itself in NetFlow and IPFIX, else the " +
				"sender's."},
	}
}

// Takes reports whether blocks can be written with this type of the path.
func (p *Path) Takes(typ string) bool { return typ == p.Type || slices.Contains(p.Also, typ) }

// ExtPaths returns the paths of ext in the order of their names, in which a row has them.
func ExtPaths() []Path {
	const number, small = "Nullable(UInt32)", "Nullable(UInt8)"
	// The reference has Array(LowCardinality(String)), whose merges take the server longer, even where all arrays are
	// empty.
	const texts, reference = typePlainTexts, typeTexts
	plain, dictionary := []string{texts}, []string{reference}
	const hasSrc = "r.Route.HasSrc"
	// Rows of sFlow have one VLAN, as existing dashboards know them.
	const notSFlow = "f.Protocol != flow.SFlow5"
	// Rows have their exporter's own times but for those that cannot be true.
	const stated, statedWhen = "Nullable(Int64)", "r.StatedStartMs|r.StatedEndMs != 0"
	return []Path{
		{Extension: "bgp", Name: "bgp_as_path_id", Type: "Array(UInt32)", Value: "r.ASPathID", Sent: "ASPath",
			Number:  1,
			Comment: "AS path without repetitions, nearest first."},
		{Extension: "bgp", Name: "bgp_as_path_padding", Type: "Array(UInt16)", Value: "r.ASPathPadding",
			Sent: "ASPath", Number: 2,
			Comment: "How often each AS of bgp_as_path_id stands in a row."},
		{Extension: "bgp", Name: "bgp_community", Type: reference, Also: plain,
			Value: "f.Communities", Sent: "Communities", Number: 3,
			Comment: "Communities (RFC 1997). In messages 32 bits each, AS << 16 | value; in the column AS:value."},
		{Extension: "bgp_meta", Name: "bgp_dst_prefix", Type: typeTextNull, Value: "r.Route.To", When: "r.Route.HasTo",
			Number:  28,
			Comment: "Prefix of the destination's route."},
		{Extension: "bgp", Name: "bgp_ext_community", Type: reference, Also: plain,
			Value: "r.ExtCommunities", When: "len(r.ExtCommunities) > 0", Number: 26,
			Comment: "Extended communities (RFC 4360) of the route, as RT:AS:value, SoO:AS:value or " +
				"type:subtype:value."},
		{Extension: "bgp", Name: "bgp_large_community", Type: reference, Also: plain,
			Value: "r.LargeCommunities", When: "len(r.LargeCommunities) > 0", Number: 27,
			Comment: "Large communities (RFC 8092) of the route, as AS:value:value."},
		{Extension: "bgp", Name: "bgp_local_pref", Type: number, Value: "f.LocalPref", Sent: "LocalPref", Number: 4,
			Comment: "Local preference."},
		{Extension: "bgp", Name: "bgp_med", Type: number, Value: "f.MED", Sent: "MED", Number: 5,
			Comment: "Multi-exit discriminator."},
		{Extension: "bgp_src", Name: "bgp_peer_src_as", Type: number, Value: "r.Route.PeerAS",
			When: "r.Route.PeerAS != 0", Number: 29,
			Comment: "AS that the flow came from: IE 129, else the first AS of the path to the source."},
		{Extension: "bgp_meta", Name: "bgp_router", Type: typeTextNull, Value: "r.Route.Router",
			When: `r.Route.Router != ""`, Number: 30,
			Comment: "Router whose routes the row has: its configured name, else its BGP identifier."},
		{Extension: "bgp_meta", Name: "bgp_source", Type: typeTextNull, Value: "r.Route.Source",
			When: `r.Route.Source != ""`, Number: 31,
			Comment: "Where path and communities come from: exporter (the flow record), bgp, bmp, mrt, stale (a " +
				"session that has ended), fallback (another router)."},
		{Extension: "bgp_src", Name: "bgp_src_as_path_id", Type: "Array(UInt32)", Value: "r.Route.SrcPath",
			When: hasSrc, Number: 32,
			Comment: "As bgp_as_path_id, of the source's route: the way back."},
		{Extension: "bgp_src", Name: "bgp_src_as_path_padding", Type: "Array(UInt16)", Value: "r.Route.SrcPadding",
			When: hasSrc, Number: 33,
			Comment: "As bgp_as_path_padding, of the source's route."},
		{Extension: "bgp_src", Name: "bgp_src_community", Type: texts, Also: dictionary,
			Value: "r.Route.SrcCommunities", When: hasSrc, Number: 34,
			Comment: "As bgp_community, of the source's route."},
		{Extension: "bgp_src", Name: "bgp_src_ext_community", Type: texts, Also: dictionary,
			Value: "r.Route.SrcExtended", When: hasSrc, Number: 35,
			Comment: "As bgp_ext_community, of the source's route."},
		{Extension: "bgp_src", Name: "bgp_src_large_community", Type: texts, Also: dictionary,
			Value: "r.Route.SrcLarge", When: hasSrc, Number: 36,
			Comment: "As bgp_large_community, of the source's route."},
		{Extension: "bgp_src", Name: "bgp_src_local_pref", Type: number, Value: "r.Route.SrcLocalPref",
			When: "r.Route.HasSrcLocalPref", Number: 37,
			Comment: "Local preference of the source's route."},
		{Extension: "bgp_src", Name: "bgp_src_med", Type: number, Value: "r.Route.SrcMED",
			When: "r.Route.HasSrcMED", Number: 38,
			Comment: "Multi-exit discriminator of the source's route."},
		{Extension: "bgp_meta", Name: "bgp_src_prefix", Type: typeTextNull, Value: "r.Route.From",
			When: "r.Route.HasFrom", Number: 39,
			Comment: "Prefix of the source's route."},
		{IPRef: "dst", Name: "dst_ip_ref", Number: 22,
			Comment: "As src_ip_ref, of the destination."},
		{Extension: "ipv4", Name: "ipv4_dscp", Type: small, Value: "f.ToS >> 2", Sent: "ToS", Number: 7,
			Comment: "The upper 6 bits of ipv4_tos."},
		{Extension: "ipv4", Name: "ipv4_tos", Type: small, Value: "f.ToS", Sent: "ToS", Number: 6,
			Comment: "IPv4 type of service or IPv6 traffic class, 8 bits (RFC 2474 section 3)."},
		{Extension: "ipv6", Name: "ipv6_flow_label", Type: number, Value: "f.FlowLabel",
			Sent: "FlowLabel", Number: 8,
			Comment: "IPv6 flow label, 20 bits."},
		{Extension: "mpls", Name: "mpls_bottom_label", Type: number, Value: "r.MPLSBottomLabel",
			When: "r.MPLSBottomLabel != 0", Number: 11,
			Comment: "The last label that is not 0."},
		{Extension: "mpls", Name: "mpls_exp", Type: "Array(UInt8)", Value: "r.MPLSExp", Sent: "MPLS", Number: 10,
			Comment: "Traffic classes of mpls_label, 3 bits each (RFC 3032)."},
		{Extension: "mpls", Name: "mpls_label", Type: "Array(UInt32)", Value: "r.MPLSLabel", Sent: "MPLS", Number: 9,
			Comment: "Label stack, top first: labels of 20 bits (RFC 3032)."},
		{Extension: "mpls", Name: "mpls_pw", Type: number, Value: "f.MPLSPseudowire", Sent: "MPLSPseudowire",
			Number:  12,
			Comment: "Pseudowire id."},
		{Extension: "mpls", Name: "mpls_top_label_ip", Type: "Nullable(IPv6)", Value: "f.MPLSTopLabelAddr",
			Sent: "MPLSTopLabelAddr", Number: 13,
			Comment: "Address that the top label belongs to, IPv4 or IPv6."},
		{Extension: "mpls", Name: "mpls_top_label_type", Type: number, Value: "f.MPLSTopLabelType",
			Sent: "MPLSTopLabelType", Number: 14,
			Comment: "IANA \"MPLS label type\" of the top label."},
		{Extension: "mpls", Name: "mpls_vpn_rd", Type: typeTextNull, Value: "r.MPLSRD", When: `r.MPLSRD != ""`,
			Number:  15,
			Comment: "Route distinguisher as text (RFC 4364: 0:64500:7), or vrfid: and a number."},
		{Extension: "rpki", Name: "rpki_dst", Type: typeTextNull, Value: "r.DstRPKI.String()",
			When: "r.DstRPKI != rpki.None", Number: 40,
			Comment: "What RPKI says of the destination's route (RFC 6811): valid, invalid or unknown. Without a " +
				"route: of the prefix and AS of the flow record, else of the announced prefix."},
		{Extension: "rpki", Name: "rpki_src", Type: typeTextNull, Value: "r.SrcRPKI.String()",
			When: "r.SrcRPKI != rpki.None", Number: 41,
			Comment: "As rpki_dst, of the source."},
		{IPRef: "src", Name: "src_ip_ref", Number: 21,
			Comment: "Refs of the source by IP reference extension; in the column src_ip_<extension>_ref."},
		{Name: "stated_end_ms", Type: stated, Value: "r.StatedEndMs", When: statedWhen, Number: 24,
			Comment: "As stated_start_ms, of end_time."},
		{Name: "stated_start_ms", Type: stated, Value: "r.StatedStartMs", When: statedWhen, Number: 23,
			Comment: "start_time by the exporter's own clock, in Unix milliseconds, where that is so far off that " +
				"the row has the time of receipt."},
		{Extension: "vlan", Name: "vlan_id", Type: number, Value: "f.VLAN", Sent: "VLAN", Number: 16,
			Comment: "VLAN of the flow."},
		{Extension: "vlan", Name: "vlan_in_id", Type: number, Value: "f.SrcVLAN", Sent: "SrcVLAN", When: notSFlow,
			Number:  17,
			Comment: "VLAN that it came in by."},
		{Extension: "vlan", Name: "vlan_in_inner_id", Type: number, Value: "f.InnerSrcVLAN",
			Sent: "InnerSrcVLAN", When: notSFlow, Number: 19,
			Comment: "The inner one of stacked tags."},
		{Extension: "vlan", Name: "vlan_out_id", Type: number, Value: "f.DstVLAN",
			Sent: "DstVLAN", When: notSFlow, Number: 18,
			Comment: "VLAN that it went out by."},
		{Extension: "vlan", Name: "vlan_out_inner_id", Type: number, Value: "f.InnerDstVLAN",
			Sent: "InnerDstVLAN", When: notSFlow, Number: 20,
			Comment: "The inner one of stacked tags."},
		{Name: "vrf_name", Type: typeTextNull, Value: "r.VRFName", When: `r.VRFName != ""`, Number: 25,
			Comment: "The flow's VRF as the exporter's option records name it (IE 236)."},
	}
}

// IsColumn reports whether rows carry the column: it is neither the server's to fill nor of messages alone.
func (c *Column) IsColumn() bool { return c.Default == "" && !c.MessageOnly }

// OptionalColumns returns the names of the columns that can be left out.
func OptionalColumns() []string {
	var names []string
	for _, c := range FlowColumns() {
		if c.Optional {
			names = append(names, c.Name)
		}
	}
	return names
}

// flowColumn is the column of data_flow with that name; the zero value if there is none.
func flowColumn(name string) Column {
	for _, c := range FlowColumns() {
		if c.Name == name {
			return c
		}
	}
	return Column{}
}
