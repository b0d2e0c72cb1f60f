// Package block holds rows of data_flow as columns and encodes them into ClickHouse's Native format (revision 0, as
// an HTTP insert has it). Every column is kept as the bytes that the format wants, so that encoding is copying.
//
// The ext column is sent with the table's own JSON type, each typed path as a column. The engine then stores it as
// it is; if the types differ it casts, which costs more than parsing JSON text would. So a Layout must name the
// extensions that the table has.
//
// Refs of devices and interfaces are sent as LowCardinality(Nullable(String)), though the table has them as Nullable(String): they
// are the same few in all rows, and the engine turns one into the other for less than it takes to read as many texts.
//
// The package knows no connection, and of the table only its columns and, through sink/schema, the paths of ext.
package block

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
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

	start, end                                        fixed
	scope                                             stringArray
	ext                                               *ext
	flowType, device, deviceRef                       lowCardinality
	src, dst                                          endpoint
	protocol                                          lowCardinality
	in, out                                           interfaceColumns
	peer                                              peerColumns
	ipVersion, applicationPort, bitCount, packetCount fixed
	samplingRate                                      fixed
	samplingSource                                    lowCardinality
}

// endpoint are the columns of a flow's source or destination.
type endpoint struct {
	asID  fixed
	asRef nullableString
	ip    fixed
	ipRef nullableString
	port  fixed
}

// interfaceColumns are the columns of one of a flow's two interfaces.
type interfaceColumns struct {
	id, ref lowCardinality
	edge    fixed
}

// peerColumns are the columns of the BGP next hop.
type peerColumns struct {
	asID  nullableFixed
	asRef nullableString
	ip    nullableFixed
	ipRef nullableString
}

// named is a column as the block's header names it.
type named struct {
	name, typ string
	column
}

const lcString, lcNullable = "LowCardinality(String)", "LowCardinality(Nullable(String))"

// unknownCollector is the collector_id of one without a name.
const unknownCollector = "unknown"

// New returns an empty block.
func New(l Layout) *Block {
	if l.CollectorID == "" {
		l.CollectorID = unknownCollector
	}
	b := &Block{ext: newExt(l.Extensions, l.IPRefExtensions)}
	b.peer.asID.width = 4
	b.peer.ip.width = len(flow.Addr{})
	for _, c := range []*lowCardinality{&b.deviceRef, &b.in.id, &b.in.ref, &b.out.id, &b.out.ref} {
		c.nullable = true
	}
	const ref, millis = "Nullable(String)", "DateTime64(3, 'UTC')"
	b.columns = []named{
		{"start_time", millis, &b.start},
		{"end_time", millis, &b.end},
		{"collector_id", lcString, constant(l.CollectorID)},
		{"policy_originator", lcString, constant(l.PolicyOriginator)},
		{"policy_level", lcString, constant(l.PolicyLevel)},
		{"policy_scope", "Array(LowCardinality(String))", &b.scope},
		{"ext", b.ext.typeName(), b.ext},
		{"flow_type", lcString, &b.flowType},
		{"device_id", lcString, &b.device},
		{"device_ref", lcNullable, &b.deviceRef},
		{"src_as_id", "UInt32", &b.src.asID},
		{"src_as_ref", ref, &b.src.asRef},
		{"src_ip", "IPv6", &b.src.ip},
		{"src_ip_ref", ref, &b.src.ipRef},
		{"src_port", "UInt16", &b.src.port},
		{"dst_as_id", "UInt32", &b.dst.asID},
		{"dst_as_ref", ref, &b.dst.asRef},
		{"dst_ip", "IPv6", &b.dst.ip},
		{"dst_ip_ref", ref, &b.dst.ipRef},
		{"dst_port", "UInt16", &b.dst.port},
		{"protocol", lcString, &b.protocol},
		{"in_interface_id", lcNullable, &b.in.id},
		{"in_interface_ref", lcNullable, &b.in.ref},
		{"in_interface_edge", "Bool", &b.in.edge},
		{"out_interface_id", lcNullable, &b.out.id},
		{"out_interface_ref", lcNullable, &b.out.ref},
		{"out_interface_edge", "Bool", &b.out.edge},
		{"peer_as_id", "Nullable(UInt32)", &b.peer.asID},
		{"peer_as_ref", ref, &b.peer.asRef},
		{"peer_ip", "Nullable(IPv6)", &b.peer.ip},
		{"peer_ip_ref", ref, &b.peer.ipRef},
		{"ip_version", "UInt8", &b.ipVersion},
		{"application_port", "UInt16", &b.applicationPort},
		{"bit_count", "UInt64", &b.bitCount},
		{"packet_count", "UInt64", &b.packetCount},
		{"sampling_rate", "UInt32", &b.samplingRate},
		{"sampling_source", lcString, &b.samplingSource},
	}
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

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	b.rows = 0
	b.firstReceived = 0
	b.days = b.days[:0]
	for _, c := range b.columns {
		c.reset()
	}
}

// Encode appends the block to dst: nothing if it has no rows. The rows are not changed, and the result does not refer to them.
func (b *Block) Encode(dst []byte) []byte { return appendEncoded(dst, b.columns, b.rows) }

// Pack is Encode for a block that has to wait: it is half as large if its rows are of plain traffic. The memory of into is used again.
func (b *Block) Pack(into native.Packed) native.Packed {
	// What is too small is made as large as the block before was, not larger and larger by copying.
	data := slices.Grow(into.Data[:0], b.encoded+b.encoded/16)
	b.packing = output{data: data, fills: into.Fills[:0], packed: true} // columns, which are interfaces, have no address of the stack
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
	b.start.uint64(uint64(r.StartMs))
	b.end.uint64(uint64(r.EndMs))
	for _, s := range r.PolicyScope {
		b.scope.elements.add(s)
	}
	b.scope.set(b.rows)
	b.ext.append(b.rows, r)
	b.flowType.addSame(flowType(r))
	b.device.addSame(r.DeviceID)
	b.deviceRef.addNullable(r.DeviceRef)
	b.appendEndpoints(r)
	b.protocol.add(r.Protocol)
	b.in.add(&r.In)
	b.out.add(&r.Out)
	b.appendPeer(r)
	b.ipVersion.uint8(r.IPVersion)
	b.applicationPort.uint16(r.ApplicationPort)
	b.bitCount.uint64(r.Bits)
	b.packetCount.uint64(r.Packets)
	b.samplingRate.uint32(r.Flow.SamplingRate)
	b.samplingSource.addSame(r.Flow.SamplingSource.String())
	b.rows++
}
