package stream

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Reason is why a connection ended or was refused.
type Reason string

// The reasons.
const (
	Ended           Reason = "ended"              // by the exporter, between two messages
	Broken          Reason = "broken"             // reset, or silent for longer than TCP allows, between two messages
	Idle            Reason = "idle"               // silent, and closed for a new one
	Stopping        Reason = "stopping"           // the collector stops
	NotAllowed      Reason = "not_allowed"        // not one of listen.allowed_exporters
	TooMany         Reason = "too_many"           // there are too many connections
	TooManyOfSource Reason = "too_many_of_source" // the source has too many connections
	Handshake       Reason = "handshake"          // TLS: none within 10 s, or a failed one
	NotIPFIX        Reason = "not_ipfix"          // the data is not an IPFIX message
	Slow            Reason = "slow"               // a message was not complete within 30 s
	Cut             Reason = "cut"                // it ended within a message
)

// Loses reports whether data is missing because of this reason.
func (r Reason) Loses() bool {
	switch r {
	case Ended, Broken, Idle, Stopping:
		return false
	}
	return true
}

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{Ended, Broken, Idle, Stopping, NotAllowed, TooMany, TooManyOfSource, Handshake, NotIPFIX, Slow, Cut}
}

// End is the key of Stats.Ended. Sources beyond the first 256 of a reason have the zero address.
type End struct {
	Reason Reason
	Source netip.Addr
}

// Stats are the counters of a listener since it was opened.
type Stats struct {
	Open            map[Transport]int // connections now
	Accepted        uint64            // connections
	Messages, Bytes uint64            // passed on
	Ended           map[End]uint64    // connections, including refused ones
}

// Lost returns how many connections lost data, by reason.
func (s *Stats) Lost() map[Reason]uint64 {
	lost := map[Reason]uint64{}
	for end, n := range s.Ended {
		if end.Reason.Loses() {
			lost[end.Reason] += n
		}
	}
	return lost
}

// counters are the data of Stats.
type counters struct {
	messages, bytes atomic.Uint64
	accepted        uint64
	ended           map[End]uint64
	sources         map[Reason]int // that ended lists
}

func newCounters() counters { return counters{ended: map[End]uint64{}, sources: map[Reason]int{}} }

// maxSources limits the sources that are listed for each reason.
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

// Stats returns the counters; zeros for nil.
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

// Ends returns the ends of connections in a stable order.
func (s *Stats) Ends() []End {
	return slices.SortedFunc(maps.Keys(s.Ended), func(a, b End) int {
		if a.Reason != b.Reason {
			return slices.Index(Reasons(), a.Reason) - slices.Index(Reasons(), b.Reason)
		}
		return a.Source.Compare(b.Source)
	})
}
