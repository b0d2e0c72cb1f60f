package exporter

import "sync/atomic"

// The stages at which a stream's counters count, in the order of a datagram's way.
const (
	StageReceived = "received" // what was received, and what it contained
	StageUpstream = "upstream" // lost before the collector: in the network or in the exporter
	StageHold     = "hold"     // data that was received before its template
	StageFilter   = "filter"   // what the operator does not want
	StageOverload = "overload" // what exceeds an exporter's share
)

// SequenceUnit is the unit of counters from sequence numbers: what they count depends on the protocol.
const SequenceUnit = "sequence"

// streamCounters holds the counters of a stream. Each has an entry in counters. Failures are counted by Reason instead.
type streamCounters struct {
	Datagrams, Bytes    atomic.Uint64
	Records             atomic.Uint64 // flow records handed on
	Options, Templates  atomic.Uint64 // option data records, template definitions seen
	Counters, Discards  atomic.Uint64 // sFlow counter samples, and samples of discarded packets
	Held, Recovered     atomic.Uint64 // data sets that waited for a template, and those decoded later
	Lost, Duplicated    atomic.Uint64 // in the protocol's unit, see Sequence
	Reordered, Restarts atomic.Uint64
	SamplesLost         atomic.Uint64 // sFlow: flow samples that are missing by sequence number
	AgentDrops          atomic.Uint64 // sFlow: packets that the agent itself dropped
	Ahead, Behind       atomic.Uint64 // records with impossible times: the exporter's clock is wrong
	Clamped             atomic.Uint64 // of these, records whose rows have the time of receipt
	Small               atomic.Uint64 // records of flows below the operator's minimum, which give no row
	LeftOut             atomic.Uint64 // records whose rows lack communities or a route distinguisher
}

// Counter describes one counter of a stream. The ledger, the table of losses, metrics and the summary iterate over
// Counters. To add a counter: a field of streamCounters and an entry in counters, both in this file.
type Counter struct {
	Name    string // in the table of losses
	Unit    string // singular or plural noun; SequenceUnit: the protocol's
	Stage   string
	Missing bool // what it counts is missing from the tables

	Metric, Help string // in Prometheus; Metric lacks the common prefix

	Loss  string // the summary's text for this loss; "": it is not a loss
	Clock string // the summary's text for records with a wrong clock; "": it does not count these

	of func(*Stream) *atomic.Uint64
	in func(*Counts) *uint64 // nil: Counts does not have it
}

// Count returns a stream's value of the counter. It is safe for concurrent use.
func (c *Counter) Count(s *Stream) uint64 { return c.of(s).Load() }

// Counts are counters of a stream at one moment, or what they grew by. It has those that verdicts need; CountsOf fills
// it by Counters. The zero value is that of a new stream.
type Counts struct {
	Datagrams, Bytes, Records, Options uint64
	Counters                           uint64 // sFlow counter samples
	Lost, Duplicated, Reordered        uint64 // by sequence number, in the protocol's unit
	SamplesLost, AgentDrops, Restarts  uint64
	Clamped                            uint64              // records whose times were replaced by the time of receipt
	LeftOut                            uint64              // records whose rows lack communities or a distinguisher
	Failed                             [ReasonCount]uint64 // by Reason
}

// CountsOf returns a stream's counters. It is safe for concurrent use.
func CountsOf(s *Stream) (c Counts) {
	for i := range counters {
		if in := counters[i].in; in != nil {
			*in(&c) = counters[i].of(s).Load()
		}
	}
	for _, reason := range Reasons() {
		c.Failed[reason] = s.Failed(reason)
	}
	return c
}

// Counters returns all counters, in the order of the ledger's columns. The slice must not be changed.
func Counters() []Counter { return counters[:] }

var counters = [...]Counter{
	{
		Name: "datagrams", Unit: "datagrams", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Datagrams },
		in:     func(c *Counts) *uint64 { return &c.Datagrams },
		Metric: "datagrams_total", Help: "Datagrams received.",
	},
	{
		Name: "bytes", Unit: "bytes", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Bytes },
		in:     func(c *Counts) *uint64 { return &c.Bytes },
		Metric: "bytes_total", Help: "Bytes of the datagrams received, without UDP and IP headers.",
	},
	{
		Name: "records", Unit: "records", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Records },
		in:     func(c *Counts) *uint64 { return &c.Records },
		Metric: "records_total", Help: "Flow records decoded; each becomes a row.",
	},
	{
		Name: "option_records", Unit: "records", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Options },
		in:     func(c *Counts) *uint64 { return &c.Options },
		Metric: "option_records_total", Help: "Option data records decoded.",
	},
	{
		Name: "templates", Unit: "templates", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Templates },
		Metric: "templates_total", Help: "Template definitions received.",
	},
	{
		Name: "counter_samples", Unit: "samples", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Counters },
		in:     func(c *Counts) *uint64 { return &c.Counters },
		Metric: "interface_samples_total", Help: "Counter samples received (sFlow).",
	},
	{
		Name: "discarded_packet_samples", Unit: "samples", Stage: StageReceived,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Discards },
		Metric: "discarded_packet_samples_total", Help: "Notifications of discarded packets received (sFlow).",
	},
	{
		Name: "sequence_lost", Unit: SequenceUnit, Stage: StageUpstream, Missing: true,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Lost },
		in:     func(c *Counts) *uint64 { return &c.Lost },
		Metric: "sequence_lost_total",
		Help:   "Losses before the collector, by sequence number, in the protocol's unit.",
		Loss:   "lost before us (missing by sequence number)",
	},
	{
		Name: "sequence_duplicated", Unit: "datagrams", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Duplicated },
		in:     func(c *Counts) *uint64 { return &c.Duplicated },
		Metric: "sequence_duplicated_datagrams_total", Help: "Duplicated datagrams, by sequence number.",
	},
	{
		Name: "sequence_late", Unit: "datagrams", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Reordered },
		in:     func(c *Counts) *uint64 { return &c.Reordered },
		Metric: "sequence_late_datagrams_total", Help: "Late datagrams, by sequence number.",
	},
	{
		Name: "restarts", Unit: "restarts", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Restarts },
		in:     func(c *Counts) *uint64 { return &c.Restarts },
		Metric: "exporter_restarts_total", Help: "Restarts of the exporter.",
	},
	{
		Name: "samples_lost", Unit: "samples", Stage: StageUpstream, Missing: true,
		of:     func(s *Stream) *atomic.Uint64 { return &s.SamplesLost },
		in:     func(c *Counts) *uint64 { return &c.SamplesLost },
		Metric: "samples_lost_total",
		Help:   "Flow samples lost before the collector, by sequence number (sFlow).",
		Loss:   "samples missing by sequence number",
	},
	{
		Name: "agent_drops", Unit: "packets", Stage: StageUpstream, Missing: true,
		of:     func(s *Stream) *atomic.Uint64 { return &s.AgentDrops },
		in:     func(c *Counts) *uint64 { return &c.AgentDrops },
		Metric: "agent_dropped_packets_total", Help: "Sampled packets that the agent itself dropped (sFlow).",
		Loss: "samples dropped by the agent itself",
	},
	{
		Name: "clock_ahead", Unit: "records", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Ahead },
		Metric: "records_ahead_total",
		Help:   "Records of flows that end in the future: the exporter's clock is wrong.",
		Clock:  "records of the future",
	},
	{
		Name: "clock_behind", Unit: "records", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Behind },
		Metric: "records_behind_total",
		Help:   "Records of flows that ended a day before they came: the exporter's clock is wrong.",
		Clock:  "records more than a day old",
	},
	{
		Name: "clock_clamped", Unit: "records", Stage: StageUpstream,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Clamped },
		in:     func(c *Counts) *uint64 { return &c.Clamped },
		Metric: "records_clamped_total",
		Help: "Records with times so far off that their rows have the time of receipt; " +
			"ext.stated_start_ms has the exporter's.",
		Clock: "records with the time of receipt instead of the exporter's",
	},
	{
		Name: "held", Unit: "sets", Stage: StageHold, of: func(s *Stream) *atomic.Uint64 { return &s.Held },
		Metric: "held_sets_total", Help: "Data sets that waited for their template.",
	},
	{
		Name: "recovered", Unit: "sets", Stage: StageHold, of: func(s *Stream) *atomic.Uint64 { return &s.Recovered },
		Metric: "recovered_sets_total", Help: "Data sets whose template came in time.",
	},
	{
		Name: "below_minimum", Unit: "records", Stage: StageFilter, Missing: true,
		of:     func(s *Stream) *atomic.Uint64 { return &s.Small },
		Metric: "records_below_minimum_total",
		Help:   "Records of flows smaller than flow.min_packets or flow.min_bytes, which give no row.",
		Loss:   "flows smaller than flow.min_packets or flow.min_bytes",
	},
	{
		Name: "texts_left_out", Unit: "records", Stage: StageOverload,
		of:     func(s *Stream) *atomic.Uint64 { return &s.LeftOut },
		in:     func(c *Counts) *uint64 { return &c.LeftOut },
		Metric: "records_texts_left_out_total",
		Help: "Records whose rows lack communities or a route distinguisher, because the exporter brought more " +
			"different ones than its share.",
		Loss: "communities and route distinguishers of records, more different ones than an exporter's share",
	},
}
