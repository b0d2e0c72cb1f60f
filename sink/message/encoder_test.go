package message

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

func formats() []Format { return []Format{PmacctJSON, JSON, Protobuf} }

// encoded is a row's message.
func encoded(f Format, r enrich.Row) string {
	var b Batch
	NewEncoder(f, NoKey, testLayout).Append(&b, &r)
	return string(b.Message(0))
}

func TestAppendAllocatesNothing(t *testing.T) {
	rows := traffic(500)
	rows = append(rows, fullRow(), blocktest.EmptyRow(), sflowRow(), hostileRow())
	for _, f := range formats() {
		for _, k := range []Key{NoKey, ExporterKey, FlowKey} {
			t.Run(f.String()+"/"+k.String(), func(t *testing.T) {
				e := NewEncoder(f, k, testLayout)
				var b Batch
				batch := func() {
					b.Reset()
					for i := range rows {
						e.Append(&b, &rows[i])
					}
				}
				batch() // grows the batch
				if n := testing.AllocsPerRun(5, batch); n != 0 {
					t.Errorf("%d messages after the first allocate %v times", len(rows), n)
				}
				if b.Len() != len(rows) {
					t.Errorf("%d messages of %d rows", b.Len(), len(rows))
				}
			})
		}
	}
}

func TestMessagesFollowEachOther(t *testing.T) {
	rows := []enrich.Row{fullRow(), blocktest.EmptyRow(), sflowRow()}
	for _, f := range formats() {
		t.Run(f.String(), func(t *testing.T) {
			var b Batch
			e := NewEncoder(f, ExporterKey, testLayout)
			for i := range rows {
				e.Append(&b, &rows[i])
			}
			for i := range rows {
				if got, want := string(b.Message(i)), encoded(f, rows[i]); got != want {
					t.Errorf("message %d is %q, alone %q", i, got, want)
				}
			}
			var keys []string
			for i := range rows {
				keys = append(keys, string(b.Key(i)))
			}
			if diff := cmp.Diff([]string{"192.0.2.250", "unknown", "192.0.2.250"}, keys); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExporterKey(t *testing.T) {
	e := NewEncoder(Protobuf, ExporterKey, testLayout)
	for _, test := range []struct {
		exporter flow.Addr
		want     string
	}{
		{flow.Addr{}, "unknown"},
		{flow.AddrFrom4([4]byte{192, 0, 2, 7}), "192.0.2.7"},
		{flow.Addr{0x20, 0x01, 0x0d, 0xb8, 15: 1}, "2001:db8::1"},
		{flow.Addr{}, "unknown"},
	} {
		var b Batch
		r := blocktest.EmptyRow()
		r.Flow.Exporter = test.exporter
		e.Append(&b, &r)
		if got := string(b.Key(0)); got != test.want {
			t.Errorf("key %q, want %q", got, test.want)
		}
	}
}

func TestFlowKey(t *testing.T) {
	key := func(change func(*flow.Record)) string {
		r := blocktest.EmptyRow()
		r.Flow.SrcAddr, r.Flow.DstAddr = flow.AddrFrom4([4]byte{192, 0, 2, 1}), flow.AddrFrom4([4]byte{198, 51, 100, 2})
		r.Flow.SrcPort, r.Flow.DstPort, r.Flow.IPProtocol = 40000, 443, 6
		change(r.Flow)
		var b Batch
		NewEncoder(Protobuf, FlowKey, testLayout).Append(&b, &r)
		return string(b.Key(0))
	}
	// A key must stay what it is: another one moves all flows to other partitions. The value is that of Python's
	// xxhash.xxh64_hexdigest over the bytes that FlowKey describes.
	base := key(func(*flow.Record) {})
	if want := "469854194a95ac99"; base != want {
		t.Errorf("key %s, want %s", base, want)
	}
	same := map[string]func(*flow.Record){
		"the other direction": func(f *flow.Record) {
			f.SrcAddr, f.DstAddr, f.SrcPort, f.DstPort = f.DstAddr, f.SrcAddr, f.DstPort, f.SrcPort
		},
		"another exporter, interface and size": func(f *flow.Record) { f.Exporter[3], f.InIf, f.Bytes = 1, 2, 3 },
	}
	for name, change := range same {
		if got := key(change); got != base {
			t.Errorf("%s: key %s, want %s", name, got, base)
		}
	}
	other := map[string]func(*flow.Record){
		"source":           func(f *flow.Record) { f.SrcAddr[15]++ },
		"destination":      func(f *flow.Record) { f.DstAddr[15]++ },
		"source port":      func(f *flow.Record) { f.SrcPort++ },
		"destination port": func(f *flow.Record) { f.DstPort++ },
		"ports swapped":    func(f *flow.Record) { f.SrcPort, f.DstPort = f.DstPort, f.SrcPort },
		"protocol":         func(f *flow.Record) { f.IPProtocol++ },
	}
	seen := map[string]string{base: "none"}
	for name, change := range other {
		got := key(change)
		if before, found := seen[got]; found {
			t.Errorf("key of another %s is that of another %s", name, before)
		}
		seen[got] = name
	}
	one := key(func(f *flow.Record) { f.DstAddr, f.SrcPort, f.DstPort = f.SrcAddr, 1, 2 })
	if two := key(func(f *flow.Record) { f.DstAddr, f.SrcPort, f.DstPort = f.SrcAddr, 2, 1 }); one != two {
		t.Errorf("keys of a host's flow with itself are %s and %s by direction", one, two)
	}
}

func TestParse(t *testing.T) {
	for _, f := range formats() {
		if got, err := ParseFormat(f.String()); got != f || err != nil {
			t.Errorf("ParseFormat(%q) = %v, %v", f, got, err)
		}
	}
	for _, k := range []Key{NoKey, ExporterKey, FlowKey} {
		if got, err := ParseKey(k.String()); got != k || err != nil {
			t.Errorf("ParseKey(%q) = %v, %v", k, got, err)
		}
	}
	if _, err := ParseFormat("avro"); err == nil || !strings.Contains(err.Error(), `"avro"`) {
		t.Errorf("ParseFormat of another name: %v", err)
	}
	if _, err := ParseKey(""); err == nil || !strings.Contains(err.Error(), `""`) {
		t.Errorf("ParseKey of no name: %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, f := range formats() {
		for _, k := range []Key{NoKey, ExporterKey, FlowKey} {
			if f != JSON && k != NoKey {
				continue // keys do not depend on the format
			}
			b.Run(f.String()+"/"+k.String(), func(b *testing.B) {
				rows := traffic(512) // few enough to stay in the cache, as the one row of a worker does
				e := NewEncoder(f, k, testLayout)
				var batch Batch
				for i := range rows {
					e.Append(&batch, &rows[i])
				}
				size := len(batch.Data) / len(rows)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if i%len(rows) == 0 {
						batch.Reset()
					}
					e.Append(&batch, &rows[i%len(rows)])
				}
				b.ReportMetric(float64(size), "B/message")
			})
		}
	}
}

// Optional columns are left out of JSON and Protobuf, and pmacct's form does not know them.
func TestWithoutColumns(t *testing.T) {
	l := testLayout
	l.WithoutColumns = optionalColumns()
	row, descriptor := fullRow(), flowDescriptor(t)
	for _, f := range formats() {
		var b Batch
		NewEncoder(f, NoKey, l).Append(&b, &row)
		got, want := string(b.Message(0)), encoded(f, row)
		if f == PmacctJSON {
			if got != want {
				t.Errorf("pmacct-json differs: %s", got)
			}
			continue
		}
		if f == Protobuf {
			got, want = decodedFlow(t, descriptor, []byte(got)).String(),
				decodedFlow(t, descriptor, []byte(want)).String()
		}
		for _, name := range optionalColumns() {
			if strings.Contains(got, name) || !strings.Contains(want, name) {
				t.Errorf("%s: %s is in %s, or not in %s", f, name, got, want)
			}
		}
		if !strings.Contains(got, "packet_count") {
			t.Errorf("%s: more is left out: %s", f, got)
		}
	}
}
