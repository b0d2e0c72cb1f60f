package netflow

import (
	"cmp"
	"math"

	"github.com/metranova/flow-collector/decoder/flow"
)

// egress is flowDirection's value for traffic that leaves (IE 61).
const egress = 1

// finish turns a record's raw values into fields, by rules that need several of them.
func (d *Decoder) finish(t *template, r *flow.Record, w *raw, s *session, c *context) {
	finishAddresses(t, r, w)
	finishCounters(t, r, w)
	finishTimes(r, w, s, c)
	if r.Protocol == flow.IPFIX || r.Protocol == flow.NetFlowV9 {
		finishPorts(r, w)
	}
	finishVLAN(r)
	if t.traits&hasMPLS != 0 {
		r.MPLSElements = t.labels
		finishMPLS(r)
	}
	if t.traits&hasFrame != 0 && w.frame != nil {
		d.finishFrame(r, w, s)
	}
	s.sampling.apply(r, w)
	s.source.overrides.Apply(r)
}

// finishAddresses decides between the families. A template may have both, with one of them empty: IE 60 says which, else
// the one that is not (protocol case 18).
func finishAddresses(t *template, r *flow.Record, w *raw) {
	six := w.src4 == (flow.Addr{}) && w.dst4 == (flow.Addr{})
	if t.traits&dualStack != 0 {
		switch {
		case w.ipVersion == 6:
			six = true
		case w.ipVersion == 4:
			six = false
		default:
			six = w.src4.IsUnspecified() && w.dst4.IsUnspecified() &&
				!(w.src6.IsUnspecified() && w.dst6.IsUnspecified())
		}
	}
	if !r.Sent(flow.SrcAddr) && !r.Sent(flow.DstAddr) {
		r.SrcMask, r.DstMask = max(w.mask4Src, w.mask6Src), max(w.mask4Dst, w.mask6Dst)
		return
	}
	if six {
		r.IPVersion = 6
		r.SrcAddr, r.DstAddr = w.src6, w.dst6
		// Exporters send IE 9 and 13 for IPv6 too, and the tunnel's 29 and 30 beside an inner IPv4 header.
		r.SrcMask, r.DstMask = cmp.Or(w.mask6Src, w.mask4Src), cmp.Or(w.mask6Dst, w.mask4Dst)
		return
	}
	r.IPVersion = 4
	r.SrcAddr, r.DstAddr = w.src4, w.dst4
	r.SrcMask, r.DstMask = cmp.Or(w.mask4Src, w.mask6Src), cmp.Or(w.mask4Dst, w.mask6Dst)
}

// finishCounters takes the first of the elements that was sent: deltas, totals, those of the egress side, a firewall's,
// layer 2. With both sides of an interface the direction decides, and a side that counted nothing never does.
func finishCounters(t *template, r *flow.Record, w *raw) {
	bytes, packets := w.bytes, w.packets
	if t.traits&hasRare != 0 {
		bytes, packets = w.counters(r)
	}
	if bytes.sent {
		r.Bytes = bytes.n
		r.Has |= flow.Bytes
	}
	if packets.sent {
		r.Packets = packets.n
		r.Has |= flow.Packets
	}
}

func (w *raw) counters(r *flow.Record) (bytes, packets counter) {
	bytes, packets = w.bytes, w.packets
	if w.bytesOut.n != 0 && (r.Direction == egress || bytes.n == 0 && !w.bytesTotal.sent) {
		bytes = w.bytesOut
	}
	if w.packetsOut.n != 0 && (r.Direction == egress || packets.n == 0 && !w.packetsTotal.sent) {
		packets = w.packetsOut
	}
	for _, next := range [...]counter{w.bytesTotal, w.bytesOut, w.bytesInitiator, w.bytesLayer2} {
		if bytes.sent {
			break
		}
		bytes = next
	}
	for _, next := range [...]counter{w.packetsTotal, w.packetsOut, w.packetsInitiator} {
		if packets.sent {
			break
		}
		packets = next
	}
	return bytes, packets
}

// finishTimes resolves the forms of time (RFC 7011 §6.1, RFC 3954 §8, RFC 5102 §5.9).
func finishTimes(r *flow.Record, w *raw, s *session, c *context) {
	if w.hasFirst || w.hasLast {
		w.uptimes(s, c)
	}
	if w.hasObserved && !w.hasStart {
		w.setStart(w.observedMs)
	}
	// A zero end stands for "not known", as in exporters' event records.
	if w.hasEnd && w.endMs == 0 {
		w.hasEnd = false
	}
	if w.hasStart && w.startMs == 0 && w.hasEnd {
		w.hasStart = false
	}
	duration := int64(w.durationMicros / 1000)
	switch {
	case w.hasStart && !w.hasEnd && w.hasDuration:
		w.setEnd(w.startMs + duration)
	case w.hasEnd && !w.hasStart && w.hasDuration:
		w.setStart(w.endMs - duration)
	}
	if w.hasStart {
		r.Has |= flow.Start
	}
	if w.hasEnd {
		r.Has |= flow.End
	}
	switch {
	case !w.hasStart && !w.hasEnd:
		w.startMs, w.endMs = c.exportMs, c.exportMs
	case !w.hasStart:
		w.startMs = w.endMs
	case !w.hasEnd:
		w.endMs = w.startMs
	}
	// An end before the start is the exporter's mistake, and shown as such.
	r.StartMs, r.EndMs = w.startMs, w.endMs
}

// uptimes turns IE 22 and 21 into times: relative to the header's sysUptime (v9), or to the device's start (IE 160), which
// the record or an option record says. IPFIX without either cannot place them.
func (w *raw) uptimes(s *session, c *context) {
	initMs := w.initMs
	if initMs == 0 {
		initMs = s.source.initMs
	}
	if !c.hasUptime && initMs == 0 {
		return
	}
	if w.hasFirst {
		w.setStart(c.uptimeMs(w.firstUptime, initMs))
	}
	if w.hasLast {
		w.setEnd(c.uptimeMs(w.lastUptime, initMs))
	}
}

func (c *context) uptimeMs(at uint32, initMs int64) int64 {
	if c.hasUptime {
		return c.exportMs - age(c.uptime, at)
	}
	return sinceInit(initMs, at, c.exportMs)
}

// skewMs is how far a flow's time may lie after the header's before it counts as one from before the wrap.
const skewMs = 3600 * 1000

// age is how long before the header's uptime a flow's was, in milliseconds. Both wrap every 49.7 days, so the difference
// is taken modulo 2^32; one of nearly 2^32 is an exporter whose flow ended after it had filled in the header.
func age(uptime, at uint32) int64 {
	diff := uptime - at
	if diff > math.MaxUint32-skewMs {
		return int64(int32(diff))
	}
	return int64(diff)
}

// sinceInit places an uptime after the device's start: in the turn of the 32-bit counter that lies next to the export time.
func sinceInit(initMs int64, at uint32, exportMs int64) int64 {
	t := initMs + int64(at)
	if behind := exportMs + skewMs - t; behind > math.MaxUint32 {
		t += behind / (1 << 32) * (1 << 32)
	}
	return t
}

// finishPorts completes ports and ICMP's type and code.
func finishPorts(r *flow.Record, w *raw) {
	if w.hasTransport {
		finishTransportPorts(r, w)
	}
	// Exporters without an element for ICMP put type and code where NetFlow v5 has them (case 8).
	if (r.IPProtocol == protocolICMP || r.IPProtocol == protocolICMPv6) && !r.Sent(flow.ICMP) && r.Sent(flow.DstPort) {
		r.ICMPType, r.ICMPCode = uint8(r.DstPort>>8), uint8(r.DstPort)
		r.Has |= flow.ICMP
	}
}

// finishTransportPorts takes IE 180-183 where the protocol-independent elements were not sent.
func finishTransportPorts(r *flow.Record, w *raw) {
	if !r.Sent(flow.SrcPort) {
		r.SrcPort = w.transportSrc
		r.Has |= flow.SrcPort
	}
	if !r.Sent(flow.DstPort) {
		r.DstPort = w.transportDst
		r.Has |= flow.DstPort
	}
}

// finishVLAN takes the flow's one VLAN: that of the side where it was measured.
func finishVLAN(r *flow.Record) {
	if r.Has&(flow.SrcVLAN|flow.DstVLAN) == 0 {
		return
	}
	r.VLAN = r.SrcVLAN
	if r.VLAN == 0 {
		r.VLAN = r.DstVLAN
	}
	r.Has |= flow.VLAN
}

// finishMPLS counts the stack's entries: up to the bottom of stack, or to the first that is empty.
func finishMPLS(r *flow.Record) {
	r.Has |= flow.MPLS
	for r.MPLSCount = 0; int(r.MPLSCount) < len(r.MPLS); {
		entry := r.MPLS[r.MPLSCount]
		if entry == 0 && !laterLabel(r) {
			return
		}
		r.MPLSCount++
		if entry&1 != 0 {
			return
		}
	}
}

// laterLabel reports whether an entry that is not empty follows an explicit null (RFC 3032 §2.1), which is no end.
func laterLabel(r *flow.Record) bool {
	for _, entry := range r.MPLS[r.MPLSCount:] {
		if entry != 0 {
			return true
		}
	}
	return false
}

// reverse makes the other direction of a biflow a record of its own (RFC 5103 §3), where it has packets.
func (d *Decoder) reverse(r *flow.Record, w *raw) {
	if w.reversePackets.n == 0 && w.reverseBytes.n == 0 {
		return
	}
	forward := *r
	n := d.batch.Next()
	*n = forward
	n.SrcAddr, n.DstAddr = forward.DstAddr, forward.SrcAddr
	n.SrcPort, n.DstPort = forward.DstPort, forward.SrcPort
	n.SrcAS, n.DstAS = forward.DstAS, forward.SrcAS
	n.SrcMask, n.DstMask = forward.DstMask, forward.SrcMask
	n.SrcMAC, n.DstMAC = forward.DstMAC, forward.SrcMAC
	n.InIf, n.OutIf = forward.OutIf, forward.InIf
	n.SrcVLAN, n.DstVLAN = forward.DstVLAN, forward.SrcVLAN
	n.InnerSrcVLAN, n.InnerDstVLAN = forward.InnerDstVLAN, forward.InnerSrcVLAN
	n.PeerSrcAS, n.PeerDstAS = forward.PeerDstAS, forward.PeerSrcAS
	n.IngressVRF, n.EgressVRF = forward.EgressVRF, forward.IngressVRF
	n.Bytes, n.Packets = w.reverseBytes.n, w.reversePackets.n
	n.TCPFlags = w.reverseTCPFlags
	n.NextHop, n.BGPNextHop, n.SRv6Segments = flow.Addr{}, flow.Addr{}, nil
	n.Has = swapDirections(forward.Has) &^ (flow.NextHop | flow.BGPNextHop | flow.SRv6Segments)
	finishVLAN(n)
	if w.reverseStartMs != 0 {
		n.StartMs = w.reverseStartMs
	}
	if w.reverseEndMs != 0 {
		n.EndMs = max(w.reverseEndMs, n.StartMs)
	}
	d.count(n)
}

// swapDirections exchanges the bits of fields that belong to one end.
func swapDirections(has flow.Fields) flow.Fields {
	out := has
	for _, p := range [...][2]flow.Fields{
		{flow.SrcAddr, flow.DstAddr}, {flow.SrcPort, flow.DstPort}, {flow.SrcAS, flow.DstAS}, {flow.SrcMask, flow.DstMask},
		{flow.SrcMAC, flow.DstMAC}, {flow.InIf, flow.OutIf}, {flow.SrcVLAN, flow.DstVLAN},
		{flow.InnerSrcVLAN, flow.InnerDstVLAN}, {flow.PeerSrcAS, flow.PeerDstAS}, {flow.IngressVRF, flow.EgressVRF},
	} {
		out &^= p[0] | p[1]
		if has&p[0] != 0 {
			out |= p[1]
		}
		if has&p[1] != 0 {
			out |= p[0]
		}
	}
	return out
}
