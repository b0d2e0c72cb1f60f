package netflow

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
)

// State is what a decoder learned from templates and option records, to be kept over a restart. It shares nothing that its
// decoder changes.
type State struct {
	Version int           `json:"version"` // 1
	Sources []SourceState `json:"sources"`
}

// SourceState is what is known of one sending address.
type SourceState struct {
	Address    netip.Addr                    `json:"address"`
	Exporter   netip.Addr                    `json:"exporter,omitzero"`        // IE 130/131
	InitMs     int64                         `json:"system_init_ms,omitempty"` // IE 160, Unix milliseconds
	Interfaces map[uint32]flow.InterfaceName `json:"interfaces,omitempty"`     // IE 82, 83 by ifIndex
	VRFs       map[uint32]string             `json:"vrfs,omitempty"`           // IE 236 by VRF id
	RDs        map[uint32][8]byte            `json:"rds,omitempty"`            // IE 90 by VRF id
	Domains    []DomainState                 `json:"observation_domains"`
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
	Rate           uint32            `json:"rate,omitempty"`
	SystemRate     uint32            `json:"system_rate,omitempty"` // of all domains of the exporter
	LastSampler    uint32            `json:"last_sampler,omitempty"`
	Sampled        int64             `json:"sampled,omitempty"`
}

// TemplateState is one definition.
type TemplateState struct {
	ID      uint16  `json:"id"`
	Options bool    `json:"options,omitempty"`
	Port    uint16  `json:"port"` // the UDP source port that it came from
	Seen    int64   `json:"seen"` // when, Unix nanoseconds
	Fields  []field `json:"fields"`
}

// StateVersion is the version of states that are written.
const StateVersion = 1

// maxStateBytes bounds the file: some hundred thousand templates.
const maxStateBytes = 64 << 20

// Latest is when the latest of the source's templates came, in Unix nanoseconds.
func (s *SourceState) Latest() (latest int64) {
	for _, domain := range s.Domains {
		for _, t := range domain.Templates {
			latest = max(latest, t.Seen)
		}
	}
	return latest
}

// State returns what the decoder has learned so far. For the decoder's own goroutine; what it returns may go to another.
func (d *Decoder) State() State {
	state := State{Version: StateVersion}
	for _, src := range d.sources {
		one := SourceState{Address: src.addr.Netip(), InitMs: src.initMs}
		if src.exporter != (flow.Addr{}) {
			one.Exporter = src.exporter.Netip()
		}
		if src.names != nil {
			one.Interfaces, one.VRFs = maps.Clone(src.names.Interface), maps.Clone(src.names.VRF)
			one.RDs = maps.Clone(src.names.RD)
		}
		for _, s := range src.sessions {
			if domain := s.state(); len(domain.Templates) > 0 {
				one.Domains = append(one.Domains, domain)
			}
		}
		if len(one.Domains) > 0 {
			state.Sources = append(state.Sources, one)
		}
	}
	return state
}

func (s *session) state() DomainState {
	domain := DomainState{
		Protocol: s.key.protocol.String(), Domain: s.key.domain,
		BySampler: maps.Clone(s.sampling.bySampler), ByInterface: maps.Clone(s.sampling.byInterface),
		ByOutInterface: maps.Clone(s.sampling.byOutInterface), ByTemplate: maps.Clone(s.sampling.byTemplate),
		Rate: s.sampling.domain, SystemRate: s.sampling.system, LastSampler: s.sampling.lastSampler, Sampled: s.sampling.seen,
	}
	for _, t := range s.byID {
		// A definition does not change: its fields can be shared.
		domain.Templates = append(domain.Templates, TemplateState{ID: t.id, Options: t.options, Port: t.port, Seen: t.seen, Fields: t.fields})
	}
	return domain
}

// WriteState writes a state as JSON.
func WriteState(w io.Writer, s State) error { return json.NewEncoder(w).Encode(s) }

// ReadState reads what WriteState wrote. What the state says is looked at again when a decoder uses it.
func ReadState(r io.Reader) (State, error) {
	var s State
	if err := json.NewDecoder(io.LimitReader(r, maxStateBytes)).Decode(&s); err != nil {
		return State{}, err
	}
	if s.Version != StateVersion {
		return State{}, fmt.Errorf("version %d: only %d is understood", s.Version, StateVersion)
	}
	return s, nil
}

// Saved is a state arranged for look-up. Any number of decoders may share one.
type Saved map[flow.Addr]*SourceState

// NewSaved arranges a state.
func NewSaved(s State) Saved {
	saved := Saved{}
	for i := range s.Sources {
		if a := s.Sources[i].Address; a.IsValid() {
			saved[flow.AddrFrom(a)] = &s.Sources[i]
		}
	}
	return saved
}

// restoreSource gives a new source what was known of it.
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

// restoreNames gives a new source the names that were known of it, as far as there is room.
func (d *Decoder) restoreNames(src *source, saved *SourceState) {
	bytes := 0
	for _, name := range saved.Interfaces {
		bytes += nameSize(len(name.Name) + len(name.Description))
	}
	for _, name := range saved.VRFs {
		bytes += nameSize(len(name))
	}
	bytes += len(saved.RDs) * nameSize(rdBytes)
	if bytes == 0 || max(len(saved.Interfaces), len(saved.VRFs), len(saved.RDs)) > maxNames || !d.memory.names.Fits(&src.has.names, bytes) {
		return
	}
	maps.Copy(src.nameTable().Interface, saved.Interfaces)
	maps.Copy(src.nameTable().VRF, saved.VRFs)
	maps.Copy(src.nameTable().RD, saved.RDs)
	d.memory.names.Add(&src.has.names, bytes)
	d.evictNames()
}

// restoreAnnouncers gives a new source the sampling rates of all its domains: those of one may be announced in another, which
// need not be heard first.
func (src *source) restoreAnnouncers(saved *SourceState, since int64) {
	for i := range saved.Domains {
		protocol := flow.NetFlowV9
		if saved.Domains[i].Protocol == flow.IPFIX.String() {
			protocol = flow.IPFIX
		}
		if rates, ok := saved.Domains[i].rates(since); ok && !rates.empty() {
			src.announce(sessionKey{protocol, saved.Domains[i].Domain}, &rates, nil)
		}
	}
}

// rates returns the sampling rates of a domain, unless they came before since or are too many. Their maps are those of the state,
// which must not change.
func (s *DomainState) rates(since int64) (rates samplingRates, ok bool) {
	if s.Sampled < since || max(len(s.BySampler), len(s.ByInterface), len(s.ByOutInterface), len(s.ByTemplate)) > maxSamplers {
		return samplingRates{}, false
	}
	rates = samplingRates{
		bySampler: s.BySampler, byInterface: s.ByInterface, byOutInterface: s.ByOutInterface, byTemplate: s.ByTemplate,
		domain: s.Rate, system: s.SystemRate, lastSampler: s.LastSampler, seen: s.Sampled,
	}
	for _, rate := range rates.bySampler {
		rates.countRate(rate, 1)
	}
	return rates, true
}

// restoreSession gives a new session the templates and sampling rates that were known of its observation domain and have not
// expired.
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
		if rates, ok := domain.rates(since); ok && !rates.empty() {
			rates.bySampler, rates.byInterface = maps.Clone(rates.bySampler), maps.Clone(rates.byInterface)
			rates.byOutInterface, rates.byTemplate = maps.Clone(rates.byOutInterface), maps.Clone(rates.byTemplate)
			s.sampling = rates
			s.source.announce(s.key, &s.sampling, s.stream)
		}
	}
}

func (d *Decoder) restoreTemplate(s *session, saved *TemplateState, since int64) {
	if saved.ID < firstDataSet || saved.Seen < since || len(s.byID) >= d.o.MaxTemplates ||
		len(saved.Fields) > maxFields || !d.fits(s.source, templateBytes+fieldBytes*len(saved.Fields)) {
		return
	}
	t := &template{id: saved.ID, options: saved.Options, fields: saved.Fields, port: saved.Port, seen: saved.Seen}
	if !d.compiler.compile(t) {
		return
	}
	s.store(s.byID, t)
	s.restored = max(s.restored, t.seen)
}

// forgetIfRestarted drops restored templates and rates of an exporter that started anew after they came: it may have numbered
// them in another way. bootMs is when it started, in Unix milliseconds.
func (s *session) forgetIfRestarted(bootMs int64, maxTemplates int) {
	if s.restored != 0 && bootMs > s.restored/int64(time.Millisecond)+restartMs {
		s.templates = newTemplates(maxTemplates)
		s.sampling = samplingRates{}
		s.source.ratesChanged++
	}
	s.restored = 0
}
