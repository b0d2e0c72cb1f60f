package clickhouse

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/tally"
)

// BlocksOptions configure Blocks.
type BlocksOptions struct {
	Database, Table string
	Layout          block.Layout
	// ExtType points to the type of ext as the table has it, in place of the Layout's; it is replaced when the table
	// changes. nil, or a pointer to nil: not known.
	ExtType *atomic.Pointer[string]
	// TrafficTable is the table of interface counters; "": none.
	TrafficTable string
	MaxRows      int           // a block is flushed when it has this many rows
	MaxAge       time.Duration // or when its first row is this old
	// Apart says which rows have blocks of their own.
	Apart sink.Apart
	// Settled says which sources have been heard for long; nil: it is not known.
	Settled func(source flow.Addr) bool
	// TokenPrefix begins every block's deduplication token. It must differ between workers and between runs.
	TokenPrefix string
	// Deliver receives an encoded block; it must not block. Buffer returns memory for encoding the next one.
	Deliver func(*Insert)
	Buffer  func() native.Packed
}

// Blocks collects the rows of one worker, one block of columns at a time. It is a sink.TrafficBatcher, a
// sink.DayLimiter and a sink.TextLimiter, and belongs to one goroutine.
//
// Rows that began on other days than those around their receipt have a block of their own, which waits for longer: each
// of its days is a partition in the table and in its views, so an insert of a few rows costs as much as one of many.
//
// While there may soon be no room for blocks, rows that are Apart have a block of their own too. If one of them began
// on another day, that block of all sources is Apart: usual sources send hardly any such rows.
type Blocks struct {
	_ [0]sync.Mutex // go vet reports copies

	o       BlocksOptions
	query   string
	recent  rowBlock
	packing rowBlock  // a full one before recent that is encoded in steps; at first its block is nil
	since   time.Time // when packing was full
	odd     rowBlock  // of other days; its block is nil until there is such a row
	oddDays []int64   // of odd, since 1970
	apart   rowBlock  // of rows that are set apart; its block is nil while there are none
	today   recency   // of the latest row
	blocks  int
	traffic *trafficBlocks // nil without a table
	texts   block.Texts    // that exporters bring
	leftOut func(*flow.Record, flow.StreamKey)
}

// rowBlock is a block that fills.
type rowBlock struct {
	block   *block.Block
	extType *string       // that the block is made for; nil: the Layout's
	tally   tally.Counter // of the block's rows
	started time.Time     // when it got its first row
	apart   bool          // it has rows that are set apart
}

const (
	// maxDays limits the partitions (by default one for each day) that one insert creates on the server.
	maxDays = 100
	// OddDays is how many days are taken at a time that are not those around the receipt.
	OddDays = 3
	// packStep is how much of a full block is encoded after each batch of datagrams, in bytes: some 0.2 ms of work.
	packStep = 1 << 20
	// packTime is how long the steps may take. If there are fewer datagrams than that takes, the rest follows at once.
	packTime = 100 * time.Millisecond
	// leastOddAge is how long the first row of an odd day waits for others.
	leastOddAge = 10 * time.Second
)

// NewBlocks returns an empty block.
func NewBlocks(o BlocksOptions) *Blocks {
	b := &Blocks{o: o, query: InsertByName(o.Database, o.Table), oddDays: make([]int64, 0, OddDays)}
	b.texts.Settled = o.Settled
	b.begin(&b.recent)
	if o.TrafficTable != "" {
		b.traffic = newTrafficBlocks(&b.o)
	}
	return b
}

// Append adds a row to the block.
func (b *Blocks) Append(row *enrich.Row, stream flow.StreamKey, now time.Time) {
	if received := row.Flow.Received; received < b.today.from || received >= b.today.until {
		b.today = recencyOf(received)
	}
	x := &b.recent
	if row.StartMs < b.today.firstMs || row.StartMs >= b.today.endMs {
		x = &b.odd
	}
	if b.o.Apart.Is(row.Flow.Source) {
		if x == &b.recent {
			x = &b.apart
		}
		x.apart = true
	}
	if x.block == nil || x.block.Rows() == 0 {
		b.begin(x)
		x.started = now
	}
	if !x.block.Append(row) && b.leftOut != nil {
		b.leftOut(row.Flow, stream)
	}
	x.tally.Add(stream)
	if x.block.Rows() >= b.o.MaxRows || x.block.Days() >= maxDays || x.block.Full() {
		if x == &b.recent {
			b.packRecent(now)
		} else {
			b.flush(x)
		}
	}
}

// packRecent begins to encode the block of recent rows and an empty one that takes its place. To encode it at once
// would take longer than a whole batch of datagrams, and the next ones would wait in the socket.
func (b *Blocks) packRecent(now time.Time) {
	b.finishPacking()
	b.recent, b.packing, b.since = b.packing, b.recent, now
	b.packing.block.BeginPack(b.o.Buffer())
	b.begin(&b.recent)
}

// packSome encodes a part of the block that waits for it, if there is one.
func (b *Blocks) packSome(now time.Time) {
	if x := &b.packing; x.block != nil && x.block.Rows() > 0 &&
		(now.Sub(b.since) >= packTime || x.block.PackMore(packStep)) {
		b.finishPacking()
	}
}

// finishPacking encodes what is left of the block that waits for it, and hands it over.
func (b *Blocks) finishPacking() {
	if x := &b.packing; x.block != nil && x.block.Rows() > 0 {
		x.block.PackMore(math.MaxInt)
		b.deliver(x, x.block.Packed())
	}
}

// begin makes a new block of an empty one if there is none or the table has another type by now. The server would have
// to convert rows of the type before.
func (b *Blocks) begin(x *rowBlock) {
	typ := x.extType
	if b.o.ExtType != nil {
		typ = b.o.ExtType.Load()
	}
	if x.block != nil && typ == x.extType {
		return
	}
	l := b.o.Layout
	if typ != nil {
		l.ExtType = *typ
	}
	l.Texts = &b.texts
	x.block, x.extType = block.New(l), typ
}

const dayMs = 24 * 60 * 60 * 1000

// recency is what isRecent says of rows that were received on one day, so that no row needs a division.
type recency struct {
	from, until    int64 // the receipt, in Unix nanoseconds
	firstMs, endMs int64 // start times of recent rows, in Unix milliseconds
}

func recencyOf(received int64) recency {
	const dayNanoseconds = dayMs * int64(time.Millisecond)
	day := received / dayNanoseconds
	return recency{
		from: day * dayNanoseconds, until: (day + 1) * dayNanoseconds,
		firstMs: (day - 1) * dayMs, endMs: (day + 2) * dayMs,
	}
}

// isRecent reports whether a day is one around that of the receipt.
func isRecent(day, received int64) bool { return day >= received-1 && day <= received+1 }

// AdmitDay reports whether there may be a row that began on a day. Days around the receipt are always admitted.
func (b *Blocks) AdmitDay(day, today int64) bool {
	if isRecent(day, today) || slices.Contains(b.oddDays, day) {
		return true
	}
	if len(b.oddDays) == OddDays {
		return false
	}
	b.oddDays = append(b.oddDays, day)
	return true
}

// OnLeftOut has f called for rows without all their texts.
func (b *Blocks) OnLeftOut(f func(*flow.Record, flow.StreamKey)) { b.leftOut = f }

// TakesTraffic reports whether there is a table of interface counters.
func (b *Blocks) TakesTraffic() bool { return b.traffic != nil }

// AppendTraffic adds a row to the block of interface counters.
func (b *Blocks) AppendTraffic(row *enrich.InterfaceTraffic, now time.Time) {
	b.traffic.append(row, now)
}

// FlushIfOld flushes the blocks that are old enough.
func (b *Blocks) FlushIfOld(now time.Time) {
	b.packSome(now)
	b.flushOld(&b.recent, now, b.o.MaxAge)
	b.flushOld(&b.odd, now, max(b.o.MaxAge, leastOddAge))
	b.flushOld(&b.apart, now, b.o.MaxAge)
	if !b.o.Apart.Update() && b.apart.block != nil {
		b.flush(&b.apart)
		b.apart.block = nil // it takes as much memory as the others, and is seldom used
	}
	if b.traffic != nil {
		b.traffic.flushIfOld(now)
	}
}

func (b *Blocks) flushOld(x *rowBlock, now time.Time, age time.Duration) {
	if x.block != nil && x.block.Rows() > 0 && now.Sub(x.started) >= age {
		b.flush(x)
	}
}

// Flush flushes all rows.
func (b *Blocks) Flush() {
	b.finishPacking()
	b.flush(&b.recent)
	b.flush(&b.odd)
	b.flush(&b.apart)
	if b.traffic != nil {
		b.traffic.flush()
	}
}

// flush encodes a block and hands it over, if it has rows.
func (b *Blocks) flush(x *rowBlock) {
	if x.block == nil || x.block.Rows() == 0 {
		return
	}
	b.deliver(x, x.block.Pack(b.o.Buffer()))
}

// deliver hands an encoded block over and empties it.
func (b *Blocks) deliver(x *rowBlock, packed native.Packed) {
	b.blocks++
	b.o.Deliver(&Insert{
		Query: b.query,
		Token: fmt.Sprintf("%s-%d", b.o.TokenPrefix, b.blocks),
		Rows:  x.block.Rows(),
		Data:  packed.Data,
		Fills: packed.Fills,
		Tally: x.tally.Take(),
		Apart: x.apart,
	})
	x.block.Reset()
	x.apart = false
	if x == &b.odd {
		b.oddDays = b.oddDays[:0]
	}
}

// trafficBlocks collects interface counters, one block at a time.
type trafficBlocks struct {
	o       *BlocksOptions
	query   string
	block   *block.Traffic
	started time.Time // when the block got its first row
	blocks  int
}

func newTrafficBlocks(o *BlocksOptions) *trafficBlocks {
	b := block.NewTraffic(o.Layout)
	return &trafficBlocks{o: o, query: InsertQuery(o.Database, o.TrafficTable, b.Columns()), block: b}
}

// leastTrafficAge is how long the first row of a block waits for others: they are few, and a small insert costs as much
// as a large one.
const leastTrafficAge = 10 * time.Second

func (t *trafficBlocks) append(row *enrich.InterfaceTraffic, now time.Time) {
	if t.block.Rows() == 0 {
		t.started = now
	}
	t.block.Append(row)
	if t.block.Rows() >= t.o.MaxRows {
		t.flush()
	}
}

func (t *trafficBlocks) flushIfOld(now time.Time) {
	if t.block.Rows() > 0 && now.Sub(t.started) >= max(t.o.MaxAge, leastTrafficAge) {
		t.flush()
	}
}

func (t *trafficBlocks) flush() {
	if t.block.Rows() == 0 {
		return
	}
	t.blocks++
	t.o.Deliver(&Insert{
		Query: t.query,
		Token: fmt.Sprintf("%s-interfaces-%d", t.o.TokenPrefix, t.blocks),
		Rows:  t.block.Rows(),
		Data:  t.block.Encode(nil),
	})
	t.block.Reset()
}
