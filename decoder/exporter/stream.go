package exporter

import (
	"net/netip"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Datagram is one UDP payload as a listener or a capture hands it over, or one IPFIX message of a TCP connection.
type Datagram struct {
	Payload   []byte         // valid during the call only
	Source    netip.AddrPort // unmapped, without a zone
	Received  int64          // Unix nanoseconds
	Truncated bool           // the payload is shorter than the datagram was on the wire
	Session   uint64         // the transport session (RFC 7011 §2): a number for each TCP connection; 0: UDP
}

// Key names one stream of datagrams with its own sequence numbers.
type Key = flow.StreamKey

// Stream counts what came from one Key. Its worker writes it; anyone may read it.
type Stream struct {
	Key    Key
	Source flow.Addr // the UDP source of the first datagram

	FirstSeen, LastSeen atomic.Int64 // Unix nanoseconds, receive time
	Datagrams, Bytes    atomic.Uint64
	Records             atomic.Uint64 // flow records handed on
	Options, Templates  atomic.Uint64 // option data records, template definitions seen
	Counters, Discards  atomic.Uint64 // sFlow counter samples and discarded-packet samples
	Held, Recovered     atomic.Uint64 // data sets that waited for a template, and those decoded later
	Lost, Duplicated    atomic.Uint64 // in the protocol's own unit, see Sequence
	Reordered, Restarts atomic.Uint64
	SamplesLost         atomic.Uint64 // sFlow: flow samples that the sequence numbers miss
	AgentDrops          atomic.Uint64 // sFlow: packets the agent itself dropped
	Ahead, Behind       atomic.Uint64 // records of which the times are impossible: the exporter's clock is wrong
	Clamped             atomic.Uint64 // of these, records that got the time of their receipt
	SamplingRate        atomic.Uint32 // of the last record
	SamplingSource      atomic.Uint32 // flow.SamplingSource of the last record
	ClockSkewMs         atomic.Int64  // receive time less header time, last datagram
	Known               atomic.Uint32 // NetFlow v9 and IPFIX: templates that are known now

	counts atomic.Uint32 // Convention of the sequence numbers

	Evictions atomic.Uint64 // how often an earlier stream of the same Key was evicted
	Impostors atomic.Uint64 // sFlow: datagrams of other sources that state this agent, see Impostor
	impostor  atomic.Pointer[flow.Addr]

	errors   [reasonCount]atomic.Uint64
	readings [readingCount]atomic.Uint64
	missing  atomic.Pointer[[]*MissingTemplate]
	misfits  atomic.Pointer[[]MisfitTemplate]
	stated   atomic.Pointer[flow.Addr]

	number        uint64         // of all streams of its table
	sourceEvicted *atomic.Uint64 // of its owner
	group         *group
	place         int // in its group
	user          User
	before        uint64 // what it had given at the latest Age
	proven        bool
	gone          bool
	successor     *Stream // takes what is counted after the stream's counters were added to it
}

// User is told when a stream that it uses is evicted.
type User interface {
	// StreamEvicted is called by the stream's worker, before anything else is done with its Table.
	StreamEvicted(*Stream)
}

// SetUser says who is told of the stream's eviction. For its worker only.
func (s *Stream) SetUser(u User) { s.user = u }

// SourceEvicted returns how many streams of the same source were evicted since one of them was first kept.
func (s *Stream) SourceEvicted() uint64 {
	if s.sourceEvicted == nil {
		return 0
	}
	return s.sourceEvicted.Load()
}

// Counts returns what the stream's sequence numbers count, as far as that is known by now.
func (s *Stream) Counts() Convention { return Convention(s.counts.Load()) }

func (s *Stream) setConvention(c Convention) {
	if s.counts.Load() != uint32(c) {
		s.counts.Store(uint32(c))
	}
}

// Fail counts n losses for reason.
func (s *Stream) Fail(reason Reason, n uint64) {
	s.errors[reason].Add(n)
	if s.successor != nil {
		s.successor.errors[reason].Add(n)
	}
}

// Failed returns how many losses reason has counted.
func (s *Stream) Failed(reason Reason) uint64 { return s.errors[reason].Load() }

// Saw counts a datagram of the stream.
func (s *Stream) Saw(dg *Datagram) {
	s.LastSeen.Store(dg.Received)
	s.Datagrams.Add(1)
	s.Bytes.Add(uint64(len(dg.Payload)))
}

// Stated returns the address by which the exporter names itself in option records (IE 130, 131); unset where it does
// not.
func (s *Stream) Stated() flow.Addr {
	if a := s.stated.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetStated notes the address. For the stream's worker only.
func (s *Stream) SetStated(a flow.Addr) { s.stated.Store(&a) }

// Gone reports whether the stream was evicted: nothing must be counted in it any more but failures. For its worker
// only.
func (s *Stream) Gone() bool { return s.gone }

// Impostor returns the latest source that stated the stream's sFlow agent address and is not bound to it; unset where
// none did.
func (s *Stream) Impostor() flow.Addr {
	if a := s.impostor.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetImpostor notes the source. For the stream's worker only.
func (s *Stream) SetImpostor(a flow.Addr) {
	if s.Impostor() != a {
		s.impostor.Store(&a)
	}
	s.Impostors.Add(1)
}

// MissingTemplate is a template that data sets wait for, or waited for in vain.
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

// SetMissing replaces the list of missing templates. For the stream's worker only.
func (s *Stream) SetMissing(list []*MissingTemplate) { s.missing.Store(&list) }

// add adds up the counters of another stream.
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
