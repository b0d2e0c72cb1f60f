package exporter

import "github.com/metranova/flow-collector/decoder/flow"

// Override is a sampling rate that the operator sets. It replaces the one that the exporter sends.
type Override struct {
	Exporter flow.Addr
	// Interface is the ifIndex of the flow's input that the rate is for. With AnyInterface it is for all.
	Interface    uint32
	AnyInterface bool
	Rate         uint32
}

// Overrides are the operator's sampling rates, by exporter.
type Overrides map[flow.Addr]*Rates

// Rates are the operator's sampling rates of one exporter.
type Rates struct {
	any         uint32
	byInterface map[uint32]uint32
}

// NewOverrides indexes overrides for look-up.
func NewOverrides(list []Override) Overrides {
	all := Overrides{}
	for _, o := range list {
		r := all[o.Exporter]
		if r == nil {
			r = &Rates{byInterface: map[uint32]uint32{}}
			all[o.Exporter] = r
		}
		if o.AnyInterface {
			r.any = o.Rate
		} else {
			r.byInterface[o.Interface] = o.Rate
		}
	}
	return all
}

// Apply sets the record's sampling rate if the operator has set one. r may be nil.
func (r *Rates) Apply(record *flow.Record) {
	if r == nil {
		return
	}
	rate := r.any
	if n, found := r.byInterface[record.InIf]; found && record.InIfKind == flow.InterfaceIndex {
		rate = n
	}
	if rate != 0 {
		record.SamplingRate, record.SamplingSource = rate, flow.SamplingOverride
	}
}
