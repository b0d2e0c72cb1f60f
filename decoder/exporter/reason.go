package exporter

// Reason says why a datagram, a set or a record was not decoded.
type Reason uint8

// The reasons. Each is counted in the unit it names.
const (
	UnknownVersion   Reason = iota // datagram: no protocol that we know
	Truncated                      // datagram: cut by the receive buffer, or shorter than its header says
	BadHeader                      // datagram: a header that cannot be true
	BadSet                         // set or sample: a length that cannot be true
	UnknownSet                     // set or sample: a reserved id or unknown format, skipped
	BadTemplate                    // template: no fields, no length, or a cut definition
	BadRecord                      // record: cut, or a variable length beyond its set
	NoTemplate                     // set: its template did not come in time
	HoldFull                       // set: waiting sets exceeded their memory
	TrailingBytes                  // datagram: bytes after the last set, more than padding
	TemplateConflict               // template: two source ports define one id differently
	TemplateLimit                  // template: too many of one exporter
	Withdrawal                     // template withdrawal over UDP (RFC 7011 §8.4 forbids it), or of an unknown one
	BadFrame                       // record: the sampled frame could not be read
	NotIP                          // record: the sampled frame holds no IP packet
	NoFlow                         // record: its template has no address, counter or frame, so it is no flow
	RecordLimit                    // record or sample: more than one datagram may bring
	SetLimit                       // set: more than one datagram may have
	StreamEvicted                  // stream: evicted, there are more than are kept
	TemplateEvicted                // template: evicted, there are more than are kept
	NameLimit                      // option record: a name or rate that is not kept, there are too many
	OptionsDoubted                 // option record: a change that waits for being repeated, see netflow's trust
	ForeignAgent                   // datagram: sFlow of an agent that another source speaks for
	CounterLimit                   // sample: counters of an interface that were forgotten, there are too many
	SamplerLimit                   // sample: its source is not kept, there are too many
	TemplateMisfit                 // set: shorter than a record of its template, or not a whole number of them
	reasonCount
)

// ReasonCount is how many reasons there are.
const ReasonCount = int(reasonCount)

// Reasons lists all reasons, in order.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// String returns the reason as metrics and summaries show it.
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

// Loses reports whether what the reason counts is flows or counters that are missing. Odd bytes, templates that are not
// used, frames that hold no flow and state that was evicted are none.
func (r Reason) Loses() bool {
	switch r {
	case TrailingBytes, BadTemplate, TemplateConflict, TemplateLimit, Withdrawal, NotIP, NoFlow, StreamEvicted,
		TemplateEvicted,
		NameLimit, OptionsDoubted, ForeignAgent, SamplerLimit:
		return false
	}
	return true
}
