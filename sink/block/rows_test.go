package block

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

const dayStart = 1_795_392_000_000 // 2026-11-23 00:00 UTC, Unix milliseconds

func allExtensions() []string { return []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"} }

func testLayout(extensions, ipRefs []string) Layout {
	return Layout{
		CollectorID: "collector-1", PolicyOriginator: "example", PolicyLevel: "tlp:green",
		Extensions: extensions, IPRefExtensions: ipRefs,
	}
}

// traffic returns rows as a core router's flows look: a few interfaces, many prefixes, mostly the same keys of ext.
func traffic(n int) []enrich.Row {
	rnd := rand.New(rand.NewPCG(1, 2))
	texts := func(n int, format string) []string {
		s := make([]string, n)
		for i := range s {
			s[i] = fmt.Sprintf(format, i)
		}
		return s
	}
	interfaces, interfaceRefs := texts(64, "core1.example.net::et-0/0/%d"), texts(64, "core1.example.net::et-0/0/%d__v1")
	asRefs, ipRefs, scopes := texts(500, "%d__v1"), texts(5000, "192.0.%d.0/24__v3"), texts(500, "as:%d")
	scireg := texts(50, "%d__v1")
	rows := make([]enrich.Row, n)
	for i := range rows {
		src, dst := rnd.IntN(500), rnd.IntN(500)
		in, out := rnd.IntN(64), rnd.IntN(64)
		f := &flow.Record{
			Protocol: flow.IPFIX, IPVersion: 4, Has: flow.ToS | flow.VLAN | flow.SrcVLAN | flow.DstVLAN,
			Received: int64(i) * 1e6, SamplingRate: 1000, SamplingSource: flow.SamplingSelector,
			SrcAddr: flow.AddrFrom4([4]byte{192, 0, byte(src), byte(i)}),
			DstAddr: flow.AddrFrom4([4]byte{198, 51, byte(dst), byte(i)}),
			ToS:     uint8(rnd.IntN(4) * 8), VLAN: uint16(in), SrcVLAN: uint16(in), DstVLAN: uint16(out),
		}
		r := enrich.Row{
			Flow: f, DeviceID: "core1.example.net", DeviceRef: "core1.example.net__v2",
			In:      enrich.Interface{ID: interfaces[in], Ref: interfaceRefs[in], Edge: in < 10},
			Out:     enrich.Interface{ID: interfaces[out], Ref: interfaceRefs[out]},
			SrcASID: uint32(64500 + src), DstASID: uint32(64500 + dst), SrcASRef: asRefs[src], DstASRef: asRefs[dst],
			SrcIPRef: ipRefs[rnd.IntN(5000)], DstIPRef: ipRefs[rnd.IntN(5000)],
			SrcExtRef: []string{""}, DstExtRef: []string{""},
			PolicyScope: []string{scopes[src], scopes[dst]}, Protocol: []string{"tcp", "udp"}[i%2], IPVersion: 4,
			SrcPort: uint16(rnd.Uint32()), DstPort: 443, ApplicationPort: 443,
			StartMs: dayStart + int64(rnd.IntN(60000)), EndMs: dayStart + 60000,
			Bits: uint64(rnd.IntN(1e9)), Packets: uint64(rnd.IntN(1e5)),
		}
		if i%4 == 0 {
			r.SrcExtRef, r.DstExtRef = []string{scireg[src/10]}, []string{scireg[dst/10]}
		}
		if i%2 == 0 {
			r.HasPeer, r.PeerASID, r.PeerASRef = true, r.DstASID, r.DstASRef
			r.PeerIP = flow.AddrFrom4([4]byte{203, 0, 113, byte(out)})
			f.Has |= flow.ASPath | flow.Communities | flow.LocalPref
			r.ASPathID, r.ASPathPadding = []uint32{64500, uint32(64600 + dst), r.DstASID}, []uint16{1, 1, 2}
			f.Communities, f.LocalPref = []uint32{64500<<16 | uint32(out), 64500<<16 | 666}, 100
		}
		rows[i] = r
	}
	return rows
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
	put(flow.LocalPref, "bgp_local_pref", f.LocalPref)
	put(flow.MED, "bgp_med", f.MED)
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
