// Package block holds rows of data_flow as columns and encodes them into ClickHouse's Native format (revision 0, as in
// HTTP inserts). Every column is kept as the bytes of that format, so that encoding is copying.
//
// The ext column is sent with exactly the table's JSON type: each typed path is a column, and the engine stores it
// unchanged. If the types differ, the engine casts, which costs more than parsing JSON text. So a Layout has the
// table's type as soon as it is known, and before that the extensions that the table is made with.
//
// Refs of devices and interfaces are sent as LowCardinality(Nullable(String)), although the table has Nullable(String):
// few different values repeat in all rows, and converting them costs the engine less than reading as many strings.
//
// The package knows no connection. Of the table it knows only the columns and, through sink/schema, the paths of ext.
package block

import (
	"math"
	"slices"
	"sync"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/native"
)

// Layout holds what all rows of a block have in common, and which paths of ext the table declares.
type Layout struct {
	CollectorID      string // "" becomes "unknown"
	PolicyOriginator string
	PolicyLevel      string
	// Extensions are the flow extensions of the table (schema.Settings.FlowExtensions). They decide how keys of ext are
	// encoded, not which are written.
	Extensions []string
	// ExtType is the type of ext as the table has it. "" or one of which CheckExtType returns an error: the type that
	// Extensions and IPRefExtensions give.
	ExtType string
	// IPRefExtensions are the extensions of enrich.Row's SrcExtRef and DstExtRef, in that order.
	IPRefExtensions []string
	// WithoutColumns are the optional columns that the table does not have (schema.Settings.WithoutColumns).
	WithoutColumns []string
	// Texts bounds what exporters bring; all blocks of a worker have the same. nil: nothing is bounded.
	Texts *Texts
}

// Block collects rows in memory that it reuses. It belongs to one goroutine. A row's strings are copied; those of
// LowCardinality columns are also referenced until Reset.
type Block struct {
	_ [0]sync.Mutex // go vet reports copies

	rows          int
	firstReceived int64
	days          []int64
	dayStart      int64 // of the latest of them, in Unix milliseconds
	columns       []named
	encoded       int // size of the latest encoded block in bytes
	encodedRows   int // and how many rows it had
	packing       output
	packed        int // columns that are in packing

	flowColumns
}

// named is a column with its name and type for the block's header.
type named struct {
	name, typ string
	column
}

// optional is a column that is present if it has no bit or its bit is in want.
type optional struct {
	name, typ string
	column    column
	want      uint32
}

// wanted returns the columns without those named in without, and notes which optional ones remain.
func (c *flowColumns) wanted(all []optional, without []string) []named {
	var columns []named
	for _, o := range all {
		if o.want != 0 && slices.Contains(without, o.name) {
			continue
		}
		c.want |= o.want
		columns = append(columns, named{o.name, o.typ, o.column})
	}
	return columns
}

const lcString, lcNullable = "LowCardinality(String)", "LowCardinality(Nullable(String))"

// unknownCollector is the collector_id of a collector without a name.
const unknownCollector = "unknown"

// New returns an empty block.
func New(l Layout) *Block {
	if l.CollectorID == "" {
		l.CollectorID = unknownCollector
	}
	b := &Block{}
	b.columns = b.list(&l)
	b.Reset()
	return b
}

// Columns returns the names of the columns in the order of the encoded block, for the INSERT statement.
func (b *Block) Columns() []string { return names(b.columns) }

func names(columns []named) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.name
	}
	return all
}

// Rows returns the number of rows.
func (b *Block) Rows() int { return b.rows }

// FirstReceived returns when the datagram of the first row was received, in Unix nanoseconds; 0 if the block is empty.
func (b *Block) FirstReceived() int64 { return b.firstReceived }

// Days returns on how many different UTC days the rows started. ClickHouse refuses an insert into more than
// max_partitions_per_insert_block partitions (100), and data_flow has one a day, so the block must be encoded before
// that.
func (b *Block) Days() int { return len(b.days) }

// Full reports whether the rows have so many AS numbers, communities or labels that these take more memory than
// everything else.
func (b *Block) Full() bool { return b.ext.full }

// A route has some 5 AS numbers and 10 communities; all that are in use on the internet are some 100,000. Real flows do
// not reach these limits before 50,000 rows.
const (
	fullKeys     = 1 << 17
	fullElements = 1 << 21
)

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	b.ext.texts.done(b.rows)
	b.rows = 0
	b.firstReceived = 0
	b.days = b.days[:0]
	b.origins.last = nil
	for _, c := range b.columns {
		c.reset()
	}
}

// Encode appends the block to dst, or nothing if it has no rows. The rows are not changed, and the result does not
// refer to them.
func (b *Block) Encode(dst []byte) []byte { return appendEncoded(dst, b.columns, b.rows) }

// Pack encodes the block in packed form and reuses into's memory. For plain traffic (no BGP, MPLS or VLAN) it is about
// half of Encode's size.
func (b *Block) Pack(into native.Packed) native.Packed {
	b.BeginPack(into)
	b.PackMore(math.MaxInt)
	return b.Packed()
}

// BeginPack begins what Pack does at once: PackMore follows until it is done, then Packed. Until then the block must
// not change.
func (b *Block) BeginPack(into native.Packed) {
	// Memory that is too small is made as large as so many rows of the previous block were, so that it need not grow
	// step by step. A waiting block keeps what it was given, so it is not given more: at most twice the previous block,
	// because a block of few rows says little of one of many. Its names of columns alone would be taken for its rows.
	data := into.Data[:0]
	if want := min(b.encoded/max(b.encodedRows, 1)*b.rows, 2*b.encoded); cap(data) < want {
		data = make([]byte, 0, want+want/16)
	}
	// the output is in the Block because columns are interfaces, so that a local one would escape to the heap
	b.packing, b.packed = output{data: data, fills: into.Fills[:0], packed: true}, 0
	if b.rows > 0 {
		encodeSize(&b.packing, b.columns, b.rows)
	}
}

// PackMore encodes columns until these have so many bytes or more. It reports whether all columns are encoded.
func (b *Block) PackMore(bytes int) (done bool) {
	if b.rows == 0 {
		return true
	}
	for from := len(b.packing.data); b.packed < len(b.columns); b.packed++ {
		if len(b.packing.data)-from >= bytes {
			return false
		}
		b.columns[b.packed].encodeWhole(&b.packing, b.rows)
	}
	return true
}

// Packed returns the encoded block.
func (b *Block) Packed() native.Packed {
	p := native.Packed{Data: b.packing.data, Fills: b.packing.fills}
	b.encoded, b.encodedRows, b.packing = len(p.Data), b.rows, output{}
	return p
}

// Append adds a row. It reports whether the row has all its texts: see Texts.
func (b *Block) Append(r *enrich.Row) (whole bool) {
	if b.rows == 0 {
		b.firstReceived = r.Flow.Received
	}
	if ms := r.StartMs - b.dayStart; uint64(ms) >= dayMs || b.rows == 0 {
		b.addDay(r.StartMs)
	}
	b.ext.row, b.ext.rows = r, b.rows
	b.append(b.rows, r)
	b.rows++
	if b.ext.leftOut {
		b.ext.leftOut = false
		return false
	}
	return true
}
