package listen

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/decoder/exporter"
	_ "github.com/metranova/flow-collector/sink/linuxonly"
)

// BatchDatagrams is how many datagrams one system call receives at most. Routes that were replaced stay in memory until
// a whole batch is done, so it is short. The call's share in the cost of a flow is small already.
const BatchDatagrams = 32

// controlSpace holds a timespec and a 32-bit counter, each behind a header (unix(7), CMSG_SPACE).
const controlSpace = 64

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	length uint32
	_      [4]byte
}

// ring is the memory of one worker's receive calls: for every datagram a buffer, a source address and control data. It
// is allocated once; the kernel writes into it.
type ring struct {
	messages  [BatchDatagrams]mmsghdr
	vectors   [BatchDatagrams]unix.Iovec
	names     [BatchDatagrams]unix.RawSockaddrInet6
	controls  [BatchDatagrams][controlSpace]byte
	buffers   []byte
	size      int
	datagrams [BatchDatagrams]exporter.Datagram
}

// bufferStagger is padding that keeps buffers from sharing cache sets: buffers 64 KiB apart would compete for the same
// sets of the L1 and L2 caches.
const bufferStagger = 23 * 64

func newRing(size int) *ring {
	r := &ring{size: size, buffers: make([]byte, BatchDatagrams*(size+bufferStagger))}
	for i := range r.messages {
		r.vectors[i].Base = &r.buffers[i*(size+bufferStagger)]
		r.vectors[i].SetLen(size)
		h := &r.messages[i].header
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.vectors[i]
		h.Iovlen = 1
		h.Control = &r.controls[i][0]
	}
	return r
}

// receive receives up to atOnce datagrams (at most BatchDatagrams) from fd, without blocking, so that Go's scheduler
// need not know of the call.
func (r *ring) receive(fd, atOnce int) (int, error) {
	for i := range r.messages[:atOnce] {
		h := &r.messages[i].header
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSpace)
		h.Flags = 0
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.messages[0])),
		uintptr(atOnce), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// datagram returns the i-th message without its control data.
func (r *ring) datagram(i int) exporter.Datagram {
	m := &r.messages[i]
	start := i * (r.size + bufferStagger)
	length := min(int(m.length), r.size)
	return exporter.Datagram{
		Payload:   r.buffers[start : start+length : start+length],
		Source:    source(&r.names[i]),
		Truncated: m.header.Flags&unix.MSG_TRUNC != 0,
	}
}

// source reads a socket address; in memory the port is in network byte order.
func source(name *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(unmapped(netip.AddrFrom16(name.Addr)), port)
}

// control reads the receive time into d. It returns the kernel's count of dropped datagrams, if there is one.
func (r *ring) control(i int, d *exporter.Datagram) (overflow uint32, found bool) {
	data := r.controls[i][:min(int(r.messages[i].header.Controllen), controlSpace)]
	for len(data) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&data[0]))
		length := int(h.Len)
		if length < unix.SizeofCmsghdr || length > len(data) {
			break
		}
		value := data[unix.CmsgLen(0):length]
		if h.Level == unix.SOL_SOCKET {
			switch {
			case h.Type == unix.SCM_TIMESTAMPNS && len(value) >= 16:
				d.Received = int64(binary.NativeEndian.Uint64(value))*int64(time.Second) +
					int64(binary.NativeEndian.Uint64(value[8:]))
			case h.Type == unix.SO_RXQ_OVFL && len(value) >= 4:
				overflow, found = binary.NativeEndian.Uint32(value), true
			}
		}
		aligned := unix.CmsgSpace(length - unix.CmsgLen(0))
		if aligned >= len(data) {
			break
		}
		data = data[aligned:]
	}
	if d.Received == 0 {
		d.Received = time.Now().UnixNano()
	}
	return overflow, found
}
