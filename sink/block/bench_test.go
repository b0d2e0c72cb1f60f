package block

import (
	"testing"

	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
)

const benchRows = 50_000

func BenchmarkAppend(b *testing.B) {
	rows := blocktest.Traffic(512) // few enough to stay in the cache, as the one row of a worker does
	block := New(testLayout(allExtensions(), []string{"scireg"}))
	for i := range benchRows {
		block.Append(&rows[i%len(rows)])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if block.Rows() == benchRows {
			block.Reset()
		}
		block.Append(&rows[i%len(rows)])
	}
}

func BenchmarkPack(b *testing.B) {
	rows := blocktest.Traffic(benchRows)
	block := New(testLayout(allExtensions(), []string{"scireg"}))
	for i := range rows {
		block.Append(&rows[i])
	}
	memory := block.Pack(native.Packed{})
	b.ReportAllocs()
	for b.Loop() {
		memory = block.Pack(memory)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRows, "ns/row")
	b.ReportMetric(float64(memory.Size())/benchRows, "B/row")
	b.ReportMetric(float64(len(memory.Data))/benchRows, "kept-B/row")
}

// BenchmarkEngineInsert measures the CPU time that the engine's process spends on a row. The time of an operation is
// that of one insert over HTTP.
func BenchmarkEngineInsert(b *testing.B) {
	rows := blocktest.Traffic(2 * benchRows)
	scireg := []string{"scireg"}
	native := func(l Layout) []byte { return encodeRows(l, rows) }
	text := func(l Layout) []byte { return encodeWithText(b, l, rows) }
	all := func(l Layout) []byte {
		l.Extensions = allExtensions()
		return encodeRows(l, rows)
	}
	for _, bench := range []struct {
		name       string
		extensions []string // of the table
		data       func(Layout) []byte
	}{
		{"native paths", allExtensions(), native},
		{"JSON text", allExtensions(), text},
		{"native paths, table without extensions", nil, native},
		{"JSON text, table without extensions", nil, text},
		{"native paths, cast to a table without extensions", nil, all},
	} {
		b.Run(bench.name, func(b *testing.B) {
			e := needEngine(b)
			layout := testLayout(bench.extensions, scireg)
			table := e.createFlowTable(b, bench.extensions, scireg)
			e.run(b, "Null", "SYSTEM STOP MERGES "+table)
			data, columns := bench.data(layout), New(layout).Columns()
			before := e.cpuTime(b)
			for b.Loop() {
				e.insert(b, table, columns, data)
			}
			b.ReportMetric(float64(e.cpuTime(b)-before)/float64(b.N)/float64(len(rows)), "cpu-ns/row")
		})
	}
}
