package exporter

import (
	"net/netip"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Datagram is one UDP payload from a listener or a capture, or one IPFIX message of a TCP connection.
type Datagram struct {
	Payload   []byte         // valid during the call only
	Source    netip.AddrPort // unmapped, without a zone
	Received  int64          // Unix nanoseconds
	Truncated bool           // the payload is shorter than the datagram was on the wire
	Session   uint64         // the transport session (RFC 7011 §2): a number for each TCP connection; 0: UDP
}

// Key identifies one stream of datagrams with its own sequence numbers.
type Key = flow.StreamKey

// Stream counts what was received of one Key. Its worker writes it; it may be read concurrently.
type Stream struct {
	Key    Key
	Source flow.Addr // the source address of the first datagram

	FirstSeen, LastSeen atomic.Int64 // Unix nanoseconds, receive time
	streamCounters
	SamplingRate   atomic.Uint32 // of the last record
	SamplingSource atomic.Uint32 // flow.SamplingSource of the last record
	ClockSkewMs    atomic.Int64  // receive time minus header time, of the latest datagram
	Known          atomic.Uint32 // NetFlow v9 and IPFIX: the number of templates known now

	counts atomic.Uint32 // Convention of the sequence numbers

	Evictions atomic.Uint64 // how often an earlier stream of the same Key was evicted
	Impostors atomic.Uint64 // sFlow: datagrams of other sources that claim to be this agent, see Impostor
	impostor  atomic.Pointer[flow.Addr]
	victim    atomic.Pointer[flow.Addr]

	errors   [reasonCount]atomic.Uint64
	readings [readingCount]atomic.Uint64
	missing  atomic.Pointer[[]*MissingTemplate]
	misfits  atomic.Pointer[[]MisfitTemplate]
	stated   atomic.Pointer[flow.Addr]

	number        uint64         // of all streams of its table: how many were made before it
	sourceEvicted *atomic.Uint64 // of its owner
	group         *group
	place         int // index in its group
	user          User
	before        uint64 // records and counters at the latest Age
	proven        bool
	gone          bool
	successor     *Stream // receives later counts once this stream's counters have been added to it
}

// User is notified when a stream that it uses is evicted.
type User interface {
	// StreamEvicted is called by the stream's worker, before its Table does anything else.
	StreamEvicted(*Stream)
}

// SetUser sets who is notified of the stream's eviction. Only its worker may call it.
func (s *Stream) SetUser(u User) { s.user = u }

// SourceEvicted returns how many streams of the same source were evicted since the source has had any.
func (s *Stream) SourceEvicted() uint64 {
	if s.sourceEvicted == nil {
		return 0
	}
	return s.sourceEvicted.Load()
}

// Counts returns what the stream's sequence numbers count, as far as is known.
func (s *Stream) Counts() Convention { return Convention(s.counts.Load()) }

func (s *Stream) setConvention(c Convention) {
	if s.counts.Load() != uint32(c) {
		s.counts.Store(uint32(c))
	}
}

// Fail counts n losses for a reason.
func (s *Stream) Fail(reason Reason, n uint64) {
	s.errors[reason].Add(n)
	if s.successor != nil {
		s.successor.errors[reason].Add(n)
	}
}

// Failed returns how many losses were counted for a reason.
func (s *Stream) Failed(reason Reason) uint64 { return s.errors[reason].Load() }

// Saw counts a datagram of the stream.
func (s *Stream) Saw(dg *Datagram) {
	s.LastSeen.Store(dg.Received)
	s.Datagrams.Add(1)
	s.Bytes.Add(uint64(len(dg.Payload)))
}

// Stated returns the address that the exporter states in option records (IE 130, 131); unset if it does not.
func (s *Stream) Stated() flow.Addr {
	if a := s.stated.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetStated notes the address. Only the stream's worker may call it.
func (s *Stream) SetStated(a flow.Addr) { s.stated.Store(&a) }

// Gone reports whether the stream was evicted. Only failures may be counted in it then. Only its worker may call it.
func (s *Stream) Gone() bool { return s.gone }

// Impostor returns the latest source that claimed to be the stream's sFlow agent without being bound to it; unset if
// there was none.
func (s *Stream) Impostor() flow.Addr {
	if a := s.impostor.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetImpostor notes the source. Only the stream's worker may call it.
func (s *Stream) SetImpostor(a flow.Addr) {
	if s.Impostor() != a {
		s.impostor.Store(&a)
	}
	s.Impostors.Add(1)
}

// Victim returns the sFlow agent of another source that the stream's source claimed to be, the latest one; unset if it
// did not.
func (s *Stream) Victim() flow.Addr {
	if a := s.victim.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetVictim notes the agent. Only the stream's worker may call it.
func (s *Stream) SetVictim(a flow.Addr) {
	if s.Victim() != a {
		s.victim.Store(&a)
	}
}

// MissingTemplate is a template that data sets wait for, or waited for and never got.
type MissingTemplate struct {
	TemplateID uint16
	Since      int64 // Unix nanoseconds
	Sets       atomic.Uint64
}

// Missing returns the templates that are missing now. The slice must not be changed.
func (s *Stream) Missing() []*MissingTemplate {
	if list := s.missing.Load(); list != nil {
		return *list
	}
	return nil
}

// SetMissing replaces the list of missing templates. Only the stream's worker may call it.
func (s *Stream) SetMissing(list []*MissingTemplate) { s.missing.Store(&list) }

// add adds the counters of another stream.
func (s *Stream) add(other *Stream) {
	for i := range counters {
		counters[i].of(s).Add(counters[i].of(other).Load())
	}
	for i := range s.errors {
		s.errors[i].Add(other.errors[i].Load())
	}
	for i := range s.readings {
		s.readings[i].Add(other.readings[i].Load())
	}
}
