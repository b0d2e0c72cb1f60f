package pipeline

import (
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Settings are what an operator may change while workers run. A Settings value is never changed; it is replaced by
// another.
type Settings struct {
	// BySource names exporters by their UDP source, whatever they say themselves. Names are other addresses for some
	// exporters.
	BySource  bool
	Names     map[flow.Addr]flow.Addr
	Overrides exporter.Overrides // sampling rates
	Policy    enrich.Policy
	Ports     *enrich.PortSet // the ports that rows keep; nil: all
	// Flows with fewer packets or bits, after multiplication by the sampling rate, are counted and give no row.
	MinPackets, MinBits uint64
	// MaxAheadMs and MaxBehindMs bound how far a flow's times may be from the time of its receipt, in milliseconds. A
	// MaxAheadMs of 0 is a day, a MaxBehindMs of 0 is the table's TTL (Worker.SetTTL).
	MaxAheadMs, MaxBehindMs int64
}

// Name returns the address by which rows name an exporter that states an address and sends from source.
func (s *Settings) Name(exporter, source flow.Addr) flow.Addr {
	if s.BySource {
		exporter = source
	}
	if name, found := s.Names[exporter]; found {
		return name
	}
	return exporter
}

// change applies new settings to the worker.
func (w *Worker) change(s *Settings) {
	w.settings = s
	w.renames = s.BySource || len(s.Names) > 0
	w.Decoder.SetOverrides(s.Overrides)
	w.Enricher.SetPolicy(s.Policy)
	w.Enricher.SetPorts(s.Ports)
}
