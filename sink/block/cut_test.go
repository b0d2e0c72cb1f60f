package block

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/native"
)

// encoded are the rows as a block.
func encoded(l Layout, rows []enrich.Row) []byte {
	b := New(l)
	for i := range rows {
		b.Append(&rows[i])
	}
	return b.Encode(nil)
}

// mixedRows have a value in every column here and there.
func mixedRows(n int) []enrich.Row {
	rows := traffic(n)
	full, empty := fullRow(), emptyRow()
	for i := range rows {
		switch {
		case i%7 == 3:
			rows[i] = full
		case i%11 == 5:
			rows[i] = empty
		}
	}
	return rows
}

// A part that is cut out of a block is the block that its rows would have made, byte for byte.
func TestCut(t *testing.T) {
	for _, n := range []int{1, 2, 40, 700} { // 700 rows have more than 256 different keys
		rows := mixedRows(n)
		for i, l := range subsets() {
			data := encoded(l, rows)
			if got, err := native.Rows(data); err != nil || got != n {
				t.Fatalf("%d rows, %v; want %d", got, err, n)
			}
			random := rand.New(rand.NewPCG(uint64(i), uint64(n)))
			parts := [][2]int{{0, n}, {0, n / 2}, {n / 2, n}, {n - 1, n}}
			for range 5 {
				from := random.IntN(n)
				parts = append(parts, [2]int{from, from + 1 + random.IntN(n-from)})
			}
			for _, p := range parts {
				if p[0] == p[1] {
					continue
				}
				got, err := native.Cut(data, p[0], p[1])
				if err != nil {
					t.Fatalf("%v rows %v of %d: %v", l.Extensions, p, n, err)
				}
				if !bytes.Equal(got, encoded(l, rows[p[0]:p[1]])) {
					t.Fatalf("%v rows %v of %d are not the block of these rows", l.Extensions, p, n)
				}
			}
		}
	}
}

// What is cut is what the engine reads.
func TestCut_engine(t *testing.T) {
	e := needEngine(t)
	l := testLayout(allExtensions(), []string{"scireg"})
	table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
	b := New(l)
	rows := mixedRows(300)
	data := encoded(l, rows)
	sum := fmt.Sprintf("SELECT count(), sum(cityHash64(* EXCEPT (insert_time, ext))), sum(cityHash64(toString(ext))) FROM %s", table)
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

// Every length of a block is checked: cut anywhere it is an error, and no byte that is changed makes it panic.
func TestCut_damaged(t *testing.T) {
	data := encoded(testLayout([]string{"bgp", "mpls"}, []string{"scireg"}), mixedRows(20))
	for n := range data {
		if _, err := native.Cut(data[:n], 3, 9); err == nil {
			t.Fatalf("no error for a block of %d bytes cut after %d", len(data), n)
		}
		damaged := bytes.Clone(data)
		damaged[n] ^= 0xff
		_, _ = native.Cut(damaged, 3, 9)
	}
	if _, err := native.Cut(append(bytes.Clone(data), 0), 3, 9); err == nil {
		t.Error("no error for bytes after the block")
	}
	for _, p := range [][2]int{{-1, 3}, {3, 2}, {0, 21}} {
		if _, err := native.Cut(data, p[0], p[1]); err == nil {
			t.Errorf("no error for rows %v of 20", p)
		}
	}
}

func FuzzCut(f *testing.F) {
	for _, l := range []Layout{testLayout(allExtensions(), []string{"scireg"}), testLayout(nil, nil), testLayout([]string{"bgp"}, nil)} {
		f.Add(encoded(l, mixedRows(20)), 3, 9)
		f.Add(encoded(l, mixedRows(1)), 0, 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, from, to int) {
		part, err := native.Cut(data, from, to)
		if err != nil {
			return
		}
		if rows, err := native.Rows(part); err != nil || rows != to-from {
			t.Fatalf("rows %d to %d are a block of %d rows, %v", from, to, rows, err)
		}
		again, err := native.Cut(part, 0, to-from)
		if err != nil || !bytes.Equal(again, part) {
			t.Fatalf("a part is not what is cut out of it, %v", err)
		}
	})
}
