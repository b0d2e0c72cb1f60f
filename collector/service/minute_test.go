package service

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// A thousand sources that lose something are twenty lines and a sum.
func TestMinute_warningsAreBounded(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	m := &minute{log: zap.New(core)}
	var all []warning
	for n := range 1000 {
		all = append(all, warning{"lost", lossKey{"hold_full", fmt.Sprintf("10.0.0.%d", n)}, uint64(1 + n)})
	}
	m.warn(all)
	if logs.Len() != maxWarnings+1 {
		t.Fatalf("%d lines", logs.Len())
	}
	first, last := logs.All()[0].ContextMap(), logs.All()[maxWarnings].ContextMap()
	if first["count"] != uint64(1000) || last["lines left out"] != int64(980) ||
		last["count"] != "480690 × hold_full" {
		t.Errorf("first %v, last %v", first, last)
	}
}

// What evicted streams counted is in the summary's sums, and told once.
func TestSummary_hasWhatEvictedStreamsCounted(t *testing.T) {
	table := exporter.NewTable(16)
	before := map[lossKey]uint64{}
	told := uint64(0)
	for n := range 200 {
		a := flow.AddrFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}))
		s := table.Get(exporter.Key{Exporter: a, Protocol: flow.IPFIX}, a, int64(n))
		s.Saw(&exporter.Datagram{Received: int64(n)})
		s.Records.Add(10)
		s.Fail(exporter.BadRecord, 5)
		if n%7 != 0 && n != 199 {
			continue
		}
		table.Publish()
		now := map[lossKey]uint64{}
		for _, l := range report.New(table).Losses {
			now[lossKey{l.What, l.Where}] += l.Count
		}
		for key, count := range now {
			if key.what == "bad_record" {
				told += increase(before[key]+gone(before, now, key), count)
			}
		}
		before = now
	}
	sum := report.New(table)
	if sum.Datagrams() != 200 || sum.Records() != 2000 || told != 1000 {
		t.Errorf("%d datagrams, %d records, %d losses told; want 200, 2000, 1000", sum.Datagrams(), sum.Records(), told)
	}
	var out strings.Builder
	sum.Print(&out)
	if !strings.Contains(out.String(), "exporters that were evicted: 184 streams, 184 datagrams, 1840 records") {
		t.Errorf("said:\n%s", &out)
	}
}
