package report

import (
	"fmt"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/decoder/exporter"
)

// knownAfter is the number of datagrams after which it should be known what an exporter's sequence numbers count.
const knownAfter = 16

// streamNotes describes interpretations of what an exporter sent, where it violates its protocol or leaves room for
// several.
func streamNotes(stream *exporter.Stream) []string {
	var notes []string
	add := func(format string, args ...any) {
		notes = append(notes, fmt.Sprintf(format, args...)+" ("+streamName(stream)+")")
	}
	for _, reading := range exporter.Readings() {
		if n := stream.TimesRead(reading); n > 0 {
			add("%d %s: %s", n, reading.Unit(), reading.Text())
		}
	}
	for _, m := range stream.Misfits() {
		add("template %d: %s dropped that did not fit it, the latest of %d bytes; a record has %d",
			m.TemplateID, commandline.Count(m.Sets, "data set"), m.SetLength, m.RecordLength)
	}
	switch counts, own := stream.Counts(), exporter.ConventionOf(stream.Key.Protocol); {
	case counts == exporter.CountsNothing:
		add("its sequence number never changes: losses are unknown")
	case counts == exporter.CountsUnknown && stream.Datagrams.Load() >= knownAfter:
		add("its sequence numbers follow no known rule: losses are unknown")
	case counts != exporter.CountsUnknown && counts != own:
		add("its sequence numbers count %s, where the protocol counts %s", counts, own)
	}
	return notes
}
