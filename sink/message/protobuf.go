package message

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Fields of message Flow in flow.proto.
const (
	fieldStartTimeMs      = 1
	fieldEndTimeMs        = 2
	fieldSrcIP            = 3
	fieldDstIP            = 4
	fieldSrcPort          = 5
	fieldDstPort          = 6
	fieldProtocol         = 7
	fieldBitCount         = 8
	fieldPacketCount      = 9
	fieldDeviceID         = 10
	fieldSrcASID          = 11
	fieldDstASID          = 12
	fieldInInterfaceID    = 13
	fieldOutInterfaceID   = 14
	fieldIPVersion        = 15
	fieldProtocolNumber   = 16
	fieldExporterIP       = 17
	fieldFlowType         = 18
	fieldApplicationPort  = 19
	fieldSamplingRate     = 20
	fieldSamplingSource   = 21
	fieldInInterfaceEdge  = 22
	fieldOutInterfaceEdge = 23
	fieldDeviceRef        = 24
	fieldSrcASRef         = 25
	fieldDstASRef         = 26
	fieldSrcIPRef         = 27
	fieldDstIPRef         = 28
	fieldInInterfaceRef   = 29
	fieldOutInterfaceRef  = 30
	fieldPeerIP           = 31
	fieldPeerASID         = 32
	fieldPeerIPRef        = 33
	fieldPeerASRef        = 34
	fieldCollectorID      = 35
	fieldPolicyOriginator = 36
	fieldPolicyLevel      = 37
	fieldPolicyScope      = 38
	fieldExt              = 39
)

// Fields of message Ext.
const (
	fieldBGPASPathID      = 1
	fieldBGPASPathPadding = 2
	fieldBGPCommunity     = 3
	fieldBGPLocalPref     = 4
	fieldBGPMED           = 5
	fieldIPv4ToS          = 6
	fieldIPv4DSCP         = 7
	fieldIPv6FlowLabel    = 8
	fieldMPLSLabel        = 9
	fieldMPLSExp          = 10
	fieldMPLSBottomLabel  = 11
	fieldMPLSPseudowire   = 12
	fieldMPLSTopLabelIP   = 13
	fieldMPLSTopLabelType = 14
	fieldMPLSVPNRD        = 15
	fieldVLANID           = 16
	fieldVLANInID         = 17
	fieldVLANOutID        = 18
	fieldVLANInInnerID    = 19
	fieldVLANOutInnerID   = 20
	fieldExtSrcIPRef      = 21
	fieldExtDstIPRef      = 22
)

// protobufEncoder makes messages Flow of flow.proto.
type protobufEncoder struct {
	common         []byte   // the fields that are the same in all messages
	srcExt, dstExt [][]byte // by IP reference extension: the map entry's key, encoded
	ext, packed    []byte   // an Ext and a list in the making: their lengths stand before them
}

func newProtobufEncoder(l Layout) *protobufEncoder {
	e := &protobufEncoder{}
	e.common = appendTextField(e.common, fieldCollectorID, l.CollectorID)
	e.common = appendTextField(e.common, fieldPolicyOriginator, l.PolicyOriginator)
	e.common = appendTextField(e.common, fieldPolicyLevel, l.PolicyLevel)
	for _, x := range l.IPRefExtensions {
		const key = 1
		e.srcExt = append(e.srcExt, appendTextField(nil, key, x))
		e.dstExt = append(e.dstExt, appendTextField(nil, key, x))
	}
	return e
}

func (e *protobufEncoder) append(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	p = appendField(p, fieldStartTimeMs, uint64(r.StartMs))
	p = appendField(p, fieldEndTimeMs, uint64(r.EndMs))
	p = appendAddrField(p, fieldSrcIP, &f.SrcAddr)
	p = appendAddrField(p, fieldDstIP, &f.DstAddr)
	p = appendField(p, fieldSrcPort, uint64(r.SrcPort))
	p = appendField(p, fieldDstPort, uint64(r.DstPort))
	p = appendTextField(p, fieldProtocol, r.Protocol)
	p = appendField(p, fieldBitCount, r.Bits)
	p = appendField(p, fieldPacketCount, r.Packets)
	p = appendTextField(p, fieldDeviceID, r.DeviceID)
	p = appendField(p, fieldSrcASID, uint64(r.SrcASID))
	p = appendField(p, fieldDstASID, uint64(r.DstASID))
	p = appendTextField(p, fieldInInterfaceID, r.In.ID)
	p = appendTextField(p, fieldOutInterfaceID, r.Out.ID)
	p = appendField(p, fieldIPVersion, uint64(r.IPVersion))
	p = appendField(p, fieldProtocolNumber, uint64(f.IPProtocol))
	if f.Exporter != (flow.Addr{}) {
		p = appendAddrField(p, fieldExporterIP, &f.Exporter)
	}
	p = appendTextField(p, fieldFlowType, flowType(f))
	p = appendField(p, fieldApplicationPort, uint64(r.ApplicationPort))
	p = appendField(p, fieldSamplingRate, uint64(f.SamplingRate))
	p = appendTextField(p, fieldSamplingSource, f.SamplingSource.String())
	p = appendField(p, fieldInInterfaceEdge, protowire.EncodeBool(r.In.Edge))
	p = appendField(p, fieldOutInterfaceEdge, protowire.EncodeBool(r.Out.Edge))
	p = appendTextField(p, fieldDeviceRef, r.DeviceRef)
	p = appendTextField(p, fieldSrcASRef, r.SrcASRef)
	p = appendTextField(p, fieldDstASRef, r.DstASRef)
	p = appendTextField(p, fieldSrcIPRef, r.SrcIPRef)
	p = appendTextField(p, fieldDstIPRef, r.DstIPRef)
	p = appendTextField(p, fieldInInterfaceRef, r.In.Ref)
	p = appendTextField(p, fieldOutInterfaceRef, r.Out.Ref)
	if r.HasPeer {
		p = appendAddrField(p, fieldPeerIP, &r.PeerIP)
		p = appendPresent(p, fieldPeerASID, r.PeerASID)
		p = appendTextField(p, fieldPeerIPRef, r.PeerIPRef)
		p = appendTextField(p, fieldPeerASRef, r.PeerASRef)
	}
	p = append(p, e.common...)
	for _, s := range r.PolicyScope {
		s = validText(s)
		p = append(appendHead(p, fieldPolicyScope, len(s)), s...)
	}
	e.ext = e.appendExt(e.ext[:0], r)
	return append(appendHead(p, fieldExt, len(e.ext)), e.ext...)
}

// appendField appends a number, unless it is 0, which is what readers take where there is none.
func appendField(p []byte, field protowire.Number, n uint64) []byte {
	if n == 0 {
		return p
	}
	return protowire.AppendVarint(appendTag(p, field, protowire.VarintType), n)
}

// appendPresent appends a number of an optional field, 0 included.
func appendPresent(p []byte, field protowire.Number, n uint32) []byte {
	return protowire.AppendVarint(appendTag(p, field, protowire.VarintType), uint64(n))
}

// appendAddrField appends an address, set or not.
func appendAddrField(p []byte, field protowire.Number, a *flow.Addr) []byte {
	return append(appendHead(p, field, len(a)), a[:]...)
}

// appendTextField appends a text, unless it is empty.
func appendTextField(p []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return p
	}
	s = validText(s)
	return append(appendHead(p, field, len(s)), s...)
}

// validText is s as readers take it: texts are UTF-8, of which they refuse the whole message if one is not.
func validText(s string) string {
	if ascii(s) || utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// appendHead appends what stands before n bytes of a text, an address, a list or a message.
func appendHead(p []byte, field protowire.Number, n int) []byte {
	p = appendTag(p, field, protowire.BytesType)
	if n < 0x80 {
		return append(p, byte(n))
	}
	return protowire.AppendVarint(p, uint64(n))
}

// appendTag appends a field's number and type; there are less than 128 fields.
func appendTag(p []byte, field protowire.Number, typ protowire.Type) []byte {
	tag := field<<3 | protowire.Number(typ)
	if tag < 0x80 {
		return append(p, byte(tag))
	}
	return append(p, byte(tag)|0x80, byte(tag>>7))
}

// appendExt appends the fields of message Ext. Which are written is as in sink/block: of sFlow neither the flow label nor the
// VLANs of each side.
func (e *protobufEncoder) appendExt(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if f.Sent(flow.ASPath) {
		p = appendPacked(e, p, fieldBGPASPathID, r.ASPathID)
		p = appendPacked(e, p, fieldBGPASPathPadding, r.ASPathPadding)
	}
	if f.Sent(flow.Communities) && len(f.Communities) > 0 {
		p = appendHead(p, fieldBGPCommunity, 4*len(f.Communities))
		for _, c := range f.Communities {
			p = binary.LittleEndian.AppendUint32(p, c)
		}
	}
	if f.Sent(flow.LocalPref) {
		p = appendPresent(p, fieldBGPLocalPref, f.LocalPref)
	}
	if f.Sent(flow.MED) {
		p = appendPresent(p, fieldBGPMED, f.MED)
	}
	if f.Sent(flow.ToS) {
		p = appendPresent(p, fieldIPv4ToS, uint32(f.ToS))
		p = appendPresent(p, fieldIPv4DSCP, uint32(f.ToS>>2))
	}
	if f.Sent(flow.FlowLabel) && f.Protocol != flow.SFlow5 {
		p = appendPresent(p, fieldIPv6FlowLabel, f.FlowLabel)
	}
	p = e.appendMPLS(p, r)
	p = appendVLANFields(p, f)
	p = appendRefMap(p, fieldExtSrcIPRef, e.srcExt, r.SrcExtRef)
	return appendRefMap(p, fieldExtDstIPRef, e.dstExt, r.DstExtRef)
}

// appendPacked appends a list of numbers, unless it is empty.
func appendPacked[T uint8 | uint16 | uint32](e *protobufEncoder, p []byte, field protowire.Number, numbers []T) []byte {
	if len(numbers) == 0 {
		return p
	}
	e.packed = e.packed[:0]
	for _, n := range numbers {
		e.packed = protowire.AppendVarint(e.packed, uint64(n))
	}
	return append(appendHead(p, field, len(e.packed)), e.packed...)
}

func (e *protobufEncoder) appendMPLS(p []byte, r *enrich.Row) []byte {
	f := r.Flow
	if f.Sent(flow.MPLS) {
		var stack [len(f.MPLS)]uint32
		var exps [len(f.MPLS)]uint8
		n := labels(f)
		for i, entry := range f.MPLS[:n] {
			stack[i], exps[i] = entry>>4, uint8(entry>>1&7)
		}
		p = appendPacked(e, p, fieldMPLSLabel, stack[:n])
		p = appendPacked(e, p, fieldMPLSExp, exps[:n])
	}
	if r.MPLSBottomLabel != 0 {
		p = appendPresent(p, fieldMPLSBottomLabel, r.MPLSBottomLabel)
	}
	if f.Sent(flow.MPLSPseudowire) {
		p = appendPresent(p, fieldMPLSPseudowire, f.MPLSPseudowire)
	}
	if f.Sent(flow.MPLSTopLabelAddr) {
		p = appendAddrField(p, fieldMPLSTopLabelIP, &f.MPLSTopLabelAddr)
	}
	if f.Sent(flow.MPLSTopLabelType) {
		p = appendPresent(p, fieldMPLSTopLabelType, uint32(f.MPLSTopLabelType))
	}
	return appendTextField(p, fieldMPLSVPNRD, r.MPLSRD)
}

func appendVLANFields(p []byte, f *flow.Record) []byte {
	if f.Sent(flow.VLAN) {
		p = appendPresent(p, fieldVLANID, uint32(f.VLAN))
	}
	if f.Protocol == flow.SFlow5 {
		return p
	}
	if f.Sent(flow.SrcVLAN) {
		p = appendPresent(p, fieldVLANInID, uint32(f.SrcVLAN))
	}
	if f.Sent(flow.DstVLAN) {
		p = appendPresent(p, fieldVLANOutID, uint32(f.DstVLAN))
	}
	if f.Sent(flow.InnerSrcVLAN) {
		p = appendPresent(p, fieldVLANInInnerID, uint32(f.InnerSrcVLAN))
	}
	if f.Sent(flow.InnerDstVLAN) {
		p = appendPresent(p, fieldVLANOutInnerID, uint32(f.InnerDstVLAN))
	}
	return p
}

// appendRefMap appends a map of extensions and refs: an entry is a message of a key, encoded already, and a value.
func appendRefMap(p []byte, field protowire.Number, keys [][]byte, refs []string) []byte {
	const value = 2
	for i := range min(len(keys), len(refs)) {
		if refs[i] == "" {
			continue
		}
		ref := validText(refs[i])
		p = appendHead(p, field, len(keys[i])+protowire.SizeTag(value)+protowire.SizeBytes(len(ref)))
		p = append(p, keys[i]...)
		p = append(appendHead(p, value, len(ref)), ref...)
	}
	return p
}
