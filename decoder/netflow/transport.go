package netflow

import (
	"cmp"
	"iter"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// transportScale is how many times the limits for a datagram (see work) hold for a message over TCP: it may be 64 KiB
// long, and its sender can be slowed down.
const transportScale = 16

// transportSession returns the state of an observation domain of a TCP connection. A connection's templates, sampling
// rates and names apply to that connection only (RFC 7011 §8). Its counters are those of the exporter's stream, which
// connections share and which outlives them.
func (d *Decoder) transportSession(dg *exporter.Datagram, key sessionKey, addr flow.Addr) *session {
	s := d.last
	if s == nil || s.source.transport != dg.Session || s.key != key {
		src := d.transport[dg.Session]
		if src == nil {
			src = d.newSource(addr)
			src.transport, src.scale = dg.Session, transportScale
			d.transport[dg.Session] = src
		}
		if s = src.sessions[key]; s == nil {
			d.roomForDomain(src)
			s = &session{decoder: d, source: src, key: key, templates: newTemplates(d.o.MaxTemplates)}
			src.sessions[key] = s
			d.domains++
		}
		d.last = s
	}
	if s.stream == nil || s.stream.Gone() {
		s.stream = d.table.Get(exporter.Key{Exporter: addr, Protocol: key.protocol, Domain: key.domain}, addr,
			dg.Received)
		d.last = s // it was forgotten if the stream of the latest datagram was just evicted
		if src := s.source; src.exporter != (flow.Addr{}) {
			s.stream.SetStated(src.exporter)
		}
		if !s.sampling.empty() {
			s.source.announce(key, &s.sampling, s.stream)
		}
	}
	return s
}

// EndSession removes the state of a TCP connection (Datagram.Session) that has ended. Data that still waits for a
// template is counted as lost.
func (d *Decoder) EndSession(transport uint64) {
	src := d.transport[transport]
	if src == nil {
		return
	}
	for _, s := range src.sessions {
		s.leave()
	}
	d.memory.templates.Clear(&src.has.templates)
	d.memory.names.Clear(&src.has.names)
	d.memory.held.Clear(&src.has.held)
	delete(d.transport, transport)
}

// leave ends the session of one observation domain of a connection.
func (s *session) leave() {
	s.giveUpHeld()
	s.stream.Known.Store(0)
	if len(s.missing) > 0 {
		s.stream.SetMissing(nil)
	}
	d := s.decoder
	if d.last == s {
		d.last = nil
	}
	delete(s.source.sessions, s.key)
	d.domains--
}

// The limits on observation domains of one connection and of all. A chassis has one for each line card.
const (
	maxConnectionDomains = 1024
	maxAllDomains        = 16 << 10
)

// roomForDomain evicts domains if there are too many: the connection's own, or those of the connection with the most.
func (d *Decoder) roomForDomain(src *source) {
	for len(src.sessions) >= maxConnectionDomains {
		d.evictDomain(src)
	}
	for d.domains >= maxAllDomains {
		most := src
		for _, other := range d.transport {
			if len(other.sessions) > len(most.sessions) {
				most = other
			}
		}
		d.evictDomain(most)
	}
}

// evictDomain evicts the domain of a connection that was silent longest; those without templates first.
func (d *Decoder) evictDomain(src *source) {
	var victim *session
	for _, s := range src.sessions {
		if victim == nil || cmp.Or(cmp.Compare(min(len(s.byID), 1), min(len(victim.byID), 1)),
			cmp.Compare(s.stream.LastSeen.Load(), victim.stream.LastSeen.Load())) < 0 {
			victim = s
		}
	}
	victim.stream.Fail(exporter.TemplateEvicted, uint64(len(victim.byID)))
	victim.leave()
	src.silence(victim.key)
	d.memory.templates.Add(&src.has.templates, -victim.charged)
}

// all iterates over the sources of datagrams and of connections.
func (d *Decoder) all() iter.Seq[*source] {
	return func(yield func(*source) bool) {
		for _, src := range d.sources {
			if !yield(src) {
				return
			}
		}
		for _, src := range d.transport {
			if !yield(src) {
				return
			}
		}
	}
}

// withdrawn removes the template that a withdrawal names, or all of its kind. It reports whether there was any.
func (t *templates) withdrawn(which *template) bool {
	if id := which.id; id >= firstDataSet {
		known := t.byID[id] != nil && t.byID[id].options == which.options
		if known {
			t.forget(id)
		}
		return known
	}
	if which.options != (which.id == setOptionsIPFIX) || which.id != setTemplateIPFIX && which.id != setOptionsIPFIX {
		return false
	}
	before := len(t.byID)
	for id, one := range t.byID {
		if one.options == which.options {
			t.forget(id)
		}
	}
	return len(t.byID) < before
}
