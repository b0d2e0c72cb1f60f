package route

import "hash/maphash"

// Hash identifies a bundle of attributes: 128 bits, by seeds that differ from run to run, so that no peer can aim at a
// collision.
type Hash [2]uint64

// Hasher hashes bundles. Hashes of different hashers have nothing in common. It is safe for concurrent use; the zero
// value is not usable.
type Hasher struct{ seeds [2]maphash.Seed }

// NewHasher returns a hasher with random seeds.
func NewHasher() *Hasher { return &Hasher{[2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}} }

// Sum is the hash of a bundle's bytes.
func (h *Hasher) Sum(b []byte) Hash {
	return Hash{maphash.Bytes(h.seeds[0], b), maphash.Bytes(h.seeds[1], b)}
}

// Bundle is the attributes that some routes of a batch share, still encoded. Data holds all that tells it from others:
// equal data, equal attributes.
type Bundle struct {
	Hash Hash
	Data []byte
}

// Change is one announcement or withdrawal.
type Change struct {
	Prefix Prefix
	RD     RD     // of class VPN; 0 otherwise
	PathID uint32 // RFC 7911; 0 without
	Bundle int32  // in Batch.Bundles; Withdrawn: the route is gone
	Class  Class
}

// Withdrawn is the Bundle of a withdrawal.
const Withdrawn = -1

// Batch is what a session learned, in the order in which it did. Its memory belongs to the batch and is used again
// after Reset.
type Batch struct {
	Changes []Change
	Bundles []Bundle
	// Decode fills a from a bundle's data. It is called for bundles only that are not known yet, by the routing table's
	// writer.
	Decode func(data []byte, a *Attributes) error
	// Complete are the families whose End-of-RIB (RFC 4724 section 2) came after the changes.
	Complete []Family

	data []byte
}

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.Changes, b.Bundles, b.Complete, b.data = b.Changes[:0], b.Bundles[:0], b.Complete[:0], b.data[:0]
}

// AddBundle copies a bundle's data into the batch and returns its number.
func (b *Batch) AddBundle(hash Hash, data []byte) int32 {
	n := len(b.data)
	if cap(b.data)-n < len(data) {
		// Bundles so far keep the memory that they are in.
		b.data, n = make([]byte, 0, max(2*cap(b.data), len(data), 4096)), 0
	}
	b.data = append(b.data, data...)
	b.Bundles = append(b.Bundles, Bundle{hash, b.data[n:len(b.data):len(b.data)]})
	return int32(len(b.Bundles) - 1)
}
