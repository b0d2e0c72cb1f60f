package plan

import (
	"math"
	"strings"
	"testing"
	"time"
)

// What was measured on one machine comes out of the model: 500,000 flows a second on two cores for a minute took
// 3.70 µs a flow, 1.03 of them merging, that is a quarter of a merge of each row.
func TestFor_measuredRun(t *testing.T) {
	costs := Measured()
	costs.Merges.Value = 1.027 / costs.Merge.Value
	p := For(Options{Flows: 500_000, Peak: 1, Costs: costs})
	if took := (p.CollectorCores + p.StoreCores) / 500_000 * million; math.Abs(took-3.701) > 0.05 {
		t.Errorf("%.3f µs a flow, measured were 3.701", took)
	}
}

// README of sink: 1,000 flows/s are 86 million rows and 1.9 GB a day, and 1 % of a core.
func TestFor_sizingOfTheReadme(t *testing.T) {
	p := For(Options{Flows: 1000, Days: 1})
	if math.Abs(p.DayTB*1000-1.9) > 0.05 {
		t.Errorf("%.2f GB a day", p.DayTB*1000)
	}
	if p.StoreCores < 0.009 || p.StoreCores > 0.014 {
		t.Errorf("%.4f cores of the store", p.StoreCores)
	}
	if !p.Together || p.Servers != 1 || p.Collectors != 1 || p.BatchRows != leastBatch {
		t.Errorf("1,000 flows/s do not fit one machine: %+v", p)
	}
}

func TestFor_rates(t *testing.T) {
	for _, test := range []struct {
		name               string
		options            Options
		collectors, shards int
		bound              string
	}{
		{"1 M on large disks", Options{Flows: 1e6, DiskTB: 1000}, 1, 2, "processors"},
		{"10 M", Options{Flows: 1e7, DiskTB: 1000}, 2, 13, "processors"},
		{"100 M", Options{Flows: 1e8, DiskTB: 1000}, 20, 123, "processors"},
		{"1 M on small disks", Options{Flows: 1e6, DiskTB: 10}, 1, 8, "disk"},
		{"1 M with rollups", Options{Flows: 1e6, DiskTB: 1000, Rollups: true}, 1, 4, "processors"},
		{"1 M on machines of 64 cores", Options{Flows: 1e6, DiskTB: 1000, Cores: 64}, 1, 1, "processors"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := For(test.options)
			if p.Collectors != test.collectors || p.Shards != test.shards || p.Bound != test.bound {
				t.Errorf("%d collectors, %d shards by %s, want %d, %d, %s", p.Collectors, p.Shards, p.Bound,
					test.collectors, test.shards, test.bound)
			}
		})
	}
}

// What is planned is enough: no machine does more than its share, at the peak or over a day.
func TestFor_isEnough(t *testing.T) {
	for flows := 1e3; flows < 2e8; flows *= 1.7 {
		for _, rollups := range []bool{false, true} {
			o := Options{Flows: flows, Replicas: 2, Rollups: rollups}.withDefaults()
			p := For(o)
			if p.Servers != 2*p.Shards {
				t.Fatalf("%+v", p)
			}
			busy := p.StoreCores / float64(p.Shards*o.Cores)
			if p.Together {
				busy = (p.StoreCores + p.CollectorCores) / float64(o.Cores)
			}
			if busy > o.Busy || p.DiskTB*diskFull/float64(p.Shards) > o.DiskTB*diskFull {
				t.Errorf("%.0f flows/s: processors busy to %.2f, %.1f TB on %d shards", flows, busy, p.DiskTB, p.Shards)
			}
			perShard := flows * o.Peak / float64(p.Shards)
			if perShard/float64(p.BatchRows) > insertsASecond {
				t.Errorf("%.0f flows/s: %.1f inserts a second", flows, perShard/float64(p.BatchRows))
			}
		}
	}
}

func TestFor_advice(t *testing.T) {
	p := For(Options{Flows: 1e8, DiskTB: 1000})
	text := strings.Join(p.Advice, "\n")
	for _, word := range []string{"divide the exporters", "one shard", "rollups", "sample more"} {
		if !strings.Contains(text, word) {
			t.Errorf("nothing of %q in:\n%s", word, text)
		}
	}
	if p := For(Options{Flows: 1000}); len(p.Advice) > 0 || p.DayQuery > time.Second {
		t.Errorf("%+v", p)
	}
}

// Each figure says what it is of and where it comes from.
func TestMeasured(t *testing.T) {
	for _, f := range Measured().List() {
		if f.Value <= 0 || f.Of == "" || f.From == "" {
			t.Errorf("%+v", f)
		}
	}
}
