package message

import (
	"math"
	"math/bits"
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
)

// pmacctEncoder encodes messages of pmacct's Kafka plugin, byte for byte as its JSON library writes them: keys in its
// order, a space after colons and commas. It has all keys that pmacct 1.7.7 can write and the reference stack's
// pipeline reads; numbers of custom primitives are texts.
//
// Values are those of the record, as the reader does the enrichment. Three differ from pmacct's on purpose: times have
// milliseconds; interface numbers of expanded sFlow samples that are not an ifIndex have format bits, as in compact
// samples, so that they match no interface by accident; and fields that pmacct cannot decode are there. Similar records
// are not merged.
type pmacctEncoder struct {
	*Encoder           // for exporterText
	head     constants // everything before the first value
	src      bool      // keys of the source's route
	nets     bool      // keys of the prefixes of both ends
	rpki     bool
}

func newPmacctEncoder(l Layout, e *Encoder) *pmacctEncoder {
	return &pmacctEncoder{Encoder: e, head: newConstants(l, appendPmacctHead),
		src: slices.Contains(l.Extensions, "bgp_src"), nets: slices.Contains(l.Extensions, "bgp_meta"),
		rpki: slices.Contains(l.Extensions, "rpki")}
}

func appendPmacctHead(p []byte, l *Layout) []byte {
	p = appendString(append(p, `{"event_type": "purge", "label": `...), l.CollectorID)
	return append(p, `, "vlan": `...)
}

func (e *pmacctEncoder) append(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	sflow := f.Protocol == flow.SFlow5
	p = append(p, e.head.of(r)...)
	p = appendUint(p, f.VLAN)
	p = append(p, `, "as_src": `...)
	p = appendUint(p, f.SrcAS)
	p = append(p, `, "as_dst": `...)
	p = appendUint(p, f.DstAS)
	p = e.appendRoute(p, r)
	p = append(p, `, "peer_ip_src": "`...)
	if f.Exporter != (flow.Addr{}) {
		p = append(p, e.exporterText...)
	}
	p = append(p, `", "peer_ip_dst": "`...)
	if r.HasPeer {
		p = appendFlowAddr(p, f, &r.PeerIP)
	}
	p = append(p, '"')
	if e.src {
		p = appendPmacctSource(p, &r.Route)
	}
	if e.rpki {
		p = append(append(p, `, "roa_src": "`...), r.SrcRPKI.Pmacct(), '"')
	}
	p = append(p, `, "iface_in": `...)
	p = appendUint(p, f.InIfKind.Number(f.InIf))
	p = append(p, `, "iface_out": `...)
	p = appendUint(p, f.OutIfKind.Number(f.OutIf))
	if !sflow {
		p = appendPmacctRD(p, r)
	}
	p = append(p, `, "ip_src": "`...)
	if f.Sent(flow.SrcAddr) {
		p = appendFlowAddr(p, f, &f.SrcAddr)
	}
	if e.nets {
		p = appendNet(append(p, `", "net_src": "`...), f, r.Route.SrcNet)
	}
	p = append(p, `", "ip_dst": "`...)
	if f.Sent(flow.DstAddr) {
		p = appendFlowAddr(p, f, &f.DstAddr)
	}
	p = append(p, '"')
	if e.nets {
		p = appendNet(append(p, `, "net_dst": "`...), f, r.Route.DstNet)
		p = appendUint(append(p, `", "mask_src": `...), r.Route.SrcNet.Bits)
		p = appendUint(append(p, `, "mask_dst": `...), r.Route.DstNet.Bits)
	}
	p = append(p, `, "port_src": `...)
	p = appendUint(p, r.SrcPort)
	p = append(p, `, "port_dst": `...)
	p = appendUint(p, r.DstPort)
	p = append(p, `, "ip_proto": "`...)
	p = append(p, r.Protocol...)
	p = append(p, `", "tos": `...)
	p = appendUint(p, f.ToS)
	if !sflow {
		p = appendPmacctTimes(p, r)
	}
	p = append(p, `, "timestamp_arrival": "`...)
	p = appendSeconds(p, max(f.Received, 0)/1000)
	p = append(p, `", "export_proto_seqno": `...)
	p = appendUint(p, f.Sequence)
	if !sflow {
		p = appendPmacctNetFlow(p, f)
	}
	if !isEvent(f) {
		bytes, packets := renormalized(f)
		p = append(p, `, "packets": `...)
		p = appendUint(p, packets)
		p = append(p, `, "bytes": `...)
		p = appendUint(p, bytes)
	}
	if sflow {
		return append(p, `, "writer_id": "sfacctd"}`...)
	}
	return append(p, `, "writer_id": "nfacctd"}`...)
}

// appendRoute appends the attributes of sFlow's extended gateway, or of the destination's route. Of sFlow, AS sets and
// sequences become one list.
func (e *pmacctEncoder) appendRoute(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if r.PathRoute == nil && !f.Sent(flow.ASPath) && !f.Sent(flow.Communities) && f.LocalPref|f.MED == 0 &&
		len(r.ExtCommunities)+len(r.LargeCommunities) == 0 {
		p = append(p, `, "comms": "", "ecomms": "", "lcomms": "", "as_path": "", "local_pref": 0, "med": 0`...)
	} else {
		p = appendPmacctBGP(p, r)
	}
	if e.rpki {
		p = append(append(p, `, "roa_dst": "`...), r.DstRPKI.Pmacct(), '"')
	}
	if e.src {
		p = appendUint(append(p, `, "peer_as_src": `...), r.Route.PeerAS)
	}
	p = append(p, `, "peer_as_dst": `...)
	return appendUint(p, f.PeerDstAS)
}

func appendPmacctBGP(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	p = appendJoined(append(p, `, "comms": "`...), f.Communities, communityText(r.CommunityNames))
	p = appendJoined(append(p, `", "ecomms": "`...), r.ExtCommunities, extendedText(r.CommunityNames))
	p = appendJoined(append(p, `", "lcomms": "`...), r.LargeCommunities, route.AppendLarge)
	p = append(p, `", "as_path": "`...)
	if r.PathRoute != nil {
		p = r.PathRoute.AppendPathText(p, '_')
	} else {
		p = appendJoined(p, f.ASPath, appendUint)
	}
	p = append(p, `", "local_pref": `...)
	p = appendUint(p, f.LocalPref)
	p = append(p, `, "med": `...)
	return appendUint(p, f.MED)
}

// appendPmacctSource appends the attributes of the source's route.
func appendPmacctSource(p []byte, c *enrich.RouteColumns) []byte {
	p = appendJoined(append(p, `, "comms_src": "`...), c.SrcCommunities, communityText(c.SrcNames))
	p = appendJoined(append(p, `", "ecomms_src": "`...), c.SrcExtended, extendedText(c.SrcNames))
	p = appendJoined(append(p, `", "lcomms_src": "`...), c.SrcLarge, route.AppendLarge)
	p = append(p, `", "as_path_src": "`...)
	if c.Src != nil {
		p = c.Src.AppendPathText(p, '_')
	}
	p = append(p, `", "local_pref_src": `...)
	p = appendUint(p, c.SrcLocalPref)
	p = append(p, `, "med_src": `...)
	return appendUint(p, c.SrcMED)
}

func communityText(names bool) func([]byte, uint32) []byte {
	if names {
		return route.AppendNamed
	}
	return route.AppendCommunity
}

// extendedText writes extended communities as communityText does others: pmacct has names for route targets and origins
// only.
func extendedText(names bool) func([]byte, uint64) []byte {
	if !names {
		return route.AppendExtended
	}
	return func(p []byte, c uint64) []byte {
		if !route.NamedExtended(c) {
			return append(p, '?')
		}
		return route.AppendExtended(p, c)
	}
}

// appendNet appends the address of a prefix. Without one it is the unspecified address of the flow's IP version.
func appendNet(p []byte, f *flow.Record, x route.Prefix) []byte {
	if x == (route.Prefix{}) && f.IPVersion == 6 {
		return append(p, "::"...)
	}
	return x.Netip().Addr().AppendTo(p)
}

// appendJoined appends the texts of values with underscores between them.
func appendJoined[T any](p []byte, values []T, appendTo func([]byte, T) []byte) []byte {
	for i, v := range values {
		if i > 0 {
			p = append(p, '_')
		}
		p = appendTo(p, v)
	}
	return p
}

func appendPmacctRD(p []byte, r *enrich.Row) []byte {
	p = append(p, `, "mpls_vpn_rd": "`...)
	if r.MPLSRD == "" {
		p = append(p, "0:0:0"...)
	} else {
		p = append(p, r.MPLSRD...)
	}
	p = append(p, `", "mpls_pw_id": `...)
	return appendUint(p, r.Flow.MPLSPseudowire)
}

// appendFlowAddr appends an address of a flow. An IPv4-mapped address of an IPv6 flow keeps its mapped form: readers
// take the IP version from the endpoints, and next hops across an IPv4 core (RFC 4798) have this form.
func appendFlowAddr(p []byte, f *flow.Record, a *flow.Addr) []byte {
	if f.IPVersion == 6 && a.Is4() {
		p = append(p, "::ffff:"...)
	}
	return appendAddr(p, a)
}

// appendPmacctTimes appends start and end. An end that the exporter did not send is 0.
func appendPmacctTimes(p []byte, r *enrich.Row) []byte {
	p = append(p, `, "timestamp_start": "`...)
	p = appendSeconds(p, r.StartMs*1000)
	p = append(p, `", "timestamp_end": "`...)
	if r.Flow.Sent(flow.End) {
		p = appendSeconds(p, r.EndMs*1000)
	} else {
		p = append(p, "0.000000"...)
	}
	return append(p, '"')
}

// appendSeconds appends microseconds as seconds with six decimals.
func appendSeconds(p []byte, micros int64) []byte {
	p = append(appendUint(p, uint64(micros)/1e6), '.')
	u := uint32(uint64(micros) % 1e6)
	return append(p, byte('0'+u/1e5), byte('0'+u/1e4%10), byte('0'+u/1e3%10), byte('0'+u/100%10), byte('0'+u/10%10),
		byte('0'+u%10))
}

// appendPmacctNetFlow appends the reference stack's custom primitives and labels.
func appendPmacctNetFlow(p []byte, f *flow.Record) []byte {
	if !f.Sent(flow.MPLS) && f.FlowLabel == 0 && f.MPLSTopLabelType == 0 && !f.Sent(flow.MPLSTopLabelAddr) {
		p = append(p,
			`, "ipv6_flow_label": "0", "mpls_top_label_type": "0", "mpls_top_label_ipv4": "0.0.0.0", "mpls_label1": `+
				`"", "mpls_label2": "", "mpls_label3": "", "mpls_label4": "", "mpls_label5": "", "mpls_label6": "", `+
				`"mpls_label7": "", "mpls_label8": "", "mpls_label9": "", "mpls_label10": ""`...)
	} else {
		p = appendPmacctMPLS(p, f)
	}
	if f.SrcVLAN|f.DstVLAN|f.InnerSrcVLAN|f.InnerDstVLAN == 0 {
		return append(p, `, "vlan_in": "0", "vlan_out": "0", "cvlan_in": "0", "cvlan_out": "0"`...)
	}
	p = append(p, `, "vlan_in": "`...)
	p = appendUint(p, f.SrcVLAN)
	p = append(p, `", "vlan_out": "`...)
	p = appendUint(p, f.DstVLAN)
	p = append(p, `", "cvlan_in": "`...)
	p = appendUint(p, f.InnerSrcVLAN)
	p = append(p, `", "cvlan_out": "`...)
	p = appendUint(p, f.InnerDstVLAN)
	return append(p, '"')
}

// appendPmacctMPLS appends the label stack, each entry as its 24 bits. The address of the top label is IPv4 only here.
func appendPmacctMPLS(p []byte, f *flow.Record) []byte {
	p = append(p, `, "ipv6_flow_label": "`...)
	p = appendUint(p, f.FlowLabel)
	p = append(p, `", "mpls_top_label_type": "`...)
	p = appendUint(p, f.MPLSTopLabelType)
	p = append(p, `", "mpls_top_label_ipv4": "`...)
	if f.Sent(flow.MPLSTopLabelAddr) && f.MPLSTopLabelAddr.Is4() {
		p = appendAddr4(p, &f.MPLSTopLabelAddr)
	} else {
		p = append(p, "0.0.0.0"...)
	}
	n := 0
	if f.Sent(flow.MPLS) {
		n = labels(f)
	}
	for i, entry := range f.MPLS {
		p = append(p, `", "mpls_label`...)
		p = appendUint(p, uint8(i+1))
		p = append(p, `": "`...)
		if i < n {
			p = appendEntry(p, entry)
		}
	}
	return append(p, '"')
}

func appendEntry(p []byte, entry uint32) []byte {
	const digits = "0123456789ABCDEF"
	return append(p, digits[entry>>20&15], digits[entry>>16&15], '-', digits[entry>>12&15], digits[entry>>8&15], '-',
		digits[entry>>4&15], digits[entry&15])
}

// isEvent reports whether a record is an event of address translation or of a firewall, without counters.
func isEvent(f *flow.Record) bool {
	return f.Has&(flow.NATEvent|flow.FirewallEvent) != 0 && f.Has&(flow.Bytes|flow.Packets) == 0
}

// renormalized returns bytes and packets multiplied by the sampling rate, saturated, like enrich.
func renormalized(f *flow.Record) (bytes, packets uint64) {
	rate := uint64(f.SamplingRate)
	if rate == 0 && f.Protocol != flow.SFlow5 {
		rate = 1
	}
	return multiply(f.Bytes, rate), multiply(f.Packets, rate)
}

func multiply(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	if high != 0 {
		return math.MaxUint64
	}
	return low
}
