package exporter

// Reason is why a datagram, a set or a record was not decoded.
type Reason uint8

// The reasons. Each counts the unit that its comment begins with.
const (
	UnknownVersion   Reason = iota // datagram: of no known protocol
	Truncated                      // datagram: cut off by the receive buffer, or shorter than its header says
	BadHeader                      // datagram: an impossible header
	BadSet                         // set or sample: an impossible length
	UnknownSet                     // set or sample: a reserved id or unknown format, skipped
	BadTemplate                    // template: without fields or length, or cut off
	BadRecord                      // record: cut off, or with a variable length beyond its set
	NoTemplate                     // set: its template did not come in time
	HoldFull                       // set: it waited for its template, and the memory for waiting sets was full
	TrailingBytes                  // datagram: more bytes after the last set than padding explains
	TemplateConflict               // template: two source ports define the same id differently
	TemplateLimit                  // template: the exporter has too many
	Withdrawal                     // template withdrawal over UDP (RFC 7011 §8.4 forbids it), or of an unknown one
	BadFrame                       // record: the sampled frame could not be read
	NotIP                          // record: the sampled frame holds no IP packet
	NoFlow                         // record: its template has no address, counter or frame, so that it is not a flow
	RecordLimit                    // record or sample: beyond the number that is read of one datagram
	SetLimit                       // set: beyond the number that is read of one datagram
	StreamEvicted                  // stream: evicted because there are too many
	TemplateEvicted                // template: evicted because there are too many
	NameLimit                      // option record: its name or rate is not kept because there are too many
	// option record: a change that must be repeated before it is believed, see netflow's trust
	OptionsDoubted
	ForeignAgent   // datagram: sFlow of an agent that another source is bound to
	CounterLimit   // sample: counters of an interface that was forgotten because there are too many
	SamplerLimit   // sample: its source is not kept because there are too many
	TemplateMisfit // set: shorter than one record of its template, or not a whole number of records
	reasonCount
)

// ReasonCount is the number of reasons.
const ReasonCount = int(reasonCount)

// Reasons lists all reasons, in order.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String returns the reason's name in metrics and summaries.
func (r Reason) String() string {
	return [reasonCount]string{
		"unknown_version", "truncated", "bad_header", "bad_set", "unknown_set", "bad_template", "bad_record",
		"no_template", "hold_full", "trailing_bytes", "template_conflict", "template_limit", "withdrawal",
		"bad_frame", "not_ip", "no_flow", "record_limit", "set_limit", "stream_evicted", "template_evicted",
		"name_limit",
		"options_doubted", "foreign_agent", "counter_limit", "sampler_limit", "template_misfit",
	}[r]
}

// Unit returns what the reason counts.
func (r Reason) Unit() string {
	switch r {
	case UnknownVersion, Truncated, BadHeader, TrailingBytes, ForeignAgent:
		return "datagrams"
	case BadTemplate, TemplateConflict, TemplateLimit, TemplateEvicted, Withdrawal:
		return "templates"
	case BadRecord, BadFrame, NotIP, NoFlow, RecordLimit, NameLimit, OptionsDoubted:
		return "records"
	case StreamEvicted:
		return "streams"
	case CounterLimit, SamplerLimit:
		return "samples"
	}
	return "sets"
}

// Loses reports whether flows or counters are missing because of this reason. Padding, unused templates, frames without
// a flow and evicted state are not losses.
func (r Reason) Loses() bool {
	switch r {
	case TrailingBytes, BadTemplate, TemplateConflict, TemplateLimit, Withdrawal, NotIP, NoFlow, StreamEvicted,
		TemplateEvicted,
		NameLimit, OptionsDoubted, ForeignAgent, SamplerLimit:
		return false
	}
	return true
}
