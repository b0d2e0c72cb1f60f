package netflow

import (
	"cmp"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// egress is flowDirection's value for traffic that leaves (IE 61).
const egress = 1

// finish turns a record's raw values into fields, by rules that need several of them.
func (d *Decoder) finish(t *template, r *flow.Record, w *raw, s *session, c *context) {
	finishAddresses(t, r, w)
	finishTimes(r, w, s, c)
	if t.protocol != 0 {
		finishProtocol(t, r)
	}
	if r.Protocol == flow.IPFIX || r.Protocol == flow.NetFlowV9 {
		finishPorts(r, w)
	}
	finishVLAN(r)
	if t.traits&hasRare != 0 {
		w.finishInterfaces(r)
	}
	if t.traits&station != 0 {
		finishStation(r, w)
	}
	d.finishCounters(t, r, w, s, c)
	if r.Has&(flow.IngressVRF|flow.EgressVRF) != 0 {
		s.source.distinguish(r)
	}
	if t.traits&hasMPLS != 0 {
		r.MPLSElements = t.labels
		finishMPLS(r)
	}
	if t.traits&hasFrame != 0 && w.frame != nil {
		d.finishFrame(r, w, s)
	}
	if t.traits&dualHop != 0 {
		finishHops(r, w)
	}
	s.sample(t, r, w)
	s.source.overrides.Apply(r)
}

// finishAddresses chooses the address family. A template may have both, with one of them empty: IE 60 decides, else the
// one that is not empty (case 18).
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
		// Exporters send IE 9 and 13 for IPv6 too, and the tunnel's IE 29 and 30 next to an inner IPv4 header.
		r.SrcMask, r.DstMask = cmp.Or(w.mask6Src, w.mask4Src), cmp.Or(w.mask6Dst, w.mask4Dst)
		return
	}
	r.IPVersion = 4
	r.SrcAddr, r.DstAddr = w.src4, w.dst4
	r.SrcMask, r.DstMask = cmp.Or(w.mask4Src, w.mask6Src), cmp.Or(w.mask4Dst, w.mask6Dst)
}

// finishHops chooses the next hops of the flow's own family, or the other family's if that is empty: 0.0.0.0 and ::
// mean "none" (case 67). If there is a sampled frame, it has determined the flow's family.
func finishHops(r *flow.Record, w *raw) {
	ownHop(r.IPVersion, &r.NextHop, &w.nextHop6)
	ownHop(r.IPVersion, &r.BGPNextHop, &w.bgpNextHop6)
	ownHop(r.IPVersion, &r.MPLSTopLabelAddr, &w.mplsTop6)
}

// ownHop makes hop, which holds the IPv4 address, the one of the flow's family.
func ownHop(version uint8, hop *flow.Addr, six *secondAddr) {
	if !six.sent {
		return
	}
	own, other := *hop, six.addr
	if version == 6 {
		own, other = other, own
	}
	if own.IsUnspecified() && !other.IsUnspecified() {
		own = other
	}
	*hop = own
}

// finishStation stores the addresses of a wireless station (IE 365, 366): as the flow's source, or as its destination
// if the flow goes to the station (flow direction 1). Elements that name an end have precedence.
func finishStation(r *flow.Record, w *raw) {
	if w.hasStation && !w.station.IsUnspecified() {
		stationEnd(r, w.station, &r.SrcAddr, &r.DstAddr, flow.SrcAddr, flow.DstAddr)
		r.IPVersion = max(r.IPVersion, 4)
	}
	if w.hasStationMAC {
		stationEnd(r, w.stationMAC, &r.SrcMAC, &r.DstMAC, flow.SrcMAC, flow.DstMAC)
	}
}

// stationEnd sets the source's or the destination's field to a station's value, unless that field was sent.
func stationEnd[T any](r *flow.Record, value T, src, dst *T, srcField, dstField flow.Fields) {
	to, field := src, srcField
	if r.Sent(flow.Direction) && r.Direction == egress {
		to, field = dst, dstField
	}
	if !r.Sent(field) {
		*to = value
		r.Has |= field
	}
}

// distinguish sets the route distinguisher from the option record of the record's VRF: that of the side where it was
// metered, else the other. One in the record itself has precedence.
func (src *source) distinguish(r *flow.Record) {
	if src.names == nil || len(src.names.RD) == 0 || r.MPLSRD != [8]byte{} {
		return
	}
	var in, out [8]byte
	if r.Sent(flow.IngressVRF) {
		in = src.names.RD[r.IngressVRF]
	}
	if r.Sent(flow.EgressVRF) {
		out = src.names.RD[r.EgressVRF]
	}
	if r.Direction == egress {
		in, out = out, in
	}
	if in == ([8]byte{}) {
		in = out
	}
	if in != ([8]byte{}) {
		r.MPLSRD = in
		r.Has |= flow.MPLSRD
	}
}

// finishCounters uses the first of the elements that was sent: deltas, totals, egress counters, a firewall's, layer 2.
// If both sides of an interface were sent, the direction decides; a side that counted nothing is never used.
func (d *Decoder) finishCounters(t *template, r *flow.Record, w *raw, s *session, c *context) {
	bytes, packets := w.bytes, w.packets
	if t.traits&hasRare != 0 {
		bytes, packets = w.counters(r)
		if t.traits&responder != 0 {
			w.takeResponder()
			if bytes == w.bytesInitiator && packets == w.packetsInitiator {
				d.subtractUpdates(r, w, s, c, &[4]*counter{&bytes, &packets, &w.reverseBytes, &w.reversePackets})
			}
		}
		if t.traits&hasTotals != 0 {
			which := w.reverseTotals
			if !w.bytes.sent && bytes == w.bytesTotal {
				which |= 1 << totalBytes
			}
			if !w.packets.sent && packets == w.packetsTotal {
				which |= 1 << totalPackets
			}
			d.subtract(r, w, s, c, &[4]*counter{&bytes, &packets, &w.reverseBytes, &w.reversePackets}, which)
		}
	}
	if bytes.sent {
		r.Bytes = bytes.n
		r.Has |= flow.Bytes
	}
	if packets.sent {
		r.Packets = packets.n
		r.Has |= flow.Packets
	}
	if int64(r.Bytes|r.Packets) < 0 || t.traits&hasRare != 0 && int64(w.reverseBytes.n|w.reversePackets.n) < 0 {
		if notNegative(&r.Bytes, &r.Packets, &w.reverseBytes.n, &w.reversePackets.n) {
			s.read(exporter.CountersNegative)
		}
	}
}

// notNegative replaces counters by 0 that are a difference below zero (Antrea). It reports whether there was any.
func notNegative(counters ...*uint64) (any bool) {
	const least = -1 << 48
	for _, c := range counters {
		if n := int64(*c); n < 0 && n > least {
			*c, any = 0, true
		}
	}
	return any
}

// counters returns the first counters that were sent. A value of 0 gives way to the following ones, because some
// exporters fill in only one of several, except for totals: a delta of 0 next to totals means that nothing was added.
func (w *raw) counters(r *flow.Record) (bytes, packets counter) {
	bytes, packets = w.bytes, w.packets
	if w.bytesOut.n != 0 && r.Direction == egress {
		bytes = w.bytesOut
	}
	if w.packetsOut.n != 0 && r.Direction == egress {
		packets = w.packetsOut
	}
	bytes.orTotal(&w.bytesTotal)
	packets.orTotal(&w.packetsTotal)
	if !w.bytesTotal.sent {
		bytes.or(&w.bytesOut)
		bytes.or(&w.bytesInitiator)
		bytes.or(&w.bytesLayer2)
	}
	if !w.packetsTotal.sent {
		packets.or(&w.packetsOut)
		packets.or(&w.packetsInitiator)
	}
	return bytes, packets
}

func (c *counter) orTotal(total *counter) {
	if !c.sent {
		*c = *total
	}
}

func (c *counter) or(next *counter) {
	if !c.sent || c.n == 0 && next.n != 0 {
		*c = *next
	}
}

// takeResponder uses a firewall's responder counters (IE 232, 299) as those of the other direction. Next to counters of
// the whole flow they are a part of these, and not a flow of their own.
func (w *raw) takeResponder() {
	if w.bytesTotal.sent || w.packetsTotal.sent || w.bytes.n|w.packets.n|w.bytesOut.n|w.packetsOut.n != 0 {
		return
	}
	if !w.reverseBytes.sent {
		w.reverseBytes = w.bytesResponder
	}
	if !w.reversePackets.sent {
		w.reversePackets = w.packetsResponder
	}
}

// finishPorts completes ports and ICMP's type and code.
func finishPorts(r *flow.Record, w *raw) {
	if w.hasTransport {
		finishTransportPorts(r, w)
	}
	// Exporters without an element for ICMP send type and code where NetFlow v5 has them (case 8).
	switch isICMP := isICMP(r.IPProtocol); {
	case isICMP && !r.Sent(flow.ICMP) && r.Sent(flow.DstPort):
		r.ICMPType, r.ICMPCode = uint8(r.DstPort>>8), uint8(r.DstPort)
		r.Has |= flow.ICMP
	case !isICMP && r.Has&flow.ICMP != 0 && r.IPProtocol != 0:
		r.Has &^= flow.ICMP // templates for all protocols have the element
	}
}

// finishInterfaces uses the physical interfaces (IE 252, 253) where the logical ones were not sent or are 0.
func (w *raw) finishInterfaces(r *flow.Record) {
	if r.InIf == 0 {
		r.InIf = w.inPhysical
	}
	if r.OutIf == 0 {
		r.OutIf = w.outPhysical
	}
}

// finishTransportPorts uses IE 180-183 if the protocol-independent elements were not sent.
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

// finishVLAN sets the flow's single VLAN: that of the side where it was metered.
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

// finishMPLS counts the stack's entries: up to the bottom of stack, or up to the first empty one.
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

// laterLabel reports whether a non-empty entry follows an explicit null (RFC 3032 §2.1), which is not the end.
func laterLabel(r *flow.Record) bool {
	for _, entry := range r.MPLS[r.MPLSCount:] {
		if entry != 0 {
			return true
		}
	}
	return false
}
