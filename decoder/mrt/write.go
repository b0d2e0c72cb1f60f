package mrt

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Entry is one route of a dump, a RIB entry.
type Entry struct {
	Peer       int // index in the peers of NewWriter
	PathID     uint32
	Attributes *route.Attributes
}

// Writer writes a TABLE_DUMP_V2 dump. Create it with NewWriter. It is not safe for concurrent use. It writes each
// record with one call, so out should be buffered.
type Writer struct {
	out      io.Writer
	at       uint32 // Unix time of all records
	sequence uint32
	buffer   []byte
}

// NewWriter starts a dump by writing the PEER_INDEX_TABLE. router is the BGP identifier of whoever has the table, view
// an optional name.
func NewWriter(out io.Writer, at time.Time, router uint32, view string, peers []Peer) (*Writer, error) {
	if len(peers) > math.MaxUint16 || len(view) > math.MaxUint16 {
		return nil, fmt.Errorf("%d peers: an MRT dump has %d at most", len(peers), math.MaxUint16)
	}
	w := &Writer{out: out, at: uint32(at.Unix())}
	b := w.begin()
	b = binary.BigEndian.AppendUint32(b, router)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(view))), view...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(peers)))
	for _, p := range peers {
		kind := byte(2)
		if !p.Address.Is4() {
			kind = 3
		}
		b = binary.BigEndian.AppendUint32(append(b, kind), p.ID)
		b = appendAddress(b, p.Address)
		b = binary.BigEndian.AppendUint32(b, p.AS)
	}
	return w, w.end(b, tablePeers)
}

func appendAddress(b []byte, a flow.Addr) []byte {
	if a.Is4() {
		return append(b, a[12:]...)
	}
	return append(b, a[:]...)
}

// begin returns the buffer for a record, with space for its header.
func (w *Writer) begin() []byte { return append(w.buffer[:0], make([]byte, headerBytes)...) }

// end fills in a record's header and writes the record.
func (w *Writer) end(b []byte, sub uint16) error {
	binary.BigEndian.PutUint32(b, w.at)
	binary.BigEndian.PutUint16(b[4:], typeTable)
	binary.BigEndian.PutUint16(b[6:], sub)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-headerBytes))
	w.buffer = b
	_, err := w.out.Write(b)
	return err
}

// Write writes the routes to one prefix. The routing table does not keep labels, so labelled and VPN routes get label 3
// (implicit null).
func (w *Writer) Write(class route.Class, rd route.RD, prefix route.Prefix, entries []Entry) error {
	addPath := false
	for _, e := range entries {
		addPath = addPath || e.PathID != 0
	}
	sub := uint16(tableIPv4)
	if prefix.V6 {
		sub = tableIPv6
	}
	b := binary.BigEndian.AppendUint32(w.begin(), w.sequence)
	w.sequence++
	if class != route.Unicast {
		sub = tableGeneric
		afi, safi := bgp.Identifiers(route.Family{Class: class, V6: prefix.V6})
		b = append(binary.BigEndian.AppendUint16(b, afi), safi)
	}
	b = bgp.AppendPrefix(b, class, rd, prefix)
	b = binary.BigEndian.AppendUint16(b, uint16(len(entries)))
	if addPath {
		sub = map[uint16]uint16{tableIPv4: tableIPv4AddPath, tableIPv6: tableIPv6AddPath,
			tableGeneric: tableGenericPath}[sub]
	}
	for _, e := range entries {
		b = binary.BigEndian.AppendUint16(b, uint16(e.Peer))
		b = binary.BigEndian.AppendUint32(b, w.at)
		if addPath {
			b = binary.BigEndian.AppendUint32(b, e.PathID)
		}
		at := len(b)
		b = append(b, 0, 0)
		b = bgp.AppendAttributes(b, e.Attributes, class, prefix.V6)
		if n := len(b) - at - 2; n <= math.MaxUint16 {
			binary.BigEndian.PutUint16(b[at:], uint16(n))
		} else {
			return fmt.Errorf("attributes of %s have %d bytes", prefix, n)
		}
	}
	return w.end(b, sub)
}
