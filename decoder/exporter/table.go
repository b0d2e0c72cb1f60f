// Package exporter keeps what a worker knows of each exporter: who it is, what it sent, what was lost and why.
// It imports only flow.
package exporter

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Datagram is one UDP payload as a listener or a capture hands it over.
type Datagram struct {
	Payload   []byte         // valid during the call only
	Source    netip.AddrPort // unmapped, without a zone
	Received  int64          // Unix nanoseconds
	Truncated bool           // the payload is shorter than the datagram was on the wire
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
	SamplingRate        atomic.Uint32 // of the last record
	SamplingSource      atomic.Uint32 // flow.SamplingSource of the last record
	ClockSkewMs         atomic.Int64  // receive time less header time, last datagram
	Known               atomic.Uint32 // NetFlow v9 and IPFIX: templates that are known now

	errors  [reasonCount]atomic.Uint64
	missing atomic.Pointer[[]*MissingTemplate]
	stated  atomic.Pointer[flow.Addr]
	gone    bool
	heir    *Stream // takes what is counted after gone
}

// Fail counts n losses for reason.
func (s *Stream) Fail(reason Reason, n uint64) {
	s.errors[reason].Add(n)
	if s.heir != nil {
		s.heir.errors[reason].Add(n)
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

// Stated returns the address by which the exporter names itself in option records (IE 130, 131); unset where it does not.
func (s *Stream) Stated() flow.Addr {
	if a := s.stated.Load(); a != nil {
		return *a
	}
	return flow.Addr{}
}

// SetStated notes the address. For the stream's worker only.
func (s *Stream) SetStated(a flow.Addr) { s.stated.Store(&a) }

// Gone reports whether the stream made room for others: what hangs on it can be forgotten. For its worker only.
func (s *Stream) Gone() bool { return s.gone }

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

// Table holds the streams of one worker. Only the worker may call Get, Publish and Unattributed; the others are safe
// anywhere.
type Table struct {
	max          int
	streams      map[Key]*Stream
	list         atomic.Pointer[[]*Stream]
	dirty        bool
	evicted      atomic.Uint64
	retired      Stream // the counters of those that made room, added up
	unattributed [reasonCount]atomic.Uint64
}

// NewTable returns a table that holds at most limit streams (at least 16); those silent for longest make room.
func NewTable(limit int) *Table {
	t := &Table{max: max(limit, 16), streams: make(map[Key]*Stream)}
	t.list.Store(new([]*Stream))
	return t
}

// publishAtOnce is up to how many streams a new one is seen at once; with more it is at the next Publish, so that a flood
// of sources costs no copy of the list for each.
const publishAtOnce = 64

// Get returns the stream of key, made if it is new.
func (t *Table) Get(key Key, source flow.Addr, received int64) *Stream {
	if s := t.streams[key]; s != nil {
		return s
	}
	if len(t.streams) >= t.max {
		t.evict()
	}
	s := &Stream{Key: key, Source: source}
	s.FirstSeen.Store(received)
	s.LastSeen.Store(received)
	t.streams[key] = s
	t.dirty = true
	if len(t.streams) <= publishAtOnce {
		t.Publish()
	}
	return s
}

// evict lets the sixteenth part of the streams go that were silent for longest.
func (t *Table) evict() {
	all := slices.Collect(maps.Values(t.streams))
	slices.SortFunc(all, func(a, b *Stream) int { return cmp.Compare(a.LastSeen.Load(), b.LastSeen.Load()) })
	all = all[:max(1, len(all)/16)]
	for _, s := range all {
		delete(t.streams, s.Key)
	}
	t.dirty = true
	t.Publish() // so that nobody sees a stream whose counters Retired has already
	for _, s := range all {
		s.gone, s.heir = true, &t.retired
		t.retired.add(s)
		t.evicted.Add(1)
	}
}

// add adds up the counters of another stream.
func (s *Stream) add(other *Stream) {
	from := other.counters()
	for i, c := range s.counters() {
		c.Add(from[i].Load())
	}
	for i := range s.errors {
		s.errors[i].Add(other.errors[i].Load())
	}
}

// counters are all but those of losses by reason.
func (s *Stream) counters() [17]*atomic.Uint64 {
	return [...]*atomic.Uint64{
		&s.Datagrams, &s.Bytes, &s.Records, &s.Options, &s.Templates, &s.Counters, &s.Discards, &s.Held, &s.Recovered,
		&s.Lost, &s.Duplicated, &s.Reordered, &s.Restarts, &s.SamplesLost, &s.AgentDrops,
		&s.Ahead, &s.Behind,
	}
}

// Publish makes new streams visible to Streams.
func (t *Table) Publish() {
	if !t.dirty {
		return
	}
	list := slices.Collect(maps.Values(t.streams))
	t.list.Store(&list)
	t.dirty = false
}

// Streams returns the streams at the latest Publish, in no order. The slice must not be changed.
func (t *Table) Streams() []*Stream { return *t.list.Load() }

// Retired has the counters of the streams that made room for others, added up. To add it to those of Streams, read it first.
func (t *Table) Retired() *Stream { return &t.retired }

// Evicted returns how many streams made room for others.
func (t *Table) Evicted() uint64 { return t.evicted.Load() }

// Unattributed counts a datagram that names no stream, for reason.
func (t *Table) Unattributed(reason Reason) { t.unattributed[reason].Add(1) }

// UnattributedCount returns how many datagrams were counted for reason without a stream.
func (t *Table) UnattributedCount(reason Reason) uint64 { return t.unattributed[reason].Load() }
