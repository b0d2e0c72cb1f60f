package message

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Layout holds what all messages have in common.
type Layout struct {
	CollectorID      string // "" becomes "unknown"
	PolicyOriginator string
	PolicyLevel      string
	// IPRefExtensions are the extensions of enrich.Row's SrcExtRef and DstExtRef, in that order.
	IPRefExtensions []string
	// WithoutColumns are the optional columns that JSON and Protobuf messages leave out
	// (schema.Settings.WithoutColumns).
	WithoutColumns []string
	// Extensions are the flow extensions. With bgp_src and rpki, pmacct's messages have the keys that they fill.
	Extensions []string
}

// wanted returns the optional columns that messages have, as bits.
func (l *Layout) wanted() (bits uint32) {
	for i, name := range optionalColumns() {
		if !slices.Contains(l.WithoutColumns, name) {
			bits |= 1 << i
		}
	}
	return bits
}

// Encoder encodes rows as messages. It does not allocate in steady state. It belongs to one goroutine.
type Encoder struct {
	_ [0]sync.Mutex // go vet reports copies

	encode func([]byte, *enrich.Row) []byte
	key    Key

	// The exporter of the latest row, as consecutive rows are mostly of one exporter.
	exporter     flow.Addr
	exporterText []byte
}

// NewEncoder returns an encoder for one format and one kind of key.
func NewEncoder(f Format, k Key, l Layout) *Encoder {
	if l.CollectorID == "" {
		l.CollectorID = "unknown"
	}
	e := &Encoder{key: k}
	e.setExporter(flow.Addr{})
	switch f {
	case JSON:
		e.encode = newRowEncoder(l).append
	case Protobuf:
		e.encode = newProtobufEncoder(l).append
	default:
		e.encode = newPmacctEncoder(l, e).append
	}
	return e
}

// Append adds a row's message and its key to the batch.
func (e *Encoder) Append(b *Batch, r *enrich.Row) {
	if r.Flow.Exporter != e.exporter {
		e.setExporter(r.Flow.Exporter)
	}
	b.Data = e.encode(b.Data, r)
	b.Ends = append(b.Ends, len(b.Data))
	switch e.key {
	case ExporterKey:
		b.Keys = append(b.Keys, e.exporterText...)
	case FlowKey:
		b.Keys = appendFlowKey(b.Keys, r.Flow)
	default:
		return
	}
	b.KeyEnds = append(b.KeyEnds, len(b.Keys))
}

func (e *Encoder) setExporter(a flow.Addr) {
	e.exporter = a
	if a == (flow.Addr{}) {
		e.exporterText = append(e.exporterText[:0], "unknown"...)
		return
	}
	e.exporterText = a.Netip().AppendTo(e.exporterText[:0])
}

// appendFlowKey appends the hash that FlowKey describes. The ports are those that the exporter sent.
func appendFlowKey(dst []byte, f *flow.Record) []byte {
	const end = len(flow.Addr{}) + 2
	var tuple [2*end + 1]byte
	a, b := tuple[:end], tuple[end:2*end]
	if order := bytes.Compare(f.SrcAddr[:], f.DstAddr[:]); order > 0 || order == 0 && f.SrcPort > f.DstPort {
		a, b = b, a
	}
	copy(a, f.SrcAddr[:])
	binary.BigEndian.PutUint16(a[end-2:], f.SrcPort)
	copy(b, f.DstAddr[:])
	binary.BigEndian.PutUint16(b[end-2:], f.DstPort)
	tuple[2*end] = f.IPProtocol
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxhash.Sum64(tuple[:]))
	return hex.AppendEncode(dst, sum[:])
}

// labels returns how many label stack entries a row shows. A template's empty label elements are labels of 0, as
// dashboards expect.
func labels(f *flow.Record) int {
	return min(int(max(f.MPLSCount, f.MPLSElements)), len(f.MPLS))
}
