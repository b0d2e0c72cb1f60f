package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// heldSet is a data set that waits for its template, with what it needs of its datagram.
type heldSet struct {
	id      uint16
	port    uint16
	body    []byte
	context context
}

// maxMissing bounds the template ids that a stream remembers as missing.
const maxMissing = 64

// hold keeps a data set until its template comes, within the exporter's share of memory.
func (d *Decoder) hold(s *session, id uint16, body []byte, c *context) {
	s.noteMissing(id, c.received)
	if d.o.HoldFor < 0 {
		s.stream.Fail(exporter.NoTemplate, 1)
		return
	}
	if s.source.heldBytes+len(body) > d.o.HoldBytes {
		s.stream.Fail(exporter.HoldFull, 1)
		return
	}
	s.source.heldBytes += len(body)
	s.stream.Held.Add(1)
	s.held = append(s.held, heldSet{id: id, port: s.lastPort, body: slices.Clone(body), context: *c})
}

// noteMissing tells readers of the stream which template is missing since when.
func (s *session) noteMissing(id uint16, now int64) {
	m := s.missing[id]
	if m == nil {
		if len(s.missing) >= maxMissing {
			return
		}
		if s.missing == nil {
			s.missing = map[uint16]*exporter.MissingTemplate{}
		}
		m = &exporter.MissingTemplate{TemplateID: id, Since: now}
		s.missing[id] = m
		s.publishMissing()
	}
	m.Sets.Add(1)
}

func (s *session) publishMissing() {
	list := make([]*exporter.MissingTemplate, 0, len(s.missing))
	for _, m := range s.missing {
		list = append(list, m)
	}
	s.stream.SetMissing(list)
}

// release decodes the sets that waited for a template, as of the time when they came.
func (d *Decoder) release(s *session, id uint16) {
	if _, was := s.missing[id]; was {
		delete(s.missing, id)
		s.publishMissing()
	}
	units := s.units
	kept := s.held[:0]
	for i := range s.held {
		h := &s.held[i]
		t := s.lookup(h.id, h.port)
		if h.id != id || t == nil {
			kept = append(kept, *h)
			continue
		}
		s.source.heldBytes -= len(h.body)
		s.stream.Recovered.Add(1)
		d.records(t, s, h.body, &h.context)
	}
	clear(s.held[len(kept):])
	s.held = kept
	// The sequence number of this datagram does not count the records of earlier ones.
	s.units = units
}

// Tick expires held data and old templates. now is the time in Unix nanoseconds; records that come free go to b.
func (d *Decoder) Tick(now int64, b *flow.Batch) {
	d.batch = b
	for addr, src := range d.sources {
		for key, s := range src.sessions {
			if s.stream.Gone() {
				delete(src.sessions, key)
				continue
			}
			d.expireHeld(s, now)
			if n := s.expire(now - int64(d.o.TemplateExpiry)); n > 0 {
				d.changed = true
			}
		}
		if len(src.sessions) == 0 {
			delete(d.sources, addr)
		}
	}
	b.Flush()
}

func (d *Decoder) expireHeld(s *session, now int64) {
	limit := now - int64(d.o.HoldFor)
	n := 0
	for n < len(s.held) && s.held[n].context.received < limit {
		s.source.heldBytes -= len(s.held[n].body)
		n++
	}
	if n == 0 {
		return
	}
	s.stream.Fail(exporter.NoTemplate, uint64(n))
	s.held = slices.Delete(s.held, 0, n)
}

// Discard gives up all data that still waits, at the end of a capture or of the process.
func (d *Decoder) Discard() {
	for _, src := range d.sources {
		for _, s := range src.sessions {
			if len(s.held) > 0 {
				s.stream.Fail(exporter.NoTemplate, uint64(len(s.held)))
				s.held, src.heldBytes = nil, 0
			}
		}
	}
}
