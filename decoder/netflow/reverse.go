package netflow

import "github.com/metranova/flow-collector/decoder/flow"

// reversedValue is a value of a biflow's other direction, valid as long as the datagram.
type reversedValue struct {
	op    opcode
	arg   uint8
	value []byte
}

// maxReversed limits those of one record: there are not more elements that may differ between directions.
const maxReversed = 64

// keepReversed keeps a value for the record of the other direction.
func (d *Decoder) keepReversed(s *step, value []byte) {
	if d.reversed == nil {
		d.reversed = make([]reversedValue, 0, maxReversed)
	}
	if len(d.reversed) < maxReversed {
		d.reversed = append(d.reversed, reversedValue{s.of, s.arg, value})
	}
}

// otherDirection is a record with only the values that were sent for the other direction, before they are copied.
type otherDirection struct {
	record flow.Record
	raw    raw
}

// takeReversed fills in the values that were sent for the other direction. In n their elements mean what they mean in a
// record of one direction.
func (d *Decoder) takeReversed(n *flow.Record, s *session, c *context) {
	own := &d.other
	*own = otherDirection{}
	o, w := &own.record, &own.raw
	w.initMs = d.raw.initMs // of the device, for uptimes of both directions
	for _, v := range d.reversed {
		if v.op >= opcodeCount {
			e := &simpleElements[v.op-opcodeCount]
			e.set(n, v.value)
			o.Has |= e.sent
			continue
		}
		one := [1]step{{op: v.op, arg: v.arg, length: uint16(len(v.value))}}
		d.fill(one[:], v.value, o, w, c)
		o.Has |= sentBy(v.op)
	}
	w.finishInterfaces(o)
	if w.startForm|w.endForm != noTime || w.hasFirst || w.hasLast || w.hasDuration {
		finishTimes(o, w, s, c)
	}
	if o.Has&flow.ICMP != 0 {
		n.ICMPType, n.ICMPCode = o.ICMPType, o.ICMPCode
	}
	if o.Has&(flow.Start|flow.End) != 0 {
		n.StartMs, n.EndMs = o.StartMs, o.EndMs
	}
	take(o, flow.ToS, &n.ToS, o.ToS)
	take(o, flow.TCPFlags, &n.TCPFlags, o.TCPFlags)
	take(o, flow.InIf, &n.InIf, o.InIf)
	take(o, flow.OutIf, &n.OutIf, o.OutIf)
	take(o, flow.SrcVLAN, &n.SrcVLAN, o.SrcVLAN)
	take(o, flow.DstVLAN, &n.DstVLAN, o.DstVLAN)
	take(o, flow.InnerSrcVLAN, &n.InnerSrcVLAN, o.InnerSrcVLAN)
	take(o, flow.InnerDstVLAN, &n.InnerDstVLAN, o.InnerDstVLAN)
	take(o, flow.SrcMAC, &n.SrcMAC, o.SrcMAC)
	take(o, flow.DstMAC, &n.DstMAC, o.DstMAC)
	take(o, flow.NextHop, &n.NextHop, o.NextHop)
	take(o, flow.BGPNextHop, &n.BGPNextHop, o.BGPNextHop)
	take(o, flow.SrcAS, &n.SrcAS, o.SrcAS)
	take(o, flow.DstAS, &n.DstAS, o.DstAS)
	take(o, flow.PostNATSrcAddr, &n.PostNATSrcAddr, o.PostNATSrcAddr)
	take(o, flow.PostNATDstAddr, &n.PostNATDstAddr, o.PostNATDstAddr)
	take(o, flow.Direction, &n.Direction, o.Direction)
	n.Has |= o.Has
}

// take copies a value that was sent for the other direction.
func take[T any](o *flow.Record, field flow.Fields, to *T, value T) {
	if o.Has&field != 0 {
		*to = value
	}
}

// reverse makes n the other direction of a biflow (RFC 5103 §3). forward is the flow's own direction.
func (d *Decoder) reverse(n, forward *flow.Record, w *raw, s *session, c *context) {
	*n = *forward
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
	n.PostNATSrcAddr, n.PostNATDstAddr = forward.PostNATDstAddr, forward.PostNATSrcAddr
	n.PostNATSrcPort, n.PostNATDstPort = forward.PostNATDstPort, forward.PostNATSrcPort
	n.NextHop, n.BGPNextHop, n.SRv6Segments = flow.Addr{}, flow.Addr{}, nil
	n.Has = swapDirections(forward.Has) &^ (flow.NextHop | flow.BGPNextHop | flow.SRv6Segments | flow.TCPFlags |
		flow.Bytes | flow.Packets)
	n.TCPFlags = 0
	if w.reverseBytes.sent {
		n.Has |= flow.Bytes
	}
	if w.reversePackets.sent {
		n.Has |= flow.Packets
	}
	if len(d.reversed) > 0 {
		d.takeReversed(n, s, c)
	}
	finishVLAN(n)
}

// swapDirections swaps the bits of fields that belong to one end.
func swapDirections(has flow.Fields) flow.Fields {
	out := has
	for _, p := range [...][2]flow.Fields{
		{flow.SrcAddr, flow.DstAddr}, {flow.SrcPort, flow.DstPort}, {flow.SrcAS, flow.DstAS},
		{flow.SrcMask, flow.DstMask},
		{flow.SrcMAC, flow.DstMAC}, {flow.InIf, flow.OutIf}, {flow.SrcVLAN, flow.DstVLAN},
		{flow.InnerSrcVLAN, flow.InnerDstVLAN}, {flow.PeerSrcAS, flow.PeerDstAS}, {flow.IngressVRF, flow.EgressVRF},
		{flow.PostNATSrcAddr, flow.PostNATDstAddr}, {flow.PostNATSrcPort, flow.PostNATDstPort},
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
