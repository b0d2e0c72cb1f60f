package block

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Traffic is a block of data_interface_traffic.
type Traffic struct {
	rows    int
	columns []named
	origins origins

	start, end  fixed[uint32]
	scope       stringArray
	id          text
	ref         nullableString
	admin, oper lowCardinality
	in, out     directionColumns
}

// directionColumns are the columns of one direction.
type directionColumns struct {
	bits, discards, errors, broadcast, unicast, multicast nullable[uint64]
}

// NewTraffic returns an empty block. Of the layout it uses only what all rows have in common.
func NewTraffic(l Layout) *Traffic {
	if l.CollectorID == "" {
		l.CollectorID = unknownCollector
	}
	b := &Traffic{}
	b.origins.usual(&l)
	b.columns = []named{
		{"start_time", "DateTime('UTC')", &b.start},
		{"end_time", "DateTime('UTC')", &b.end},
		{"collector_id", lcString, &b.origins.collectorID},
		{"policy_originator", lcString, &b.origins.policyOriginator},
		{"policy_level", lcString, &b.origins.policyLevel},
		{"policy_scope", "Array(LowCardinality(String))", &b.scope},
		{"interface_id", "String", &b.id},
		{"interface_ref", "Nullable(String)", &b.ref},
		{"admin_status", lcNullable, &b.admin},
		{"oper_status", lcNullable, &b.oper},
	}
	b.admin.nullable, b.oper.nullable = true, true
	for _, d := range []struct {
		prefix  string
		columns *directionColumns
	}{{"in_", &b.in}, {"out_", &b.out}} {
		for _, c := range []struct {
			name   string
			column *nullable[uint64]
		}{
			{"bit_count", &d.columns.bits}, {"discard_packet_count", &d.columns.discards},
			{"error_packet_count", &d.columns.errors},
			{"bcast_packet_count", &d.columns.broadcast}, {"ucast_packet_count", &d.columns.unicast},
			{"mcast_packet_count", &d.columns.multicast},
		} {
			b.columns = append(b.columns, named{d.prefix + c.name, "Nullable(UInt64)", c.column})
		}
	}
	b.Reset()
	return b
}

// Columns is like Block.Columns.
func (b *Traffic) Columns() []string { return names(b.columns) }

// Rows returns the number of rows.
func (b *Traffic) Rows() int { return b.rows }

// Append adds a row.
func (b *Traffic) Append(r *enrich.InterfaceTraffic) {
	b.start.set(b.rows, uint32(r.Start))
	b.end.set(b.rows, uint32(r.End))
	if r.Origin != b.origins.last {
		b.origins.change(b.rows, r.Origin)
	}
	b.scope.append(b.rows, r.PolicyScope)
	b.id.add(r.ID)
	b.ref.set(b.rows, r.Ref)
	b.admin.add(upOrDown(r.AdminUp))
	b.oper.add(upOrDown(r.OperUp))
	b.in.add(b.rows, &r.In)
	b.out.add(b.rows, &r.Out)
	b.rows++
}

func upOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}

func (c *directionColumns) add(row int, counts *enrich.TrafficCounts) {
	for _, one := range [...]struct {
		column *nullable[uint64]
		n      uint64
	}{
		{&c.bits, counts.Bits}, {&c.discards, counts.Discards}, {&c.errors, counts.Errors},
		{&c.broadcast, counts.Broadcast}, {&c.unicast, counts.Unicast}, {&c.multicast, counts.Multicast},
	} {
		if one.n != flow.Unsupported { // the device has this counter
			one.column.set(row, one.n)
		}
	}
}

// Encode is like Block.Encode.
func (b *Traffic) Encode(dst []byte) []byte { return appendEncoded(dst, b.columns, b.rows) }

// Reset empties the block and keeps its memory.
func (b *Traffic) Reset() {
	b.rows = 0
	b.origins.last = nil
	for _, c := range b.columns {
		c.reset()
	}
}

// text is a String column.
type text struct {
	plain
	buf []byte
}

func (c *text) add(s string)              { c.buf = appendString(c.buf, s) }
func (c *text) encode(out *output, _ int) { out.write(c.buf) }
func (c *text) reset()                    { c.buf = c.buf[:0] }
