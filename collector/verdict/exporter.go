package verdict

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Exporter has the facts about one stream: an exporter's datagrams of one protocol and observation domain.
type Exporter struct {
	Now                 time.Time
	FirstSeen, LastSeen time.Time
	Protocol            flow.Protocol
	Domain              uint32
	Source              netip.Addr // of the datagrams
	// the address that the exporter states: the sFlow agent, IE 130 or 131; invalid: none
	Named netip.Addr

	Device      bool // its address is in meta_device
	Devices     int  // number of devices in metadata
	HasMetadata bool // metadata was loaded

	Records, Options uint64 // since FirstSeen
	SamplingSource   flow.SamplingSource
	SamplingRate     uint32 // of the latest record
	Skew             time.Duration
	Missing          []Missing
	Unknown          []uint32 // interface numbers that meta_interface does not have
	Learned          []string // for each, the exporter's own name, which rows have; "": none
	MoreUnknown      bool
	Counts           exporter.Convention // what its sequence numbers count
	Misfits          []exporter.MisfitTemplate
	Readings         [exporter.ReadingCount]uint64 // interpretations since FirstSeen
	NoRoutes         bool                          // there are routers with routes, and none is its own

	Evictions     uint64     // how often its state was evicted before
	SourceEvicted uint64     // evicted streams of its source
	Impostor      netip.Addr // sFlow: another source that claims its agent address; invalid: none
	Impostors     uint64     // datagrams of such sources
	Victim        netip.Addr // sFlow: the agent of another source whose address this source states; invalid: none

	Window time.Duration // how far Recent goes back
	Recent Counts
	// OwnDrops are datagrams of any exporter that this host dropped meanwhile: gaps in the sequence may be those.
	OwnDrops uint64
	// RowsLost are its rows that were lost in Window, by destination and reason.
	RowsLost map[string]uint64
}

// Missing is a template that data waits for.
type Missing struct {
	Template uint16
	Since    time.Time
	Sets     uint64
}

// Counts are what a stream counted in a while.
type Counts = exporter.Counts

// The thresholds: below them there is no verdict.
const (
	clockOff      = 30 * time.Second // how far the time in a datagram's header may be off
	clockFarOff   = time.Hour
	silence       = 5 * time.Minute
	lossWarning   = 0.001
	lossProblem   = 0.05
	manyTwice     = 0.01
	manyRestarts  = 3
	settled       = time.Minute // how long an exporter has to send everything it should
	mostTemplates = 4
)

// OfExporter returns what is wrong with a stream, the worst first.
func OfExporter(e *Exporter) []Verdict {
	var l list
	l.templates(e)
	l.loss(e)
	l.rowsLost(e)
	l.clock(e)
	l.metadata(e)
	l.routes(e)
	l.sampling(e)
	l.address(e)
	l.content(e)
	l.bounds(e)
	l.trust(e)
	l.errors(e)
	l.readings(e)
	return l.sorted()
}

// templates finds data that cannot be decoded for lack of a template.
func (l *list) templates(e *Exporter) {
	l.missing(e)
	if n := e.Recent.Failed[exporter.NoTemplate] + e.Recent.Failed[exporter.HoldFull]; n > 0 {
		l.add(Warning, "data_without_template",
			"have the exporter send its templates more often, or raise decoder.hold_for",
			"%s lost for want of a template in %s", count(n, "data set"), span(e.Window))
	}
	if n := e.Recent.Failed[exporter.TemplateConflict]; n > 0 {
		l.add(Warning, "template_conflict",
			"two exporters behind one address: give each its own, or its own observation domain",
			"two source ports define one template differently: %s in %s", count(n, "time"), span(e.Window))
	}
	if n := e.Recent.Failed[exporter.TemplateLimit]; n > 0 {
		l.add(Problem, "template_limit", "see collector decode --stats of its datagrams",
			"more templates than are kept: %s refused in %s", count(n, "definition"), span(e.Window))
	}
}

// missing lists the templates that data waits for in one verdict.
func (l *list) missing(e *Exporter) {
	if len(e.Missing) == 0 {
		return
	}
	since, sets := e.Missing[0].Since, uint64(0)
	var ids []string
	for i, m := range e.Missing {
		sets += m.Sets
		if m.Since.Before(since) {
			since = m.Since
		}
		if i < mostTemplates {
			ids = append(ids, fmt.Sprint(m.Template))
		}
	}
	which := "template " + ids[0]
	if len(e.Missing) > 1 {
		which = "templates " + strings.Join(ids, ", ")
	}
	if more := len(e.Missing) - len(ids); more > 0 {
		which += fmt.Sprintf(" and %d more", more)
	}
	l.add(Problem, "no_template", "have the exporter send its templates every minute or so",
		"no %s from domain %d since %s: %s could not be read", which, e.Domain, moment(since, e.Now),
		count(sets, "data set"))
}

// loss finds lost and duplicated datagrams.
func (l *list) loss(e *Exporter) {
	r := &e.Recent
	if share := e.LossShare(); r.Lost > 0 {
		severity := Note
		switch {
		case share >= lossProblem:
			severity = Problem
		case share >= lossWarning:
			severity = Warning
		}
		text := fmt.Sprintf("%s of its %ss are missing by sequence number (%s in %s)", percent(share),
			e.counts().Unit(),
			groups(r.Lost), span(e.Window))
		if e.OwnDrops > 0 {
			// The kernel's drops were counted separately, and may be some or all of this.
			l.add(Note, "loss", "check the collector's own drops first",
				"%s: they may be among the %s that this host dropped meanwhile", text, count(e.OwnDrops, "datagram"))
		} else {
			l.add(severity, "loss", "look at the network between, and at the exporter's own counters", "%s", text)
		}
	}
	if n := r.Duplicated; n > 0 && share(n, r.Datagrams) >= manyTwice {
		l.add(Warning, "duplicates", "does it export to this collector twice, or does a tee?",
			"%s of its datagrams come twice", percent(share(n, r.Datagrams)))
	}
	if n := r.SamplesLost; n > 0 {
		l.add(Warning, "samples_lost", "the agent or the network dropped them: sample less, or look at the path",
			"%s of its flow samples did not come (%s in %s)", percent(share(n, n+r.Records)), groups(n), span(e.Window))
	}
	if n := r.AgentDrops; n > 0 {
		l.add(Warning, "agent_drops", "the device cannot keep up: have it sample less",
			"the agent itself dropped %s in %s", count(n, "sample"), span(e.Window))
	}
	if n := r.Restarts; n > 0 {
		severity, fix := Note, ""
		if n >= manyRestarts {
			severity, fix = Warning, "it restarts, or two exporters share its address and domain"
		}
		l.add(severity, "restarts", fix, "its sequence numbers restarted %s in %s", count(n, "time"), span(e.Window))
	}
	if gap := e.Now.Sub(e.LastSeen); gap > silence {
		l.add(Warning, "silent", "is it up, and does it still export to this collector?",
			"silent since %s (%s)", moment(e.LastSeen, e.Now), Ago(gap))
	}
}

// rowsLost finds rows that were received and found no room, or were refused.
func (l *list) rowsLost(e *Exporter) {
	for _, reason := range slices.Sorted(maps.Keys(e.RowsLost)) {
		if n := e.RowsLost[reason]; n > 0 {
			l.add(Problem, "rows_lost", "see the collector's own verdicts, and the log, for what is wrong there",
				"%s of its rows lost in %s: %s", groups(n), span(e.Window), reason)
		}
	}
}

// LossShare returns which part of what was recently sent was lost, by sequence number.
func (e *Exporter) LossShare() float64 {
	came := e.Recent.Datagrams
	switch e.counts() {
	case exporter.CountsFlows:
		came = e.Recent.Records
	case exporter.CountsRecords, exporter.CountsAll:
		came = e.Recent.Records + e.Recent.Options
	case exporter.CountsSamples:
		came = e.Recent.Records + e.Recent.Counters
	}
	return share(e.Recent.Lost, e.Recent.Lost+came)
}

// counts returns what the sequence numbers count: as observed, else by the protocol.
func (e *Exporter) counts() exporter.Convention {
	if e.Counts == exporter.CountsUnknown {
		return exporter.ConventionOf(e.Protocol)
	}
	return e.Counts
}

// clock compares the exporter's clock with ours. sFlow has no time of day.
func (l *list) clock(e *Exporter) {
	if n := e.Recent.Clamped; n > 0 {
		l.add(Warning, "times_replaced", "set its clock (NTP); flow.max_ahead and flow.max_behind say what is believed",
			"flow times too far off in %s in %s: their rows have the time of receipt, and ext.stated_start_ms has "+
				"the exporter's",
			count(n, "record"), span(e.Window))
	}
	off := e.Skew.Abs()
	if e.Protocol == flow.SFlow5 || off < clockOff {
		return
	}
	severity, direction := Warning, "behind"
	if off >= clockFarOff {
		severity = Problem
	}
	if e.Skew < 0 {
		direction = "ahead"
	}
	l.add(severity, "clock", "set its clock (NTP): its rows have wrong times", "clock %s %s",
		lasting(off), direction)
}

// metadata finds what is missing for enriching rows.
func (l *list) metadata(e *Exporter) {
	if !e.HasMetadata || e.Records == 0 {
		return
	}
	if !e.Device && e.Devices > 0 {
		l.add(Warning, "not_in_meta_device", "add its address to loopback_ip of a device in meta_device.yml",
			"not in meta_device: its rows have its address in the device's place, and no interfaces")
	}
	l.unknownInterfaces(e)
}

// routes finds exporters whose flows get no route.
func (l *list) routes(e *Exporter) {
	if e.NoRoutes && e.Records > 0 {
		l.add(Warning, "no_router",
			"let its router connect (routing.bgp, routing.bmp), or set routing.agents or routing.fallback",
			"no router's routes are its own: its rows have of BGP what its records say")
	}
}

func (l *list) unknownInterfaces(e *Exporter) {
	if len(e.Unknown) == 0 {
		return
	}
	numbers := make([]string, len(e.Unknown))
	for i, index := range e.Unknown {
		numbers[i] = fmt.Sprint(index)
		if i < len(e.Learned) && e.Learned[i] != "" {
			numbers[i] += fmt.Sprintf(" (learned from the exporter: %s)", e.Learned[i])
		}
	}
	what, more := "interface", ""
	if len(numbers) > 1 {
		what = "interfaces"
	}
	if e.MoreUnknown {
		more = " and more"
	}
	l.add(Warning, "not_in_meta_interface", "add its flow_index to meta_interface.yml",
		"%s %s%s not in meta_interface", what, strings.Join(numbers, ", "), more)
}

// sampling finds unknown sampling rates.
func (l *list) sampling(e *Exporter) {
	if e.Records == 0 || e.Now.Sub(e.FirstSeen) < settled && e.Options == 0 && e.Protocol != flow.NetFlowV5 {
		return
	}
	const fix = "harmless if it does not sample; else set decoder.sampling_rates, or have it send its sampling options"
	if e.SamplingSource == flow.SamplingAssumed {
		switch {
		case e.Readings[exporter.SamplingNotMatched] > 0:
			l.add(Warning, "sampling_not_matched",
				"have its records name their sampler or interface, or set decoder.sampling_rates",
				"%s", exporter.SamplingNotMatched.Text())
		case e.Protocol == flow.NetFlowV5:
			l.add(Note, "sampling_assumed", fix, "its header says nothing of sampling: sampling assumed 1")
		case e.Options == 0:
			l.add(Note, "sampling_assumed", fix, "options never seen: sampling assumed 1")
		default:
			l.add(Note, "sampling_assumed", fix, "its options say nothing of sampling: sampling assumed 1")
		}
		return
	}
	if e.SamplingRate == 0 {
		l.add(Warning, "sampling_zero", "set decoder.sampling_rates",
			"it says a sampling rate of 0: its rows count nothing")
	}
}

// address finds exporters that state another address than the one they send from.
func (l *list) address(e *Exporter) {
	if !e.Named.IsValid() || e.Named == e.Source {
		return
	}
	what := "stated exporter address"
	if e.Protocol == flow.SFlow5 {
		what = "agent address"
	}
	l.add(Note, "address", "decoder.exporter_address and decoder.exporter_map say which one counts",
		"%s %s differs from source %s", what, e.Named, e.Source)
}

// content finds exporters that send no flows.
func (l *list) content(e *Exporter) {
	if e.Records > 0 || len(e.Missing) > 0 || e.Now.Sub(e.FirstSeen) < settled || e.Recent.Datagrams == 0 {
		return
	}
	if e.Recent.Counters > 0 {
		l.add(Note, "no_flows", "", "it sends interface counters only, no flow samples")
		return
	}
	l.add(Warning, "no_flows", "see collector decode --stats of its datagrams", "its datagrams hold no flows")
}

// crowd is the number of evicted streams of one source from which on the source is to blame.
const crowd = 64

// bounds finds what was evicted or refused, both at the source that has too much and at those that lost something.
func (l *list) bounds(e *Exporter) {
	f := &e.Recent.Failed
	if e.SourceEvicted >= crowd {
		l.add(Problem, "too_many_streams",
			"does it forge observation domains or agents? listen.allowed_exporters says who may send",
			"%s opened more observation domains or agents than are kept: %s evicted", e.Source,
			count(e.SourceEvicted, "stream"))
	} else if e.Evictions > 0 {
		l.add(Warning, "stream_evicted",
			"others send from too many addresses: set listen.allowed_exporters, or raise decoder.max_exporters",
			"its counters were evicted %s: more exporters send than are kept (its templates were kept)",
			count(e.Evictions, "time"))
	}
	if n := f[exporter.TemplateEvicted]; n > 0 {
		l.add(Warning, "template_evicted",
			"has it as many? see collector decode --stats of its datagrams; else set listen.allowed_exporters",
			"%s evicted in %s: all exporters together have more than are kept", count(n, "template"), span(e.Window))
	}
	if n := f[exporter.NameLimit]; n > 0 {
		l.add(Warning, "name_limit", "see collector decode --stats of its datagrams",
			"more names or sampling rates than are kept: %s in %s", count(n, "option record"), span(e.Window))
	}
	if n := f[exporter.CounterLimit] + f[exporter.SamplerLimit]; n > 0 {
		l.add(Warning, "interface_limit", "set listen.allowed_exporters if it is not yours",
			"more interfaces than are kept: %s had nothing to be compared with in %s", count(n, "sample"),
			span(e.Window))
	}
	if n := f[exporter.RecordLimit]; n > 0 {
		l.add(Problem, "record_limit", "have it send datagrams of 1500 bytes, or raise decoder.max_records",
			"more records in one datagram than it may bring: %s left out in %s", count(n, "record"), span(e.Window))
	}
	if n := e.Recent.LeftOut; n > 0 {
		l.add(Warning, "texts_left_out", "does it make them up? listen.allowed_exporters says who may send",
			"more different communities and route distinguishers than its share: %s without them in %s",
			count(n, "row"), span(e.Window))
	}
	if n := f[exporter.SetLimit]; n > 0 {
		l.add(Problem, "set_limit", "see collector decode --stats of its datagrams",
			"more sets in one datagram than it may have: %s left out in %s", count(n, "set"), span(e.Window))
	}
	if n := f[exporter.NoFlow]; n > 0 {
		l.add(Warning, "no_flow", "see collector decode --stats for its templates",
			"%s without an address, a counter or a frame in %s: they are no flows", count(n, "record"), span(e.Window))
	}
}

// trust finds what others may have sent in the exporter's name.
func (l *list) trust(e *Exporter) {
	if n := e.Recent.Failed[exporter.OptionsDoubted]; n > 0 {
		l.add(Warning, "options_doubted",
			"if it was configured so, nothing: what is repeated for some minutes is taken; else somebody forges its "+
				"address",
			"option records rename it, or change its sampling more than tenfold, or come from a port that sends no "+
				"data: %s not used in %s",
			count(n, "record"), span(e.Window))
	}
	if n := e.Recent.Failed[exporter.ForeignAgent]; n > 0 {
		l.add(Warning, "foreign_agent",
			"if the agent's address was moved: it counts once the other source was silent for 10 min",
			"%s states the address of agent %s, which another source uses: %s, whose samples stand under its own "+
				"address",
			e.Source, e.Victim, count(n, "datagram"))
	}
	if e.Impostors > 0 {
		l.add(Warning, "impostor", "find out who that is; listen.allowed_exporters says who may send",
			"another source, %s, states this agent's address: %s", e.Impostor, count(e.Impostors, "datagram"))
	}
}

// unreadable are the decode errors without a verdict of their own, with their texts.
var unreadable = []struct {
	reason   exporter.Reason
	severity Severity
	unit     string
	text     string
}{
	{exporter.Truncated, Warning, "datagram", "cut short"},
	{exporter.BadHeader, Warning, "datagram", "with a header that cannot be true"},
	{exporter.BadSet, Warning, "set", "with a length that cannot be true"},
	{exporter.BadTemplate, Warning, "template", "without fields or cut"},
	{exporter.BadRecord, Warning, "record", "cut or longer than their set"},
	{exporter.BadFrame, Warning, "sampled frame", "that cannot be read"},
	{exporter.TemplateMisfit, Warning, "data set", "that do not fit their template, dropped"},
	{exporter.UnknownSet, Note, "set", "of a kind that is not known, skipped"},
	{exporter.TrailingBytes, Note, "datagram", "with bytes left over at the end"},
	{exporter.Withdrawal, Note, "template withdrawal", "ignored (UDP does not allow them)"},
}

// errors lists decode errors by reason.
func (l *list) errors(e *Exporter) {
	for _, u := range unreadable {
		if n := e.Recent.Failed[u.reason]; n > 0 {
			l.add(u.severity, u.reason.String(), "", "%s %s in %s", count(n, u.unit), u.text, span(e.Window))
		}
	}
}
