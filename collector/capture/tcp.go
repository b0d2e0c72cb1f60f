package capture

import (
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Segment is bytes of a TCP stream: those that follow the ones before. Data is valid until the next call.
type Segment struct {
	From, To netip.AddrPort
	Data     []byte
	Time     time.Time
	First    bool // no segment of the stream came before
	Lost     bool // bytes are missing before it: the capture has not got them
	End      bool // the sender has closed the stream
}

// streams puts TCP segments in order. A capture may have any number of them, so that memory is bounded: of those that
// wait for earlier ones in all, and of the streams that are known.
type streams struct {
	all  map[[2]netip.AddrPort]*tcpStream
	held int
}

type tcpStream struct {
	next    uint32 // sequence number
	begun   bool
	read    bool      // somebody reads the stream
	waiting []waiting // by arrival
}

type waiting struct {
	sequence uint32
	data     []byte
}

const (
	maxStreams       = 1 << 14
	maxStreamHeld    = 1 << 20 // bytes of a stream that wait
	maxStreamWaiting = 1 << 10 // segments of a stream that wait
	maxStreamsHeld   = 64 << 20
	segmentBytes     = 64 // that a segment which waits takes beside its data, about
)

// segment hands a packet's bytes to use, and those that have waited for them. It is false for data that nobody reads.
func (s *streams) segment(packet gopacket.Packet, tcp *layers.TCP, source netip.Addr, at time.Time,
	use func(Segment) bool) bool {
	to, ok := netip.AddrFromSlice(packet.NetworkLayer().NetworkFlow().Dst().Raw())
	if !ok {
		return false
	}
	x := Segment{From: netip.AddrPortFrom(source, uint16(tcp.SrcPort)),
		To: netip.AddrPortFrom(to.Unmap(), uint16(tcp.DstPort)), Time: at}
	key := [2]netip.AddrPort{x.From, x.To}
	t := s.all[key]
	sequence := tcp.Seq
	if tcp.SYN && len(tcp.Payload) == 0 {
		sequence++
	}
	if t == nil || tcp.SYN && t.begun && sequence != t.next {
		if t != nil {
			s.drop(key, t)
		}
		if len(s.all) >= maxStreams || len(tcp.Payload) == 0 && !tcp.SYN {
			return len(tcp.Payload) == 0
		}
		if s.all == nil {
			s.all = map[[2]netip.AddrPort]*tcpStream{}
		}
		t = &tcpStream{next: sequence}
		s.all[key] = t
	}
	x.End = tcp.FIN || tcp.RST
	s.take(t, x, sequence, tcp.Payload, use)
	if x.End {
		use(Segment{From: x.From, To: x.To, Time: at, End: true})
		s.drop(key, t)
	}
	return t.read || len(tcp.Payload) == 0
}

func (s *streams) drop(key [2]netip.AddrPort, t *tcpStream) {
	for _, w := range t.waiting {
		s.held -= len(w.data) + segmentBytes
	}
	delete(s.all, key)
}

// take hands on what is next, and keeps what comes too early.
func (s *streams) take(t *tcpStream, x Segment, sequence uint32, data []byte, use func(Segment) bool) {
	x.End = false
	if int32(sequence-t.next) > 0 {
		size := 0
		for _, w := range t.waiting {
			size += len(w.data)
		}
		if len(data) == 0 {
			return
		}
		if size+len(data) <= maxStreamHeld && len(t.waiting) < maxStreamWaiting && s.held+len(data) <= maxStreamsHeld {
			t.waiting = append(t.waiting, waiting{sequence, append([]byte(nil), data...)})
			s.held += len(data) + segmentBytes
			return
		}
		t.next, x.Lost = sequence, true // what is missing does not come any more
	}
	for {
		if old := int(t.next - sequence); old < len(data) {
			x.Data, x.First = data[old:], !t.begun
			t.begun, t.next = true, sequence+uint32(len(data))
			t.read = use(x)
			x.Lost = false
		}
		at := -1
		for i, w := range t.waiting {
			if int32(w.sequence-t.next) <= 0 {
				at = i
				break
			}
		}
		if at < 0 {
			return
		}
		w := t.waiting[at]
		t.waiting = append(t.waiting[:at], t.waiting[at+1:]...)
		s.held -= len(w.data) + segmentBytes
		sequence, data = w.sequence, w.data
	}
}
