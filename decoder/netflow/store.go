package netflow

import (
	"slices"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
)

// templates are the definitions of one observation domain. If two source ports define an id differently, their
// definitions are kept separately (RFC 7011 §8.4 makes the port part of the session; most exporters do not mean it).
// The definition in use remains the domain's: another port, which may be forged, never takes it away from the one that
// sends data by it.
type templates struct {
	max    int
	bytes  int // cost of the definitions; those that are kept by port count once more
	byID   map[uint16]*template
	byPort map[uint16]*portTemplates // nil: no conflict so far
	last   *template
}

// portTemplates are the definitions of one source port that differ from another port's.
type portTemplates struct {
	byID   map[uint16]*template
	second int64  // the second in which data was last received from the port
	tenure uint32 // in how many seconds data was received
}

func newTemplates(limit int) templates {
	return templates{max: limit, byID: map[uint16]*template{}}
}

// lookup returns the template with an id, or nil.
func (t *templates) lookup(id, port uint16) *template {
	if t.last != nil && t.last.id == id && t.byPort == nil {
		return t.last
	}
	if own := t.byPort[port]; own != nil {
		if found := own.byID[id]; found != nil {
			return found
		}
	}
	found := t.byID[id]
	if found != nil {
		t.last = found
	}
	return found
}

// gaveData notes that data of a template was received from a port.
func (t *templates) gaveData(one *template, port uint16, now int64) {
	if one.port == port {
		one.active = now
	}
	if t.byPort == nil {
		return
	}
	if own, second := t.byPort[port], now/int64(time.Second); own != nil && own.second != second {
		own.second = second
		own.tenure++
	}
}

// conflictWindow is how recently another port must have sent its definition, or data by it, for the two to be
// concurrent exporters rather than one that restarted.
const conflictWindow = int64(30 * time.Minute)

// refresh reports whether a definition is known already, as exporters repeat them all the time, and notes the time.
func (t *templates) refresh(n *template) bool {
	old := t.lookup(n.id, n.port)
	if old == nil || !old.same(n) {
		return false
	}
	old.seen = n.seen
	if old.port == n.port || n.seen-old.active >= conflictWindow {
		old.port, old.active = n.port, n.seen // of a successor: the former port is no longer used
	}
	return true
}

// put keeps a definition that is new or changed. It returns why it was refused or (kept) what is unusual about it.
func (t *templates) put(n *template) (reason exporter.Reason, kept bool) {
	old := t.lookup(n.id, n.port)
	t.last = nil
	if old == nil && len(t.byID) >= t.max {
		return exporter.TemplateLimit, false
	}
	n.active = n.seen
	if old != nil && old.port != n.port && n.seen-old.active < conflictWindow {
		return exporter.TemplateConflict, t.split(old, n)
	}
	if own := t.byPort[n.port]; own != nil && own.byID[n.id] != nil {
		t.store(own.byID, n)
		if shared := t.byID[n.id]; shared != nil && shared.port != n.port && n.seen-shared.active < conflictWindow {
			return 0, true // another port's, which is in use
		}
	}
	t.store(t.byID, n)
	return 0, true
}

// store adds a definition to one of the maps.
func (t *templates) store(m map[uint16]*template, n *template) {
	t.remove(m, n.id)
	m[n.id] = n
	t.bytes += n.bytes()
}

// remove removes a definition from one of the maps.
func (t *templates) remove(m map[uint16]*template, id uint16) {
	if old := m[id]; old != nil {
		t.bytes -= old.bytes()
		delete(m, id)
	}
}

// forget removes a definition, including those kept by port.
func (t *templates) forget(id uint16) {
	t.remove(t.byID, id)
	for _, own := range t.byPort {
		t.remove(own.byID, id)
	}
	t.last = nil
}

// bytes is what a definition costs.
func (t *template) bytes() int { return templateBytes + fieldBytes*len(t.fields) }

// maxPorts limits the ports whose templates are kept separately.
const maxPorts = 64

// split keeps two definitions of one id separately, by their ports. The old one remains the domain's. It reports
// whether the new one was kept.
func (t *templates) split(old, n *template) (kept bool) {
	if t.byPort == nil {
		t.byPort = map[uint16]*portTemplates{}
	}
	if !t.havePort(old.port, n) || !t.havePort(n.port, old) {
		return false
	}
	t.store(t.byPort[old.port].byID, old)
	t.store(t.byPort[n.port].byID, n)
	return true
}

// havePort makes an entry for a port's templates; other's port keeps its own. If all are used, the port with data in
// the fewest seconds is replaced, if it never sent any or not recently.
func (t *templates) havePort(port uint16, other *template) bool {
	if t.byPort[port] != nil {
		return true
	}
	if len(t.byPort) >= maxPorts {
		least, found := uint16(0), false
		for p, own := range t.byPort {
			idle := own.tenure == 0 || other.seen/int64(time.Second)-own.second >= conflictWindow/int64(time.Second)
			if p != other.port && idle && (!found || own.tenure < t.byPort[least].tenure) {
				least, found = p, true
			}
		}
		if !found {
			return false
		}
		for id := range t.byPort[least].byID {
			t.remove(t.byPort[least].byID, id)
		}
		delete(t.byPort, least)
	}
	t.byPort[port] = &portTemplates{byID: map[uint16]*template{}}
	return true
}

// expire removes definitions that were not repeated since a time.
func (t *templates) expire(before int64) {
	n := 0
	for id, one := range t.byID {
		if one.seen < before {
			t.remove(t.byID, id)
			n++
		}
	}
	for port, own := range t.byPort {
		for id, one := range own.byID {
			if one.seen < before {
				t.remove(own.byID, id)
			}
		}
		if len(own.byID) == 0 {
			delete(t.byPort, port)
		}
	}
	if n > 0 {
		t.last = nil
	}
}

// sorted returns the definitions by id.
func (t *templates) sorted() []*template {
	all := make([]*template, 0, len(t.byID))
	for _, one := range t.byID {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *template) int { return int(a.id) - int(b.id) })
	return all
}

// maxFields limits the fields of one template. Real ones have less than a hundred, and each costs memory.
const maxFields = 1024

// define keeps a copy of a template, and decodes the data that waited for it.
func (d *Decoder) define(s *session, t *template, c *context) {
	s.stream.Templates.Add(1)
	s.definitions++
	if t.id < firstDataSet {
		s.stream.Fail(exporter.BadTemplate, 1)
		return
	}
	t.port, t.seen = s.lastPort, c.received
	if s.refresh(t) {
		s.source.changed = true
		return
	}
	if len(t.fields) > maxFields || !d.mayAddDefinition(s) || !d.fits(s.source, t.bytes()) {
		s.stream.Fail(exporter.TemplateLimit, 1)
		return
	}
	d.work.newDefinitions++
	if t = t.clone(); !t.measure() {
		s.stream.Fail(exporter.BadTemplate, 1)
		return
	}
	reason, kept := s.put(t)
	if reason != 0 {
		s.stream.Fail(reason, 1)
	}
	if !kept {
		return
	}
	s.source.changed = true
	d.settle(s)
	d.release(s, t.id)
}
