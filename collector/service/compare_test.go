package service

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/compare"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
)

// What pmacct said of every capture of the reference and what this collector makes of it differ in nothing but what
// pmacct is known to do differently.
func TestCompare_golden(t *testing.T) {
	golden := golden.Reference(t, "golden")
	cfg := testkit.Config(t, "COLLECTOR_ID=oracle-collector", "CLICKHOUSE_FLOW_TTL=",
		"CLICKHOUSE_FLOW_MV_BY_IP_VERSION_5M_TTL=")
	s := testService(t, cfg)
	loadGolden(t, s, filepath.Join(golden, "metadata"))
	const otherTimes, more = "the same flows at other times", "more here: records that pmacct does not read"
	// The beginnings of the reasons that are given. sFlow has the time of arrival, which in these captures is not
	// pmacct's.
	expected := map[string][]string{
		"ipfix-probe":             {otherTimes, "pmacct made no message"}, // the other direction of biflows
		"pmacct-111":              {"flows at the turn of a minute: pmacct cuts NetFlow times to whole seconds"},
		"sflow-1140":              {otherTimes},
		"sflow-discard-interface": {otherTimes},
		"sflow-expanded-sample":   {otherTimes},
		"sflow-icmpv4":            {otherTimes},
		"sflow-ipv4-data":         {otherTimes},
		"sfprobe":                 {otherTimes},
		"synth-nf9":               {otherTimes}, // 49 days off (Q8)
		"synth-sflow":             {more},       // 802.1ad (Q29)
	}
	files, err := filepath.Glob(filepath.Join(golden, "*.pmacct.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no messages in %s: %v", golden, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".pmacct.jsonl")
		path := filepath.Join(golden, name+".pcap")
		if _, err := os.Stat(path); err != nil {
			continue // messages without a capture
		}
		t.Run(name, func(t *testing.T) {
			testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow")
			playCapture(t, s, path)
			messages, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer messages.Close()
			theirs, ours := compare.NewAccount("pmacct"), compare.NewAccount("this collector")
			if err := theirs.AddMessages(messages, s.workers.snapshot.Load()); err != nil {
				t.Fatal(err)
			}
			from, to := time.Unix(0, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
			if err := ours.AddRows(t.Context(), s.database.conn,
				compare.Rows{Table: "data_flow", From: from, To: to}); err != nil {
				t.Fatal(err)
			}
			if len(theirs.Cells) == 0 || len(ours.Cells) == 0 {
				t.Fatalf("%d and %d cells", len(theirs.Cells), len(ours.Cells))
			}
			given := map[string]bool{}
			for _, d := range compare.Compare(theirs, ours, compare.Options{From: from, To: to}) {
				i := slices.IndexFunc(expected[name],
					func(begin string) bool { return strings.HasPrefix(d.Reason, begin) })
				if i < 0 || !d.Known {
					t.Errorf("not expected: %+v", d)
					continue
				}
				given[expected[name][i]] = true
			}
			if len(given) != len(expected[name]) {
				t.Errorf("reasons given: %v, want %v", given, expected[name])
			}
		})
	}
}
