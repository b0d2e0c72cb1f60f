// Package message encodes enriched rows as messages for a message bus. It knows no bus; sink/kafka produces the
// messages.
package message

import "github.com/metranova/flow-collector/sink/tally"

// Batch holds consecutive messages in memory that is reused. The zero value is empty. It belongs to one goroutine at a
// time and is handed over as a whole.
type Batch struct {
	Data []byte
	Ends []int // the end of each message in Data

	Keys    []byte
	KeyEnds []int // the end of each message's key in Keys; empty: messages have no keys

	// Counter counts the exporters of the messages while the batch is filled. Tally is its result; nil if nobody
	// counted.
	Counter tally.Counter
	Tally   *tally.Tally
	// Apart says that the messages are of sources that take more than their part: see sink.Apart.
	Apart bool
}

// Len returns the number of messages.
func (b *Batch) Len() int { return len(b.Ends) }

// Message returns the i-th message, a part of Data.
func (b *Batch) Message(i int) []byte { return part(b.Data, b.Ends, i) }

// Key returns the i-th message's key, a part of Keys; nil if it has none.
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
	b.Tally, b.Apart = nil, false
}

// part returns the i-th part of data, which ends at ends[i].
func part(data []byte, ends []int, i int) []byte {
	begin := 0
	if i > 0 {
		begin = ends[i-1]
	}
	return data[begin:ends[i]:ends[i]]
}
