package kafka

import (
	"net/netip"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
)

// While there may be no room, messages of large sources have batches of their own, which are so on disk too.
func TestBatchesApart(t *testing.T) {
	router, flood := flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), flow.AddrFrom(netip.MustParseAddr("203.0.113.1"))
	pressed := false
	var got []*message.Batch
	b := NewBatches(BatchesOptions{
		Encoder: message.NewEncoder(message.JSON, message.NoKey, message.Layout{CollectorID: "c"}), Linger: time.Second,
		Produce: func(b *message.Batch) { got = append(got, b) },
		Next:    func() *message.Batch { return &message.Batch{} },
		Apart: sink.Apart{Large: func(a flow.Addr) bool { return a == flood },
			Pressed: func() bool { return pressed }},
	})
	now := time.Unix(1_700_000_000, 0)
	for _, want := range [][]int{{30}, {20, 10}, {30}} {
		got, pressed = nil, len(want) == 2
		b.FlushIfOld(now)
		for _, source := range []flow.Addr{router, flood, router} {
			for range 10 {
				b.Append(&enrich.Row{Flow: &flow.Record{Source: source, Exporter: source}},
					flow.StreamKey{Exporter: source}, now)
			}
		}
		now = now.Add(time.Minute)
		b.FlushIfOld(now)
		if len(got) != len(want) {
			t.Fatalf("%d batches, want %d", len(got), len(want))
		}
		for i, batch := range got {
			e := entryOf(batch, "topic")
			again, err := decodeBatch(&e)
			if batch.Len() != want[i] || batch.Apart != (i == 1) || err != nil || again.Apart != batch.Apart {
				t.Errorf("batch %d: %d messages, apart %t (%v)", i, batch.Len(), batch.Apart, err)
			}
			if batch.Reset(); batch.Apart {
				t.Error("a batch that is used again is apart")
			}
		}
	}
}
