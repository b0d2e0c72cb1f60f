// Package block holds rows of data_flow as columns and encodes them into ClickHouse's Native format (revision 0, as
// an HTTP insert has it). Every column is kept as the bytes that the format wants, so that encoding is copying.
//
// The ext column is sent with the table's own JSON type, each typed path as a column. The engine then stores it as
// it is; if the types differ it casts, which costs more than parsing JSON text would. So a Layout must name the
// extensions that the table has.
//
// Refs of devices and interfaces are sent as LowCardinality(Nullable(String)), though the table has them as
// Nullable(String): they are the same few in all rows, and the engine turns one into the other for less than it takes
// to read as many texts.
//
// The package knows no connection, and of the table only its columns and, through sink/schema, the paths of ext.
package block

import (
	"slices"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/native"
)

// Layout says what every row of a block has in common, and which paths of ext the table declares.
type Layout struct {
	CollectorID      string // "" is "unknown"
	PolicyOriginator string
	PolicyLevel      string
	// Extensions are the flow extensions that the table was created with (schema.Settings.FlowExtensions). They
	// decide how keys of ext are encoded, not which are written.
	Extensions []string
	// IPRefExtensions are the extensions behind enrich.Row's SrcExtRef and DstExtRef, in that order.
	IPRefExtensions []string
	// WithoutColumns are the optional columns that the table was made without (schema.Settings.WithoutColumns).
	WithoutColumns []string
}

// Block collects rows in memory that it reuses. It belongs to one goroutine. Strings of a row are copied into the
// columns; those of LowCardinality columns are also referred to until Reset.
type Block struct {
	rows          int
	firstReceived int64
	days          []int64
	columns       []named
	encoded       int // bytes, the latest time
	packing       output

	flowColumns
}

// named is a column as the block's header names it.
type named struct {
	name, typ string
	column
}

// optional is a column that is there only if its bit is in want, or that has none.
type optional struct {
	name, typ string
	column    column
	want      uint32
}

// wanted returns the columns without those that are named, and notes which optional ones are left.
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

// unknownCollector is the collector_id of one without a name.
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

// Columns returns the names of the columns in the order of the encoded block, as an INSERT lists them.
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

// FirstReceived returns when the datagram of the first row was received, Unix nanoseconds; 0 if the block is empty.
func (b *Block) FirstReceived() int64 { return b.firstReceived }

// Days returns the number of different UTC days that the rows started on. ClickHouse refuses an insert into more
// than max_partitions_per_insert_block partitions (100), and data_flow has one a day: encode the block before that.
func (b *Block) Days() int { return len(b.days) }

// Full reports whether the rows have more AS numbers or communities than a block should: rows of few flows then take
// more memory than all else.
func (b *Block) Full() bool {
	return len(b.ext.bgpCommunity.byValue) >= fullKeys || b.ext.bgpCommunity.offsets.n >= fullElements ||
		b.ext.bgpASPathID.offsets.n >= fullElements
}

// A route has some 5 AS numbers and 10 communities, and all that are in use in the Internet's routes are some 100,000:
// none of these is reached before 50,000 rows of real flows.
const (
	fullKeys     = 1 << 17
	fullElements = 1 << 21
)

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	b.rows = 0
	b.firstReceived = 0
	b.days = b.days[:0]
	for _, c := range b.columns {
		c.reset()
	}
}

// Encode appends the block to dst: nothing if it has no rows. The rows are not changed, and the result does not refer
// to them.
func (b *Block) Encode(dst []byte) []byte { return appendEncoded(dst, b.columns, b.rows) }

// Pack is Encode for a block that has to wait: it is half as large if its rows are of plain traffic. The memory of into
// is used again.
func (b *Block) Pack(into native.Packed) native.Packed {
	// What is too small is made as large as the block before was, not larger and larger by copying.
	data := slices.Grow(into.Data[:0], b.encoded+b.encoded/16)
	// columns, which are interfaces, have no address of the stack
	b.packing = output{data: data, fills: into.Fills[:0], packed: true}
	encode(&b.packing, b.columns, b.rows)
	p := native.Packed{Data: b.packing.data, Fills: b.packing.fills}
	b.encoded, b.packing = len(p.Data), output{}
	return p
}

// Append adds a row.
func (b *Block) Append(r *enrich.Row) {
	if b.rows == 0 {
		b.firstReceived = r.Flow.Received
	}
	b.addDay(r.StartMs)
	b.append(b.rows, r)
	b.rows++
}
