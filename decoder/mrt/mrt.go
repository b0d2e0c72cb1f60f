// Package mrt reads and writes routes in MRT files: dumps of tables (RFC 6396 section 4.3, RFC 8050), and BGP messages
// as a router or route server received them (RFC 6396 section 4.4).
//
// A file may come from anywhere: every length is checked, and a record that cannot be read costs itself.
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

// Types and subtypes of records.
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
	messageTwoByteAP    = 8 // with path identifiers
	messageFourByteAP   = 9
	messageLocalTwoAP   = 10
	messageLocalAddPath = 11
)

const (
	headerBytes = 12
	// maxRecord bounds a record: a prefix with the routes of some thousands of peers.
	maxRecord = 16 << 20
)

// ErrFormat says that a file is not MRT, or ends within a record.
var ErrFormat = errors.New("not an MRT file")

// Peer is who announced routes.
type Peer struct {
	ID      uint32 // BGP identifier; 0 of messages
	Address flow.Addr
	AS      uint32
}

// Counts are what was read.
type Counts struct {
	Records uint64
	Routes  uint64
	Skipped uint64 // records of other types, such as of multicast or of state changes
	Bad     uint64 // records that could not be read, or in part only
}

// Reader reads a file. It belongs to one goroutine. Use NewReader.
type Reader struct {
	Counts
	in     io.Reader
	peers  []Peer
	walker *bgp.Walker
	body   []byte
	head   [headerBytes]byte
}

// NewReader returns a reader. Bundles are hashed by a routing table's hasher.
func NewReader(in io.Reader, h *route.Hasher) *Reader {
	return &Reader{in: in, walker: bgp.NewWalker(bgp.Rules{Lenient: true}, h)}
}

// Reasons are what was wrong with attributes.
func (r *Reader) Reasons() [bgp.Reasons]uint64 { return r.walker.Counts }

// Next reads a record and calls use for the routes of each peer in it: with a batch that begin returns for that peer;
// nil: they are not wanted. It returns io.EOF at the end of the file.
func (r *Reader) Next(begin func(*Peer) *route.Batch) error {
	if _, err := io.ReadFull(r.in, r.head[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	kind, sub := binary.BigEndian.Uint16(r.head[4:]), binary.BigEndian.Uint16(r.head[6:])
	n := binary.BigEndian.Uint32(r.head[8:])
	if n > maxRecord {
		return fmt.Errorf("%w: a record of %d bytes", ErrFormat, n)
	}
	if uint32(cap(r.body)) < n {
		r.body = make([]byte, max(n, 4096))
	}
	r.body = r.body[:n]
	if _, err := io.ReadFull(r.in, r.body); err != nil {
		return fmt.Errorf("%w: it ends within a record: %w", ErrFormat, err)
	}
	r.Records++
	b, good := &cursor{b: r.body}, true
	switch {
	case kind == typeTable && sub == tablePeers:
		good = r.peerTable(b)
	case kind == typeTable:
		good = r.table(sub, b, begin)
	case kind == typeMessage || kind == typeMessageET:
		if kind == typeMessageET {
			b.skip(4)
		}
		good = r.message(sub, b, begin)
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
	b.skip(4)
	b.skip(int(b.u16()))
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

// table reads the routes to a prefix (RFC 6396 sections 4.3.2 and 4.3.3, RFC 8050 section 4).
func (r *Reader) table(sub uint16, b *cursor, begin func(*Peer) *route.Batch) bool {
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
		b.skip(4) // when it was announced
		if addPath {
			c.PathID = b.u32()
		}
		list := b.take(int(b.u16()))
		if b.bad || int(peer) >= len(r.peers) {
			return false
		}
		p := &r.peers[peer]
		batch := begin(p)
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

// message reads a BGP message as it was received (RFC 6396 section 4.4.2, RFC 8050 section 3).
func (r *Reader) message(sub uint16, b *cursor, begin func(*Peer) *route.Batch) bool {
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
		b.skip(4)
	} else {
		p.AS = uint32(b.u16())
		b.skip(2)
	}
	b.skip(2) // interface
	v6 := b.u16() == 2
	p.Address = b.address(v6)
	b.address(v6)
	if sub == messageLocal || sub == messageLocalTwo || sub == messageLocalTwoAP || sub == messageLocalAddPath {
		r.Skipped++ // what the router itself has sent
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
	batch := begin(&p)
	if batch == nil {
		return true
	}
	before := len(batch.Changes)
	r.walker.Rules = rules
	err = r.walker.Update(b.b[bgp.HeaderBytes:length], batch)
	r.Routes += uint64(len(batch.Changes) - before)
	return err == nil
}

// cursor reads a record. After bytes that are not there it is bad, and everything reads as 0.
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

// prefix reads a prefix as UPDATEs have it.
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
