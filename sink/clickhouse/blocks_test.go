package clickhouse

import (
	"bytes"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
)

// A change of the table is in the next block, and no row is lost by it.
func TestBlocksFollowTheTable(t *testing.T) {
	var typ atomic.Pointer[string]
	var sent []*Insert
	b := NewBlocks(BlocksOptions{
		Table: "data_flow", MaxRows: 3, MaxAge: time.Hour, ExtType: &typ,
		Layout:  block.Layout{Extensions: []string{"vlan"}},
		Buffer:  func() native.Packed { return native.Packed{} },
		Deliver: func(ins *Insert) { sent = append(sent, ins) },
	})
	row := blocktest.FullRow()
	appendRows := func(n int) {
		for range n {
			b.Append(&row, flow.StreamKey{}, time.Now())
		}
	}
	appendRows(1)
	first, second := "JSON(bgp_med Nullable(UInt32))", "JSON(bgp_local_pref Nullable(UInt32))"
	typ.Store(&first)
	appendRows(5) // the rest of one block, and one more
	typ.Store(&second)
	appendRows(1)
	b.Flush()
	want := []string{"vlan_in_inner_id Nullable", first, second}
	if len(sent) != len(want) {
		t.Fatalf("%d blocks, want %d", len(sent), len(want))
	}
	rows := 0
	for i, ins := range sent {
		rows += ins.Rows
		if !bytes.Contains(ins.Data, []byte(want[i])) {
			t.Errorf("block %d does not have ext with %s", i, want[i])
		}
	}
	if rows != 7 {
		t.Errorf("%d rows, want 7", rows)
	}
}

// A full block is encoded step by step while the next fills. It is handed over before the next one, whatever comes
// first: the last step, another full block, an idle time, or the end.
func TestFullBlockIsEncodedInSteps(t *testing.T) {
	rows := blocktest.Traffic(20_000)
	for i := range rows {
		rows[i].Flow.Received = rows[i].StartMs * int64(time.Millisecond)
	}
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name  string
		after func(b *Blocks)
		want  []int // rows of the blocks that were handed over
	}{
		{"nothing", func(*Blocks) {}, nil},
		{"one step", func(b *Blocks) { b.FlushIfOld(now) }, nil},
		{"all steps", func(b *Blocks) {
			for range 20 {
				b.FlushIfOld(now)
			}
		}, []int{20_000}},
		{"rows of the next block", func(b *Blocks) {
			for i := range rows[:10] {
				b.Append(&rows[i], flow.StreamKey{}, now)
			}
		}, nil},
		{"another full block", func(b *Blocks) {
			for i := range rows {
				b.Append(&rows[i], flow.StreamKey{}, now)
			}
		}, []int{20_000}},
		{"idle time", func(b *Blocks) { b.FlushIfOld(now.Add(packTime)) }, []int{20_000}},
		{"the next block is old", func(b *Blocks) {
			b.Append(&rows[0], flow.StreamKey{}, now)
			b.FlushIfOld(now.Add(time.Hour))
		}, []int{20_000, 1}},
		{"the end", func(b *Blocks) {
			b.Append(&rows[0], flow.StreamKey{}, now)
			b.Flush()
		}, []int{20_000, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent []*Insert
			b := NewBlocks(BlocksOptions{Table: "data_flow", MaxRows: len(rows), MaxAge: time.Hour,
				Buffer:  func() native.Packed { return native.Packed{} },
				Deliver: func(ins *Insert) { sent = append(sent, ins) },
			})
			whole := block.New(block.Layout{})
			for i := range rows {
				b.Append(&rows[i], flow.StreamKey{}, now)
				whole.Append(&rows[i])
			}
			c.after(b)
			var got []int
			for _, ins := range sent {
				got = append(got, ins.Rows)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("blocks of %v rows, want %v", got, c.want)
			}
			b.Flush()
			first := native.Packed{Data: sent[0].Data, Fills: sent[0].Fills}
			if !bytes.Equal(first.Expand(nil), whole.Encode(nil)) {
				t.Errorf("the first block is not what is encoded at once")
			}
		})
	}
}
