package enrich

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

func TestUnknownInterfaces(t *testing.T) {
	e, s := New(Options{}), exampleSnapshot(t)
	enrich := func(exporter string, in, out uint32, kind flow.InterfaceKind) {
		var row Row
		e.Enrich(s, &flow.Record{Exporter: addr(exporter), InIf: in, OutIf: out, InIfKind: kind}, &row)
	}
	enrich("192.0.2.1", 1, 2, flow.InterfaceIndex)
	enrich("192.0.2.1", 512, 0, flow.InterfaceIndex) // 0 is none
	enrich("192.0.2.1", 512, 17, flow.InterfaceIndex)
	enrich("192.0.2.1", 99, 1, flow.InterfaceDiscarded) // a reason, not an interface
	enrich("192.0.2.1", 98, 1, flow.InterfaceInternal)
	enrich("192.0.2.99", 7, 8, flow.InterfaceIndex) // no device: that says it all
	if got := e.Unknown(); got != nil {
		t.Errorf("before the publication: %v", got)
	}
	e.Publish()
	want := []UnknownInterfaces{{Exporter: addr("192.0.2.1"), Indexes: []uint32{17, 512}}}
	if diff := cmp.Diff(want, e.Unknown()); diff != "" {
		t.Error(diff)
	}
	// Other metadata may have them.
	s = exampleSnapshot(t)
	enrich("192.0.2.1", 1, 2, flow.InterfaceIndex)
	e.Publish()
	if got := e.Unknown(); len(got) != 0 {
		t.Errorf("after the metadata changed: %v", got)
	}
	for index := range uint32(maxUnknown + 10) {
		enrich("192.0.2.1", 1000+index, 1, flow.InterfaceIndex)
	}
	e.Publish()
	if got := e.Unknown(); len(got) != 1 || len(got[0].Indexes) != maxUnknown || !got[0].More {
		t.Errorf("of very many: %v", got)
	}
	row, record := new(Row), &flow.Record{Exporter: addr("192.0.2.1"), InIf: 2000, OutIf: 2001}
	if n := testing.AllocsPerRun(10, func() { e.Enrich(s, record, row); e.Publish() }); n > 0 {
		t.Errorf("%v allocations where there is no news", n)
	}
}
