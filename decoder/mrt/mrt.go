// Package mrt reads routes from MRT files, TABLE_DUMP_V2 dumps and BGP4MP messages (RFC 6396 sections 4.3 and 4.4, RFC
// 8050), and writes dumps.
//
// Files are untrusted: every length is checked, and a malformed record costs only itself.
package mrt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/metranova/flow-collector/decoder/bgp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Record types and subtypes (RFC 6396 section 4, RFC 8050).
const (
	typeTable     = 13 // TABLE_DUMP_V2
	typeMessage   = 16 // BGP4MP
	typeMessageET = 17 // BGP4MP_ET, with microseconds

	tablePeers       = 1
	tableIPv4        = 2
	tableIPv6        = 4
	tableGeneric     = 6
	tableIPv4AddPath = 8
	tableIPv6AddPath = 10
	tableGenericPath = 12

	messageTwoByte      = 1 // BGP4MP_MESSAGE
	messageFourByte     = 4
	messageLocalTwo     = 6
	messageLocal        = 7
	messageTwoByteAP    = 8 // from here on with path identifiers
	messageFourByteAP   = 9
	messageLocalTwoAP   = 10
	messageLocalAddPath = 11
)

const (
	headerBytes = 12
	// maxRecord is the maximum length of a record in bytes. One with the routes of thousands of peers fits.
	maxRecord = 16 << 20
)

// ErrFormat is the error of a file that is not MRT or is truncated.
var ErrFormat = errors.New("not an MRT file")

// Peer is the BGP speaker that announced a route.
type Peer struct {
	ID      uint32 // BGP identifier; 0 in BGP4MP records, which do not have it
	Address flow.Addr
	AS      uint32
}

// Counts is what a Reader counts.
type Counts struct {
	Records uint64
	Routes  uint64
	Skipped uint64 // records without routes for us, such as multicast tables or state changes
	Bad     uint64 // malformed records, of which nothing or a part was read
}

// Reader reads an MRT file. Create it with NewReader. It is not safe for concurrent use.
type Reader struct {
	Counts
	in     io.Reader
	peers  []Peer
	walker *bgp.Walker
	body   []byte
	head   [headerBytes]byte
}

// NewReader returns a reader of decompressed MRT data, which should be buffered. h must be the hasher of the routing
// table that gets the batches.
func NewReader(in io.Reader, h *route.Hasher) *Reader {
	return &Reader{in: in, walker: bgp.NewWalker(bgp.Rules{Lenient: true}, h)}
}

// Reasons returns how often attributes were malformed, by reason.
func (r *Reader) Reasons() [bgp.Reasons]uint64 { return r.walker.Counts }

// Next reads one record. For each route in it, it adds a change to the batch that batchOf returns for the route's peer,
// or skips the route if that is nil. Next returns io.EOF at the end of the file.
func (r *Reader) Next(batchOf func(*Peer) *route.Batch) error {
	if _, err := io.ReadFull(r.in, r.head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	kind, sub := binary.BigEndian.Uint16(r.head[4:]), binary.BigEndian.Uint16(r.head[6:])
	n := binary.BigEndian.Uint32(r.head[8:])
	if n > maxRecord {
		return fmt.Errorf("%w: record of %d bytes", ErrFormat, n)
	}
	if uint32(cap(r.body)) < n {
		r.body = make([]byte, max(n, 4096))
	}
	r.body = r.body[:n]
	if _, err := io.ReadFull(r.in, r.body); err != nil {
		return fmt.Errorf("%w: truncated record: %w", ErrFormat, err)
	}
	r.Records++
	b, good := &cursor{b: r.body}, true
	switch {
	case kind == typeTable && sub == tablePeers:
		good = r.peerTable(b)
	case kind == typeTable:
		good = r.table(sub, b, batchOf)
	case kind == typeMessage || kind == typeMessageET:
		if kind == typeMessageET {
			b.skip(4) // microseconds
		}
		good = r.message(sub, b, batchOf)
	default:
		r.Skipped++
	}
	if !good {
		r.Bad++
	}
	return nil
}

// peerTable reads the PEER_INDEX_TABLE (RFC 6396 section 4.3.1).
func (r *Reader) peerTable(b *cursor) bool {
	b.skip(4)            // identifier of the collector
	b.skip(int(b.u16())) // name of the view
	n := int(b.u16())
	r.peers = r.peers[:0]
	for range n {
		kind := b.u8()
		p := Peer{ID: b.u32()}
		p.Address = b.address(kind&1 != 0)
		if kind&2 != 0 {
			p.AS = b.u32()
		} else {
			p.AS = uint32(b.u16())
		}
		if b.bad {
			return false
		}
		r.peers = append(r.peers, p)
	}
	return true
}

// table reads the routes to one prefix (RFC 6396 sections 4.3.2 and 4.3.3, RFC 8050 section 4). It returns false if the
// record is malformed.
func (r *Reader) table(sub uint16, b *cursor, batchOf func(*Peer) *route.Batch) bool {
	b.skip(4) // sequence number
	c := route.Change{}
	addPath := sub == tableIPv4AddPath || sub == tableIPv6AddPath || sub == tableGenericPath
	switch sub {
	case tableIPv4, tableIPv4AddPath, tableIPv6, tableIPv6AddPath:
		f := route.Family{V6: sub == tableIPv6 || sub == tableIPv6AddPath}
		if !b.prefix(f, &c) {
			return false
		}
	case tableGeneric, tableGenericPath:
		afi, safi := b.u16(), b.u8()
		f, known := bgp.FamilyOf(afi, safi)
		if !known || b.bad {
			r.Skipped++
			return !b.bad
		}
		if !b.prefix(f, &c) {
			return false
		}
	default:
		r.Skipped++
		return true
	}
	good := true
	for n := b.u16(); n > 0; n-- {
		peer := b.u16()
		b.skip(4) // originated time
		if addPath {
			c.PathID = b.u32()
		}
		list := b.take(int(b.u16()))
		if b.bad || int(peer) >= len(r.peers) {
			return false
		}
		p := &r.peers[peer]
		batch := batchOf(p)
		if batch == nil {
			continue
		}
		r.walker.Rules = bgp.Rules{Lenient: true, FourByteAS: true}
		bundle, ok := r.walker.Entry(list, c.Prefix.V6, batch)
		if !ok {
			good = false
			continue
		}
		c.Bundle = bundle
		batch.Changes = append(batch.Changes, c)
		r.Routes++
	}
	return good
}

// message reads a recorded BGP message (RFC 6396 section 4.4.2, RFC 8050 section 3). It returns false if the record is
// malformed.
func (r *Reader) message(sub uint16, b *cursor, batchOf func(*Peer) *route.Batch) bool {
	rules := bgp.Rules{Lenient: true}
	switch sub {
	case messageFourByte, messageLocal, messageFourByteAP, messageLocalAddPath:
		rules.FourByteAS = true
	case messageTwoByte, messageLocalTwo, messageTwoByteAP, messageLocalTwoAP:
	default:
		r.Skipped++
		return true
	}
	if sub >= messageTwoByteAP {
		for i := range rules.AddPath {
			rules.AddPath[i] = true
		}
	}
	p := Peer{}
	if rules.FourByteAS {
		p.AS = b.u32()
		b.skip(4) // local AS
	} else {
		p.AS = uint32(b.u16())
		b.skip(2)
	}
	b.skip(2) // interface index
	v6 := b.u16() == 2
	p.Address = b.address(v6)
	b.address(v6) // local address
	if sub == messageLocal || sub == messageLocalTwo || sub == messageLocalTwoAP || sub == messageLocalAddPath {
		r.Skipped++ // sent by the router that recorded it
		return !b.bad
	}
	if b.bad {
		return false
	}
	length, kind, err := bgp.Header(b.b, true)
	if err != nil || length > len(b.b) {
		return false
	}
	if kind != bgp.UpdateType {
		r.Skipped++
		return true
	}
	batch := batchOf(&p)
	if batch == nil {
		return true
	}
	before := len(batch.Changes)
	r.walker.Rules = rules
	err = r.walker.Update(b.b[bgp.HeaderBytes:length], batch)
	r.Routes += uint64(len(batch.Changes) - before)
	return err == nil
}

// cursor reads the fields of a record. A read beyond the end sets bad; it and all later reads return 0.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) skip(n int) { c.take(n) }

func (c *cursor) u8() uint8 {
	if v := c.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if v := c.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if v := c.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (c *cursor) address(v6 bool) flow.Addr {
	if v6 {
		if v := c.take(16); v != nil {
			return flow.Addr(v)
		}
	} else if v := c.take(4); v != nil {
		return flow.AddrFrom4([4]byte(v))
	}
	return flow.Addr{}
}

// prefix reads a prefix in the form of NLRI.
func (c *cursor) prefix(f route.Family, to *route.Change) bool {
	if c.bad || len(c.b) == 0 {
		c.bad = true
		return false
	}
	rest, ok := bgp.ReadPrefix(c.b, f, to)
	if !ok {
		c.bad = true
		return false
	}
	c.b = rest
	to.Class = f.Class
	return true
}
