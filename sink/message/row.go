package message

import (
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// rowEncoder makes JSON objects that `INSERT INTO data_flow FORMAT JSONEachRow` takes, and that give the row which sink/block
// gives: the columns under their names in their order, but for those that are NULL, and ext with the keys that were sent.
// Times are Unix milliseconds, which is how the format takes a DateTime64(3) whatever its value; addresses are texts, IPv4
// ones without ::ffff:.
type rowEncoder struct {
	common         []byte   // the columns that are the same in all rows
	srcExt, dstExt [][]byte // keys of ext, by IP reference extension
}

func newRowEncoder(l Layout) *rowEncoder {
	e := &rowEncoder{}
	p := appendString([]byte(`,"collector_id":`), l.CollectorID)
	p = appendString(append(p, `,"policy_originator":`...), l.PolicyOriginator)
	p = appendString(append(p, `,"policy_level":`...), l.PolicyLevel)
	e.common = append(p, `,"policy_scope":[`...)
	for _, x := range l.IPRefExtensions {
		e.srcExt = append(e.srcExt, append(appendString(nil, "src_ip_"+x+"_ref"), ':'))
		e.dstExt = append(e.dstExt, append(appendString(nil, "dst_ip_"+x+"_ref"), ':'))
	}
	return e
}

func (e *rowEncoder) append(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	p = append(p, `{"start_time":`...)
	p = strconv.AppendInt(p, r.StartMs, 10)
	p = append(p, `,"end_time":`...)
	p = strconv.AppendInt(p, r.EndMs, 10)
	p = append(p, e.common...)
	for _, s := range r.PolicyScope {
		p = append(appendString(p, s), ',')
	}
	p = append(closing(p, ']'), `,"ext":{`...)
	p = closing(e.appendExt(p, r), '}')
	p = append(append(append(p, `,"flow_type":"`...), flowType(f)...), '"')
	p = appendString(append(p, `,"device_id":`...), r.DeviceID)
	p = appendText(p, `,"device_ref":`, r.DeviceRef)
	p = appendNumber(p, `,"src_as_id":`, r.SrcASID)
	p = appendText(p, `,"src_as_ref":`, r.SrcASRef)
	p = append(appendAddr(append(p, `,"src_ip":"`...), &f.SrcAddr), '"')
	p = appendText(p, `,"src_ip_ref":`, r.SrcIPRef)
	p = appendNumber(p, `,"src_port":`, r.SrcPort)
	p = appendNumber(p, `,"dst_as_id":`, r.DstASID)
	p = appendText(p, `,"dst_as_ref":`, r.DstASRef)
	p = append(appendAddr(append(p, `,"dst_ip":"`...), &f.DstAddr), '"')
	p = appendText(p, `,"dst_ip_ref":`, r.DstIPRef)
	p = appendNumber(p, `,"dst_port":`, r.DstPort)
	p = appendString(append(p, `,"protocol":`...), r.Protocol)
	p = appendText(p, `,"in_interface_id":`, r.In.ID)
	p = appendText(p, `,"in_interface_ref":`, r.In.Ref)
	p = strconv.AppendBool(append(p, `,"in_interface_edge":`...), r.In.Edge)
	p = appendText(p, `,"out_interface_id":`, r.Out.ID)
	p = appendText(p, `,"out_interface_ref":`, r.Out.Ref)
	p = strconv.AppendBool(append(p, `,"out_interface_edge":`...), r.Out.Edge)
	if r.HasPeer {
		p = appendNumber(p, `,"peer_as_id":`, r.PeerASID)
		p = appendText(p, `,"peer_as_ref":`, r.PeerASRef)
		p = append(appendAddr(append(p, `,"peer_ip":"`...), &r.PeerIP), '"')
		p = appendText(p, `,"peer_ip_ref":`, r.PeerIPRef)
	}
	p = appendNumber(p, `,"ip_version":`, r.IPVersion)
	p = appendNumber(p, `,"application_port":`, r.ApplicationPort)
	p = appendNumber(p, `,"bit_count":`, r.Bits)
	p = appendNumber(p, `,"packet_count":`, r.Packets)
	p = appendNumber(p, `,"sampling_rate":`, f.SamplingRate)
	p = append(append(append(p, `,"sampling_source":"`...), f.SamplingSource.String()...), '"')
	return append(p, '}')
}

// appendText appends a text unless it is empty, which is NULL.
func appendText(p []byte, key, s string) []byte {
	if s == "" {
		return p
	}
	return appendString(append(p, key...), s)
}

func appendNumber[T uint8 | uint16 | uint32 | uint64](p []byte, key string, n T) []byte {
	return appendUint(append(p, key...), n)
}

// closing ends a list whose elements, if it has any, each have a comma behind them.
func closing(p []byte, bracket byte) []byte {
	if last := len(p) - 1; p[last] == ',' {
		p[last] = bracket
		return p
	}
	return append(p, bracket)
}

// appendExt appends the keys and values of ext, each with a comma behind it. Which are written is as in sink/block: of sFlow
// neither the flow label nor the VLANs of each side.
func (e *rowEncoder) appendExt(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if f.Has&(flow.ASPath|flow.Communities|flow.LocalPref|flow.MED) != 0 {
		p = appendBGP(p, r)
	}
	p = appendExtRefs(p, e.dstExt, r.DstExtRef)
	if f.Sent(flow.ToS) {
		p = append(appendNumber(p, `"ipv4_dscp":`, f.ToS>>2), ',')
		p = append(appendNumber(p, `"ipv4_tos":`, f.ToS), ',')
	}
	if f.Sent(flow.FlowLabel) && f.Protocol != flow.SFlow5 {
		p = append(appendNumber(p, `"ipv6_flow_label":`, f.FlowLabel), ',')
	}
	if f.Has&(flow.MPLS|flow.MPLSPseudowire|flow.MPLSTopLabelAddr|flow.MPLSTopLabelType) != 0 || r.MPLSBottomLabel != 0 {
		p = appendMPLS(p, r)
	}
	if r.MPLSRD != "" {
		p = append(appendText(p, `"mpls_vpn_rd":`, r.MPLSRD), ',')
	}
	p = appendExtRefs(p, e.srcExt, r.SrcExtRef)
	return appendVLAN(p, f)
}

func appendExtRefs(p []byte, keys [][]byte, refs []string) []byte {
	for i := range min(len(keys), len(refs)) {
		if refs[i] != "" {
			p = append(appendString(append(p, keys[i]...), refs[i]), ',')
		}
	}
	return p
}

func appendBGP(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if f.Sent(flow.ASPath) && len(r.ASPathID) > 0 {
		p = appendNumbers(p, `"bgp_as_path_id":[`, r.ASPathID)
		p = appendNumbers(p, `"bgp_as_path_padding":[`, r.ASPathPadding)
	}
	if len(f.Communities) > 0 && f.Sent(flow.Communities) {
		p = append(p, `"bgp_community":[`...)
		for _, c := range f.Communities {
			p = append(appendCommunity(append(p, '"'), c), '"', ',')
		}
		p = append(closing(p, ']'), ',')
	}
	if f.Sent(flow.LocalPref) {
		p = append(appendNumber(p, `"bgp_local_pref":`, f.LocalPref), ',')
	}
	if f.Sent(flow.MED) {
		p = append(appendNumber(p, `"bgp_med":`, f.MED), ',')
	}
	return p
}

func appendNumbers[T uint8 | uint16 | uint32](p []byte, key string, numbers []T) []byte {
	p = append(p, key...)
	for _, n := range numbers {
		p = append(appendUint(p, n), ',')
	}
	return append(closing(p, ']'), ',')
}

// appendMPLS splits label entries into label and traffic class (RFC 3032 §2.1).
func appendMPLS(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if r.MPLSBottomLabel != 0 {
		p = append(appendNumber(p, `"mpls_bottom_label":`, r.MPLSBottomLabel), ',')
	}
	if n := labels(f); n > 0 && f.Sent(flow.MPLS) {
		p = append(p, `"mpls_exp":[`...)
		for _, entry := range f.MPLS[:n] {
			p = append(appendUint(p, uint8(entry>>1&7)), ',')
		}
		p = append(closing(p, ']'), `,"mpls_label":[`...)
		for _, entry := range f.MPLS[:n] {
			p = append(appendUint(p, entry>>4), ',')
		}
		p = append(closing(p, ']'), ',')
	}
	if f.Sent(flow.MPLSPseudowire) {
		p = append(appendNumber(p, `"mpls_pw":`, f.MPLSPseudowire), ',')
	}
	if f.Sent(flow.MPLSTopLabelAddr) {
		p = append(appendAddr(append(p, `"mpls_top_label_ip":"`...), &f.MPLSTopLabelAddr), '"', ',')
	}
	if f.Sent(flow.MPLSTopLabelType) {
		p = append(appendNumber(p, `"mpls_top_label_type":`, f.MPLSTopLabelType), ',')
	}
	return p
}

func appendVLAN(p []byte, f *flow.Record) []byte {
	if f.Sent(flow.VLAN) {
		p = append(appendNumber(p, `"vlan_id":`, f.VLAN), ',')
	}
	if f.Protocol == flow.SFlow5 {
		return p
	}
	if f.Sent(flow.SrcVLAN) {
		p = append(appendNumber(p, `"vlan_in_id":`, f.SrcVLAN), ',')
	}
	if f.Sent(flow.InnerSrcVLAN) {
		p = append(appendNumber(p, `"vlan_in_inner_id":`, f.InnerSrcVLAN), ',')
	}
	if f.Sent(flow.DstVLAN) {
		p = append(appendNumber(p, `"vlan_out_id":`, f.DstVLAN), ',')
	}
	if f.Sent(flow.InnerDstVLAN) {
		p = append(appendNumber(p, `"vlan_out_inner_id":`, f.InnerDstVLAN), ',')
	}
	return p
}
