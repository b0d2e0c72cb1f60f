package pipeline

import (
	"bytes"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/message"
)

// withMessages has a worker make messages too, of which each batch goes to produce and is used again.
func withMessages(w *Worker, f message.Format, produce func(*message.Batch)) {
	w.Encoder = message.NewEncoder(f, message.ExporterKey,
		message.Layout{CollectorID: "c", IPRefExtensions: []string{"scireg"}})
	w.Batch, w.BatchBytes, w.Linger = &message.Batch{}, 1<<20, time.Second
	var done *message.Batch
	w.Produce = func(b *message.Batch) {
		produce(b)
		b.Reset()
		done = b
	}
	w.NextBatch = func() *message.Batch { return done }
}

func TestWorker_producesWhenFullOrOld(t *testing.T) {
	all := datagrams(t, "softflowd-v9") // 230 records
	for _, test := range []struct {
		name string
		flow bool // rows are delivered too
	}{{"beside ClickHouse", true}, {"instead of ClickHouse", false}} {
		t.Run(test.name, func(t *testing.T) {
			rows, batches, messages := 0, 0, 0
			w := newWorker(t, func(ins *clickhouse.Insert) { rows += ins.Rows })
			if !test.flow {
				w.Block = nil
			}
			withMessages(w, message.JSON, func(b *message.Batch) {
				batches++
				messages += b.Len()
				for i := range b.Len() {
					if !bytes.HasPrefix(b.Message(i), []byte(`{"`)) || len(b.Key(i)) == 0 {
						t.Fatalf("message %q, key %q", b.Message(i), b.Key(i))
					}
				}
			})
			w.BatchBytes = 50_000
			now := time.Unix(1000, 0)
			w.Process(all, now)
			if batches == 0 || messages >= 230 {
				t.Fatalf("%d messages in %d full batches", messages, batches)
			}
			full := batches
			w.Tick(now.Add(999 * time.Millisecond))
			if batches != full {
				t.Fatal("the rest went out before it was old enough")
			}
			w.Tick(now.Add(time.Second))
			if batches != full+1 || messages != 230 {
				t.Fatalf("%d messages in %d batches", messages, batches)
			}
			w.Finish()
			wantRows := 0
			if test.flow {
				wantRows = 230
			}
			if w.Messages() != 230 || rows != wantRows || w.Rows() != uint64(wantRows) || batches != full+1 {
				t.Errorf("%d messages counted in %d batches, %d rows delivered, %d counted", w.Messages(), batches,
					rows, w.Rows())
			}
		})
	}
}

// With messages too nothing is allocated from the datagram to the batch.
func TestWorker_messagesAllocateNothing(t *testing.T) {
	for _, f := range []message.Format{message.PmacctJSON, message.JSON, message.Protobuf} {
		t.Run(f.String(), func(t *testing.T) {
			all := datagrams(t, "softflowd-ipfix")
			w := newWorker(t, func(*clickhouse.Insert) {})
			w.MaxRows = 1 << 20
			withMessages(w, f, func(*message.Batch) {})
			w.BatchBytes = 10_000
			now := time.Now()
			for range 3 {
				w.Process(all, now)
				w.Flush()
			}
			memory := w.Buffer()
			all = withoutTemplates(all, w)
			if n := testing.AllocsPerRun(20, func() {
				w.Process(all, now)
				memory = w.Block.Pack(memory)
				w.Block.Reset()
			}); n > 0 {
				t.Errorf("%v allocations for the %d datagrams of the capture", n, len(all))
			}
		})
	}
}
