package enrich

import "github.com/metranova/flow-collector/decoder/flow"

// Origin is what rows say of the data's origin, where an exporter has another one than the collector's own. It is never
// changed: rows point to it, and consecutive rows mostly to the same one.
type Origin struct {
	CollectorID, PolicyOriginator, PolicyLevel string
}

// Label is the label and the policy of some exporters.
type Label struct {
	Origin
	// Scopes take the place of Policy.Scopes; nil: those hold.
	Scopes []string
}

// Origin returns the origin of an exporter's rows, nil for the collector's own, and their configured scopes.
func (e *Enricher) Origin(s *Snapshot, exporter flow.Addr) (*Origin, []string) {
	if s != e.snapshot {
		e.reset(s)
	}
	x := e.exporter(exporter)
	return x.origin, x.scopes.configured
}

// exporter returns the entry of an exporter. Its label is looked up once, not for each row.
func (e *Enricher) exporter(a flow.Addr) *exporterEntry {
	x := e.exporters.of(e.snapshot, a)
	if x.scopes == nil {
		e.label(x)
	}
	return x
}

// label sets the origin and the scopes of an exporter.
func (e *Enricher) label(x *exporterEntry) {
	x.scopes = &e.scopes
	if e.scopes.policy.Label == nil {
		return
	}
	l := e.scopes.policy.Label(x.addr)
	if l == nil {
		return
	}
	x.origin = &l.Origin
	if l.Scopes != nil {
		x.scopes = e.scopes.with(l.Scopes)
	}
}

// SetPorts has rows keep only the listed ports of TCP, UDP and all other protocols: others become 0. nil: they keep
// all.
func (e *Enricher) SetPorts(listed *PortSet) { e.listed = listed }

// PortSet is a set of ports. The zero value is empty.
type PortSet struct{ set portSet }

// Add adds a port.
func (p *PortSet) Add(port uint16) { p.set[port/64] |= 1 << (port % 64) }

// only returns a port of the set, and 0 for any other.
func (p *PortSet) only(port uint16) uint16 {
	if p.set.has(port) {
		return port
	}
	return 0
}
