package verdict

import (
	"encoding/json"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

var (
	noon    = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	address = netip.MustParseAddr("192.0.2.1")
	other   = netip.MustParseAddr("10.0.0.1")
)

// goodExporter is a NetFlow v9 stream with which all is well.
func goodExporter() *Exporter {
	return &Exporter{
		Now: noon, FirstSeen: noon.Add(-time.Hour), LastSeen: noon.Add(-time.Second),
		Protocol: flow.NetFlowV9, Domain: 3, Source: address,
		Device: true, Devices: 5, HasMetadata: true,
		Records: 1000, Options: 10, SamplingSource: flow.SamplingDomain, SamplingRate: 100,
		Counts: exporter.CountsDatagrams,
		Window: 10 * time.Minute, Recent: Counts{Datagrams: 100, Records: 1000, Options: 10},
	}
}

// A test has a change to a good exporter, and the only verdict of its code then: severity and text; "" is none.
type exporterTest struct {
	name, code string
	change     func(*Exporter)
	severity   Severity
	text       string
}

func exporterTests() []exporterTest {
	failed := func(r exporter.Reason, n uint64) func(*Exporter) {
		return func(e *Exporter) { e.Recent.Failed[r] = n }
	}
	return []exporterTest{
		{"one source opens many streams", "too_many_streams", func(e *Exporter) { e.SourceEvicted = 5000 },
			Problem, "192.0.2.1 opened more observation domains or agents than are kept: 5,000 streams evicted"},
		{"some of its streams were evicted", "too_many_streams", func(e *Exporter) { e.SourceEvicted = 3 }, 0, ""},
		{"no router", "no_router", func(e *Exporter) { e.NoRoutes = true }, Warning,
			"no router's routes are its own: its rows have of BGP what its records say"},
		{"no flows", "no_router", func(e *Exporter) { e.NoRoutes, e.Records = true, 0 }, 0, ""},
		{"it was evicted", "stream_evicted", func(e *Exporter) { e.Evictions = 2 },
			Warning, "its counters were evicted 2 times: more exporters send than are kept (its templates were kept)"},
		{"it was not evicted", "stream_evicted", func(e *Exporter) { e.SourceEvicted = 5000; e.Evictions = 1 }, 0, ""},
		{"templates evicted", "template_evicted", failed(exporter.TemplateEvicted, 5),
			Warning, "5 templates evicted in the last 10 min: all exporters together have more than are kept"},
		{"templates refused", "template_evicted", failed(exporter.TemplateLimit, 5), 0, ""},
		{"names", "name_limit", failed(exporter.NameLimit, 1),
			Warning, "more names or sampling rates than are kept: 1 option record in the last 10 min"},
		{"no names", "name_limit", failed(exporter.SamplerLimit, 1), 0, ""},
		{"interfaces", "interface_limit", func(e *Exporter) {
			e.Recent.Failed[exporter.CounterLimit], e.Recent.Failed[exporter.SamplerLimit] = 5, 4
		},
			Warning, "more interfaces than are kept: 9 samples had nothing to be compared with in the last 10 min"},
		{"names, not interfaces", "interface_limit", failed(exporter.NameLimit, 1), 0, ""},
		{"too many texts", "texts_left_out", func(e *Exporter) { e.Recent.LeftOut = 3 }, Warning,
			"more different communities and route distinguishers than its share: 3 rows without them in the last " +
				"10 min"},
		{"no texts left out", "texts_left_out", func(e *Exporter) { e.Recent.LeftOut = 0 }, 0, ""},
		{"rows lost", "rows_lost", func(e *Exporter) {
			e.RowsLost = map[string]uint64{"ClickHouse, spool_full": 1200, "Kafka, queue_full": 0}
		}, Problem, "1,200 of its rows lost in the last 10 min: ClickHouse, spool_full"},
		{"no rows lost", "rows_lost", func(e *Exporter) {
			e.RowsLost = map[string]uint64{"ClickHouse, spool_full": 0}
		}, 0, ""},
		{"too many records", "record_limit", failed(exporter.RecordLimit, 700),
			Problem, "more records in one datagram than it may bring: 700 records left out in the last 10 min"},
		{"too many sets", "set_limit", failed(exporter.SetLimit, 700),
			Problem, "more sets in one datagram than it may have: 700 sets left out in the last 10 min"},
		{"too many records, few sets", "set_limit", failed(exporter.RecordLimit, 700), 0, ""},
		{"too many sets, few records", "record_limit", failed(exporter.SetLimit, 700), 0, ""},
		{"no flows", "no_flow", failed(exporter.NoFlow, 9),
			Warning, "9 records without an address, a counter or a frame in the last 10 min: they are no flows"},
		{"frames without IP", "no_flow", failed(exporter.NotIP, 9), 0, ""},
		{"options that change much", "options_doubted", failed(exporter.OptionsDoubted, 1), Warning,
			"option records rename it, or change its sampling more than tenfold, or come from a port that sends no " +
				"data: 1 record not used in the last 10 min"},
		{"options that are believed", "options_doubted", func(e *Exporter) { e.Recent.Options = 5 }, 0, ""},
		{"an agent of another source", "foreign_agent",
			func(e *Exporter) { e.Recent.Failed[exporter.ForeignAgent], e.Victim = 3, other }, Warning,
			"192.0.2.1 states the address of agent 10.0.0.1, which another source uses: 3 datagrams, whose samples " +
				"stand under its own address"},
		{"an agent of its own", "foreign_agent", func(e *Exporter) { e.Named = other }, 0, ""},
		{"another speaks for it", "impostor", func(e *Exporter) { e.Impostor, e.Impostors = other, 3 },
			Warning, "another source, 10.0.0.1, states this agent's address: 3 datagrams"},
		{"nobody else speaks for it", "impostor", func(e *Exporter) {}, 0, ""},
		{"missing since this morning", "no_template",
			func(e *Exporter) { e.Missing = []Missing{{260, noon.Add(-118 * time.Minute), 7}} },
			Problem, "no template 260 from domain 3 since 10:02: 7 data sets could not be read"},
		{"missing since the day before", "no_template",
			func(e *Exporter) { e.Missing = []Missing{{260, noon.Add(-24 * time.Hour), 1}} },
			Problem, "no template 260 from domain 3 since 2026-03-04 12:00: 1 data set could not be read"},
		{"none missing", "no_template", func(e *Exporter) { e.Missing = []Missing{} }, 0, ""},

		{"sets were given up", "data_without_template", failed(exporter.NoTemplate, 4), Warning,
			"4 data sets lost for want of a template in the last 10 min"},
		{"too much waited", "data_without_template", failed(exporter.HoldFull, 1), Warning,
			"1 data set lost for want of a template in the last 10 min"},
		{"another error", "data_without_template", failed(exporter.BadSet, 4), 0, ""},

		{"conflict", "template_conflict", failed(exporter.TemplateConflict, 2), Warning,
			"two source ports define one template differently: 2 times in the last 10 min"},
		{"no conflict", "template_conflict", failed(exporter.BadTemplate, 2), 0, ""},
		{"limit", "template_limit", failed(exporter.TemplateLimit, 2), Problem,
			"more templates than are kept: 2 definitions refused in the last 10 min"},
		{"no limit", "template_limit", failed(exporter.BadTemplate, 2), 0, ""},

		{"much is lost", "loss", func(e *Exporter) { e.Recent.Lost = 25 }, Problem,
			"20 % of its datagrams are missing by sequence number (25 in the last 10 min)"},
		{"some is lost", "loss", func(e *Exporter) { e.Recent.Lost, e.Recent.Datagrams = 12, 1000 }, Warning,
			"1.2 % of its datagrams are missing by sequence number (12 in the last 10 min)"},
		{"little is lost", "loss", func(e *Exporter) { e.Recent.Lost, e.Recent.Datagrams = 1, 100_000 }, Note,
			"less than 0.01 % of its datagrams are missing by sequence number (1 in the last 10 min)"},
		{"v5 counts flows", "loss", func(e *Exporter) {
			e.Protocol, e.Counts, e.Recent.Lost = flow.NetFlowV5,
				exporter.CountsFlows, 250
		}, Problem, "20 % of its flows are missing by sequence number (250 in the last 10 min)"},
		{"IPFIX counts data records", "loss", func(e *Exporter) {
			e.Protocol, e.Counts, e.Recent.Lost = flow.IPFIX,
				exporter.CountsRecords, 10
		}, Warning, "0.98 % of its data records are missing by sequence number (10 in the last 10 min)"},
		{"v9 that counts flows", "loss", func(e *Exporter) { e.Counts, e.Recent.Lost = exporter.CountsFlows, 250 },
			Problem,
			"20 % of its flows are missing by sequence number (250 in the last 10 min)"},
		{"some are our own", "loss", func(e *Exporter) { e.Recent.Lost, e.OwnDrops = 25, 3_400_000 }, Note,
			"20 % of its datagrams are missing by sequence number (25 in the last 10 min): they may be among the " +
				"3,400,000 datagrams that this host dropped meanwhile"},
		{"late is not lost", "loss", func(e *Exporter) { e.Recent.Reordered = 9 }, 0, ""},

		{"every datagram twice", "duplicates", func(e *Exporter) { e.Recent.Duplicated = 50 }, Warning,
			"50 % of its datagrams come twice"},
		{"one duplicate", "duplicates", func(e *Exporter) { e.Recent.Duplicated, e.Recent.Datagrams = 1, 1000 }, 0, ""},

		{"samples lost", "samples_lost", func(e *Exporter) { e.Recent.SamplesLost = 1000 }, Warning,
			"50 % of its flow samples did not come (1,000 in the last 10 min)"},
		{"none lost", "samples_lost", func(e *Exporter) { e.Recent.Lost = 1000 }, 0, ""},
		{"the agent drops", "agent_drops", func(e *Exporter) { e.Recent.AgentDrops = 1 }, Warning,
			"the agent itself dropped 1 sample in the last 10 min"},
		{"the agent does not drop", "agent_drops", func(e *Exporter) { e.Recent.SamplesLost = 1 }, 0, ""},

		{"restarted", "restarts", func(e *Exporter) { e.Recent.Restarts = 1 }, Note,
			"its sequence numbers restarted 1 time in the last 10 min"},
		{"restarts all the time", "restarts", func(e *Exporter) { e.Recent.Restarts = 3 }, Warning,
			"its sequence numbers restarted 3 times in the last 10 min"},
		{"did not restart", "restarts", func(e *Exporter) { e.Recent.Lost = 3 }, 0, ""},

		{"silent", "silent", func(e *Exporter) { e.LastSeen = noon.Add(-42 * time.Minute) }, Warning,
			"silent since 11:18 (42 min ago)"},
		{"sends every four minutes", "silent", func(e *Exporter) { e.LastSeen = noon.Add(-4 * time.Minute) }, 0, ""},

		{"clock ahead", "clock", func(e *Exporter) { e.Skew = -3700 * time.Second }, Problem, "clock 62 minutes ahead"},
		{"clock behind", "clock", func(e *Exporter) { e.Skew = 90 * time.Second }, Warning, "clock 90 seconds behind"},
		{"a clock that was never set", "clock", func(e *Exporter) { e.Skew = 317039963 * time.Second }, Problem,
			"clock 10 years behind"},
		{"a clock of yesterday", "clock", func(e *Exporter) { e.Skew = 50 * time.Hour }, Problem,
			"clock 2 days behind"},
		{"clock of one who waits before it sends", "clock", func(e *Exporter) { e.Skew = 20 * time.Second }, 0, ""},
		{"times beyond what is believed", "times_replaced", func(e *Exporter) { e.Recent.Clamped = 3 }, Warning,
			"flow times too far off in 3 records in the last 10 min: their rows have the time of receipt, and " +
				"ext.stated_start_ms has the exporter's"},
		{"times that are believed", "times_replaced", func(e *Exporter) { e.Recent.Clamped = 0 }, 0, ""},
		{"sFlow has no clock", "clock", func(e *Exporter) { e.Protocol, e.Skew = flow.SFlow5, time.Hour*24 }, 0, ""},

		{"unknown device", "not_in_meta_device", func(e *Exporter) { e.Device = false }, Warning,
			"not in meta_device: its rows have its address in the device's place, and no interfaces"},
		{"no device is known at all", "not_in_meta_device", func(e *Exporter) { e.Device, e.Devices = false, 0 }, 0,
			""},
		{"metadata is not loaded", "not_in_meta_device", func(e *Exporter) { e.Device, e.HasMetadata = false, false },
			0, ""},
		{"one unknown interface", "not_in_meta_interface", func(e *Exporter) { e.Unknown = []uint32{512} }, Warning,
			"interface 512 not in meta_interface"},
		{"unknown interfaces", "not_in_meta_interface",
			func(e *Exporter) { e.Unknown, e.MoreUnknown = []uint32{5, 512}, true }, Warning,
			"interfaces 5, 512 and more not in meta_interface"},
		{"a learned interface", "not_in_meta_interface",
			func(e *Exporter) { e.Unknown, e.Learned = []uint32{5, 512}, []string{"", "Gi0/1"} }, Warning,
			"interfaces 5, 512 (learned from the exporter: Gi0/1) not in meta_interface"},
		{"known interfaces", "not_in_meta_interface", func(e *Exporter) { e.Unknown = nil }, 0, ""},

		{"no options", "sampling_assumed", func(e *Exporter) {
			e.SamplingSource, e.SamplingRate,
				e.Options = flow.SamplingAssumed, 1, 0
		}, Note, "options never seen: sampling assumed 1"},
		{"options of other things", "sampling_assumed",
			func(e *Exporter) { e.SamplingSource, e.SamplingRate = flow.SamplingAssumed, 1 }, Note,
			"its options say nothing of sampling: sampling assumed 1"},
		{"v5 header with 0", "sampling_assumed", func(e *Exporter) {
			e.Protocol, e.SamplingSource, e.SamplingRate, e.Options = flow.NetFlowV5, flow.SamplingAssumed, 1, 0
		}, Note, "its header says nothing of sampling: sampling assumed 1"},
		{"options may still come", "sampling_assumed", func(e *Exporter) {
			e.SamplingSource, e.Options, e.FirstSeen = flow.SamplingAssumed, 0, noon.Add(-10*time.Second)
		}, 0, ""},
		{"the rate is known", "sampling_assumed", func(e *Exporter) { e.Options = 0 }, 0, ""},
		{"rates that match no record", "sampling_not_matched", func(e *Exporter) {
			e.SamplingSource, e.SamplingRate, e.Readings[exporter.SamplingNotMatched] = flow.SamplingAssumed, 1, 7
		}, Warning, "the exporter announces sampling rates, but none that fits these records: sampling 1 is assumed"},
		{"rates that match by now", "sampling_not_matched",
			func(e *Exporter) { e.Readings[exporter.SamplingNotMatched] = 7 }, 0, ""},
		{"a rate that was put right", "sampling_bytes_swapped",
			func(e *Exporter) { e.Readings[exporter.SamplingBytesSwapped] = 7 }, Note,
			"sampling rate sent with its bytes in the wrong order, put right (7 records since it was first heard)"},
		{"a clock of 1970", "header_clock_wrong", func(e *Exporter) { e.Readings[exporter.HeaderClockWrong] = 3 },
			Warning,
			"header clock cannot be true: the receive time is taken for it (3 datagrams since it was first heard)"},
		{"sets that do not fit", "misfit", func(e *Exporter) {
			e.Misfits = []exporter.MisfitTemplate{{TemplateID: 576, RecordLength: 29, SetLength: 21, Sets: 2}}
		}, Note,
			"template 576: 2 data sets that do not fit it were dropped since it was first heard, the latest of 21 " +
				"bytes; a record has 29"},
		{"sets that do not fit, lately", "template_misfit", failed(exporter.TemplateMisfit, 2), Warning,
			"2 data sets that do not fit their template, dropped in the last 10 min"},
		{"sets that fit", "template_misfit", failed(exporter.BadSet, 2), 0, ""},
		{"numbers as they should be", "numbering", func(*Exporter) {}, 0, ""},
		{"numbers of flows in NetFlow v9", "numbering", func(e *Exporter) { e.Counts = exporter.CountsFlows }, Note,
			"its sequence numbers count flow records, where the protocol counts datagrams: losses are told " +
				"accordingly"},
		{"a number that never moves", "numbering", func(e *Exporter) { e.Counts = exporter.CountsNothing }, Note,
			"its sequence number never changes: losses are unknown"},
		{"numbers of no kind", "numbering", func(e *Exporter) { e.Counts = exporter.CountsUnknown }, Note,
			"its sequence numbers follow no known rule: losses are unknown"},
		{"not known yet", "numbering", func(e *Exporter) { e.Counts, e.Recent.Datagrams = exporter.CountsUnknown, 5 },
			0, ""},
		{"sFlow counts datagrams", "numbering",
			func(e *Exporter) { e.Counts, e.Protocol = exporter.CountsDatagrams, flow.SFlow5 }, 0, ""},
		{"sFlow that counts samples", "numbering",
			func(e *Exporter) { e.Counts, e.Protocol = exporter.CountsSamples, flow.SFlow5 }, Note,
			"its sequence numbers count samples, where the protocol counts datagrams: losses are told accordingly"},
		{"rate 0", "sampling_zero", func(e *Exporter) { e.SamplingSource, e.SamplingRate = flow.SamplingRecord, 0 },
			Warning, "it says a sampling rate of 0: its rows count nothing"},
		{"rate 1", "sampling_zero", func(e *Exporter) { e.SamplingSource, e.SamplingRate = flow.SamplingRecord, 1 }, 0,
			""},

		{"sFlow agent", "address", func(e *Exporter) { e.Protocol, e.Named = flow.SFlow5, other }, Note,
			"agent address 10.0.0.1 differs from source 192.0.2.1"},
		{"IE 130", "address", func(e *Exporter) { e.Named = other }, Note,
			"stated exporter address 10.0.0.1 differs from source 192.0.2.1"},
		{"the agent sends itself", "address", func(e *Exporter) { e.Named = address }, 0, ""},

		{"counters only", "no_flows", func(e *Exporter) {
			e.Protocol, e.Records, e.Recent.Counters = flow.SFlow5, 0,
				9
		}, Note, "it sends interface counters only, no flow samples"},
		{"nothing of use", "no_flows", func(e *Exporter) { e.Records = 0 }, Warning, "its datagrams hold no flows"},
		{"has just begun", "no_flows", func(e *Exporter) { e.Records, e.FirstSeen = 0, noon.Add(-time.Second) }, 0, ""},

		{"truncated", "truncated", failed(exporter.Truncated, 1), Warning, "1 datagram cut short in the last 10 min"},
		{"not truncated", "truncated", failed(exporter.BadSet, 1), 0, ""},
		{"bad header", "bad_header", failed(exporter.BadHeader, 2), Warning,
			"2 datagrams with a header that cannot be true in the last 10 min"},
		{"good header", "bad_header", failed(exporter.BadSet, 1), 0, ""},
		{"bad set", "bad_set", failed(exporter.BadSet, 2), Warning,
			"2 sets with a length that cannot be true in the last 10 min"},
		{"good set", "bad_set", failed(exporter.BadRecord, 1), 0, ""},
		{"bad template", "bad_template", failed(exporter.BadTemplate, 2), Warning,
			"2 templates without fields or cut in the last 10 min"},
		{"good template", "bad_template", failed(exporter.BadSet, 1), 0, ""},
		{"bad record", "bad_record", failed(exporter.BadRecord, 2), Warning,
			"2 records cut or longer than their set in the last 10 min"},
		{"good record", "bad_record", failed(exporter.BadSet, 1), 0, ""},
		{"bad frame", "bad_frame", failed(exporter.BadFrame, 2), Warning,
			"2 sampled frames that cannot be read in the last 10 min"},
		{"frames without IP are no error", "bad_frame", failed(exporter.NotIP, 2), 0, ""},
		{"unknown set", "unknown_set", failed(exporter.UnknownSet, 2), Note,
			"2 sets of a kind that is not known, skipped in the last 10 min"},
		{"known set", "unknown_set", failed(exporter.BadSet, 1), 0, ""},
		{"trailing bytes", "trailing_bytes", failed(exporter.TrailingBytes, 2), Note,
			"2 datagrams with bytes left over at the end in the last 10 min"},
		{"no trailing bytes", "trailing_bytes", failed(exporter.BadSet, 1), 0, ""},
		{"withdrawal", "withdrawal", failed(exporter.Withdrawal, 2), Note,
			"2 template withdrawals ignored (UDP does not allow them) in the last 10 min"},
		{"no withdrawal", "withdrawal", failed(exporter.BadSet, 1), 0, ""},
	}
}

func TestOfExporter(t *testing.T) {
	if all := OfExporter(goodExporter()); len(all) != 0 {
		t.Errorf("of an exporter with which all is well: %v", all)
	}
	for _, test := range exporterTests() {
		t.Run(test.code+"/"+test.name, func(t *testing.T) {
			e := goodExporter()
			test.change(e)
			expect(t, OfExporter(e), test.code, test.severity, test.text)
		})
	}
}

// expect looks for the only verdict with that code.
func expect(t *testing.T, all []Verdict, code string, severity Severity, text string) {
	t.Helper()
	var found []Verdict
	for _, v := range all {
		if v.Code == code {
			found = append(found, v)
		}
	}
	switch {
	case text == "" && len(found) > 0:
		t.Errorf("got %v, want none", found)
	case text == "":
	case len(found) != 1:
		t.Errorf("got %v, want one with code %s", all, code)
	case found[0].Severity != severity || found[0].Text != text:
		t.Errorf("got %s %q, want %s %q", found[0].Severity, found[0].Text, severity, text)
	}
}

func TestOfExporter_manyMissingTemplates(t *testing.T) {
	e := goodExporter()
	for id := range uint16(10) {
		e.Missing = append(e.Missing, Missing{Template: 256 + id, Since: noon})
	}
	all := OfExporter(e)
	if len(all) != 1 || all[0].Text !=
		"no templates 256, 257, 258, 259 and 6 more from domain 3 since 12:00: 0 data sets could not be read" {
		t.Errorf("got %v", all)
	}
}

// Every verdict has a case in which it is given and one in which it is not.
func TestEveryVerdictIsTested(t *testing.T) {
	given, not := map[string]bool{}, map[string]bool{}
	note := func(where, code, text string) {
		if text == "" {
			not[where+code] = true
		} else {
			given[where+code] = true
		}
	}
	for _, test := range exporterTests() {
		note("exporter.go ", test.code, test.text)
	}
	for _, test := range collectorTests() {
		note("collector.go ", test.code, test.text)
	}
	for _, test := range routingTests() {
		note("routing.go ", test.code, test.text)
	}
	for _, file := range []string{"exporter.go", "collector.go", "routing.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		codes := regexp.MustCompile(`l\.add\([^"]*?, "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
		if len(codes) < 10 {
			t.Fatalf("found %d codes in %s", len(codes), file)
		}
		for _, code := range codes {
			if name := file + " " + code[1]; !given[name] || !not[name] {
				t.Errorf("%s is tested where it is given: %v, where it is not: %v", name, given[name], not[name])
			}
		}
	}
	for _, u := range unreadable {
		if name := "exporter.go " + u.reason.String(); !given[name] || !not[name] {
			t.Errorf("%s is tested where it is given: %v, where it is not: %v", name, given[name], not[name])
		}
	}
}

func TestVerdict_JSON(t *testing.T) {
	text, err := json.Marshal(Verdict{Severity: Problem, Code: "clock", Text: "clock 62 minutes ahead"})
	if want := `{"severity":"problem","code":"clock","text":"clock 62 minutes ahead"}`; err != nil ||
		string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestPercent(t *testing.T) {
	for share, want := range map[float64]string{
		0.000001: "less than 0.01 %", 0.00123: "0.12 %", 0.0123: "1.2 %", 0.123: "12 %", 0.9999: "more than 99 %",
		1: "100 %",
	} {
		if got := percent(share); got != want {
			t.Errorf("%v: %q, want %q", share, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "now", 90 * time.Second: "90 s ago", 90 * time.Minute: "90 min ago",
		47 * time.Hour: "47 h ago", 96 * time.Hour: "4 days ago",
	} {
		if got := Ago(d); got != want || strings.TrimSpace(got) == "" {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestCollector_ListenText(t *testing.T) {
	for want, listen := range map[string][]string{
		"UDP port 2055, 4739, 6343":              {":2055", "0.0.0.0:4739", "[::]:6343"},
		"UDP port 2055, UDP 192.0.2.1:6343":      {":2055", "192.0.2.1:6343"},
		"UDP 192.0.2.1:6343, [2001:db8::1]:6343": {"192.0.2.1:6343", "[2001:db8::1]:6343"},
		"":                                       nil,
	} {
		if got := (&Collector{Listen: listen}).ListenText(); got != want {
			t.Errorf("%v: %q, want %q", listen, got, want)
		}
	}
}
