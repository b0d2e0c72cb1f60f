package stream

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Reason is why a connection ended or was refused.
type Reason string

// Reasons.
const (
	Ended           Reason = "ended"              // by the exporter, between two messages
	Broken          Reason = "broken"             // reset, or silent for too long for TCP, between two messages
	Idle            Reason = "idle"               // silent, and closed as a new one needed its place
	Stopping        Reason = "stopping"           // the collector stops
	NotAllowed      Reason = "not_allowed"        // not one of listen.allowed_exporters
	TooMany         Reason = "too_many"           // no place is free
	TooManyOfSource Reason = "too_many_of_source" // the source has as many as it may
	Handshake       Reason = "handshake"          // TLS: none within 10 s, or one that failed
	NotIPFIX        Reason = "not_ipfix"          // what came is no IPFIX message
	Slow            Reason = "slow"               // a message that had begun did not end within 30 s
	Cut             Reason = "cut"                // it ended within a message
)

// Loses reports whether something is missing for it.
func (r Reason) Loses() bool {
	switch r {
	case Ended, Broken, Idle, Stopping:
		return false
	}
	return true
}

// Reasons are all of them.
func Reasons() []Reason {
	return []Reason{Ended, Broken, Idle, Stopping, NotAllowed, TooMany, TooManyOfSource, Handshake, NotIPFIX, Slow, Cut}
}

// End names what Stats counts of connections that ended. The sources beyond the first 256 of a reason are the zero
// address.
type End struct {
	Reason Reason
	Source netip.Addr
}

// Stats are the counters of a listener since it was opened.
type Stats struct {
	Open            map[Transport]int // connections now
	Accepted        uint64            // connections
	Messages, Bytes uint64            // handed on
	Ended           map[End]uint64    // connections, also those that were refused
}

// Lost is how many connections something is missing for, by reason.
func (s *Stats) Lost() map[Reason]uint64 {
	lost := map[Reason]uint64{}
	for end, n := range s.Ended {
		if end.Reason.Loses() {
			lost[end.Reason] += n
		}
	}
	return lost
}

// counters are what Stats is made of.
type counters struct {
	messages, bytes atomic.Uint64
	accepted        uint64
	ended           map[End]uint64
	sources         map[Reason]int // that ended tells apart
}

func newCounters() counters { return counters{ended: map[End]uint64{}, sources: map[Reason]int{}} }

// maxSources bounds the sources that are told apart for each reason.
const maxSources = 256

func (c *counters) add(reason Reason, source netip.Addr) {
	end := End{reason, source}
	if c.ended[end] == 0 {
		if c.sources[reason] >= maxSources {
			end.Source = netip.Addr{}
		} else {
			c.sources[reason]++
		}
	}
	c.ended[end]++
}

// Stats returns the counters. nil has none.
func (l *Listener) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{
		Open: map[Transport]int{}, Accepted: l.counters.accepted, Ended: maps.Clone(l.counters.ended),
		Messages: l.counters.messages.Load(), Bytes: l.counters.bytes.Load(),
	}
	for _, socket := range l.sockets {
		s.Open[socket.transport] += 0
	}
	for c := range l.open {
		s.Open[c.transport]++
	}
	return s
}

// Ends are the ends of connections in an order that stays.
func (s *Stats) Ends() []End {
	return slices.SortedFunc(maps.Keys(s.Ended), func(a, b End) int {
		if a.Reason != b.Reason {
			return slices.Index(Reasons(), a.Reason) - slices.Index(Reasons(), b.Reason)
		}
		return a.Source.Compare(b.Source)
	})
}
