package netflow

import (
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// The templates of all exporters together are bounded, and there is room again when some have expired.
func TestTemplatesOfAllExportersAreBounded(t *testing.T) {
	l := newLab(t, Options{})
	l.d.fields = maxAllFields - 3
	many := v4Flow()
	l.send(ipfix(header{exportS: exportS}, set(setTemplateIPFIX, templateOf(300, many...))))
	s := l.stream(flow.IPFIX, 0)
	equal(t, "templates refused", s.Failed(exporter.TemplateLimit), 1)
	l.wait(time.Second) // counts anew what is there: nothing
	records := l.send(ipfix(header{exportS: exportS}, set(setTemplateIPFIX, templateOf(300, many...)), set(300, dataOf(many...))))
	equal(t, "records when there is room", len(records), 1)
	equal(t, "fields", l.d.fields, len(many))
}
