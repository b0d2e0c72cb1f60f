package status

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/metranova/flow-collector/collector/stream"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Report is the state of the collector and its exporters at one moment, as the page and the JSON of /exporters show it.
type Report struct {
	Collector Collector  `json:"collector"`
	Exporters []Exporter `json:"exporters"`
}

// Collector is the collector's part. Rates cover the last seconds, counters the time since the start.
type Collector struct {
	ID          string    `json:"collector_id,omitempty"`
	Version     string    `json:"version"`
	Now         time.Time `json:"now"`
	Started     time.Time `json:"started"`
	Destination string    `json:"destination"`
	Listen      string    `json:"listen"` // where exporters send to
	Ready       bool      `json:"ready"`

	FlowsPerSecond     float64 `json:"flows_per_second"`
	DatagramsPerSecond float64 `json:"datagrams_per_second"`
	BytesPerSecond     float64 `json:"bytes_per_second"` // of datagrams
	Datagrams          uint64  `json:"datagrams"`
	Records            uint64  `json:"records"`
	RowsWritten        uint64  `json:"rows_written"`
	RowsWaiting        uint64  `json:"rows_waiting"` // in memory
	RowsSpooled        uint64  `json:"rows_spooled"` // on disk
	RowsLost           uint64  `json:"rows_lost"`
	KernelDrops        uint64  `json:"kernel_drops"`
	OverloadDrops      uint64  `json:"overload_drops"` // datagrams of sources that took more than their share

	// open TCP connections by transport; absent if only UDP is listened on
	Connections map[stream.Transport]int `json:"connections,omitempty"`

	LastHour []float64         `json:"-"` // flows per second; NaN before the start
	Verdicts []verdict.Verdict `json:"verdicts"`
}

// Exporter is one stream: an exporter's datagrams of one protocol and observation domain.
type Exporter struct {
	Address  netip.Addr `json:"address"`          // the address in rows
	Source   netip.Addr `json:"source"`           // the address that it sends from
	Agent    netip.Addr `json:"agent,omitzero"`   // sFlow: the agent address in its datagrams
	Device   string     `json:"device,omitempty"` // id in meta_device
	Protocol string     `json:"protocol"`
	Domain   uint32     `json:"domain"` // observation domain, source id, engine or sub-agent

	FirstSeen          time.Time `json:"first_seen"`
	LastSeen           time.Time `json:"last_seen"`
	FlowsPerSecond     float64   `json:"flows_per_second"` // of the last minute
	DatagramsPerSecond float64   `json:"datagrams_per_second"`
	BytesPerSecond     float64   `json:"bytes_per_second"`
	Datagrams          uint64    `json:"datagrams"`
	Records            uint64    `json:"records"`

	Sampling         *Sampling         `json:"sampling,omitempty"`
	TemplatesKnown   uint32            `json:"templates_known"`
	TemplatesMissing []MissingTemplate `json:"templates_missing,omitempty"`
	OptionRecords    uint64            `json:"option_records"`
	ClockSkewSeconds float64           `json:"clock_skew_seconds"` // our clock minus the time in its headers

	Lost           uint64            `json:"lost"`         // by sequence number, in the protocol's unit
	LossPercent    float64           `json:"loss_percent"` // in the last minutes
	LossOverSecond float64           `json:"loss_window_seconds"`
	Duplicated     uint64            `json:"duplicated,omitempty"`
	Reordered      uint64            `json:"reordered,omitempty"`
	Restarts       uint64            `json:"restarts,omitempty"`
	SamplesLost    uint64            `json:"samples_lost,omitempty"`
	AgentDrops     uint64            `json:"agent_drops,omitempty"`
	CounterSamples uint64            `json:"counter_samples,omitempty"` // sFlow
	Failed         map[string]uint64 `json:"failed,omitempty"`          // decode errors by reason
	RowsLost       map[string]uint64 `json:"rows_lost,omitempty"`       // by destination and reason

	UnknownInterfaces []uint32          `json:"unknown_interfaces,omitempty"`
	Verdicts          []verdict.Verdict `json:"verdicts"`
}

// Sampling is the sampling rate of the latest record, 1 in Rate, and its source.
type Sampling struct {
	Rate   uint32 `json:"rate"`
	Source string `json:"source"`
}

// MissingTemplate is a template that data waits for.
type MissingTemplate struct {
	ID    uint16    `json:"id"`
	Since time.Time `json:"since"`
	Sets  uint64    `json:"data_sets"`
}

// Worst returns the severity of the worst verdict; Note if there is none.
func (x *Exporter) Worst() verdict.Severity {
	worst := verdict.Note
	for _, v := range x.Verdicts {
		worst = max(worst, v.Severity)
	}
	return worst
}

// Inputs are the data of a report at one moment. In Facts, the fields Now, Streams, Window and Recent are filled in
// from the rest.
type Inputs struct {
	Now         time.Time
	ID, Version string
	Destination string
	Streams     []*exporter.Stream
	Totals      Totals
	Facts       verdict.Collector

	RowsWritten, RowsWaiting, RowsSpooled, RowsLost uint64

	LostBy RowsLost // by destination and reason, as in Totals.Lost

	Connections map[stream.Transport]int // open ones

	// NoRoutes reports whether an exporter has no router with routes; nil: there are no routes.
	NoRoutes func(flow.Addr) bool
	Snapshot *enrich.Snapshot
	Unknown  []enrich.UnknownInterfaces
	// Name returns the address that identifies a stream's exporter in rows.
	Name func(*exporter.Stream) flow.Addr
}

// sparkPoints is the number of points for the last hour.
const sparkPoints = 180

// Report computes the report for now.
func (h *History) Report(in *Inputs) *Report {
	unknown := map[flow.Addr]*enrich.UnknownInterfaces{}
	for i := range in.Unknown {
		unknown[in.Unknown[i].Exporter] = &in.Unknown[i]
	}
	r := &Report{Exporters: make([]Exporter, 0, len(in.Streams))}
	for _, s := range in.Streams {
		r.Exporters = append(r.Exporters, h.exporter(in, s, unknown))
	}
	slices.SortFunc(r.Exporters, func(a, b Exporter) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol),
			cmp.Compare(a.Domain, b.Domain), a.Source.Compare(b.Source))
	})
	r.Collector = h.collector(in)
	return r
}

func (h *History) collector(in *Inputs) Collector {
	recent, window, flows := h.Totals(in.Now, in.Totals)
	facts := in.Facts
	facts.Now, facts.Streams, facts.Window, facts.Recent = in.Now, len(in.Streams), window, recent.CollectorCounts
	c := Collector{
		ID: in.ID, Version: in.Version, Now: in.Now.UTC(), Started: facts.Started.UTC(), Destination: in.Destination,
		Listen:             facts.ListenText(),
		FlowsPerSecond:     rounded(flows),
		DatagramsPerSecond: rounded(float64(recent.Datagrams) / window.Seconds()),
		BytesPerSecond:     rounded(float64(recent.Bytes) / window.Seconds()),
		Datagrams:          in.Totals.Datagrams, Records: in.Totals.Records, KernelDrops: in.Totals.KernelDrops,
		OverloadDrops: in.Totals.OverShare,
		RowsWritten:   in.RowsWritten, RowsWaiting: in.RowsWaiting, RowsSpooled: in.RowsSpooled, RowsLost: in.RowsLost,
		Connections: in.Connections,
		LastHour:    h.Flows(sparkPoints),
		Verdicts:    orEmpty(verdict.OfCollector(&facts)),
	}
	c.Ready = !slices.ContainsFunc(c.Verdicts, func(v verdict.Verdict) bool { return v.Severity == verdict.Problem })
	return c
}

// Problems describes what is wrong: blocking is what keeps rows from their destination; losing is other loss, which can
// happen to a collector that is merely overloaded.
func (h *History) Problems(in *Inputs) (blocking, losing []string) {
	for _, v := range h.collector(in).Verdicts {
		switch {
		case v.Severity != verdict.Problem:
		case verdict.Blocks(v.Code):
			blocking = append(blocking, v.Text)
		default:
			losing = append(losing, v.Text)
		}
	}
	return blocking, losing
}

func (h *History) exporter(in *Inputs, s *exporter.Stream, unknown map[flow.Addr]*enrich.UnknownInterfaces) Exporter {
	rate, recent, window := h.Stream(s, in.Now)
	name := in.Name(s)
	device, known := in.Snapshot.LookupDevice(name.Netip())
	facts := verdict.Exporter{
		Now: in.Now, FirstSeen: time.Unix(0, s.FirstSeen.Load()).UTC(), LastSeen: time.Unix(0, s.LastSeen.Load()).UTC(),
		Protocol: s.Key.Protocol, Domain: s.Key.Domain, Source: s.Source.Netip(), Named: named(s),
		Device: known, Devices: in.Snapshot.Stats().Devices, HasMetadata: in.Facts.MetadataLoaded,
		Records: s.Records.Load(), Options: s.Options.Load(),
		SamplingRate: s.SamplingRate.Load(), SamplingSource: flow.SamplingSource(s.SamplingSource.Load()),
		Evictions: s.Evictions.Load(), SourceEvicted: s.SourceEvicted(), Impostor: s.Impostor().Netip(),
		Impostors: s.Impostors.Load(), Victim: s.Victim().Netip(),
		Skew: time.Duration(s.ClockSkewMs.Load()) * time.Millisecond, Window: window, Recent: recent,
	}
	x := Exporter{
		Address: name.Netip(), Source: facts.Source, Device: device.ID, Protocol: s.Key.Protocol.String(),
		Domain:    s.Key.Domain,
		FirstSeen: facts.FirstSeen, LastSeen: facts.LastSeen,
		FlowsPerSecond: rounded(rate.Records), DatagramsPerSecond: rounded(rate.Datagrams),
		BytesPerSecond: rounded(rate.Bytes),
		Datagrams:      s.Datagrams.Load(), Records: facts.Records,
		TemplatesKnown: s.Known.Load(), OptionRecords: facts.Options, ClockSkewSeconds: facts.Skew.Seconds(),
		Lost: s.Lost.Load(), LossOverSecond: math.Round(window.Seconds()), Duplicated: s.Duplicated.Load(),
		Reordered: s.Reordered.Load(), Restarts: s.Restarts.Load(),
		SamplesLost: s.SamplesLost.Load(), AgentDrops: s.AgentDrops.Load(),
	}
	if s.Key.Protocol == flow.SFlow5 {
		x.Agent, x.CounterSamples = s.Key.Exporter.Netip(), s.Counters.Load()
	}
	if facts.Records > 0 {
		x.Sampling = &Sampling{facts.SamplingRate, facts.SamplingSource.String()}
	}
	facts.Counts, facts.Misfits = s.Counts(), s.Misfits()
	facts.OwnDrops = h.OwnDrops(in.Now, window, in.Totals)
	facts.RowsLost, x.RowsLost = h.RowsLost(in.Now, window, s.Key, in.LostBy), in.LostBy[s.Key]
	for _, reading := range exporter.Readings() {
		facts.Readings[reading] = s.TimesRead(reading)
	}
	facts.Missing, x.TemplatesMissing = missingTemplates(s)
	x.Failed = failedByReason(s)
	facts.NoRoutes = in.NoRoutes != nil && in.NoRoutes(name)
	if u := unknown[name]; u != nil {
		facts.Unknown, facts.Learned, facts.MoreUnknown = u.Indexes, u.Learned, u.More
		x.UnknownInterfaces = u.Indexes
	}
	x.LossPercent = rounded(100 * facts.LossShare())
	x.Verdicts = orEmpty(verdict.OfExporter(&facts))
	return x
}

// missingTemplates returns the templates that sets wait for, by number, for verdicts and for the report.
func missingTemplates(s *exporter.Stream) (facts []verdict.Missing, shown []MissingTemplate) {
	byNumber := func(a, b *exporter.MissingTemplate) int { return cmp.Compare(a.TemplateID, b.TemplateID) }
	for _, m := range slices.SortedFunc(slices.Values(s.Missing()), byNumber) {
		since := time.Unix(0, m.Since).UTC()
		facts = append(facts, verdict.Missing{Template: m.TemplateID, Since: since, Sets: m.Sets.Load()})
		shown = append(shown, MissingTemplate{m.TemplateID, since, m.Sets.Load()})
	}
	return facts, shown
}

// failedByReason returns what could not be decoded; nil where all could.
func failedByReason(s *exporter.Stream) (failed map[string]uint64) {
	for _, reason := range exporter.Reasons() {
		n := s.Failed(reason)
		if n == 0 {
			continue
		}
		if failed == nil {
			failed = map[string]uint64{}
		}
		failed[reason.String()] = n
	}
	return failed
}

// named returns the address that an exporter states; invalid if it states none.
func named(s *exporter.Stream) netip.Addr {
	if s.Key.Protocol == flow.SFlow5 {
		return s.Key.Exporter.Netip()
	}
	if stated := s.Stated(); stated != (flow.Addr{}) {
		return stated.Netip()
	}
	return netip.Addr{}
}

// rounded returns a number with three decimals.
func rounded(n float64) float64 { return math.Round(n*1000) / 1000 }

// orEmpty returns a list that is [] in JSON rather than null.
func orEmpty(list []verdict.Verdict) []verdict.Verdict {
	if list == nil {
		return []verdict.Verdict{}
	}
	return list
}
