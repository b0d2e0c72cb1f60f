package print

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// appendJSONText appends a text as a JSON string.
func appendJSONText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, text...)
}

// appendRecord appends a record as a JSON object on one line. It only has keys for what the exporter sent; counters are
// as measured, not multiplied by the sampling rate.
func appendRecord(dst []byte, r *flow.Record) []byte {
	o := object{append(dst, '{')}
	exporter := r.Source
	if r.Protocol == flow.SFlow5 {
		exporter = r.Exporter
	}
	o.addr("exporter", exporter)
	if r.Protocol == flow.SFlow5 && r.Exporter != r.Source {
		o.addr("source", r.Source)
	}
	if r.Protocol != flow.SFlow5 && r.Exporter != r.Source {
		o.addr("exporter_address", r.Exporter)
	}
	o.text("export_protocol", r.Protocol.String())
	o.number("protocol_version", uint64(r.Protocol.WireVersion()))
	o.number("observation_domain", uint64(r.Domain))
	if r.TemplateID != 0 {
		o.number("template_id", uint64(r.TemplateID))
	}
	o.endpoints(r)
	o.counters(r)
	o.routing(r)
	o.link(r)
	o.vrf(r)
	o.translation(r)
	return append(o.b, '}', '\n')
}

// object appends keys and values to a JSON object. Texts are JSON strings.
type object struct{ b []byte }

func (o *object) key(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
	}
	o.b = append(append(append(o.b, '"'), name...), '"', ':')
}

func (o *object) number(name string, n uint64) {
	o.key(name)
	o.b = strconv.AppendUint(o.b, n, 10)
}

func (o *object) signed(name string, n int64) {
	o.key(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) text(name, s string) {
	o.key(name)
	o.b = appendJSONText(o.b, s)
}

func (o *object) addr(name string, a flow.Addr) { o.text(name, a.String()) }

func (o *object) mac(name string, m [6]byte) {
	o.text(name, fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]))
}

func (o *object) endpoints(r *flow.Record) {
	type field struct {
		sent flow.Fields
		name string
		n    uint64
	}
	if r.Sent(flow.SrcAddr) {
		o.addr("src_ip", r.SrcAddr)
	}
	if r.Sent(flow.DstAddr) {
		o.addr("dst_ip", r.DstAddr)
	}
	for _, f := range []field{
		{flow.SrcPort, "src_port", uint64(r.SrcPort)},
		{flow.DstPort, "dst_port", uint64(r.DstPort)},
		{flow.IPProtocol, "protocol", uint64(r.IPProtocol)},
		{flow.ToS, "tos", uint64(r.ToS)},
		{flow.TCPFlags, "tcp_flags", uint64(r.TCPFlags)},
		{flow.ICMP, "icmp_type", uint64(r.ICMPType)},
		{flow.ICMP, "icmp_code", uint64(r.ICMPCode)},
		{flow.FlowLabel, "ipv6_flow_label", uint64(r.FlowLabel)},
		{flow.SrcMask, "src_mask", uint64(r.SrcMask)},
		{flow.DstMask, "dst_mask", uint64(r.DstMask)},
		{flow.SrcAS, "src_as", uint64(r.SrcAS)},
		{flow.DstAS, "dst_as", uint64(r.DstAS)},
		{flow.ForwardingStatus, "forwarding_status", uint64(r.ForwardingStatus)},
		{flow.Direction, "direction", uint64(r.Direction)},
		{flow.FlowEndReason, "flow_end_reason", uint64(r.FlowEndReason)},
	} {
		if r.Sent(f.sent) {
			o.number(f.name, f.n)
		}
	}
}

func (o *object) counters(r *flow.Record) {
	if r.Sent(flow.Bytes) {
		o.number("bytes", r.Bytes)
	}
	if r.Sent(flow.Packets) {
		o.number("packets", r.Packets)
	}
	if r.Sent(flow.Start) {
		o.signed("start_ms", r.StartMs)
	}
	if r.Sent(flow.End) {
		o.signed("end_ms", r.EndMs)
	}
	o.number("sampling_rate", uint64(r.SamplingRate))
	o.text("sampling_source", r.SamplingSource.String())
}

func (o *object) routing(r *flow.Record) {
	if r.Sent(flow.NextHop) {
		o.addr("next_hop", r.NextHop)
	}
	if r.Sent(flow.BGPNextHop) {
		o.addr("bgp_next_hop", r.BGPNextHop)
	}
	if r.Sent(flow.ASPath) {
		o.key("as_path")
		o.b = appendList(o.b, r.ASPath, func(b []byte, n uint32) []byte { return strconv.AppendUint(b, uint64(n), 10) })
	}
	if r.Sent(flow.Communities) {
		o.key("communities")
		o.b = appendList(o.b, r.Communities, func(b []byte, n uint32) []byte {
			return fmt.Appendf(b, `"%d:%d"`, n>>16, n&0xffff)
		})
	}
	if r.Sent(flow.LocalPref) {
		o.number("local_pref", uint64(r.LocalPref))
	}
	if r.Sent(flow.MPLS) {
		o.key("mpls_labels")
		o.b = appendList(o.b, r.MPLS[:r.MPLSCount],
			func(b []byte, n uint32) []byte { return strconv.AppendUint(b, uint64(n>>4), 10) })
	}
	if r.Sent(flow.SRv6Segments) {
		o.key("srv6_segments")
		o.b = appendList(o.b, r.SRv6Segments, func(b []byte,
			a flow.Addr) []byte {
			return appendJSONText(b, a.String())
		})
	}
}

func (o *object) link(r *flow.Record) {
	o.interfaceNumber("in_if", flow.InIf, r.InIf, r.InIfKind, r)
	o.interfaceNumber("out_if", flow.OutIf, r.OutIf, r.OutIfKind, r)
	o.vlan("src_vlan", flow.SrcVLAN, r.SrcVLAN, flow.FrameVLAN, r.FrameVLAN, r)
	o.vlan("dst_vlan", flow.DstVLAN, r.DstVLAN, flow.FrameVLAN, r.FrameVLAN, r)
	o.vlan("inner_src_vlan", flow.InnerSrcVLAN, r.InnerSrcVLAN, flow.FrameInnerVLAN, r.FrameInnerVLAN, r)
	o.vlan("inner_dst_vlan", flow.InnerDstVLAN, r.InnerDstVLAN, flow.FrameInnerVLAN, r.FrameInnerVLAN, r)
	if r.Sent(flow.SrcMAC) {
		o.mac("src_mac", r.SrcMAC)
	}
	if r.Sent(flow.DstMAC) {
		o.mac("dst_mac", r.DstMAC)
	}
}

// vlan writes the VLAN that the exporter sent, or else the frame's tag.
func (o *object) vlan(key string, sent flow.Fields, id uint16, tagged flow.Fields, tag uint16, r *flow.Record) {
	switch {
	case r.Sent(sent):
		o.number(key, uint64(id))
	case r.Sent(tagged):
		o.number(key, uint64(tag))
	}
}

// interfaceNumber writes an ifIndex and its name in option records, or the other meaning of the number.
func (o *object) interfaceNumber(key string, sent flow.Fields, n uint32, kind flow.InterfaceKind, r *flow.Record) {
	if !r.Sent(sent) {
		return
	}
	switch kind {
	case flow.InterfaceIndex:
		o.number(key, uint64(n))
		if r.Names != nil && r.Names.Interface[n].Name != "" {
			o.text(key+"_name", r.Names.Interface[n].Name)
		}
	case flow.InterfaceInternal:
		o.text(key+"_kind", "internal")
	case flow.InterfaceDiscarded:
		o.text(key+"_kind", "discarded")
		o.number(key+"_discard_reason", uint64(n))
	case flow.InterfaceMultiple:
		o.text(key+"_kind", "multiple")
	}
}

func (o *object) vrf(r *flow.Record) {
	name := func(key string, id uint32) {
		if r.Names != nil && r.Names.VRF[id] != "" {
			o.text(key, r.Names.VRF[id])
		}
	}
	if r.Sent(flow.IngressVRF) {
		o.number("ingress_vrf_id", uint64(r.IngressVRF))
		name("ingress_vrf_name", r.IngressVRF)
	}
	if r.Sent(flow.EgressVRF) {
		o.number("egress_vrf_id", uint64(r.EgressVRF))
		name("egress_vrf_name", r.EgressVRF)
	}
	if id, found := customerVRF(r); found {
		name("vrf_name", id)
	}
	if r.Sent(flow.MPLSRD) {
		o.text("rd", enrich.RDText(r.MPLSRD))
	}
}

// customerVRF returns the VRF that the flow belongs to: the ingress VRF, unless that is the default VRF and the egress
// VRF is not.
func customerVRF(r *flow.Record) (id uint32, found bool) {
	if r.Names == nil || !r.Sent(flow.IngressVRF) && !r.Sent(flow.EgressVRF) {
		return 0, false
	}
	in, out := r.Names.VRF[r.IngressVRF], r.Names.VRF[r.EgressVRF]
	if (in == "" || in == "default") && r.Sent(flow.EgressVRF) && out != "" {
		return r.EgressVRF, true
	}
	return r.IngressVRF, r.Sent(flow.IngressVRF)
}

func (o *object) translation(r *flow.Record) {
	if r.Sent(flow.PostNATSrcAddr) {
		o.addr("post_nat_src_ip", r.PostNATSrcAddr)
	}
	if r.Sent(flow.PostNATDstAddr) {
		o.addr("post_nat_dst_ip", r.PostNATDstAddr)
	}
	if r.Sent(flow.PostNATSrcPort) {
		o.number("post_nat_src_port", uint64(r.PostNATSrcPort))
	}
	if r.Sent(flow.PostNATDstPort) {
		o.number("post_nat_dst_port", uint64(r.PostNATDstPort))
	}
	if r.Sent(flow.NATEvent) {
		o.number("nat_event", uint64(r.NATEvent))
	}
	if r.Sent(flow.FirewallEvent) {
		o.number("firewall_event", uint64(r.FirewallEvent))
	}
}

func appendList[T any](b []byte, list []T, element func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(b, v)
	}
	return append(b, ']')
}
