package sflow

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// noVLAN is the first value that is not a VLAN id (reserved by IEEE 802.1Q). Agents send it, or 0xffffffff, for
// "unknown".
const noVLAN = 4095

// switched reads extended_switch. The row's VLAN is the one that pmacct shows, including ids for "unknown" (65535).
func switched(f *flow.Record, r *reader) bool {
	in := r.uint32()
	r.skip(4) // priority
	out := r.uint32()
	r.skip(4)
	if r.failed {
		return false
	}
	f.VLAN = uint16(in)
	if f.VLAN == 0 {
		f.VLAN = uint16(out)
	}
	f.Has |= flow.VLAN
	if in < noVLAN {
		f.SrcVLAN = uint16(in)
		f.Has |= flow.SrcVLAN
	}
	if out < noVLAN {
		f.DstVLAN = uint16(out)
		f.Has |= flow.DstVLAN
	}
	return true
}

// router reads extended_router.
func router(f *flow.Record, r *reader) bool {
	next := r.address()
	src, dst := r.uint32(), r.uint32()
	if r.failed {
		return false
	}
	f.NextHop = next
	f.SrcMask, f.DstMask = uint8(src), uint8(dst)
	f.Has |= flow.NextHop | flow.SrcMask | flow.DstMask
	return true
}

// gateway reads extended_gateway of sFlow version 5.
func (d *Decoder) gateway(f *flow.Record, r *reader) bool {
	next := r.address()
	r.skip(4) // the router's own AS
	src, srcPeer := r.uint32(), r.uint32()
	segments := r.uint32()
	if r.failed {
		return false
	}
	path := d.batch.Numbers(min(len(r.b)/4, maxPath))
	for ; segments > 0; segments-- {
		r.skip(4) // kind of path segment
		path = appendNumbers(path, r)
		if r.failed {
			return false
		}
	}
	if len(r.b) == 0 {
		// Some agents end the record here, as in earlier versions of sFlow.
		r.b = noCommunities[:]
	}
	communities := appendNumbers(d.batch.Numbers(min(len(r.b)/4, maxPath)), r)
	preference := r.uint32()
	if r.failed {
		return false
	}
	f.BGPNextHop = next
	f.SrcAS, f.PeerSrcAS = src, srcPeer
	f.ASPath, f.Communities, f.LocalPref = path, communities, preference
	f.Has |= flow.BGPNextHop | flow.SrcAS | flow.PeerSrcAS | flow.ASPath | flow.Communities | flow.LocalPref |
		flow.DstAS | flow.PeerDstAS
	if n := len(path); n > 0 {
		f.PeerDstAS, f.DstAS = path[0], path[n-1]
	}
	return true
}

// noCommunities is the end of an extended_gateway without communities and local preference.
var noCommunities [8]byte

// maxPath bounds the AS numbers and communities of one record.
const maxPath = 1024

// appendNumbers reads a list of numbers and the length before it. Numbers beyond the list's capacity are dropped.
func appendNumbers(list []uint32, r *reader) []uint32 {
	n := r.uint32()
	if uint64(n)*4 > uint64(len(r.b)) {
		r.failed = true
		return list
	}
	for i := range n {
		if len(list) == cap(list) {
			break
		}
		list = append(list, binary.BigEndian.Uint32(r.b[4*i:]))
	}
	r.b = r.b[4*n:]
	return list
}

// labels reads the incoming label stack of extended_mpls. A sampled header's own stack comes first.
func labels(f *flow.Record, r *reader) bool {
	r.address() // next hop
	n := r.uint32()
	if r.failed || uint64(n)*4 > uint64(len(r.b)) {
		return false
	}
	if f.MPLSCount > 0 {
		return true
	}
	for range min(n, uint32(len(f.MPLS))) {
		// An entry is the 32 bits of RFC 3032, of which the last 8 are the TTL.
		f.MPLS[f.MPLSCount] = r.uint32() >> 8
		f.MPLSCount++
	}
	if n > 0 {
		f.Has |= flow.MPLS
	}
	return true
}

// vlanTunnel reads the tags that a switch removed (extended_vlantunnel), outermost first.
func vlanTunnel(r *reader, seen *parts) bool {
	n := r.uint32()
	if r.failed || uint64(n)*4 > uint64(len(r.b)) {
		return false
	}
	if n > 0 {
		seen.stripped = uint16(r.uint32() & 0xfff)
	}
	return true
}
