package verdict

import (
	"github.com/metranova/flow-collector/decoder/exporter"
)

// knownAfter is the number of datagrams after which it should be known what an exporter's sequence numbers count.
const knownAfter = 16

// readings describes interpretations of what an exporter sent, where it violates its protocol or leaves room for
// several.
func (l *list) readings(e *Exporter) {
	for _, m := range e.Misfits {
		l.add(Note, "misfit", "have it send its templates after each change of its configuration",
			"template %d: %s that do not fit it were dropped since it was first heard, the latest of %d bytes; a "+
				"record has %d",
			m.TemplateID, count(m.Sets, "data set"), m.SetLength, m.RecordLength)
	}
	for _, reading := range exporter.Readings() {
		n := e.Readings[reading]
		if n == 0 || reading == exporter.SamplingNotMatched {
			continue
		}
		severity := Note
		switch reading {
		case exporter.SamplingAmbiguous, exporter.HeaderClockWrong, exporter.RecordClockWrong, exporter.TotalsForgotten:
			severity = Warning
		}
		l.add(severity, reading.String(), "", "%s (%d %s since it was first heard)", reading.Text(), n, reading.Unit())
	}
	l.numbering(e)
}

// numbering describes sequence numbers that do not follow the protocol.
func (l *list) numbering(e *Exporter) {
	own := exporter.ConventionOf(e.Protocol)
	switch {
	case e.Counts == exporter.CountsNothing:
		l.add(Note, "numbering", "", "its sequence number never changes: losses are unknown")
	case e.Counts == exporter.CountsUnknown && e.Recent.Datagrams >= knownAfter:
		l.add(Note, "numbering", "", "its sequence numbers follow no known rule: losses are unknown")
	case e.Counts != exporter.CountsUnknown && e.Counts != own:
		l.add(Note, "numbering", "",
			"its sequence numbers count %s, where the protocol counts %s: losses are told accordingly", e.Counts, own)
	}
}
