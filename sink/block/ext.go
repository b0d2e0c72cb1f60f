package block

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/schema"
)

// objectVersion is the version of the format of a JSON column (ClickHouse, SerializationObject): V1, which every
// server since 24.8 reads.
const objectVersion = 0

// ext is the ext column, of a JSON type. Paths that the table declares are columns of their own; all others go
// into the column's shared data, with the types that ClickHouse would give them in JSON text.
type ext struct {
	typed  []named // sorted by name, as the format wants it
	shared sharedData

	asPathID, asPathPadding      arrayPath
	community                    communityPath
	extCommunity, largeCommunity stringArray // no export carries them: always empty
	localPref, med               numberPath
	tos, dscp                    numberPath
	flowLabel                    numberPath
	mplsBottomLabel              numberPath
	mplsExp, mplsLabel           arrayPath
	mplsPseudowire               numberPath
	mplsTopLabelIP               addrPath
	mplsTopLabelType             numberPath
	mplsRD                       textPath
	vlan                         numberPath
	vlanIn, vlanInInner          numberPath
	vlanOut, vlanOutInner        numberPath
	srcRefs, dstRefs             []nullableString // by IP reference extension
}

// extPath is a path whose values go into its column, or into shared data where the table does not declare it.
type extPath interface {
	column
	// declare is called once; typ is the table's type for the path, or "".
	declare(name, typ string)
}

func newExt(extensions, ipRefExtensions []string) *ext {
	x := &ext{
		srcRefs: make([]nullableString, len(ipRefExtensions)),
		dstRefs: make([]nullableString, len(ipRefExtensions)),
	}
	columns := map[string]column{
		"bgp_ext_community":   &x.extCommunity,
		"bgp_large_community": &x.largeCommunity,
	}
	types := schema.FlowExtPaths(extensions, ipRefExtensions)
	for name, p := range map[string]extPath{
		"bgp_as_path_id":      &x.asPathID,
		"bgp_as_path_padding": &x.asPathPadding,
		"bgp_community":       &x.community,
		"bgp_local_pref":      &x.localPref,
		"bgp_med":             &x.med,
		"ipv4_dscp":           &x.dscp,
		"ipv4_tos":            &x.tos,
		"ipv6_flow_label":     &x.flowLabel,
		"mpls_bottom_label":   &x.mplsBottomLabel,
		"mpls_exp":            &x.mplsExp,
		"mpls_label":          &x.mplsLabel,
		"mpls_pw":             &x.mplsPseudowire,
		"mpls_top_label_ip":   &x.mplsTopLabelIP,
		"mpls_top_label_type": &x.mplsTopLabelType,
		"mpls_vpn_rd":         &x.mplsRD,
		"vlan_id":             &x.vlan,
		"vlan_in_id":          &x.vlanIn,
		"vlan_in_inner_id":    &x.vlanInInner,
		"vlan_out_id":         &x.vlanOut,
		"vlan_out_inner_id":   &x.vlanOutInner,
	} {
		p.declare(name, types[name])
		columns[name] = p
	}
	for i, e := range ipRefExtensions {
		columns["src_ip_"+e+"_ref"] = &x.srcRefs[i]
		columns["dst_ip_"+e+"_ref"] = &x.dstRefs[i]
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		x.typed = append(x.typed, named{name, types[name], columns[name]})
	}
	return x
}

// typeName is the type as the table declares it.
func (x *ext) typeName() string {
	if len(x.typed) == 0 {
		return "JSON"
	}
	paths := make([]string, len(x.typed))
	for i, p := range x.typed {
		paths[i] = p.name + " " + p.typ
	}
	return "JSON(" + strings.Join(paths, ", ") + ")"
}

// Fields of groups of paths that most rows have none of.
const (
	bgpFields  = flow.ASPath | flow.Communities | flow.LocalPref | flow.MED
	mplsFields = flow.MPLS | flow.MPLSPseudowire | flow.MPLSTopLabelAddr | flow.MPLSTopLabelType
	vlanFields = flow.VLAN | flow.SrcVLAN | flow.DstVLAN | flow.InnerSrcVLAN | flow.InnerDstVLAN
)

// append adds what a row says of every path. Of sFlow the flow label and the VLANs of each side are not among them: rows of
// sFlow never had them. Shared data wants the paths of a row in the order of their names, so that
// is the order of the calls here and below.
func (x *ext) append(row int, r *enrich.Row) {
	if r.Flow.Has&bgpFields != 0 {
		x.appendBGP(row, r)
	}
	for i := range min(len(x.dstRefs), len(r.DstExtRef)) {
		x.dstRefs[i].set(row, r.DstExtRef[i])
	}
	f := r.Flow
	if f.Sent(flow.ToS) { // also of IPv6 flows, whose traffic class has the same layout (RFC 2474 §3)
		x.dscp.set(x, row, uint32(f.ToS>>2))
		x.tos.set(x, row, uint32(f.ToS))
	}
	if f.Sent(flow.FlowLabel) && f.Protocol != flow.SFlow5 {
		x.flowLabel.set(x, row, f.FlowLabel)
	}
	if f.Has&mplsFields != 0 || r.MPLSBottomLabel != 0 || r.MPLSRD != "" {
		x.appendMPLS(row, r)
	}
	for i := range min(len(x.srcRefs), len(r.SrcExtRef)) {
		x.srcRefs[i].set(row, r.SrcExtRef[i])
	}
	if f.Has&vlanFields != 0 {
		x.appendVLAN(row, f)
	}
	x.shared.end(row)
}

// appendBGP adds every attribute that was sent: routes of the own AS have communities but an empty path.
func (x *ext) appendBGP(row int, r *enrich.Row) {
	f := r.Flow
	if f.Sent(flow.ASPath) {
		setArray(x, &x.asPathID, row, r.ASPathID)
		setArray(x, &x.asPathPadding, row, r.ASPathPadding)
	}
	if f.Sent(flow.Communities) {
		x.community.set(x, row, f.Communities)
	}
	if f.Sent(flow.LocalPref) {
		x.localPref.set(x, row, f.LocalPref)
	}
	if f.Sent(flow.MED) {
		x.med.set(x, row, f.MED)
	}
}

// appendMPLS splits label entries into label and traffic class (RFC 3032 §2.1). The address of the top label is
// written whether it is IPv4 (IE 47) or IPv6 (IE 140): the path's type holds both.
func (x *ext) appendMPLS(row int, r *enrich.Row) {
	f := r.Flow
	if r.MPLSBottomLabel != 0 {
		x.mplsBottomLabel.set(x, row, r.MPLSBottomLabel)
	}
	if f.Sent(flow.MPLS) {
		var labels [len(f.MPLS)]uint32
		var exps [len(f.MPLS)]uint8
		// Elements of a template that are empty are labels of 0, as dashboards know them.
		n := min(int(max(f.MPLSCount, f.MPLSElements)), len(f.MPLS))
		for i, entry := range f.MPLS[:n] {
			labels[i] = entry >> 4
			exps[i] = uint8(entry >> 1 & 7)
		}
		setArray(x, &x.mplsExp, row, exps[:n])
		setArray(x, &x.mplsLabel, row, labels[:n])
	}
	if f.Sent(flow.MPLSPseudowire) {
		x.mplsPseudowire.set(x, row, f.MPLSPseudowire)
	}
	if f.Sent(flow.MPLSTopLabelAddr) {
		x.mplsTopLabelIP.set(x, row, f.MPLSTopLabelAddr)
	}
	if f.Sent(flow.MPLSTopLabelType) {
		x.mplsTopLabelType.set(x, row, uint32(f.MPLSTopLabelType))
	}
	if r.MPLSRD != "" {
		x.mplsRD.set(x, row, r.MPLSRD)
	}
}

// appendVLAN adds a NetFlow or IPFIX record's VLAN of each side; sFlow has one, as dashboards know it.
func (x *ext) appendVLAN(row int, f *flow.Record) {
	if f.Sent(flow.VLAN) {
		x.vlan.set(x, row, uint32(f.VLAN))
	}
	if f.Protocol == flow.SFlow5 {
		return
	}
	if f.Sent(flow.SrcVLAN) {
		x.vlanIn.set(x, row, uint32(f.SrcVLAN))
	}
	if f.Sent(flow.InnerSrcVLAN) {
		x.vlanInInner.set(x, row, uint32(f.InnerSrcVLAN))
	}
	if f.Sent(flow.DstVLAN) {
		x.vlanOut.set(x, row, uint32(f.DstVLAN))
	}
	if f.Sent(flow.InnerDstVLAN) {
		x.vlanOutInner.set(x, row, uint32(f.InnerDstVLAN))
	}
}

// prefix appends the structure of the column (there are no dynamic paths; the second of the two counts is the number
// of paths) and then the prefixes of the typed paths.
func (x *ext) prefix(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, objectVersion)
	dst = append(dst, 0, 0)
	for _, p := range x.typed {
		dst = p.prefix(dst)
	}
	return dst
}

func (x *ext) encode(out *output, rows int) {
	for _, p := range x.typed {
		p.encode(out, rows)
	}
	x.shared.encode(out, rows)
}

func (x *ext) reset() {
	for _, p := range x.typed {
		p.reset()
	}
	x.shared.reset()
}
