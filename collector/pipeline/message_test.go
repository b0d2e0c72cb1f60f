package pipeline

import (
	"bytes"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
)

// newBatches make messages, of which each batch goes to produce and is used again.
func newBatches(f message.Format, size int, produce func(*message.Batch)) *kafka.Batches {
	next := &message.Batch{}
	return kafka.NewBatches(kafka.BatchesOptions{
		Encoder: message.NewEncoder(f, message.ExporterKey,
			message.Layout{CollectorID: "c", IPRefExtensions: []string{"scireg"}}),
		Bytes: size, Linger: time.Second,
		Produce: func(b *message.Batch) {
			produce(b)
			b.Reset()
			next = b
		},
		Next: func() *message.Batch { return next },
	})
}

func TestWorker_producesWhenFullOrOld(t *testing.T) {
	all := datagrams(t, "softflowd-v9") // 230 records
	for _, test := range []struct {
		name string
		flow bool // rows are delivered too
	}{{"beside ClickHouse", true}, {"instead of ClickHouse", false}} {
		t.Run(test.name, func(t *testing.T) {
			rows, batches, messages := 0, 0, 0
			sinks := []sink.Batcher{newBatches(message.JSON, 50_000, func(b *message.Batch) {
				batches++
				messages += b.Len()
				for i := range b.Len() {
					if !bytes.HasPrefix(b.Message(i), []byte(`{"`)) || len(b.Key(i)) == 0 {
						t.Fatalf("message %q, key %q", b.Message(i), b.Key(i))
					}
				}
			})}
			if test.flow {
				sinks = append(sinks, newBlocks(50_000, func(ins *clickhouse.Insert) { rows += ins.Rows }))
			}
			w := withSinks(t, sinks...)
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
			if w.Rows() != 230 || rows != wantRows || batches != full+1 {
				t.Errorf("%d rows counted, of which %d messages in %d batches and %d rows in blocks", w.Rows(),
					messages, batches, rows)
			}
		})
	}
}

// With messages too nothing is allocated from the datagram to the batch.
func TestWorker_messagesAllocateNothing(t *testing.T) {
	for _, f := range []message.Format{message.PmacctJSON, message.JSON, message.Protobuf} {
		t.Run(f.String(), func(t *testing.T) {
			w := withSinks(t, newBlocks(1<<20, func(*clickhouse.Insert) {}),
				newBatches(f, 10_000, func(*message.Batch) {}))
			allocatesNothing(t, w, datagrams(t, "softflowd-ipfix"))
		})
	}
}
