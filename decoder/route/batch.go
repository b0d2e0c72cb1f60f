package route

import "hash/maphash"

// Hash identifies a bundle of attributes. It has 128 bits and depends on random seeds, so that no peer can construct a
// collision.
type Hash [2]uint64

// Hasher hashes bundles. Create it with NewHasher; the zero value is not usable. Each hasher has its own seeds, so
// hashes of different hashers must not be compared. It is safe for concurrent use.
type Hasher struct{ seeds [2]maphash.Seed }

// NewHasher returns a hasher with random seeds.
func NewHasher() *Hasher { return &Hasher{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}} }

// Sum returns the hash of a bundle's data.
func (h *Hasher) Sum(b []byte) Hash {
	return Hash{maphash.Bytes(h.seeds[0], b), maphash.Bytes(h.seeds[1], b)}
}

// Bundle is a set of attributes that routes of a batch share, still encoded. Bundles with equal data have equal
// attributes.
type Bundle struct {
	Hash Hash
	Data []byte
}

// Change is one announcement or withdrawal.
type Change struct {
	Prefix Prefix
	RD     RD     // 0 unless Class is VPN
	PathID uint32 // path identifier (RFC 7911); 0: none
	Bundle int32  // index in Batch.Bundles, or Withdrawn
	Class  Class
}

// Withdrawn is the Bundle of a withdrawal.
const Withdrawn = -1

// Batch is a list of changes from one source, in the order in which they came. The zero value is empty; set Decode
// before the routing table applies the batch. It owns the data of its bundles, which is valid until Reset. It is not
// safe for concurrent use.
type Batch struct {
	Changes []Change
	Bundles []Bundle
	// Decode fills a from a bundle's data. The routing table's writer calls it once for each bundle that is new to the
	// table.
	Decode func(data []byte, a *Attributes) error
	// Complete lists the families whose End-of-RIB (RFC 4724 section 2) came after the changes.
	Complete []Family

	data  []byte
	bytes int // of the bundles' data
}

// Memory that a batch takes for data at once, and keeps for its next use, in bytes and elements. More is needed by an
// unusual message only.
const (
	mostData    = 64 << 10
	keptChanges = 1 << 12
)

// Reset empties b and keeps its memory for reuse, unless that is unusually much.
func (b *Batch) Reset() {
	b.Changes, b.Bundles, b.Complete = b.Changes[:0], b.Bundles[:0], b.Complete[:0]
	b.data, b.bytes = b.data[:0], 0
	if cap(b.data) > mostData {
		b.data = nil
	}
	if max(cap(b.Changes), cap(b.Bundles)) > keptChanges {
		b.Changes, b.Bundles = nil, nil
	}
	clear(b.Bundles[:cap(b.Bundles)]) // they can keep data alive that the batch does not have any more
}

// Bytes is how much data the bundles have, in bytes.
func (b *Batch) Bytes() int { return b.bytes }

// AddBundle copies a bundle's data into the batch and returns its number.
func (b *Batch) AddBundle(hash Hash, data []byte) int32 {
	n := len(b.data)
	if cap(b.data)-n < len(data) {
		// Earlier bundles keep referring to the old memory.
		b.data, n = make([]byte, 0, max(min(2*cap(b.data), mostData), len(data), 4096)), 0
	}
	b.data = append(b.data, data...)
	b.bytes += len(data)
	b.Bundles = append(b.Bundles, Bundle{hash, b.data[n:len(b.data):len(b.data)]})
	return int32(len(b.Bundles) - 1)
}
