package exporter

// Reading is an interpretation of what an exporter sent, where it leaves room for several or violates its protocol.
// Nothing is lost by it. The exporter's page and the output of decode show each.
type Reading uint8

// The readings. Each counts the unit that its comment begins with.
const (
	// records: the rate was announced in another observation domain of the exporter
	SamplingFromElsewhere Reading = iota
	// records: the only rate of its samplers, cards or interfaces, as the record names none
	SamplingOfOnlySampler
	SamplingNotMatched // records: rates were announced, but none for this record: 1 is assumed
	// records: several rates may apply; the lowest is taken
	SamplingAmbiguous
	SamplingBytesSwapped // records: a rate beyond reason that makes sense with its bytes reversed
	SamplingAll16Bits    // datagrams: NetFlow v5 with the mode bits as part of the rate
	HeaderClockWrong     // datagrams: an impossible header time; the receive time replaces it
	RecordClockWrong     // records: impossible times; the export time is taken as the end
	EndBeforeStart       // records: start and end exchanged
	UptimeWithoutStart   // records: uptimes, but no start time of the device: the export time is taken as the end
	PlainFractions       // records: NTP time stamps with decimal fractions of a second
	TimeUnitsMixed       // times: in seconds instead of milliseconds, or the other way round
	TotalsRepeated       // records: totals of a flow that are sent repeatedly: the difference counts
	// records: totals of too many flows: a forgotten one counts in full again
	TotalsForgotten
	OtherSetIDs         // sets: with the set ids of the other protocol (NetFlow v9 or IPFIX)
	OptionsWithoutScope // templates: IPFIX options templates without a scope
	SamplingForgotten   // rates: announced once, and not repeated while others were
	PaddingLeftOut      // sets: behind padding that is in no length
	NumberedTogether    // datagrams: one sequence counter for several observation domains
	CountersNegative    // records: counters below zero
	readingCount
)

// ReadingCount is the number of readings.
const ReadingCount = int(readingCount)

// Readings lists all readings, in order.
func Readings() []Reading {
	all := make([]Reading, readingCount)
	for i := range all {
		all[i] = Reading(i)
	}
	return all
}

// String returns the reading's name in codes and metrics.
func (r Reading) String() string {
	return [readingCount]string{
		"sampling_from_elsewhere", "sampling_of_only_sampler", "sampling_not_matched", "sampling_ambiguous",
		"sampling_bytes_swapped",
		"sampling_all_16_bits", "header_clock_wrong", "record_clock_wrong", "end_before_start", "uptime_without_start",
		"plain_fractions", "time_units_mixed", "totals_repeated", "totals_forgotten", "other_set_ids",
		"options_without_scope", "sampling_forgotten", "padding_left_out", "numbered_together",
		"counters_negative",
	}[r]
}

// Text describes the reading for people.
func (r Reading) Text() string {
	return [readingCount]string{
		"sampling rate taken from another observation domain of this exporter",
		"records do not name what the exporter announces its sampling rate for: its only rate is taken",
		"the exporter announces sampling rates, but none that fits these records: sampling 1 is assumed",
		"the exporter announces sampling rates that differ, and the records do not say which is theirs: the lowest " +
			"is taken",
		"sampling rate sent with its bytes in the wrong order, put right",
		"sampling field of NetFlow v5 read as a rate of 16 bits, without a mode",
		"header clock cannot be true: the receive time is taken for it",
		"start and end cannot be true: the export time is taken for the end, the duration is kept",
		"end before start: exchanged",
		"uptimes without the time when the device started: the export time is taken for the end, the duration is kept",
		"time stamps have decimal fractions of a second instead of NTP's binary ones",
		"times in another unit than that of their element, read in the unit that puts them near the export time",
		"totals of a flow sent repeatedly: the difference to the record before is taken",
		"totals of more flows than are remembered: some count twice",
		"set ids of the other protocol (NetFlow v9 has 0 and 1, IPFIX 2 and 3), read nevertheless",
		"options templates without a scope, which IPFIX forbids, read nevertheless",
		"sampling rates that the exporter does not repeat any more, forgotten",
		"padding between sets that their lengths leave out, passed over",
		"one sequence counter for several observation domains: losses are those of all together",
		"counters below zero: the exporter subtracted wrongly, 0 is taken",
	}[r]
}

// Unit returns what the reading counts.
func (r Reading) Unit() string {
	switch r {
	case SamplingAll16Bits, HeaderClockWrong, NumberedTogether:
		return "datagrams"
	case OtherSetIDs, PaddingLeftOut:
		return "sets"
	case OptionsWithoutScope:
		return "templates"
	case SamplingForgotten:
		return "rates"
	case TimeUnitsMixed:
		return "times"
	}
	return "records"
}

// Read counts n uses of a reading.
func (s *Stream) Read(reading Reading, n uint64) {
	s.readings[reading].Add(n)
	if s.successor != nil {
		s.successor.readings[reading].Add(n)
	}
}

// TimesRead returns how often a reading was used.
func (s *Stream) TimesRead(reading Reading) uint64 { return s.readings[reading].Load() }

// MisfitTemplate is a template that data sets do not fit. These sets were dropped.
type MisfitTemplate struct {
	TemplateID   uint16
	RecordLength int // bytes of the shortest record that the template allows
	SetLength    int // bytes of the records in the latest set
	Sets         uint64
}

// maxMisfits bounds the templates that a stream remembers as misfits.
const maxMisfits = 16

// Misfits returns the templates that data sets did not fit. The slice must not be changed.
func (s *Stream) Misfits() []MisfitTemplate {
	if list := s.misfits.Load(); list != nil {
		return *list
	}
	return nil
}

// AddMisfit notes a data set that does not fit its template. Only the stream's worker may call it.
func (s *Stream) AddMisfit(id uint16, recordLength, setLength int) {
	old := s.Misfits()
	list := make([]MisfitTemplate, 0, len(old)+1)
	found := false
	for _, m := range old {
		if m.TemplateID == id {
			m.RecordLength, m.SetLength, m.Sets, found = recordLength, setLength, m.Sets+1, true
		}
		list = append(list, m)
	}
	if !found {
		if len(list) >= maxMisfits {
			return
		}
		list = append(list, MisfitTemplate{id, recordLength, setLength, 1})
	}
	s.misfits.Store(&list)
}
