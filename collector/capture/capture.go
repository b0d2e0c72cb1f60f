// Package capture reads the UDP datagrams of a packet capture as a listener would have received them: with their source
// address and capture time.
package capture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/ip6defrag"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/metadata/bounds"
)

// Reader reads one capture file, pcap or pcapng. It belongs to one goroutine.
type Reader struct {
	path       string
	file       *os.File
	in         *bounds.Reader
	interfaces func() int // of a pcapng file, so far
	known      int        // of them when the latest packet was read
	total      int64      // bytes that were read then
	kept       int64      // bytes that describe interfaces, about
	next       func() ([]byte, gopacket.CaptureInfo, error)
	link       gopacket.Decoder
	fragments4 *ip4defrag.IPv4Defragmenter
	fragments6 *ip6defrag.IPv6Defragmenter
	held       held
	skipped    Skipped
	streams    streams
	segments   func(Segment) bool // reads TCP streams, if anybody does; see ReadStreams
}

// held is the memory of fragments that wait for the rest of their datagram.
type held struct {
	since time.Time // capture time at which old fragments were last removed
	bytes int       // of waiting fragments, about; those removed for their age count until all are removed
}

const (
	// reassemblyTime is how long IPv4 fragments wait for the rest, in the capture's time. IPv6 fragments, which have a
	// 32-bit identification, wait until maxHeldBytes is reached.
	reassemblyTime = time.Minute
	maxHeldBytes   = 64 << 20
	fragmentBytes  = 512 // that a fragment takes beside its content, about
)

// Bounds of a capture, whose lengths may say anything, and which may be compressed.
const (
	maxPacket     = 4 << 20 // bytes of a packet and what stands before it
	maxInterfaces = 8 << 20 // bytes of the descriptions of interfaces, which are kept
)

// Skipped counts the packets that were not (or did not become) a datagram.
type Skipped struct {
	NotUDP    int // other protocols, and unreadable packets
	Fragments int // parts of datagrams that were reassembled or are waiting
	Cut       int // UDP datagrams that were truncated by the capture
}

// Open opens a capture file. The error names the file.
func Open(path string) (*Reader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open capture: %w", err)
	}
	r := &Reader{path: path, file: file}
	r.forget()
	r.in, err = bounds.New(file, bounds.Limits{Total: math.MaxInt64, Entry: maxPacket})
	if err == nil {
		err = r.detect(bufio.NewReaderSize(r.in, 1<<16))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open capture %s: %w", path, err), file.Close())
	}
	return r, nil
}

// pcapng files begin with a section header block.
const sectionHeader = "\x0a\x0d\x0d\x0a"

func (r *Reader) detect(in *bufio.Reader) error {
	magic, err := in.Peek(4)
	if err != nil {
		return fmt.Errorf("not a capture, it ends before its first bytes: %w", err)
	}
	if string(magic) == sectionHeader {
		ng, err := pcapgo.NewNgReader(in, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return err
		}
		r.next = ng.ReadPacketData
		r.interfaces = ng.NInterfaces
		r.link = decoderOf(ng.LinkType())
		return nil
	}
	classic, err := pcapgo.NewReader(in)
	if err != nil {
		return fmt.Errorf("not a capture of pcap or pcapng format: %w", err)
	}
	r.next = classic.ReadPacketData
	r.link = decoderOf(classic.LinkType())
	return nil
}

// Next returns the next UDP datagram in the capture's order; io.EOF at the end. If the file ends within a packet, Next
// first returns what is complete, then an error that names the file.
func (r *Reader) Next() (exporter.Datagram, error) {
	for {
		data, info, err := r.next()
		r.in.Next()
		if errors.Is(err, io.EOF) {
			if info.CaptureLength > 0 { // it ends behind the header of a packet
				return exporter.Datagram{}, fmt.Errorf("capture %s ends within a packet", r.path)
			}
			return exporter.Datagram{}, io.EOF
		}
		if errors.Is(err, bounds.ErrTooMuch) {
			return exporter.Datagram{}, fmt.Errorf("capture %s: a packet of more than %d bytes", r.path, maxPacket)
		}
		if err == nil && !r.boundInterfaces(len(data)) {
			return exporter.Datagram{}, fmt.Errorf("capture %s: more than %d bytes of interfaces", r.path,
				maxInterfaces)
		}
		if err != nil {
			return exporter.Datagram{}, fmt.Errorf("capture %s ends within a packet: %w", r.path, err)
		}
		if d, ok := r.datagram(data, info); ok {
			return d, nil
		}
	}
}

// boundInterfaces reports whether the interfaces of the file take a bounded amount of memory, after a packet of some
// bytes.
func (r *Reader) boundInterfaces(packet int) bool {
	read := r.in.Total() - r.total - int64(packet)
	r.total = r.in.Total()
	if r.interfaces == nil || r.interfaces() == r.known {
		return true
	}
	r.known = r.interfaces()
	r.kept += max(read, 0)
	return r.kept <= maxInterfaces
}

// Skipped returns what was skipped so far.
func (r *Reader) Skipped() Skipped { return r.skipped }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

func (r *Reader) datagram(data []byte, info gopacket.CaptureInfo) (exporter.Datagram, bool) {
	packet := gopacket.NewPacket(data, r.linkOf(info), gopacket.DecodeOptions{NoCopy: true})
	source, ok := sourceOf(packet)
	if !ok {
		r.skipped.NotUDP++
		return exporter.Datagram{}, false
	}
	if tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && r.segments != nil {
		if !r.streams.segment(packet, tcp, source, info.Timestamp, r.segments) {
			r.skipped.NotUDP++
		}
		return exporter.Datagram{}, false
	}
	udp, _ := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if fragment := fragmentOf(packet); fragment {
		r.skipped.Fragments++
		if udp = r.reassemble(packet, info); udp == nil {
			return exporter.Datagram{}, false
		}
	}
	if udp == nil {
		r.skipped.NotUDP++
		return exporter.Datagram{}, false
	}
	d := exporter.Datagram{
		Payload:   udp.Payload,
		Source:    netip.AddrPortFrom(source, uint16(udp.SrcPort)),
		Received:  info.Timestamp.UnixNano(),
		Truncated: int(udp.Length) > len(udp.Payload)+8,
	}
	if d.Truncated {
		r.skipped.Cut++
	}
	return d, true
}

// linkOf returns the decoder for a packet. pcapng files have the link type in each packet.
func (r *Reader) linkOf(info gopacket.CaptureInfo) gopacket.Decoder {
	if len(info.AncillaryData) > 0 {
		if link, ok := info.AncillaryData[0].(layers.LinkType); ok {
			return decoderOf(link)
		}
	}
	return r.link
}

// Link types that gopacket has no decoders for (tcpdump.org/linktypes.html).
const (
	linkRawBSD = 14 // raw IP, of some BSDs
	linkHDLC   = 50 // PPP with the address and control bytes of HDLC
	linkIPv4   = 228
	linkIPv6   = 229
)

// decoderOf returns the decoder of a link type.
func decoderOf(link layers.LinkType) gopacket.Decoder {
	switch link {
	case linkRawBSD:
		return layers.LinkTypeRaw
	case linkHDLC:
		return layers.LinkTypePPP
	case linkIPv4:
		return layers.LayerTypeIPv4
	case linkIPv6:
		return layers.LayerTypeIPv6
	}
	return link
}

func sourceOf(packet gopacket.Packet) (netip.Addr, bool) {
	switch network := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		return netip.AddrFromSlice(network.SrcIP.To4())
	case *layers.IPv6:
		a, ok := netip.AddrFromSlice(network.SrcIP)
		return a.Unmap(), ok
	}
	return netip.Addr{}, false
}

func fragmentOf(packet gopacket.Packet) bool {
	if ip, ok := packet.NetworkLayer().(*layers.IPv4); ok {
		return ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0
	}
	return packet.Layer(layers.LayerTypeIPv6Fragment) != nil
}

// forget removes all waiting fragments.
func (r *Reader) forget() {
	r.fragments4, r.fragments6, r.held.bytes = ip4defrag.NewIPv4Defragmenter(), ip6defrag.NewIPv6Defragmenter(), 0
}

// reassemble returns the UDP datagram that this fragment completes, or nil.
func (r *Reader) reassemble(packet gopacket.Packet, info gopacket.CaptureInfo) *layers.UDP {
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		r.bound(len(ip.Payload), info)
		whole, err := r.fragments4.DefragIPv4WithTimestamp(ip, info.Timestamp)
		if err != nil || whole == nil {
			return nil
		}
		r.held.bytes -= min(r.held.bytes, len(whole.Payload))
		return udpOf(whole.Payload, whole.Protocol)
	case *layers.IPv6:
		fragment, ok := packet.Layer(layers.LayerTypeIPv6Fragment).(*layers.IPv6Fragment)
		if !ok {
			return nil
		}
		// an atomic fragment, complete by itself (RFC 6946)
		if !fragment.MoreFragments && fragment.FragmentOffset == 0 {
			return udpOf(fragment.LayerPayload(), fragment.NextHeader)
		}
		r.bound(len(fragment.Payload), info)
		if whole := r.fragments6.DefragIPv6(ip, fragment); whole != nil {
			r.held.bytes -= min(r.held.bytes, len(whole.Payload))
			return udpOf(whole.Payload, whole.NextHeader)
		}
	}
	return nil
}

// bound limits what is held: before a fragment is added it drops fragments that are too old, and all of them if they
// take too much memory.
func (r *Reader) bound(size int, info gopacket.CaptureInfo) {
	size += fragmentBytes
	if r.held.bytes += size; r.held.bytes > maxHeldBytes {
		r.forget()
		r.held.bytes = size
	}
	if age := info.Timestamp.Sub(r.held.since); age > reassemblyTime || age < 0 {
		r.fragments4.DiscardOlderThan(info.Timestamp.Add(-reassemblyTime))
		r.held.since = info.Timestamp
	}
}

// udpOf returns the UDP datagram in the payload of an IP packet, which may begin with IPv6 extension headers; nil if
// there is none.
func udpOf(payload []byte, next layers.IPProtocol) *layers.UDP {
	packet := gopacket.NewPacket(payload, next.LayerType(), gopacket.DecodeOptions{NoCopy: true})
	udp, _ := packet.Layer(layers.LayerTypeUDP).(*layers.UDP)
	return udp
}
