package block

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rpki"
)

func allExtensions() []string {
	return append([]string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}, groups...)
}

// groups are the flow extensions that are filled only if they are asked for.
var groups = []string{"bgp_meta", "bgp_src", "rpki"}

func testLayout(extensions, ipRefs []string) Layout {
	return Layout{
		CollectorID: "collector-1", PolicyOriginator: "example", PolicyLevel: "tlp:green",
		Extensions: extensions, IPRefExtensions: ipRefs,
	}
}

func textsOf[T any](values []T, appendTo func([]byte, T) []byte) (texts []string) {
	for _, v := range values {
		texts = append(texts, string(appendTo(nil, v)))
	}
	return texts
}

// extKeys is ext of a row as the reference's JSON has it (row-semantics, part B): what the exporter sent, and no more.
func extKeys(r *enrich.Row, ipRefs []string) map[string]any {
	f, keys := r.Flow, map[string]any{}
	put := func(bit flow.Fields, name string, v any) {
		if f.Sent(bit) {
			keys[name] = v
		}
	}
	if len(r.ASPathID) > 0 {
		keys["bgp_as_path_id"], keys["bgp_as_path_padding"] = r.ASPathID, r.ASPathPadding
	}
	if len(f.Communities) > 0 {
		var texts []string
		for _, c := range f.Communities {
			texts = append(texts, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
		}
		keys["bgp_community"] = texts
	}
	if len(r.ExtCommunities) > 0 {
		keys["bgp_ext_community"] = textsOf(r.ExtCommunities, route.AppendExtended)
	}
	if len(r.LargeCommunities) > 0 {
		keys["bgp_large_community"] = textsOf(r.LargeCommunities, route.AppendLarge)
	}
	put(flow.LocalPref, "bgp_local_pref", f.LocalPref)
	put(flow.MED, "bgp_med", f.MED)
	routeKeys(r, keys)
	put(flow.ToS, "ipv4_tos", f.ToS)
	put(flow.ToS, "ipv4_dscp", f.ToS/4)
	put(flow.FlowLabel, "ipv6_flow_label", f.FlowLabel)
	if f.MPLSCount > 0 {
		var labels, exps []int // not []uint8, which encoding/json writes as base64
		for _, entry := range f.MPLS[:f.MPLSCount] {
			labels, exps = append(labels, int(entry/16)), append(exps, int(entry/2%8))
		}
		keys["mpls_label"], keys["mpls_exp"] = labels, exps
	}
	if r.MPLSBottomLabel > 0 {
		keys["mpls_bottom_label"] = r.MPLSBottomLabel
	}
	put(flow.MPLSPseudowire, "mpls_pw", f.MPLSPseudowire)
	put(flow.MPLSTopLabelAddr, "mpls_top_label_ip", f.MPLSTopLabelAddr.String())
	put(flow.MPLSTopLabelType, "mpls_top_label_type", f.MPLSTopLabelType)
	if r.MPLSRD != "" {
		keys["mpls_vpn_rd"] = r.MPLSRD
	}
	if r.StatedStartMs != 0 {
		keys["stated_start_ms"], keys["stated_end_ms"] = r.StatedStartMs, r.StatedEndMs
	}
	if r.VRFName != "" {
		keys["vrf_name"] = r.VRFName
	}
	put(flow.VLAN, "vlan_id", f.VLAN)
	put(flow.SrcVLAN, "vlan_in_id", f.SrcVLAN)
	put(flow.DstVLAN, "vlan_out_id", f.DstVLAN)
	put(flow.InnerSrcVLAN, "vlan_in_inner_id", f.InnerSrcVLAN)
	put(flow.InnerDstVLAN, "vlan_out_inner_id", f.InnerDstVLAN)
	for i, x := range ipRefs {
		if i < len(r.SrcExtRef) && r.SrcExtRef[i] != "" {
			keys["src_ip_"+x+"_ref"] = r.SrcExtRef[i]
		}
		if i < len(r.DstExtRef) && r.DstExtRef[i] != "" {
			keys["dst_ip_"+x+"_ref"] = r.DstExtRef[i]
		}
	}
	return keys
}

// textExt is ext as JSON text, as the reference sends it: a JSON column in the version that holds strings.
type textExt struct{ values []byte }

func (c *textExt) prefix(dst []byte) []byte  { return binary.LittleEndian.AppendUint64(dst, 1) }
func (c *textExt) encode(out *output, _ int) { out.write(c.values) }
func (c *textExt) reset()                    { c.values = c.values[:0] }

// encodeWithText encodes the rows with ext as JSON text.
func encodeWithText(t testing.TB, l Layout, rows []enrich.Row) []byte {
	t.Helper()
	b, text := New(l), &textExt{}
	for i := range rows {
		b.Append(&rows[i])
		s, err := json.Marshal(extKeys(&rows[i], l.IPRefExtensions))
		if err != nil {
			t.Fatal(err)
		}
		text.values = appendString(text.values, s)
	}
	for i := range b.columns {
		if b.columns[i].name == "ext" {
			b.columns[i].column = text
		}
	}
	return b.Encode(nil)
}

// encodeRows encodes the rows as the product does.
func encodeRows(l Layout, rows []enrich.Row) []byte {
	b := New(l)
	for i := range rows {
		b.Append(&rows[i])
	}
	return b.Encode(nil)
}

// routeKeys are what the groups bgp_src, bgp_meta and rpki say of a row.
func routeKeys(r *enrich.Row, keys map[string]any) {
	c := &r.Route
	set := func(name string, value any, is bool) {
		if is {
			keys[name] = value
		}
	}
	if c.HasSrc {
		keys["bgp_src_as_path_id"], keys["bgp_src_as_path_padding"] = c.SrcPath, c.SrcPadding
		keys["bgp_src_community"] = textsOf(c.SrcCommunities, route.AppendCommunity)
		keys["bgp_src_ext_community"] = textsOf(c.SrcExtended, route.AppendExtended)
		keys["bgp_src_large_community"] = textsOf(c.SrcLarge, route.AppendLarge)
	}
	set("bgp_src_local_pref", c.SrcLocalPref, c.HasSrcLocalPref)
	set("bgp_src_med", c.SrcMED, c.HasSrcMED)
	set("bgp_peer_src_as", c.PeerAS, c.PeerAS != 0)
	set("bgp_source", c.Source, c.Source != "")
	set("bgp_router", c.Router, c.Router != "")
	set("bgp_src_prefix", c.From.String(), c.HasFrom)
	set("bgp_dst_prefix", c.To.String(), c.HasTo)
	set("rpki_src", r.SrcRPKI.String(), r.SrcRPKI != rpki.None)
	set("rpki_dst", r.DstRPKI.String(), r.DstRPKI != rpki.None)
}
