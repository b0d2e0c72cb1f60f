package clickhouse

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/tally"
)

// BlocksOptions say what Blocks collect and where it goes.
type BlocksOptions struct {
	Database, Table string
	Layout          block.Layout
	// TrafficTable is the table of what interfaces counted; "": nobody keeps it.
	TrafficTable string
	MaxRows      int           // a block of so many rows is handed over
	MaxAge       time.Duration // and one whose first row is so old
	// TokenPrefix begins every block's deduplication token; it must differ between workers and between runs.
	TokenPrefix string
	// Deliver takes an encoded block; it must not wait. Buffer returns memory to encode the next one into.
	Deliver func(*Insert)
	Buffer  func() native.Packed
}

// Blocks are the rows of one worker as blocks of columns, a block at a time. It is a sink.TrafficBatcher and a
// sink.DayLimiter, and belongs to one goroutine.
type Blocks struct {
	_ [0]sync.Mutex // go vet reports copies

	o       BlocksOptions
	query   string
	block   *block.Block
	tally   tally.Counter // of the block's rows
	started time.Time     // when the block got its first row
	odd     []int64       // days of the block, since 1970, that are not those around its datagrams' receipt
	blocks  int
	traffic *trafficBlocks // nil without a table
}

const (
	// maxDays bounds the partitions, of a day each by default, that one insert opens on the server.
	maxDays = 100
	// OddDays is how many days a block takes that are not those around its datagrams' receipt.
	OddDays = 3
)

// NewBlocks returns an empty block.
func NewBlocks(o BlocksOptions) *Blocks {
	b := &Blocks{o: o, query: InsertByName(o.Database, o.Table), block: block.New(o.Layout),
		odd: make([]int64, 0, OddDays)}
	if o.TrafficTable != "" {
		b.traffic = newTrafficBlocks(&b.o)
	}
	return b
}

// Append adds a row to the block.
func (b *Blocks) Append(row *enrich.Row, stream flow.StreamKey, now time.Time) {
	if b.block.Rows() == 0 {
		b.started = now
	}
	b.block.Append(row)
	b.tally.Add(stream)
	if b.block.Rows() >= b.o.MaxRows || b.block.Days() >= maxDays || b.block.Full() {
		b.flush()
	}
}

// AdmitDay reports whether the block may have a row that began on a day. Days around the receipt are always admitted.
func (b *Blocks) AdmitDay(day, today int64) bool {
	if day >= today-1 && day <= today+1 || slices.Contains(b.odd, day) {
		return true
	}
	if len(b.odd) == OddDays {
		return false
	}
	b.odd = append(b.odd, day)
	return true
}

// TakesTraffic reports whether there is a table of what interfaces counted.
func (b *Blocks) TakesTraffic() bool { return b.traffic != nil }

// AppendTraffic adds a row to the block of what interfaces counted.
func (b *Blocks) AppendTraffic(row *enrich.InterfaceTraffic, now time.Time) {
	b.traffic.append(row, now)
}

// FlushIfOld hands over the blocks that are old enough.
func (b *Blocks) FlushIfOld(now time.Time) {
	if b.block.Rows() > 0 && now.Sub(b.started) >= b.o.MaxAge {
		b.flush()
	}
	if b.traffic != nil {
		b.traffic.flushIfOld(now)
	}
}

// Flush hands over all rows.
func (b *Blocks) Flush() {
	b.flush()
	if b.traffic != nil {
		b.traffic.flush()
	}
}

func (b *Blocks) flush() {
	rows := b.block.Rows()
	if rows == 0 {
		return
	}
	b.blocks++
	packed := b.block.Pack(b.o.Buffer())
	b.o.Deliver(&Insert{
		Query: b.query,
		Token: fmt.Sprintf("%s-%d", b.o.TokenPrefix, b.blocks),
		Rows:  rows,
		Data:  packed.Data,
		Fills: packed.Fills,
		Tally: b.tally.Take(),
	})
	b.block.Reset()
	b.odd = b.odd[:0]
}

// trafficBlocks are what interfaces counted, a block at a time.
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

// leastTrafficAge is how long the first row of a block waits for others: they are few, and an insert costs the same.
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
