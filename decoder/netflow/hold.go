package netflow

import (
	"slices"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// heldSet is a data set that waits for its template, with what it needs of its datagram.
type heldSet struct {
	port    uint16
	body    []byte
	context context
	work    *work // of its datagram
}

// heldOverhead is the cost of a held set in addition to its body, in bytes. Without it, an unlimited number of sets
// with empty bodies could be held.
const heldOverhead = 192

func (h *heldSet) size() int { return len(h.body) + heldOverhead }

// maxMissing limits the template ids that a stream remembers as missing.
const maxMissing = 16

// hold keeps a data set until its template is received, within the exporter's share of memory.
func (d *Decoder) hold(s *session, id uint16, body []byte, c *context) {
	s.noteMissing(id, c.received)
	if d.o.HoldFor < 0 {
		s.stream.Fail(exporter.NoTemplate, 1)
		return
	}
	h := heldSet{port: s.lastPort, body: body, context: *c, work: d.work}
	held := &s.source.has.held
	if !d.mayHold(s) || !d.memory.held.Fits(held, h.size()) {
		s.stream.Fail(exporter.HoldFull, 1)
		return
	}
	d.work.held++
	d.work.waits = true
	h.body = slices.Clone(body)
	if s.held == nil {
		s.held = map[uint16][]heldSet{}
	}
	s.held[id] = append(s.held[id], h)
	s.stream.Held.Add(1)
	d.memory.held.Add(held, h.size())
	d.evictHeld()
}

// noteMissing notes for readers of the stream which template is missing, and since when.
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

// release decodes the sets that waited for a template, with the times when they were received.
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
	units, options, unknown, inHand := s.units, s.options, s.unknownSet, d.work
	for i := range waiting {
		h := &waiting[i]
		d.memory.held.Add(&s.source.has.held, -h.size())
		d.work = h.work
		d.work.held--
		if t := s.lookup(id, h.port); t != nil {
			s.stream.Recovered.Add(1)
			d.records(t, s, h.body, &h.context)
		} else { // it was evicted immediately
			s.stream.Fail(exporter.NoTemplate, 1)
		}
	}
	// This datagram's sequence number does not include the records of earlier ones.
	s.units, s.options, s.unknownSet, d.work = units, options, unknown, inHand
}

// Tick expires held data and old templates. now is in Unix nanoseconds; records that are released go to b.
func (d *Decoder) Tick(now int64, b *flow.Batch) {
	d.batch = b
	for src := range d.all() {
		for _, s := range src.sessions {
			d.expireHeld(s, now)
			if src.transport == 0 {
				s.expire(now - int64(d.o.TemplateExpiry))
				s.ageRates(now, int64(d.o.TemplateExpiry))
			}
			d.settle(s)
			s.stream.Known.Store(uint32(len(s.byID)))
		}
		src.age()
	}
	d.sweep(now)
	b.Flush()
}

// sweep removes, from time to time, the expired state of evicted streams, and counts anew what is not exact.
func (d *Decoder) sweep(now int64) {
	if now-d.swept < int64(time.Minute) {
		return
	}
	d.swept = now
	if d.totals != nil {
		d.totals.sweep(now)
	}
	for src := range d.all() {
		for _, s := range src.sessions {
			s.tallyRates()
		}
	}
	before := now - int64(d.o.TemplateExpiry)
	for _, src := range d.sources {
		for key, p := range src.parked {
			if p.expire(before); len(p.byID) == 0 {
				src.forget(d, key)
			}
		}
		d.dropIfEmpty(src)
	}
}

func (d *Decoder) expireHeld(s *session, now int64) {
	limit := now - int64(d.o.HoldFor)
	for id, waiting := range s.held {
		n := 0
		for n < len(waiting) && waiting[n].context.received < limit {
			d.memory.held.Add(&s.source.has.held, -waiting[n].size())
			n++
		}
		s.stream.Fail(exporter.NoTemplate, uint64(n))
		s.keepHeld(id, waiting, n)
	}
}

// keepHeld removes the first n sets from those that wait for a template.
func (s *session) keepHeld(id uint16, waiting []heldSet, n int) {
	if n == len(waiting) {
		delete(s.held, id)
	} else {
		s.held[id] = slices.Delete(waiting, 0, n)
	}
}

// giveUpHeld counts all waiting sets as lost, and removes them.
func (s *session) giveUpHeld() {
	for _, waiting := range s.held {
		for i := range waiting {
			s.decoder.memory.held.Add(&s.source.has.held, -waiting[i].size())
		}
		s.stream.Fail(exporter.NoTemplate, uint64(len(waiting)))
	}
	s.held = nil
}

// Discard gives up all waiting data, at the end of a capture or of the process.
func (d *Decoder) Discard() {
	for src := range d.all() {
		for _, s := range src.sessions {
			s.giveUpHeld()
		}
	}
}
