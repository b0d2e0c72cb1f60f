package routing

import (
	"sync"
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
		x.batch = x.station.batches.take()
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
		x.station.batches.put(b)
		return
	}
	of.batch = b
	x.station.items <- of
}

// batchPool has the batches of all sessions. One that was used last is used next, and the garbage collector takes those
// that are not used, so that only a flood from many sessions takes memory for maxBatches.
type batchPool struct {
	taken chan struct{} // one element for each batch that is taken
	free  sync.Pool
}

func newBatchPool() *batchPool { return &batchPool{taken: make(chan struct{}, maxBatches)} }

// take waits for a batch that can be filled. The writer puts it back.
func (p *batchPool) take() *route.Batch {
	p.taken <- struct{}{}
	if b, is := p.free.Get().(*route.Batch); is {
		return b
	}
	return &route.Batch{Decode: bgp.Decode}
}

// put puts a batch back.
func (p *batchPool) put(b *route.Batch) {
	b.Reset()
	p.free.Put(b)
	<-p.taken
}

// full reports whether a batch goes to the writer. The writer applies an End-of-RIB after all changes of its batch, so
// it must be the batch's last message.
func full(b *route.Batch) bool {
	return len(b.Changes) >= batchRoutes || len(b.Complete) > 0 || b.Bytes() >= batchBytes
}
