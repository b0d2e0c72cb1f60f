package block

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
)

// What is cut is what the engine reads.
func TestCut_engine(t *testing.T) {
	e := needEngine(t)
	l := testLayout(allExtensions(), []string{"scireg"})
	table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
	b := New(l)
	rows := blocktest.Mixed(300)
	data := encodeRows(l, rows)
	sum := fmt.Sprintf("SELECT count(), sum(cityHash64(* EXCEPT (insert_time, ext))), sum(cityHash64(toString(ext))) "+
		"FROM %s", table)
	e.insert(t, table, b.Columns(), data)
	want := e.run(t, "TSV", sum)
	e.run(t, "Null", "TRUNCATE TABLE "+table)
	for _, p := range [][2]int{{0, 1}, {1, 150}, {150, 299}, {299, 300}} {
		part, err := native.Cut(data, p[0], p[1])
		if err != nil {
			t.Fatal(err)
		}
		e.insert(t, table, b.Columns(), part)
	}
	if got := e.run(t, "TSV", sum); got != want {
		t.Errorf("the parts together are %s, the whole was %s", got, want)
	}
}

// What AppendJSON prints of a block is what the engine selects of it, and the engine takes it back.
func TestPrint_engine(t *testing.T) {
	e := needEngine(t)
	for _, l := range []Layout{testLayout(allExtensions(), []string{"scireg"}), testLayout(nil, nil)} {
		table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
		b := New(l)
		data := encodeRows(l, blocktest.Mixed(60))
		e.insert(t, table, b.Columns(), data)
		const query = "SELECT * EXCEPT (insert_time) FROM "
		const order = " ORDER BY ALL SETTINGS output_format_json_quote_64bit_integers = 0"
		fromNative := e.selected(t, query+table+order)
		lines, err := native.AppendJSON(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		e.run(t, "Null", "TRUNCATE TABLE "+table)
		e.run(t, "Null", "INSERT INTO "+table+" SETTINGS deduplicate_insert='disable' FORMAT JSONEachRow "+
			string(lines))
		if diff := cmp.Diff(fromNative, e.selected(t, query+table+order)); diff != "" {
			t.Errorf("extensions %v: %s", l.Extensions, diff)
		}
	}
}
