package clickhouse

import (
	"bytes"
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
