package native_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
)

// A part that is cut out of a block is the block that its rows would have made, byte for byte.
func TestCut(t *testing.T) {
	for _, n := range []int{1, 2, 40, 700} { // 700 rows have more than 256 different keys
		rows := blocktest.Mixed(n)
		for i, l := range layouts() {
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

// Blocks that are sent in one insert are cut as one.
func TestCut_blocks(t *testing.T) {
	l := layout([]string{"bgp"}, []string{"scireg"})
	rows := blocktest.Mixed(30)
	of := func(from, to int) []byte { return encoded(l, rows[from:to]) }
	all := slices.Concat(of(0, 10), of(10, 11), of(11, 30))
	if n, err := native.Rows(all); n != 30 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	for _, c := range []struct {
		name     string
		from, to int
		want     []byte
	}{
		{"all", 0, 30, all},
		{"one block", 10, 11, of(10, 11)},
		{"within a block", 12, 20, of(12, 20)},
		{"over an end", 8, 11, slices.Concat(of(8, 10), of(10, 11))},
		{"the last row", 29, 30, of(29, 30)},
		{"nothing", 10, 10, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := native.Cut(all, c.from, c.to); err != nil || !bytes.Equal(got, c.want) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, len(c.want))
			}
		})
	}
	if _, err := native.Cut(all, 0, 31); err == nil {
		t.Error("no error for rows that no block has")
	}
	var each []byte
	for _, part := range [][]byte{of(0, 10), of(10, 11), of(11, 30)} {
		var err error
		if each, err = native.AppendJSON(each, part); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := native.AppendJSON(nil, all); err != nil || !bytes.Equal(got, each) {
		t.Errorf("the rows of all blocks are not those of each, %v", err)
	}
}

// Every length of a block is checked: cut anywhere it is an error, and no byte that is changed makes it panic.
func TestCut_damaged(t *testing.T) {
	data := encoded(layout([]string{"bgp", "mpls"}, []string{"scireg"}), blocktest.Mixed(20))
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
	for _, l := range []block.Layout{layout(allExtensions(), []string{"scireg"}), layout(nil, nil),
		layout([]string{"bgp"}, nil)} {
		f.Add(encoded(l, blocktest.Mixed(20)), 3, 9)
		f.Add(encoded(l, blocktest.Mixed(1)), 0, 1)
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
