package native_test

import (
	"bytes"
	"math/rand/v2"
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
