// Package exporter keeps what a worker knows of each exporter: who it is, what it sent, what was lost and why.
// It imports only flow.
package exporter

import (
	"net/netip"
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
type Key struct {
	Exporter flow.Addr // the UDP source; sFlow: the agent address
	Protocol flow.Protocol
	Domain   uint32 // as flow.Record.Domain
}

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
	SamplingRate        atomic.Uint32 // of the last record
	SamplingSource      atomic.Uint32 // flow.SamplingSource of the last record
	ClockSkewMs         atomic.Int64  // receive time less header time, last datagram

	errors [reasonCount]atomic.Uint64
}

// Fail counts n losses for reason.
func (s *Stream) Fail(reason Reason, n uint64) { s.errors[reason].Add(n) }

// Failed returns how many losses reason has counted.
func (s *Stream) Failed(reason Reason) uint64 { return s.errors[reason].Load() }

// Table holds the streams of one worker. Only the worker may call Get and Evict; Streams and Evicted are safe anywhere.
type Table struct {
	max     int
	streams map[Key]*Stream
	list    atomic.Pointer[[]*Stream]
	evicted atomic.Uint64
}

// NewTable returns a table that holds at most max streams (at least 1); the one silent for longest makes room.
func NewTable(max int) *Table {
	t := &Table{max: max, streams: make(map[Key]*Stream)}
	t.list.Store(new([]*Stream))
	return t
}

// Get returns the stream of key, made if it is new.
func (t *Table) Get(key Key, source flow.Addr, received int64) *Stream {
	if s := t.streams[key]; s != nil {
		return s
	}
	if len(t.streams) >= t.max {
		t.evictOldest()
	}
	s := &Stream{Key: key, Source: source}
	s.FirstSeen.Store(received)
	s.LastSeen.Store(received)
	t.streams[key] = s
	t.publish()
	return s
}

// Streams returns the streams at this moment, in no order. The slice must not be changed.
func (t *Table) Streams() []*Stream { return *t.list.Load() }

// Evicted returns how many streams made room for others.
func (t *Table) Evicted() uint64 { return t.evicted.Load() }

func (t *Table) evictOldest() {
	var oldest *Stream
	for _, s := range t.streams {
		if oldest == nil || s.LastSeen.Load() < oldest.LastSeen.Load() {
			oldest = s
		}
	}
	if oldest == nil {
		return
	}
	delete(t.streams, oldest.Key)
	t.evicted.Add(1)
}

func (t *Table) publish() {
	list := make([]*Stream, 0, len(t.streams))
	for _, s := range t.streams {
		list = append(list, s)
	}
	t.list.Store(&list)
}
