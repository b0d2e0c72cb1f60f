package block

import (
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

// A flood of routes fills a block before its rows do, and leaves no large dictionaries behind.
func TestBlock_fullOfCommunities(t *testing.T) {
	b := New(Layout{Extensions: []string{"bgp"}})
	row := blocktest.FullRow()
	record := *row.Flow
	row.Flow = &record
	next := uint32(0)
	for !b.Full() {
		record.Communities = record.Communities[:0]
		for range 1000 {
			next++
			record.Communities = append(record.Communities, next)
		}
		record.Has |= flow.Communities
		b.Append(&row)
		if b.Rows() > 1000 {
			t.Fatal("a million communities do not fill it")
		}
	}
	if b.Rows() < 100 {
		t.Errorf("full with %d rows of 1000 communities", b.Rows())
	}
	b.Reset()
	if b.Full() || b.ext.bgpCommunity.keys.n != 0 {
		t.Error("still full after Reset")
	}
	record.Communities = record.Communities[:10]
	for range 50_000 {
		b.Append(&row)
	}
	if b.Full() {
		t.Error("full with 50,000 rows of 10 communities each")
	}
}
