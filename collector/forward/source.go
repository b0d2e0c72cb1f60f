package forward

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A raw socket of protocol UDP with IP_TRANSPARENT can use any source address, set by IP_PKTINFO or IPV6_PKTINFO. The
// kernel writes the IP header, and fragments what exceeds the path's MTU; the UDP header is ours.

// udpHeader is the length of a UDP header (RFC 768).
const udpHeader = 8

// controlSpace holds an in6_pktinfo, the longer of the two, and its header (unix(7), CMSG_SPACE).
const controlSpace = 40

// transparent allows a socket to send from addresses that are not the host's.
func transparent(fd, family int) error {
	if family == unix.AF_INET {
		return setsockopt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1, "IP_TRANSPARENT")
	}
	return setsockopt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1, "IPV6_TRANSPARENT")
}

// setSource puts a UDP header before the i-th message's payload and sets the source address. Both addresses must have
// the same family.
func (b *batch) setSource(i int, source, target netip.AddrPort, payload []byte) {
	header := &b.headers[i]
	length := udpHeader + len(payload)
	binary.BigEndian.PutUint16(header[0:], source.Port())
	binary.BigEndian.PutUint16(header[2:], target.Port())
	binary.BigEndian.PutUint16(header[4:], uint16(length))
	binary.BigEndian.PutUint16(header[6:], 0)
	binary.BigEndian.PutUint16(header[6:], checksum(source.Addr(), target.Addr(), header, payload))

	b.vectors[i][0].Base = &header[0]
	b.vectors[i][0].SetLen(udpHeader)
	h := &b.messages[i].header
	h.Iov = &b.vectors[i][0]
	h.SetIovlen(2)
	h.Control = &b.controls[i][0]
	h.SetControllen(control(&b.controls[i], source.Addr()))
}

// control writes the source address as control data and returns its length.
func control(data *[controlSpace]byte, source netip.Addr) int {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&data[0]))
	value := unsafe.Pointer(&data[unix.CmsgLen(0)])
	if source.Is4() {
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(value) = unix.Inet4Pktinfo{Spec_dst: source.As4()}
		return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(value) = unix.Inet6Pktinfo{Addr: source.As16()}
	return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
}

// checksum returns the UDP checksum (RFC 768) of the pseudo header of either family, the UDP header, whose checksum
// field must be 0, and the payload.
func checksum(source, target netip.Addr, header *[udpHeader]byte, payload []byte) uint16 {
	sum := uint64(unix.IPPROTO_UDP) + uint64(udpHeader+len(payload))
	from, to := source.As16(), target.As16()
	if source.Is4() {
		sum = add(add(sum, from[12:]), to[12:])
	} else {
		sum = add(add(sum, from[:]), to[:])
	}
	sum = add(add(sum, header[:]), payload)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	if sum == 0xffff {
		return 0xffff // 0 would mean "no checksum"
	}
	return ^uint16(sum)
}

// add adds big-endian 16-bit words, four bytes at a time; the last word is padded with 0. The sum cannot overflow for
// one datagram.
func add(sum uint64, data []byte) uint64 {
	for len(data) >= 4 {
		sum += uint64(binary.BigEndian.Uint32(data))
		data = data[4:]
	}
	if len(data) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(data))
		data = data[2:]
	}
	if len(data) == 1 {
		sum += uint64(data[0]) << 8
	}
	return sum
}

// zoneID returns the interface index for an IPv6 zone; 0 if there is none.
func zoneID(zone string) uint32 {
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}
