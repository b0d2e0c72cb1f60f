package netflow

import (
	"math"
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
)

// State is what a decoder has learned from templates and option records, to be saved over a restart. It shares nothing
// that its decoder changes.
type State struct {
	Version   int           `json:"version"`
	Sources   []SourceState `json:"sources"`
	Forgotten []netip.Addr  `json:"-"` // sources of an earlier State that were forgotten since
}

// SourceState is what is known of one sending address.
type SourceState struct {
	Address    netip.Addr                    `json:"address"`
	Proven     bool                          `json:"proven,omitempty"`         // it has given data
	Exporter   netip.Addr                    `json:"exporter,omitzero"`        // IE 130/131
	InitMs     int64                         `json:"system_init_ms,omitempty"` // IE 160, Unix milliseconds
	Interfaces map[uint32]flow.InterfaceName `json:"interfaces,omitempty"`     // IE 82, 83 by ifIndex
	VRFs       map[uint32]string             `json:"vrfs,omitempty"`           // IE 236 by VRF id
	RDs        map[uint32][8]byte            `json:"rds,omitempty"`            // IE 90 by VRF id
	Domains    []DomainState                 `json:"observation_domains,omitempty"`
}

// DomainState is what is known of one observation domain.
type DomainState struct {
	Protocol  string          `json:"protocol"` // as flow.Protocol's String has it
	Domain    uint32          `json:"domain"`
	Templates []TemplateState `json:"templates,omitempty"`

	// Sampling rates of option records, and when the latest came, in Unix nanoseconds.
	BySampler      map[uint64]uint32 `json:"by_sampler,omitempty"`
	ByInterface    map[uint32]uint32 `json:"by_interface,omitempty"`
	ByOutInterface map[uint32]uint32 `json:"by_out_interface,omitempty"`
	ByTemplate     map[uint16]uint32 `json:"by_template,omitempty"`
	ByScope        []ScopeState      `json:"by_scope,omitempty"` // of everything that is in none of the maps
	Rate           uint32            `json:"rate,omitempty"`
	SystemRate     uint32            `json:"system_rate,omitempty"` // of all domains of the exporter
	LastSampler    uint32            `json:"last_sampler,omitempty"`
	Sampled        int64             `json:"sampled,omitempty"`

	rates *samplingRates // the same for look-up, in a Saved; nil: there are none
}

// TemplateState is one definition.
type TemplateState struct {
	ID      uint16  `json:"id"`
	Options bool    `json:"options,omitempty"`
	Port    uint16  `json:"port"` // the UDP source port that it came from
	Seen    int64   `json:"seen"` // when it was received, Unix nanoseconds
	Fields  []field `json:"fields"`
}

// ScopeState is a rate, or the samplers, of what option records named as their scope.
type ScopeState struct {
	Of       []ScopeName `json:"of"`
	Rate     uint32      `json:"rate,omitempty"`
	Samplers []uint64    `json:"samplers,omitempty"`
}

// ScopeName is one thing of a scope. Kinds are those of scopeKind, whose numbers never change.
type ScopeName struct {
	Kind uint8  `json:"kind"`
	ID   uint64 `json:"id"`
}

// Latest returns when the latest of the source's templates was received, in Unix nanoseconds.
func (s *SourceState) Latest() (latest int64) {
	for _, domain := range s.Domains {
		for _, t := range domain.Templates {
			latest = max(latest, t.Seen)
		}
	}
	return latest
}

// State returns what the decoder has learned so far. Only the decoder's goroutine may call it; the result may be used
// by another.
func (d *Decoder) State() State {
	for _, src := range d.sources {
		src.changed, src.renamed = true, true
	}
	d.BeginSave()
	state, _ := d.Save(math.MaxInt)
	return state
}

// BeginSave makes Save pass on the sources that changed since their last save. It does not wait for the previous save
// to be complete.
func (d *Decoder) BeginSave() {
	if len(d.toSave) > 0 {
		return
	}
	for _, src := range d.sources {
		if src.changed || src.renamed {
			d.toSave = append(d.toSave, src)
		}
	}
}

// Save returns the states of some changed sources, with about limit templates and names in total, and the addresses of
// forgotten sources. It reports whether there are more. The decoder's goroutine calls it repeatedly, so that no call
// takes long.
func (d *Decoder) Save(limit int) (state State, more bool) {
	state = State{Version: StateVersion, Forgotten: d.forgotten}
	d.forgotten = nil
	for ; len(d.toSave) > 0 && limit > 0; d.toSave = d.toSave[1:] {
		src := d.toSave[0]
		d.toSave[0] = nil
		if d.sources[src.addr] != src {
			continue
		}
		one := src.state()
		for i := range one.Domains {
			limit -= 1 + len(one.Domains[i].Templates)
		}
		limit -= len(one.Interfaces) + len(one.VRFs) + len(one.RDs)
		if len(one.Domains) > 0 {
			state.Sources = append(state.Sources, one)
			src.saved = true
		}
	}
	return state, len(d.toSave) > 0
}

func (src *source) state() SourceState {
	one := SourceState{Address: src.addr.Netip(), InitMs: src.initMs, Proven: src.has.templates.Trusted()}
	if src.exporter != (flow.Addr{}) {
		one.Exporter = src.exporter.Netip()
	}
	if src.names != nil {
		if src.renamed || src.savedNames == nil {
			src.savedNames = compactNames(src.names)
		}
		if n := src.savedNames; n != nil {
			one.Interfaces, one.VRFs, one.RDs = n.Interface, n.VRF, n.RD
		}
	}
	for key, p := range src.parked {
		one.Domains = append(one.Domains, domainState(key, &p.templates, &p.sampling))
	}
	for key, s := range src.sessions {
		if len(s.byID) > 0 {
			one.Domains = append(one.Domains, domainState(key, &s.templates, &s.sampling))
		}
	}
	src.changed, src.renamed = false, false
	return one
}

func domainState(key sessionKey, known *templates, rates *samplingRates) DomainState {
	domain := DomainState{
		Protocol: key.protocol.String(), Domain: key.domain,
		Rate: rates.domain, SystemRate: rates.system, LastSampler: rates.lastSampler, Sampled: rates.seen,
		Templates: make([]TemplateState, 0, len(known.byID)),
	}
	domain.save(&rates.scopedRates)
	for _, t := range known.byID {
		// A definition never changes, so its fields can be shared.
		domain.Templates = append(domain.Templates,
			TemplateState{ID: t.id, Options: t.options, Port: t.port, Seen: t.seen, Fields: t.fields})
	}
	return domain
}

// Saved is a state indexed for look-up. Decoders may share it: they do not change it.
type Saved map[flow.Addr]*SourceState

// NewSaved indexes a state.
func NewSaved(s State) Saved {
	saved := Saved{}
	for i := range s.Sources {
		if a := s.Sources[i].Address; a.IsValid() {
			for n := range s.Sources[i].Domains {
				domain := &s.Sources[i].Domains[n]
				domain.rates = domain.restored()
			}
			saved[flow.AddrFrom(a)] = &s.Sources[i]
		}
	}
	return saved
}

// restoreSource restores the saved state of a new source.
func (d *Decoder) restoreSource(src *source, now int64) {
	saved := d.o.Saved[src.addr]
	if saved == nil {
		return
	}
	src.initMs = saved.InitMs
	if saved.Exporter.IsValid() {
		src.exporter = flow.AddrFrom(saved.Exporter)
	}
	d.restoreNames(src, saved)
	src.restoreAnnouncers(saved, now-int64(d.o.TemplateExpiry))
}

// restoreNames restores the saved names of a new source, as far as they fit.
func (d *Decoder) restoreNames(src *source, saved *SourceState) {
	bytes := 0
	for _, name := range saved.Interfaces {
		bytes += nameSize(len(name.Name) + len(name.Description))
	}
	for _, name := range saved.VRFs {
		bytes += nameSize(len(name))
	}
	bytes += len(saved.RDs) * nameSize(rdBytes)
	if bytes == 0 {
		return
	}
	bytes += nameTableBytes
	if max(len(saved.Interfaces), len(saved.VRFs), len(saved.RDs)) > maxNames ||
		!d.memory.names.Fits(&src.has.names, bytes) {
		return
	}
	src.names = compactNames(&flow.Names{Interface: saved.Interfaces, VRF: saved.VRFs, RD: saved.RDs})
	d.memory.names.Add(&src.has.names, bytes)
	d.evictNames()
}

// restoreAnnouncers restores the sampling rates of all domains of a new source: those of one may be announced in
// another, which need not be received first.
func (src *source) restoreAnnouncers(saved *SourceState, since int64) {
	for i := range saved.Domains {
		protocol := flow.NetFlowV9
		if saved.Domains[i].Protocol == flow.IPFIX.String() {
			protocol = flow.IPFIX
		}
		if rates := saved.Domains[i].rates; rates != nil && rates.seen >= since {
			src.announce(sessionKey{protocol, saved.Domains[i].Domain}, rates, nil)
		}
	}
}

// restoreSession restores the saved templates and sampling rates of a new session's observation domain, unless they
// have expired.
func (d *Decoder) restoreSession(s *session, now int64) {
	saved := d.o.Saved[s.source.addr]
	if saved == nil {
		return
	}
	since := now - int64(d.o.TemplateExpiry)
	for _, domain := range saved.Domains {
		if domain.Protocol != s.key.protocol.String() || domain.Domain != s.key.domain {
			continue
		}
		for _, t := range domain.Templates {
			d.restoreTemplate(s, &t, since)
		}
		if domain.rates != nil && domain.rates.seen >= since {
			s.sampling = domain.rates.clone()
			s.source.announce(s.key, &s.sampling, s.stream)
		}
	}
}

func (d *Decoder) restoreTemplate(s *session, saved *TemplateState, since int64) {
	if saved.ID < firstDataSet || saved.Seen < since || len(s.byID) >= d.o.MaxTemplates ||
		len(saved.Fields) > maxFields || !d.fits(s.source, templateBytes+fieldBytes*len(saved.Fields)) {
		return
	}
	t := &template{id: saved.ID, options: saved.Options, fields: saved.Fields, port: saved.Port, seen: saved.Seen,
		active: saved.Seen}
	if !t.measure() {
		return
	}
	s.store(s.byID, t)
	s.restored = max(s.restored, t.seen)
}

// forgetIfRestarted drops restored templates and rates of an exporter that restarted after they were received, because
// it may have numbered them differently. bootMs is when it started, in Unix milliseconds.
func (s *session) forgetIfRestarted(bootMs int64, maxTemplates int) {
	if s.restored != 0 && bootMs > s.restored/int64(time.Millisecond)+restartMs {
		s.templates = newTemplates(maxTemplates)
		s.source.silence(s.key)
		s.sampling = samplingRates{}
	}
	s.restored = 0
}
