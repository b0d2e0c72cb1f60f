// Package message turns enriched rows into the messages that a bus carries. It knows no bus: what is made of rows here
// is produced by sink/kafka.
package message

import "github.com/metranova/flow-collector/sink/tally"

// Batch is messages, one after the other, in memory that is reused. The zero value is empty. It belongs to one
// goroutine at a time and is handed over whole.
type Batch struct {
	Data []byte
	Ends []int // where each message ends in Data

	Keys    []byte
	KeyEnds []int // where each message's key ends in Keys; empty: no message has a key

	// Counter counts which exporters the messages are of, while the batch is filled; Tally is what came of it, nil
	// where nobody counted.
	Counter tally.Counter
	Tally   *tally.Tally
}

// Len returns the number of messages.
func (b *Batch) Len() int { return len(b.Ends) }

// Message returns the i-th message, which is part of Data.
func (b *Batch) Message(i int) []byte { return part(b.Data, b.Ends, i) }

// Key returns the i-th message's key, which is part of Keys; nil without one.
func (b *Batch) Key(i int) []byte {
	if len(b.KeyEnds) == 0 {
		return nil
	}
	return part(b.Keys, b.KeyEnds, i)
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Data, b.Ends = b.Data[:0], b.Ends[:0]
	b.Keys, b.KeyEnds = b.Keys[:0], b.KeyEnds[:0]
	b.Counter.Reset()
	b.Tally = nil
}

// part is the i-th of the parts of data that end at ends.
func part(data []byte, ends []int, i int) []byte {
	begin := 0
	if i > 0 {
		begin = ends[i-1]
	}
	return data[begin:ends[i]:ends[i]]
}
