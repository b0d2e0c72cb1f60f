package netflow

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// heldSet is a data set that waits for its template, with what it needs of its datagram.
type heldSet struct {
	port    uint16
	body    []byte
	context context
}

// heldOverhead is what a held set costs beside its body, in bytes: without it sets with empty bodies would be held
// without end.
const heldOverhead = 128

func (h *heldSet) size() int { return len(h.body) + heldOverhead }

// maxMissing bounds the template ids that a stream remembers as missing.
const maxMissing = 64

// hold keeps a data set until its template comes, within the exporter's share of memory.
func (d *Decoder) hold(s *session, id uint16, body []byte, c *context) {
	s.noteMissing(id, c.received)
	if d.o.HoldFor < 0 {
		s.stream.Fail(exporter.NoTemplate, 1)
		return
	}
	h := heldSet{port: s.lastPort, body: body, context: *c}
	if s.source.heldBytes+h.size() > d.o.HoldBytes {
		s.stream.Fail(exporter.HoldFull, 1)
		return
	}
	h.body = slices.Clone(body)
	if s.held == nil {
		s.held = map[uint16][]heldSet{}
	}
	s.held[id] = append(s.held[id], h)
	s.source.heldBytes += h.size()
	s.stream.Held.Add(1)
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
	waiting := s.held[id]
	if len(waiting) == 0 {
		return
	}
	delete(s.held, id)
	units, options, unknown := s.units, s.options, s.unknownSet
	for i := range waiting {
		h := &waiting[i]
		s.source.heldBytes -= h.size()
		s.stream.Recovered.Add(1)
		d.records(s.lookup(id, h.port), s, h.body, &h.context)
	}
	// The sequence number of this datagram does not count the records of earlier ones.
	s.units, s.options, s.unknownSet = units, options, unknown
}

// Tick expires held data and old templates. now is the time in Unix nanoseconds; records that come free go to b.
func (d *Decoder) Tick(now int64, b *flow.Batch) {
	d.batch = b
	for addr, src := range d.sources {
		for key, s := range src.sessions {
			if s.stream.Gone() {
				s.giveUpHeld()
				delete(src.sessions, key)
				continue
			}
			d.expireHeld(s, now)
			s.expire(now - int64(d.o.TemplateExpiry))
			s.stream.Known.Store(uint32(len(s.byID)))
		}
		if len(src.sessions) == 0 {
			delete(d.sources, addr)
		}
	}
	d.countFields()
	b.Flush()
}

func (d *Decoder) expireHeld(s *session, now int64) {
	limit := now - int64(d.o.HoldFor)
	for id, waiting := range s.held {
		n := 0
		for n < len(waiting) && waiting[n].context.received < limit {
			s.source.heldBytes -= waiting[n].size()
			n++
		}
		s.stream.Fail(exporter.NoTemplate, uint64(n))
		if n == len(waiting) {
			delete(s.held, id)
		} else {
			s.held[id] = slices.Delete(waiting, 0, n)
		}
	}
}

// giveUpHeld counts the sets that wait in vain, and forgets them.
func (s *session) giveUpHeld() {
	for _, waiting := range s.held {
		for i := range waiting {
			s.source.heldBytes -= waiting[i].size()
		}
		s.stream.Fail(exporter.NoTemplate, uint64(len(waiting)))
	}
	s.held = nil
}

// Discard gives up all data that still waits, at the end of a capture or of the process.
func (d *Decoder) Discard() {
	for _, src := range d.sources {
		for _, s := range src.sessions {
			s.giveUpHeld()
		}
	}
}
