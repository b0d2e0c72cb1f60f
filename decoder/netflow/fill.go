package netflow

import (
	"math"

	"github.com/metranova/flow-collector/decoder/flow"
)

// raw are the values of a record that mean something only together; finish resolves them.
type raw struct {
	bytes, bytesTotal, bytesOut, bytesInitiator, bytesLayer2 counter
	packets, packetsTotal, packetsOut, packetsInitiator      counter
	reverseBytes, reversePackets                             counter
	reverseStartMs, reverseEndMs                             int64
	reverseTCPFlags                                          uint16

	startMs, endMs             int64
	hasStart, hasEnd           bool
	firstUptime, lastUptime    uint32
	hasFirst, hasLast          bool
	observedMs                 int64
	hasObserved                bool
	initMs                     int64
	durationMicros             uint64
	hasDuration                bool
	samplerID                  uint64
	hasSampler                 bool
	interval, space            uint64
	hasSpace                   bool
	sampleSize, population     uint64
	probability                float64
	samplingInterval           uint64
	ipVersion                  uint8
	src4, dst4, src6, dst6     flow.Addr
	mask4Src, mask4Dst         uint8
	mask6Src, mask6Dst         uint8
	frame                      []byte
	frameIP                    bool
	frameSize                  uint64
	linkType                   uint64
	transportSrc, transportDst uint16
	hasTransport               bool
}

// counter is a value that may be absent.
type counter struct {
	n    uint64
	sent bool
}

func (c *counter) set(b []byte) { c.n, c.sent = unsigned(b), true }

// setStart and setEnd take a time; where a template has several forms of it the first counts.
func (r *raw) setStart(ms int64) {
	if !r.hasStart {
		r.startMs, r.hasStart = ms, true
	}
}

func (r *raw) setEnd(ms int64) {
	if !r.hasEnd {
		r.endMs, r.hasEnd = ms, true
	}
}

// context is what a record needs of its datagram.
type context struct {
	exportMs  int64  // header time, Unix milliseconds
	uptime    uint32 // NetFlow v9: header sysUptime, milliseconds
	hasUptime bool
	received  int64
	sequence  uint32
}

// fill puts one field's value where it belongs. Its length has been checked by the plan, or is any for variable fields.
func (d *Decoder) fill(s *step, v []byte, r *flow.Record, w *raw, c *context) {
	switch s.op {
	case opBytes:
		w.bytes.set(v)
	case opPackets:
		w.packets.set(v)
	case opProtocol:
		r.IPProtocol = unsigned8(v)
		r.Has |= flow.IPProtocol
	case opToS:
		r.ToS = low8(v)
		r.Has |= flow.ToS
	case opTCPFlags:
		r.TCPFlags = low16(v)
		r.Has |= flow.TCPFlags
	case opSrcPort:
		r.SrcPort = unsigned16(v)
		r.Has |= flow.SrcPort
	case opDstPort:
		r.DstPort = unsigned16(v)
		r.Has |= flow.DstPort
	case opSrcAddr4:
		if len(v) == 4 {
			w.src4 = addr4(v)
			r.Has |= flow.SrcAddr
		}
	case opDstAddr4:
		if len(v) == 4 {
			w.dst4 = addr4(v)
			r.Has |= flow.DstAddr
		}
	case opSrcAddr6:
		if len(v) == 16 {
			w.src6 = addr6(v)
			r.Has |= flow.SrcAddr
		}
	case opDstAddr6:
		if len(v) == 16 {
			w.dst6 = addr6(v)
			r.Has |= flow.DstAddr
		}
	case opSrcMask:
		r.Has |= flow.SrcMask
		if s.arg == v6Mask {
			w.mask6Src = unsigned8(v)
		} else {
			w.mask4Src = unsigned8(v)
		}
	case opDstMask:
		r.Has |= flow.DstMask
		if s.arg == v6Mask {
			w.mask6Dst = unsigned8(v)
		} else {
			w.mask4Dst = unsigned8(v)
		}
	case opInIf:
		r.InIf = unsigned32(v)
		r.Has |= flow.InIf
	case opOutIf:
		r.OutIf = unsigned32(v)
		r.Has |= flow.OutIf
	case opSrcAS:
		r.SrcAS = unsigned32(v)
		r.Has |= flow.SrcAS
	case opDstAS:
		r.DstAS = unsigned32(v)
		r.Has |= flow.DstAS
	case opNextHop4, opNextHop6:
		setAddr(&r.NextHop, v, r, flow.NextHop)
	case opBGPNextHop4, opBGPNextHop6:
		setAddr(&r.BGPNextHop, v, r, flow.BGPNextHop)
	case opFirstUptime:
		w.firstUptime, w.hasFirst = unsigned32(v), true
	case opLastUptime:
		w.lastUptime, w.hasLast = unsigned32(v), true
	case opStartMillis:
		w.setStart(millis(formMillis, v, c.exportMs))
	case opEndMillis:
		w.setEnd(millis(formMillis, v, c.exportMs))
	case opDirection:
		r.Direction = unsigned8(v)
		r.Has |= flow.Direction
	case opMPLSLabel:
		if int(s.arg) < len(r.MPLS) && len(v) > 0 {
			r.MPLS[s.arg] = uint32(unsigned(v) & 0xffffff)
		}
	default:
		d.fillRare(s, v, r, w, c)
	}
}

// fillRare is fill for what few templates have, kept apart so that fill stays small.
func (d *Decoder) fillRare(s *step, v []byte, r *flow.Record, w *raw, c *context) {
	switch s.op {
	case opTransportSrcPort:
		if n := unsigned16(v); n != 0 || !w.hasTransport {
			w.transportSrc, w.hasTransport = n, true
		}
	case opTransportDstPort:
		if n := unsigned16(v); n != 0 || !w.hasTransport {
			w.transportDst, w.hasTransport = n, true
		}
	case opICMPTypeCode:
		n := unsigned16(v)
		r.ICMPType, r.ICMPCode = uint8(n>>8), uint8(n)
		r.Has |= flow.ICMP
	case opICMPType:
		r.ICMPType = unsigned8(v)
		r.Has |= flow.ICMP
	case opICMPCode:
		r.ICMPCode = unsigned8(v)
		r.Has |= flow.ICMP
	case opSrcPrefix:
		setPrefix(&w.src4, &w.src6, v, r, flow.SrcAddr)
	case opDstPrefix:
		setPrefix(&w.dst4, &w.dst6, v, r, flow.DstAddr)
	case opPeerSrcAS:
		r.PeerSrcAS = unsigned32(v)
		r.Has |= flow.PeerSrcAS
	case opPeerDstAS:
		r.PeerDstAS = unsigned32(v)
		r.Has |= flow.PeerDstAS
	case opFlowLabel:
		r.FlowLabel = unsigned32(v) & 0xfffff
		r.Has |= flow.FlowLabel
	case opInIfPhysical:
		if !r.Sent(flow.InIf) {
			r.InIf = unsigned32(v)
			r.Has |= flow.InIf
		}
	case opOutIfPhysical:
		if !r.Sent(flow.OutIf) {
			r.OutIf = unsigned32(v)
			r.Has |= flow.OutIf
		}
	case opSrcVLAN:
		setVLAN(&r.SrcVLAN, v, r, flow.SrcVLAN)
	case opDstVLAN:
		setVLAN(&r.DstVLAN, v, r, flow.DstVLAN)
	case opInnerSrcVLAN:
		setVLAN(&r.InnerSrcVLAN, v, r, flow.InnerSrcVLAN)
	case opInnerDstVLAN:
		setVLAN(&r.InnerDstVLAN, v, r, flow.InnerDstVLAN)
	case opSrcMAC:
		setMAC(&r.SrcMAC, v, r, flow.SrcMAC)
	case opDstMAC:
		setMAC(&r.DstMAC, v, r, flow.DstMAC)
	case opPostSrcMAC:
		if !r.Sent(flow.SrcMAC) {
			setMAC(&r.SrcMAC, v, r, flow.SrcMAC)
		}
	case opPostDstMAC:
		if !r.Sent(flow.DstMAC) {
			setMAC(&r.DstMAC, v, r, flow.DstMAC)
		}
	case opMPLSTopType:
		r.MPLSTopLabelType = unsigned8(v)
		r.Has |= flow.MPLSTopLabelType
	case opMPLSTopAddr4, opMPLSTopAddr6:
		setAddr(&r.MPLSTopLabelAddr, v, r, flow.MPLSTopLabelAddr)
	case opMPLSPseudowire:
		r.MPLSPseudowire = unsigned32(v)
		r.Has |= flow.MPLSPseudowire
	case opMPLSRD:
		if len(v) == 8 {
			r.MPLSRD = [8]byte(v)
			r.Has |= flow.MPLSRD
		}
	case opIngressVRF:
		r.IngressVRF = unsigned32(v)
		r.Has |= flow.IngressVRF
	case opEgressVRF:
		r.EgressVRF = unsigned32(v)
		r.Has |= flow.EgressVRF
	case opPostNATSrcAddr4, opPostNATSrcAddr6:
		setAddr(&r.PostNATSrcAddr, v, r, flow.PostNATSrcAddr)
	case opPostNATDstAddr4, opPostNATDstAddr6:
		setAddr(&r.PostNATDstAddr, v, r, flow.PostNATDstAddr)
	case opPostNATSrcPort:
		r.PostNATSrcPort = unsigned16(v)
		r.Has |= flow.PostNATSrcPort
	case opPostNATDstPort:
		r.PostNATDstPort = unsigned16(v)
		r.Has |= flow.PostNATDstPort
	case opNATEvent:
		r.NATEvent = unsigned8(v)
		r.Has |= flow.NATEvent
	case opFirewallEvent:
		r.FirewallEvent = unsigned8(v)
		r.Has |= flow.FirewallEvent
	case opForwardingStatus:
		r.ForwardingStatus = low8(v)
		r.Has |= flow.ForwardingStatus
	case opFlowEndReason:
		r.FlowEndReason = unsigned8(v)
		r.Has |= flow.FlowEndReason
	case opSRv6Segments:
		w.segments(d, v, r)
	case opExporter4, opExporter6:
		if a, ok := addr(v); ok && !a.IsUnspecified() {
			r.Exporter = a
		}
	default:
		w.fill(s, v, c)
	}
}

// fill takes the values that only finish can make sense of.
func (w *raw) fill(s *step, v []byte, c *context) {
	switch s.op {
	case opBytesTotal:
		w.bytesTotal.set(v)
	case opPacketsTotal:
		w.packetsTotal.set(v)
	case opBytesOut:
		w.bytesOut.set(v)
	case opPacketsOut:
		w.packetsOut.set(v)
	case opBytesInitiator:
		w.bytesInitiator.set(v)
	case opPacketsInitiator:
		w.packetsInitiator.set(v)
	case opBytesLayer2:
		w.bytesLayer2.set(v)
	case opReverseBytes, opReverseBytesTotal:
		w.reverseBytes.set(v)
	case opReversePackets, opReversePacketsTotal:
		w.reversePackets.set(v)
	case opReverseTCPFlags:
		w.reverseTCPFlags = low16(v)
	case opReverseStart:
		w.reverseStartMs = millis(s.arg, v, c.exportMs)
	case opReverseEnd:
		w.reverseEndMs = millis(s.arg, v, c.exportMs)
	case opStartSeconds:
		w.setStart(millis(formSeconds, v, c.exportMs))
	case opEndSeconds:
		w.setEnd(millis(formSeconds, v, c.exportMs))
	case opStartMicros:
		w.setStart(millis(formMicros, v, c.exportMs))
	case opEndMicros:
		w.setEnd(millis(formMicros, v, c.exportMs))
	case opStartNanos:
		w.setStart(millis(formNanos, v, c.exportMs))
	case opEndNanos:
		w.setEnd(millis(formNanos, v, c.exportMs))
	case opStartDelta: // microseconds before the export time (RFC 5102 §5.9)
		w.setStart(c.exportMs - int64(min(unsigned(v), math.MaxUint32)/1000))
	case opEndDelta:
		w.setEnd(c.exportMs - int64(min(unsigned(v), math.MaxUint32)/1000))
	case opDurationMillis:
		w.durationMicros, w.hasDuration = min(unsigned(v), 1<<40)*1000, true
	case opDurationMicros:
		w.durationMicros, w.hasDuration = min(unsigned(v), 1<<50), true
	case opObserved:
		if !w.hasObserved {
			w.observedMs, w.hasObserved = millis(s.arg, v, c.exportMs), true
		}
	case opInitTime:
		w.initMs = millis(formMillis, v, c.exportMs)
	case opIPVersion:
		w.ipVersion = unsigned8(v)
	case opSamplerID:
		if n := unsigned(v); n != 0 || !w.hasSampler {
			w.samplerID, w.hasSampler = n, true
		}
	case opSamplingInterval:
		if n := unsigned(v); n != 0 {
			w.samplingInterval = n
		}
	case opSamplingPacketInterval:
		w.interval = unsigned(v)
	case opSamplingPacketSpace:
		w.space, w.hasSpace = unsigned(v), true
	case opSamplingSize:
		w.sampleSize = unsigned(v)
	case opSamplingPopulation:
		w.population = unsigned(v)
	case opSamplingProbability:
		w.probability = float(v)
	case opFrameSize:
		w.frameSize = unsigned(v)
	case opFrameLink, opFrameIP:
		if w.frame == nil && len(v) > 0 {
			w.frame, w.frameIP = v, s.op == opFrameIP
		}
	case opLinkType:
		w.linkType = unsigned(v)
	}
}

// setAddr takes an address; where a template has one of each family the one that is not empty counts.
func setAddr(to *flow.Addr, v []byte, r *flow.Record, f flow.Fields) {
	a, ok := addr(v)
	if ok && (!r.Sent(f) || to.IsUnspecified()) {
		*to = a
		r.Has |= f
	}
}

// setPrefix takes a prefix in place of an address that was not sent.
func setPrefix(four, six *flow.Addr, v []byte, r *flow.Record, f flow.Fields) {
	if r.Sent(f) {
		return
	}
	switch a, _ := addr(v); len(v) {
	case 4:
		*four = a
		r.Has |= f
	case 16:
		*six = a
		r.Has |= f
	}
}

// setVLAN takes a VLAN id without priority bits; of several elements the first with a value counts.
func setVLAN(to *uint16, v []byte, r *flow.Record, f flow.Fields) {
	if id := low16(v) & 0xfff; id != 0 || !r.Sent(f) {
		if *to == 0 {
			*to = id
		}
		r.Has |= f
	}
}

func setMAC(to *[6]byte, v []byte, r *flow.Record, f flow.Fields) {
	if len(v) == 6 {
		*to = [6]byte(v)
		r.Has |= f
	}
}

// segments takes a list of SRv6 segments (RFC 9487 §3.4), which is sent bottom first.
func (w *raw) segments(d *Decoder, v []byte, r *flow.Record) {
	n := len(v) / 16
	if n == 0 {
		return
	}
	r.SRv6Segments = d.batch.Addrs(n)
	for ; n > 0; n-- {
		r.SRv6Segments = append(r.SRv6Segments, flow.Addr(v[:16]))
		v = v[16:]
	}
	r.Has |= flow.SRv6Segments
}
