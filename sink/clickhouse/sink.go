package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/native"
)

// SinkOptions say what a Sink writes and how.
type SinkOptions struct {
	WriterOptions               // Release is the sink's own
	Blocks        BlocksOptions // of each worker; TokenPrefix, Deliver and Buffer are the sink's own
	Flows         bool          // rows of this run go there; false: what is left on disk, and losses
	LossTable     string        // of counters; "": nobody keeps them
	Run           string        // begins the tokens of this run, and of no other run or collector
}

// Sink is ClickHouse as a sink.Sink and sink.LossWriter: a Writer and the memory that blocks and inserts share.
type Sink struct {
	o      SinkOptions
	writer *Writer
	spare  chan native.Packed // memory for blocks
	held   atomic.Int64       // bytes of spare

	mu     sync.Mutex // of losses
	losses *block.Losses
	blocks int
}

// spareBuffers is how many encoded blocks' memory is kept for the next ones. More are in use while inserts wait, and
// given back. After a flood of incompressible values they are some times their usual size, so their bytes are limited
// too.
const (
	spareBuffers = 6
	spareBytes   = 16 << 20
)

// NewSink starts a Writer. Close ends it.
func NewSink(conn driver.Conn, o SinkOptions) *Sink {
	s := &Sink{o: o, spare: make(chan native.Packed, spareBuffers)}
	if o.LossTable != "" {
		s.losses = block.NewLosses(o.Blocks.Layout.CollectorID)
	}
	o.Release = s.keep
	s.writer = NewWriter(conn, o.WriterOptions)
	return s
}

// buffer returns memory to pack a block into; keep takes it back once the block is stored or lost.
func (s *Sink) buffer() native.Packed {
	select {
	case memory := <-s.spare:
		s.held.Add(-capacity(memory))
		return memory
	default:
		return native.Packed{}
	}
}

// keep leaves what other tables used, or came from disk, to the garbage collector: that has no fills, is of another
// size, and would take the place of what blocks need.
func (s *Sink) keep(memory native.Packed) {
	if memory.Fills == nil {
		return
	}
	size := capacity(memory)
	if s.held.Add(size) > spareBytes {
		s.held.Add(-size)
		return
	}
	select {
	case s.spare <- memory:
	default: // enough are kept
		s.held.Add(-size)
	}
}

// capacity returns the bytes of memory that a buffer takes, used or not.
func capacity(memory native.Packed) int64 {
	return int64(cap(memory.Data)) + int64(cap(memory.Fills))*int64(unsafe.Sizeof(native.Fill{}))
}

// Batcher returns the blocks of a worker.
func (s *Sink) Batcher(o sink.BatcherOptions) sink.Batcher {
	if !s.o.Flows {
		return nil
	}
	b := s.o.Blocks
	b.TokenPrefix, b.Buffer, b.Deliver = fmt.Sprintf("%s-%d", s.o.Run, o.Worker), s.buffer, s.writer.Enqueue
	b.Apart, b.Settled = sink.Apart{Large: o.Large, Pressed: s.writer.Pressed}, o.Settled
	if !o.Ageing {
		b.MaxAge = math.MaxInt64
	}
	if o.Handed != nil {
		b.Deliver = func(ins *Insert) {
			s.writer.Enqueue(ins)
			o.Handed()
		}
	}
	return NewBlocks(b)
}

// errDown is for a server that takes no inserts and says nothing.
var errDown = errors.New("it does not answer")

// Stats is the Writer's.
func (s *Sink) Stats() sink.Stats {
	stats := s.writer.Stats()
	all := sink.Stats{
		QueuedBytes: stats.QueuedBytes, QueueLimit: s.writer.options.QueueBytes, Retries: stats.Retried.Inserts,
		LastDelivery: stats.LastDelivery, Lost: map[string]uint64{},
	}
	for reason, count := range stats.Lost {
		all.Lost[string(reason)] = count.Rows
	}
	if n := stats.WithoutView.Rows; n > 0 {
		all.Incomplete = map[string]uint64{"rows that the table has and a view of it does not": n}
	}
	if s.writer.Down() {
		if all.Down = stats.LastError; all.Down == nil {
			all.Down = errDown
		}
	}
	if s.writer.options.Spool != nil {
		all.Spool = &stats.Spool
	}
	return all
}

// WriteLosses stores counters in their table.
func (s *Sink) WriteLosses(rows []block.Loss) {
	if s.losses == nil || len(rows) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range rows {
		s.losses.Append(&rows[i])
	}
	s.blocks++
	s.writer.Enqueue(&Insert{
		Query: InsertQuery(s.o.Blocks.Database, s.o.LossTable, s.losses.Columns()),
		Token: fmt.Sprintf("%s-loss-%d", s.o.Run, s.blocks), Rows: s.losses.Rows(), Data: s.losses.Encode(nil),
	})
	s.losses.Reset()
}

// Rest is the Writer's.
func (s *Sink) Rest() bool { return s.writer.Rest() }

// Close is the Writer's.
func (s *Sink) Close(ctx context.Context) error { return s.writer.Close(ctx) }

var _ sink.LossWriter = (*Sink)(nil)
