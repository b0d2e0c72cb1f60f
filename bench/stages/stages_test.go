package stages

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

func newBench(t *testing.T, flows int) *Bench {
	t.Helper()
	snapshot, err := Metadata{Prefixes: 10_000, Exporters: 3}.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	b := &Bench{Snapshot: new(atomic.Pointer[enrich.Snapshot]), Runs: 1, For: time.Millisecond}
	b.Snapshot.Store(snapshot)
	err = gen.Each(gen.Options{Protocol: flow.IPFIX, Flows: flows, Exporters: 3, IPv6: 0.3, Start: time.Now()},
		func(d exporter.Datagram) error {
			d.Payload = append([]byte(nil), d.Payload...)
			b.Datagrams = append(b.Datagrams, d)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestChain_takesEveryRecord(t *testing.T) {
	b := newBench(t, 60_000)
	for s := Decode; s <= Protobuf; s++ {
		t.Run(s.String(), func(t *testing.T) {
			c := NewChain(s, b.Snapshot)
			c.pass(b.Datagrams)
			if c.Records() != 60_000 {
				t.Errorf("%d of 60,000 records", c.Records())
			}
			if makes := s >= Encode; makes != (c.Bytes() > 0) {
				t.Errorf("made %d bytes", c.Bytes())
			}
			named, err := ParseStage(s.String())
			if err != nil || named != s {
				t.Errorf("by its name it is %v, %v", named, err)
			}
		})
	}
}

// What is made up is found: devices and interfaces of the generated exporters, subnets of their hosts.
func TestMetadata_isFound(t *testing.T) {
	b := newBench(t, 1000)
	c := NewChain(Enrich, b.Snapshot)
	c.pass(b.Datagrams)
	if c.row.DeviceRef == "" || c.row.In.Ref == "" || c.row.SrcASRef == "" {
		t.Errorf("a row without device, interface or AS: %+v", c.row)
	}
	stats := b.Snapshot.Load().Stats()
	if stats.IPs < 9_000 {
		t.Errorf("%+v, want 10,000 subnets", stats)
	}
}

func TestBench_Costs(t *testing.T) {
	b := newBench(t, 20_000)
	for last, want := range map[Stage][]string{
		Encode:   {"decode", "enrich", "append", "encode"},
		Protobuf: {"decode", "enrich", "protobuf"},
		Decode:   {"decode"},
	} {
		costs := b.Costs(last)
		var names []string
		share := 0.0
		for _, c := range costs {
			names = append(names, c.Stage)
			share += c.Share
		}
		if len(names) != len(want) {
			t.Fatalf("stages up to %s: %v, want %v", last, names, want)
		}
		for i := range names {
			if names[i] != want[i] {
				t.Errorf("stages up to %s: %v, want %v", last, names, want)
			}
		}
		if share < 0.999 || share > 1.001 {
			t.Errorf("shares up to %s add up to %f", last, share)
		}
	}
}

func TestBench_Throughputs(t *testing.T) {
	list := newBench(t, 5_000).Throughputs(Encode, 2)
	if len(list) != 2 || list[0].Workers != 1 || list[1].Workers != 2 || list[0].Rate <= 0 || list[0].Scale != 1 {
		t.Errorf("%+v", list)
	}
}
