package block

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
)

func TestAppendAllocatesNothing(t *testing.T) {
	rows := blocktest.Traffic(2000)
	full := blocktest.FullRow()
	for i := range rows {
		if i%5 == 0 {
			rows[i] = full
		}
	}
	for _, extensions := range [][]string{allExtensions(), nil} {
		t.Run(fmt.Sprint(extensions), func(t *testing.T) {
			b := New(testLayout(extensions, []string{"scireg"}))
			var memory native.Packed
			block := func() {
				b.Reset()
				for i := range rows {
					b.Append(&rows[i])
				}
				memory = b.Pack(memory)
			}
			block() // grows the columns
			if n := testing.AllocsPerRun(5, block); n != 0 {
				t.Errorf("a block of %d rows after the first allocates %v times", len(rows), n)
			}
		})
	}
}

// What is left out of a block that waits comes back in its place.
func TestPack(t *testing.T) {
	for name, l := range map[string]Layout{"typed paths": testLayout(allExtensions(), []string{"scireg"}),
		"none": testLayout(nil, nil)} {
		for kind, rows := range map[string][]enrich.Row{"traffic": blocktest.Traffic(5000), "no rows": nil,
			"few rows": blocktest.Traffic(3), "full rows": slices.Repeat([]enrich.Row{blocktest.FullRow()}, 5000)} {
			t.Run(name+" "+kind, func(t *testing.T) {
				b := New(l)
				for i := range rows {
					b.Append(&rows[i])
				}
				want := b.Encode(nil)
				packed := b.Pack(native.Packed{})
				if got := packed.Expand(nil); !bytes.Equal(got, want) {
					t.Errorf("%d bytes with their fills are not the %d of the block", len(got), len(want))
				}
				if plain := name == "typed paths" && kind == "traffic"; plain && len(packed.Data) > len(want)*3/4 {
					t.Errorf("%d bytes are kept of %d", len(packed.Data), len(want))
				}
			})
		}
	}
}

// A full block takes the memory that it needs, whatever the block before was: one row and the names of the columns say
// nothing of it. Too much would be lost at once, as more than a queue may hold.
func TestPackTakesWhatItNeeds(t *testing.T) {
	b := New(testLayout(allExtensions(), []string{"scireg"}))
	rows := blocktest.Traffic(10_000)
	for _, n := range []int{1, len(rows), 1, 3, len(rows), len(rows)} {
		for i := range rows[:n] {
			b.Append(&rows[i])
		}
		p := b.Pack(native.Packed{})
		if most := 2*len(p.Data) + 64<<10; cap(p.Data) > most {
			t.Errorf("%d rows of %d bytes take %d, want %d at most", n, len(p.Data), cap(p.Data), most)
		}
		b.Reset()
	}
}

func TestEncodeAppendsAndRepeats(t *testing.T) {
	l := testLayout(allExtensions(), nil)
	b := New(l)
	if out := b.Encode([]byte("x")); string(out) != "x" {
		t.Errorf("an empty block encodes to %q", out[1:])
	}
	rows := blocktest.Traffic(10)
	for i := range rows {
		b.Append(&rows[i])
	}
	first := b.Encode(nil)
	again := b.Encode([]byte("spool"))
	if !bytes.Equal(again, append([]byte("spool"), first...)) {
		t.Error("the second encoding of a block differs from the first, or does not follow what was there")
	}
	if !bytes.HasPrefix(first, []byte{byte(len(b.Columns())), 10, 10}) {
		t.Errorf("begins with % x, want the counts of columns and rows and a name", first[:3])
	}
	kept := slices.Clone(first)
	b.Reset()
	for i := range rows {
		b.Append(&rows[len(rows)-1-i])
	}
	b.Encode(nil)
	if !bytes.Equal(first, kept) {
		t.Error("later use of the block changes bytes that it encoded")
	}
	b.Reset()
	for i := range rows {
		b.Append(&rows[i])
	}
	if !bytes.Equal(b.Encode(nil), kept) {
		t.Error("after Reset the same rows give other bytes")
	}
}

func TestBookkeeping(t *testing.T) {
	const day = 24 * 3600 * 1000
	b := New(Layout{})
	check := func(what string, rows, days int, received int64) {
		t.Helper()
		if b.Rows() != rows || b.Days() != days || b.FirstReceived() != received {
			t.Errorf("%s: %d rows, %d days, first received %d; want %d, %d, %d",
				what, b.Rows(), b.Days(), b.FirstReceived(), rows, days, received)
		}
	}
	check("new", 0, 0, 0)
	add := func(startMs, received int64) {
		b.Append(&enrich.Row{Flow: &flow.Record{Received: received}, StartMs: startMs})
	}
	add(blocktest.DayStart, 5)
	check("first row", 1, 1, 5)
	add(blocktest.DayStart+day-1, 6)
	check("last millisecond of the day", 2, 1, 5)
	add(blocktest.DayStart+day, 7)
	add(blocktest.DayStart, 8)
	check("next day", 4, 2, 5)
	add(0, 9)
	add(-1, 9)
	check("1970 and the day before", 6, 4, 5)
	b.Reset()
	check("reset", 0, 0, 0)
	add(blocktest.DayStart, 10)
	check("after reset", 1, 1, 10)
}

// A block without the optional columns is what it is with them, but for these.
func TestWithoutColumns(t *testing.T) {
	rows := append(blocktest.Traffic(100), blocktest.FullRow(), blocktest.EmptyRow())
	all, l := New(testLayout(allExtensions(), nil)), testLayout(allExtensions(), nil)
	for _, without := range schema.OptionalColumns() {
		l.WithoutColumns = append(l.WithoutColumns, without)
		b := New(l)
		for range 2 {
			b.Reset()
			all.Reset()
			for i := range rows {
				b.Append(&rows[i])
				all.Append(&rows[i])
			}
		}
		var want []named
		for _, c := range all.columns {
			if !slices.Contains(l.WithoutColumns, c.name) {
				want = append(want, c)
			}
		}
		if got := b.Encode(nil); !bytes.Equal(got, appendEncoded(nil, want, len(rows))) {
			t.Errorf("without %v: %d bytes differ", l.WithoutColumns, len(got))
		}
	}
}
