package routing

import (
	"sync/atomic"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/route"
)

// batchRoutes and batchBytes are the number of changes and the bytes of attributes at which a batch goes to the writer.
// One UPDATE can exceed them.
const (
	batchRoutes = 512
	batchBytes  = 128 << 10
)

// batcher collects the changes of a session's UPDATEs in batches for the writer. Only the goroutine that reads the
// session uses it, except for reasons.
type batcher struct {
	station *Station
	walker  *bgp.Walker
	batch   *route.Batch               // changes that the writer has not got yet; nil: there are none
	reasons [bgp.Reasons]atomic.Uint64 // malformed UPDATEs by reason, as of the latest give
}

// filling returns the batch that is being filled, and takes one if there is none.
func (x *batcher) filling() *route.Batch {
	if x.batch == nil {
		x.batch = x.station.takeBatch()
	}
	return x.batch
}

// give gives the batch to the writer. of names the session or view that it belongs to. The walker's counts go along. A
// session that waits for its router has no batch.
func (x *batcher) give(of item) {
	for i := range x.reasons {
		x.reasons[i].Store(x.walker.Counts[i])
	}
	b := x.batch
	if x.batch = nil; b == nil {
		return
	}
	if len(b.Changes)+len(b.Complete) == 0 {
		x.station.putBatch(b)
		return
	}
	of.batch = b
	x.station.items <- of
}

// takeBatch waits for a batch that can be filled. The writer puts it back.
func (s *Station) takeBatch() *route.Batch {
	if b := <-s.batches; b != nil {
		return b
	}
	return &route.Batch{Decode: bgp.Decode}
}

// putBatch puts a batch back.
func (s *Station) putBatch(b *route.Batch) {
	b.Reset()
	s.batches <- b
}

// full reports whether a batch goes to the writer. The writer applies an End-of-RIB after all changes of its batch, so
// it must be the batch's last message.
func full(b *route.Batch) bool {
	return len(b.Changes) >= batchRoutes || len(b.Complete) > 0 || b.Bytes() >= batchBytes
}
