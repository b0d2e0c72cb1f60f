package netflow

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/packet"
)

// link80211 is dataLinkFrameType's value for IEEE 802.11 (RFC 7133 §4.5). Without the element a frame is Ethernet.
const link80211 = 2

// finishFrame reads a sampled packet header (IE 315, 104, 313) into the record. Such a record is one packet. Its size
// is the frame's size as the exporter states it (IE 312, 103), minus the link header, else the length in the IP header.
func (d *Decoder) finishFrame(r *flow.Record, w *raw, s *session) {
	first := packet.Ethernet
	switch {
	case w.frameIP:
		first = packet.IP
	case w.linkType == link80211:
		first = packet.IEEE80211
	}
	info := packet.Options{Inner: d.o.Inner}.Parse(w.frame, first, r)
	if !info.IP {
		s.stream.Fail(exporter.NotIP, 1)
	}
	if !r.Sent(flow.Packets) {
		r.Packets = 1
		r.Has |= flow.Packets
	}
	if r.Sent(flow.Bytes) {
		return
	}
	switch {
	case info.NetworkLength > 0:
		r.Bytes = uint64(info.NetworkLength)
	case w.frameSize > uint64(info.LinkLength):
		r.Bytes = w.frameSize - uint64(info.LinkLength)
	default:
		return
	}
	r.Has |= flow.Bytes
}
