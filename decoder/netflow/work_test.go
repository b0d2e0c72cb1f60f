package netflow

import (
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// Sets that wait for their templates count in the datagram that brought them, whenever the templates come: its records
// are bounded as if these had been known.
func TestWork_setsBeforeTheirTemplates(t *testing.T) {
	const sets, each, all = 25, 120, 25 * 120
	message := func(sets ...[]byte) []byte { return ipfix(ipfixHeader, sets...) }
	var data, templates, alternate, alone [][]byte
	for i := range sets {
		id := 256 + uint16(i)
		data = append(data, dataSet(id, each))
		templates = append(templates, set(setTemplateIPFIX, templateOf(id, v4Flow()...)))
		alternate = append(alternate, data[i], templates[i])
		alone = append(alone, message(data[i]))
	}
	for _, test := range []struct {
		name           string
		in             [][]byte
		records, total int
	}{
		{"each before its own", [][]byte{message(alternate...)}, mostRecords, all},
		{"all before all", [][]byte{message(append(slices.Clone(data), templates...)...)}, mostRecords, all},
		{"in the next datagram", [][]byte{message(data...), message(templates...)}, mostRecords, all},
		{"of two datagrams", [][]byte{message(data...), message(data...), message(templates...)}, 2 * mostRecords,
			2 * all},
		{"of many datagrams", append(alone, message(templates...)), all, all},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLab(t, Options{MaxRecords: mostRecords})
			records := 0
			for _, in := range test.in {
				records += len(l.send(in))
			}
			equal(t, "records", records, test.records)
			l.failed(l.stream(flow.IPFIX, 0),
				map[exporter.Reason]uint64{exporter.RecordLimit: uint64(test.total - test.records)})
			equal(t, "bytes held", l.heldBytes(), 0)
		})
	}
}
