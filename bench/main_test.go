package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/compare"
	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/freeport"
)

// What is sent is what bench collect says it has, at every stage and with several workers.
func TestCollect(t *testing.T) {
	c := replay.NewCapture()
	o := gen.Options{Protocol: flow.NetFlowV9, Flows: 5000, Exporters: 8, Start: time.Now()}
	if err := gen.Each(o, func(d exporter.Datagram) error { c.Add(d); return nil }); err != nil {
		t.Fatal(err)
	}
	snapshot, err := stages.Metadata{Prefixes: 1000, Exporters: 8}.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []stages.Stage{stages.Decode, stages.Encode, stages.Protobuf} {
		t.Run(stage.String(), func(t *testing.T) {
			to, err := freeport.Next()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			type outcome struct {
				count compare.Count
				err   error
			}
			ended := make(chan outcome)
			go func() {
				count, err := collect(ctx, listen.Options{Addresses: []string{to.String()}, Workers: 2}, stage,
					snapshot)
				ended <- outcome{count, err}
			}()
			for begin := time.Now(); measure.Sockets(to.Port()).Bound < 2 && time.Since(begin) < 10*time.Second; {
				time.Sleep(10 * time.Millisecond)
			}
			r, err := replay.Run(context.Background(), c, replay.Options{To: to, Rate: 50_000, Rewrite: true})
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			got := <-ended
			want := compare.Count{Datagrams: uint64(r.Datagrams), Records: uint64(r.Flows)}
			if got.err != nil || got.count != want {
				t.Errorf("%+v, %v; want %+v", got.count, got.err, want)
			}
		})
	}
}

func TestPrintRows(t *testing.T) {
	var out bytes.Buffer
	printRows(&out, []compare.Row{
		{Name: "ours", Includes: "all", Median: compare.Run{Sent: 10, Flows: 200, Records: 199, PerFlow: 0.25,
			Peak: 3 << 20, Rate: 1000}, Runs: make([]compare.Run, 1)},
		{Name: "other", Asked: 5, Failed: "it ended at once"},
	})
	for _, want := range []string{"0.250", "99.5 %", "1,000", "failed: it ended at once"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &out)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 100: "100",
		-100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
	if list, err := numbers("100, 2e5"); err != nil || len(list) != 2 || list[0] != 100 || list[1] != 200_000 {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "x", "-1", "1,,2", "0"} {
		if _, err := numbers(bad); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
