package report

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/sink"
)

func streams(table *exporter.Table, n int, change func(*exporter.Stream)) {
	for i := range n {
		address := flow.AddrFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		s := table.Get(exporter.Key{Exporter: address, Protocol: flow.IPFIX}, address, int64(i))
		s.Datagrams.Store(100)
		s.Records.Store(2000)
		change(s)
	}
	table.Publish()
}

// An operator finds each number of the ledger in the summary, with its place.
func TestSummary_print(t *testing.T) {
	table := exporter.NewTable(16)
	streams(table, 1, func(s *exporter.Stream) {
		s.Templates.Store(3)
		s.SamplingRate.Store(512)
		s.Duplicated.Store(7)
		s.Fail(exporter.BadSet, 2)
		s.AddMisfit(260, 48, 20)
	})
	sum := New(table)
	sum.Sinks = []Sink{{Info: sink.Info{Unit: "rows", Done: "written", Place: "table default.data_flow"},
		Delivered: 1900, Waiting: 60, OnDisk: 40}}
	sum.Kept = []Loss{{5, "rows refused", "quarantine"}}
	sum.Warnings = []string{"the clock of the server differs"}
	var out strings.Builder
	sum.Print(&out)
	for _, want := range []string{
		"192.0.2.0", "1:512 ", "\n100 datagrams, 2000 records\n",
		"1900 rows written to table default.data_flow, 60 not confirmed, 40 wait in the spool until it takes them\n",
		"in quarantine: 5 × rows refused (quarantine)\n",
		"note: template 260: 1 data set dropped that did not fit it, the latest of 20 bytes; a record has 48 " +
			"(192.0.2.0 ipfix domain 0)\n",
		"twice: 7 × duplicated, by sequence number (192.0.2.0 ipfix domain 0)\n",
		"lost: 2 × " + exporter.BadSet.String() + " (192.0.2.0 ipfix domain 0)\n",
		"warning: the clock of the server differs\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "nothing lost") {
		t.Errorf("losses, and yet nothing lost:\n%s", &out)
	}
}

// With many exporters the summary stays on one screen, and counts all of them.
func TestSummary_printOfManyStreams(t *testing.T) {
	table := exporter.NewTable(64)
	streams(table, 27, func(*exporter.Stream) {})
	var out strings.Builder
	New(table).Print(&out)
	if lines := strings.Count(out.String(), "1:0 assumed"); lines != mostStreams {
		t.Errorf("%d streams have a line, want %d:\n%s", lines, mostStreams, &out)
	}
	for _, want := range []string{"and 7 more\n", "2700 datagrams, 54000 records\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the summary does not say %q:\n%s", want, &out)
		}
	}
}

func TestSummary_printOfNothing(t *testing.T) {
	var out strings.Builder
	New().Print(&out)
	if want := "no exporter was heard\n\n0 datagrams, 0 records\nnothing lost\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestStreamNotes(t *testing.T) {
	stream := func(datagrams uint64) *exporter.Stream {
		s := &exporter.Stream{Key: exporter.Key{Protocol: flow.IPFIX, Domain: 9}}
		s.Datagrams.Store(datagrams)
		return s
	}
	if notes := streamNotes(stream(knownAfter - 1)); len(notes) != 0 {
		t.Errorf("after %d datagrams: %q", knownAfter-1, notes)
	}
	notes := streamNotes(stream(knownAfter))
	if len(notes) != 1 || !strings.Contains(notes[0], "follow no known rule: losses are unknown") {
		t.Errorf("after %d datagrams: %q", knownAfter, notes)
	}
	s := stream(1)
	reading := exporter.Readings()[0]
	s.Read(reading, 4)
	if notes = streamNotes(s); len(notes) != 1 || !strings.HasPrefix(notes[0], "4 "+reading.Unit()) ||
		!strings.Contains(notes[0], "domain 9") {
		t.Errorf("a reading: %q", notes)
	}
}

func TestPrintTemplates(t *testing.T) {
	var long []netflow.TemplateField
	for range 12 {
		long = append(long, netflow.TemplateField{Name: "9.12345", Length: 4})
	}
	key := exporter.Key{Exporter: flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), Protocol: flow.IPFIX, Domain: 7}
	var out strings.Builder
	PrintTemplates(&out, []netflow.Domain{
		{Key: key, DomainRate: 100, Interfaces: 2, VRFs: 1, Rates: []netflow.ScopedRate{{Of: "sampler 3", Rate: 512}},
			Templates: []netflow.Template{
				{ID: 256, Length: 9, Variable: true, Fields: []netflow.TemplateField{
					{Name: "8", IANA: 8, Length: 4, Used: true}, {Name: "82", IANA: 82, Length: -1},
					{Name: "9.7", Length: 4}}},
				{ID: 257, Options: true, Length: 8, Fields: []netflow.TemplateField{
					{Name: "10", IANA: 10, Length: 4, Scope: true}, {Name: "34", IANA: 34, Length: 4, Used: true}}},
				{ID: 258, Length: 48, Fields: long},
			}},
		{Key: exporter.Key{Domain: 8}}, // has no templates: it is left out
	})
	want := `192.0.2.1 ipfix domain 7
  template 256, at least 9 bytes:
    sourceIPv4Address(8):4* interfaceName(82):v 9.7:4
  options template 257, 8 bytes:
    scope(ingressInterface(10):4) samplingInterval(34):4*
  template 258, 48 bytes:
    9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4 9.12345:4
    9.12345:4
  sampler 3: 1 in 512
  domain: 1 in 100
  names of 2 interfaces and 1 VRF

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Datagrams that a capture has in part are a loss; what is no export, and complete fragments, are not.
func TestCaptureLosses(t *testing.T) {
	var out strings.Builder
	PrintSkipped(&out, capture.Skipped{NotUDP: 2, Fragments: 3, Cut: 4})
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want one for each kind:\n%s", n, &out)
	}
	if losses := CaptureLosses(capture.Skipped{NotUDP: 2, Fragments: 3}); len(losses) != 0 {
		t.Errorf("losses: %+v", losses)
	}
	if losses := CaptureLosses(capture.Skipped{Cut: 4}); len(losses) != 1 || losses[0].Count != 4 {
		t.Errorf("losses: %+v", losses)
	}
}
