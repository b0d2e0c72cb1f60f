package netflow

import (
	"encoding/binary"
	"github.com/metranova/flow-collector/decoder/flow"
	"math"
)

// raw has the values of a record that only have a meaning together; finish resolves them.
type raw struct {
	usual
	rare
}

// usual has those of nearly every record.
type usual struct {
	bytes, packets          counter
	startMs, endMs          int64
	firstUptime, lastUptime uint32
	src4, dst4, src6, dst6  flow.Addr
	samplerID               uint64
	samplingInterval        uint64
	mask4Src, mask4Dst      uint8
	mask6Src, mask6Dst      uint8
	startForm, endForm      uint8
	hasFirst, hasLast       bool
	hasSampler              bool
}

// rare has those of few templates (hasRare). They are separate so that other records need not clear them.
type rare struct {
	bytesTotal, bytesOut, bytesInitiator, bytesLayer2 counter
	packetsTotal, packetsOut, packetsInitiator        counter
	reverseBytes, reversePackets                      counter
	observedMs                                        int64
	hasObserved                                       bool
	initMs                                            int64
	durationMicros                                    uint64
	hasDuration                                       bool
	interval, space                                   uint64
	hasSpace                                          bool
	sampleSize, population                            uint64
	probability                                       float64
	algorithm                                         uint64    // IE 304
	hash                                              [4]uint64 // IE 329-332: a hash's output and selected range
	parts                                             [4]uint64 // of the exporter, see partAt
	hasParts                                          uint8
	ipVersion                                         uint8
	frame                                             []byte
	frameIP                                           bool
	frameSize                                         uint64
	linkType                                          uint64
	transportSrc, transportDst                        uint16
	hasTransport                                      bool
	bytesResponder, packetsResponder                  counter
	nextHop6, bgpNextHop6, mplsTop6                   secondAddr // if the record has those of IPv4 too
	inPhysical, outPhysical                           uint32     // IE 252, 253
	stationMAC                                        [6]byte
	station                                           flow.Addr
	hasStationMAC, hasStation                         bool
	reverseTotals                                     uint8 // bits of totals.go: which reverse counters are totals
	hasExporter                                       bool  // the record names its exporter, in its source's family
}

// secondHop marks the IPv6 next hop in a template that also has an IPv4 one.
const secondHop = 1

// secondAddr is an IPv6 address next to an IPv4 one.
type secondAddr struct {
	addr flow.Addr
	sent bool
}

// counter is a value that may be absent.
type counter struct {
	n     uint64
	sent  bool
	width uint8 // bytes on the wire
}

func (c *counter) set(b []byte) { c.n, c.sent, c.width = unsigned(b), true, uint8(len(b)) }

// context has what a record needs of its datagram.
type context struct {
	session   *session
	exportMs  int64  // when the datagram was exported, Unix milliseconds: see setClock
	latestMs  int64  // the latest time that a flow of the datagram can have
	shiftMs   int64  // what was added to the header's time if that is impossible
	uptime    uint32 // NetFlow v9: header sysUptime, milliseconds
	hasUptime bool
	received  int64
	sequence  uint32
}

// fill stores the values of a plan's fields. Their lengths fit their elements. The plan says which fields were sent,
// except for those that depend on the value.
func (d *Decoder) fill(plan []step, record []byte, r *flow.Record, w *raw, c *context) {
	for i := range plan {
		s := &plan[i]
		v := record[s.offset:][:s.length]
		switch s.op {
		case opBytes:
			w.bytes.set(v)
		case opPackets:
			w.packets.set(v)
		case opProtocol:
			r.IPProtocol = unsigned8(v)
		case opToS:
			r.ToS = low8(v)
		case opTCPFlags:
			r.TCPFlags = low16(v)
		case opSrcPort:
			r.SrcPort = unsigned16(v)
		case opDstPort:
			r.DstPort = unsigned16(v)
		case opSrcAddr4:
			setAddr4(&w.src4, v)
		case opDstAddr4:
			setAddr4(&w.dst4, v)
		case opSrcAddr6:
			w.src6 = addr6(v)
		case opDstAddr6:
			w.dst6 = addr6(v)
		case opSrcMask:
			if s.arg == v6Mask {
				w.mask6Src = unsigned8(v)
			} else {
				w.mask4Src = unsigned8(v)
			}
		case opDstMask:
			if s.arg == v6Mask {
				w.mask6Dst = unsigned8(v)
			} else {
				w.mask4Dst = unsigned8(v)
			}
		case opInIf:
			r.InIf = unsigned32(v)
		case opOutIf:
			r.OutIf = unsigned32(v)
		case opSrcAS:
			if r.SrcAS = unsigned32(v); len(v) == 2 {
				r.SrcAS = as16(uint16(r.SrcAS))
			}
		case opDstAS:
			if r.DstAS = unsigned32(v); len(v) == 2 {
				r.DstAS = as16(uint16(r.DstAS))
			}
		case opNextHop4, opNextHop6:
			if s.arg == secondHop {
				w.nextHop6 = secondAddr{addr6(v), true}
			} else {
				setAddr(&r.NextHop, v)
			}
		case opBGPNextHop4, opBGPNextHop6:
			if s.arg == secondHop {
				w.bgpNextHop6 = secondAddr{addr6(v), true}
			} else {
				setAddr(&r.BGPNextHop, v)
			}
		case opFirstUptime:
			if len(v) != 4 {
				w.wideUptime(s.op, v, c)
				break
			}
			w.firstUptime, w.hasFirst = binary.BigEndian.Uint32(v), true
		case opLastUptime:
			if len(v) != 4 {
				w.wideUptime(s.op, v, c)
				break
			}
			w.lastUptime, w.hasLast = binary.BigEndian.Uint32(v), true
		case opStartMillis:
			ms, ok := c.millis(formMillis, v)
			w.takeStart(millisTime, ms, ok)
		case opEndMillis:
			ms, ok := c.millis(formMillis, v)
			w.takeEnd(millisTime, ms, ok)
		case opDirection:
			r.Direction = unsigned8(v)
		case opSrcVLAN:
			setVLAN(&r.SrcVLAN, v)
		case opDstVLAN:
			setVLAN(&r.DstVLAN, v)
		case opMPLSLabel:
			r.MPLS[s.arg] = labelEntry(v)
		case opReversed:
			d.keepReversed(s, v)
		default:
			d.fillRare(s.op, s.arg, v, r, w, c)
		}
	}
}

// wideUptime stores an uptime that is not 4 bytes long. It wraps at 2^32, or is a time since 1970.
func (w *raw) wideUptime(op opcode, v []byte, c *context) {
	n := unsigned(v)
	since1970 := n > math.MaxUint32 && c.possible(int64(min(n, 1<<50)))
	switch {
	case op == opFirstUptime && since1970:
		w.setStart(int64(n), millisTime)
	case op == opFirstUptime:
		w.firstUptime, w.hasFirst = uint32(n), true
	case since1970:
		w.setEnd(int64(n), millisTime)
	default:
		w.lastUptime, w.hasLast = uint32(n), true
	}
}

// fillRare is fill for values of few templates. It is separate so that fill stays small.
func (d *Decoder) fillRare(op opcode, arg uint8, v []byte, r *flow.Record, w *raw, c *context) {
	if op >= opcodeCount {
		simpleElements[op-opcodeCount].set(r, v)
		return
	}
	switch op {
	case opTransportSrcPort:
		if n := unsigned16(v); n != 0 || !w.hasTransport {
			w.transportSrc, w.hasTransport = n, true
		}
	case opTransportDstPort:
		if n := unsigned16(v); n != 0 || !w.hasTransport {
			w.transportDst, w.hasTransport = n, true
		}
	case opICMPTypeCode:
		if n := unsigned16(v); n != 0 {
			r.ICMPType, r.ICMPCode = uint8(n>>8), uint8(n)
		}
	case opICMPType:
		if n := unsigned8(v); n != 0 {
			r.ICMPType = n
		}
	case opICMPCode:
		if n := unsigned8(v); n != 0 {
			r.ICMPCode = n
		}
	case opSrcPrefix:
		setPrefix(&w.src4, &w.src6, v)
		r.Has |= flow.SrcAddr
	case opDstPrefix:
		setPrefix(&w.dst4, &w.dst6, v)
		r.Has |= flow.DstAddr
	case opDSCP:
		if n := unsigned8(v); !r.Sent(flow.ToS) {
			r.ToS = n << 2
			r.Has |= flow.ToS
		}
	case opInIfPhysical:
		w.inPhysical = unsigned32(v)
		r.Has |= flow.InIf
	case opOutIfPhysical:
		w.outPhysical = unsigned32(v)
		r.Has |= flow.OutIf
	case opInnerSrcVLAN:
		setVLAN(&r.InnerSrcVLAN, v)
	case opInnerDstVLAN:
		setVLAN(&r.InnerDstVLAN, v)
	case opSrcMAC:
		setMAC(&r.SrcMAC, v)
	case opDstMAC:
		setMAC(&r.DstMAC, v)
	case opPostSrcMAC:
		if r.Has |= flow.SrcMAC; r.SrcMAC == [6]byte{} {
			r.SrcMAC = [6]byte(v)
		}
	case opPostDstMAC:
		if r.Has |= flow.DstMAC; r.DstMAC == [6]byte{} {
			r.DstMAC = [6]byte(v)
		}
	case opMPLSTopAddr4, opMPLSTopAddr6:
		if arg == secondHop {
			w.mplsTop6 = secondAddr{addr6(v), true}
		} else {
			setAddr(&r.MPLSTopLabelAddr, v)
		}
	case opPostNATSrcAddr4, opPostNATSrcAddr6:
		setAddr(&r.PostNATSrcAddr, v)
	case opPostNATDstAddr4, opPostNATDstAddr6:
		setAddr(&r.PostNATDstAddr, v)
	case opSRv6Segments:
		w.segments(d, v, r)
	case opExporter4, opExporter6:
		w.takeExporter(v, &r.Exporter, &r.Source)
	default:
		w.fill(op, arg, v, c)
	}
}

// fill stores the values that finish resolves.
func (w *raw) fill(op opcode, arg uint8, v []byte, c *context) {
	switch op {
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
	case opBytesResponder:
		w.bytesResponder.set(v)
	case opPacketsResponder:
		w.packetsResponder.set(v)
	case opStationMAC:
		w.stationMAC, w.hasStationMAC = [6]byte(v), true
	case opStationAddr4:
		setAddr4(&w.station, v)
		w.hasStation = true
	case opBytesLayer2:
		w.bytesLayer2.set(v)
	case opReverseBytes:
		w.reverseBytes.set(v)
	case opReversePackets:
		w.reversePackets.set(v)
	case opReverseBytesTotal:
		w.reverseBytes.set(v)
		w.reverseTotals |= 1 << totalReverseBytes
	case opReversePacketsTotal:
		w.reversePackets.set(v)
		w.reverseTotals |= 1 << totalReversePackets
	case opStartSeconds:
		ms, ok := c.millis(formSeconds, v)
		w.takeStart(secondsTime, ms, ok)
	case opEndSeconds:
		ms, ok := c.millis(formSeconds, v)
		w.takeEnd(secondsTime, ms, ok)
	case opStartMicros:
		ms, ok := c.millis(formMicros, v)
		w.takeStart(microsTime, ms, ok)
	case opEndMicros:
		ms, ok := c.millis(formMicros, v)
		w.takeEnd(microsTime, ms, ok)
	case opStartNanos:
		ms, ok := c.millis(formNanos, v)
		w.takeStart(nanosTime, ms, ok)
	case opEndNanos:
		ms, ok := c.millis(formNanos, v)
		w.takeEnd(nanosTime, ms, ok)
	case opStartDelta: // microseconds before the export time (RFC 5102 §5.9)
		ms := c.exportMs - deltaMs(v)
		w.takeStart(deltaTime, ms, c.possible(ms))
	case opEndDelta:
		ms := c.exportMs - deltaMs(v)
		w.takeEnd(deltaTime, ms, c.possible(ms))
	case opDurationMillis:
		w.durationMicros, w.hasDuration = min(unsigned(v), 1<<40)*1000, true
	case opDurationMicros:
		w.durationMicros, w.hasDuration = min(unsigned(v), 1<<50), true
	case opObserved:
		if w.observedMs == 0 {
			w.observedMs, _ = c.millis(arg, v)
			w.hasObserved = true
		}
	case opInitTime:
		w.initMs, _ = c.millis(formMillis, v)
	case opIPVersion:
		w.ipVersion = unsigned8(v)
	case opSamplerID:
		if n := unsigned(v); n != 0 || !w.hasSampler {
			w.samplerID, w.hasSampler = n, true
		}
	case opSamplingInterval:
		if n := packetCount(v); n != 0 {
			w.samplingInterval = n
		}
	case opSamplingPacketInterval:
		w.interval = packetCount(v)
	case opSamplingPacketSpace:
		w.space, w.hasSpace = packetCount(v), !unknown(v)
	case opSamplingSize:
		w.sampleSize = packetCount(v)
	case opSamplingPopulation:
		w.population = packetCount(v)
	case opSamplingProbability:
		w.probability = float(v)
	case opSamplingAlgorithm:
		w.algorithm = unsigned(v)
	case opHashRange:
		w.hash[arg] = unsigned(v)
	case opPart:
		w.parts[arg] = unsigned(v)
		w.hasParts |= 1 << arg
	case opFrameSize:
		w.frameSize = unsigned(v)
	case opFrameLink, opFrameIP:
		if w.frame == nil && len(v) > 0 {
			w.frame, w.frameIP = v, op == opFrameIP
		}
	case opLinkType:
		w.linkType = unsigned(v)
	}
}

// takeExporter stores an address that an exporter states (IE 130, 131). One that cannot be a device's is ignored. If
// there is one of each family, the family of the exporter's own packets counts.
func (w *raw) takeExporter(v []byte, to, source *flow.Addr) {
	a, ok := addr(v)
	if !ok || !a.NamesDevice() || w.hasExporter {
		return
	}
	*to = a
	w.hasExporter = a.Is4() == source.Is4()
}

// setAddr stores an address. If a template has both families, the address that is not empty counts.
func setAddr(to *flow.Addr, v []byte) {
	switch {
	case !to.IsUnspecified():
	case len(v) == 4:
		*to = flow.Addr{}
		setAddr4(to, v)
	default:
		*to = addr6(v)
	}
}

// setPrefix stores a prefix in place of an address of its family that the template does not have: see standIn.
func setPrefix(four, six *flow.Addr, v []byte) {
	if len(v) == 4 {
		*four = flow.Addr{}
		setAddr4(four, v)
	} else {
		*six = addr6(v)
	}
}

// setMAC stores the address of the side where the flow was metered. An empty one gives way to that behind it (IE 81,
// 57), wherever that is in the record.
func setMAC(to *[6]byte, v []byte) {
	if mac := [6]byte(v); mac != [6]byte{} {
		*to = mac
	}
}

// setVLAN stores a VLAN id without priority bits. Of several elements the first with a value counts.
func setVLAN(to *uint16, v []byte) {
	if *to == 0 {
		*to = low16(v) & 0xfff
	}
}

// segments stores a list of SRv6 segments (RFC 9487 §3.4), which is sent bottom first.
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
