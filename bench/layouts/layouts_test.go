package layouts

import (
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/bench/stages"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
)

func TestWithoutCodecs(t *testing.T) {
	s := schema.Default()
	s.Views, s.Rollups = nil, nil
	statements, err := schema.Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if got := withoutCodecs(statement); strings.Contains(got, "CODEC") ||
			strings.Count(got, "(") != strings.Count(got, ")") || strings.Contains(got, "ZSTD") {
			t.Errorf("this has codecs, or has lost something else:\n%s", got)
		}
	}
}

// Every layout has all rows of the datagrams, in blocks of its size.
func TestBlocksOf(t *testing.T) {
	const flows = 120_000
	var datagrams []exporter.Datagram
	err := gen.Each(gen.Options{Protocol: flow.NetFlowV9, Flows: flows, Exporters: 2, Start: time.Now()},
		func(d exporter.Datagram) error {
			d.Payload = append([]byte(nil), d.Payload...)
			datagrams = append(datagrams, d)
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := stages.Metadata{Exporters: 2}.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range All() {
		insert, blocks, err := blocksOf(datagrams, snapshot, "layout_1", l)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(insert, "layout_1") {
			t.Errorf("%s: %s does not name the table", l.Name, insert)
		}
		rows := 0
		for _, b := range blocks {
			n, err := native.Rows(b.data)
			if err != nil || n != b.rows {
				t.Errorf("%s: a block of %d rows has %d, %v", l.Name, b.rows, n, err)
			}
			rows += n
		}
		want := (flows + defaultBlockRows - 1) / defaultBlockRows
		if l.BlockRows > 0 {
			want = 1
		}
		if rows != flows || len(blocks) != want {
			t.Errorf("%s: %d rows in %d blocks, want %d in %d", l.Name, rows, len(blocks), flows, want)
		}
	}
}
