package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Reason is why something of an UPDATE was not taken as it is.
type Reason uint8

// The reasons. The first ones withdraw the UPDATE's routes (RFC 7606 section 2), the others pass over an attribute or
// a family.
const (
	BadAttributes Reason = iota // an attribute runs over the end of all
	BadFlags
	BadOrigin
	BadPath
	BadNextHop
	BadMED
	BadLocalPref
	BadCommunities
	Missing // ORIGIN, AS_PATH or NEXT_HOP is not there
	Duplicate
	OtherFamily // a family that is not read
	BadAS4Path
	TwoByteAS   // a path of 2-byte AS numbers where 4 bytes were agreed on, or the reverse; read as such if lenient
	OtherPathID // path identifiers where none were agreed on, or the reverse; read as such if lenient
	BadNLRI     // prefixes that cannot be read; without lenience they end the session
	Reasons     // how many there are
)

// String is the reason as metrics name it.
func (r Reason) String() string {
	return [...]string{"bad_attributes", "bad_flags", "bad_origin", "bad_as_path", "bad_next_hop", "bad_med",
		"bad_local_pref", "bad_communities", "missing_attribute", "duplicate_attribute", "other_family", "bad_as4_path",
		"two_byte_as", "other_path_id", "bad_nlri"}[r]
}

// Rules are what two speakers have agreed on.
type Rules struct {
	FourByteAS bool
	AddPath    [route.Families]bool // path identifiers are sent
	Internal   bool                 // both speakers have one AS
	// Lenient takes what can be read, whatever RFC 7606 says of it: for BMP and MRT, where nobody is told of errors.
	Lenient bool
}

// Agreed are the rules of a session by both OPENs.
func Agreed(ours, theirs *Open) Rules {
	r := Rules{FourByteAS: ours.FourByteAS && theirs.FourByteAS, Internal: ours.AS == theirs.AS}
	for i := range r.AddPath {
		r.AddPath[i] = ours.Receive[i] && theirs.Send[i]
	}
	return r
}

// Walker reads the UPDATEs of a session into batches. It belongs to one goroutine. Use NewWalker.
type Walker struct {
	Rules
	// Counts is how often each reason was met.
	Counts [Reasons]uint64

	hasher *route.Hasher
	bundle []byte
	at     attributes
}

// NewWalker returns a walker whose bundles are hashed by a routing table's hasher.
func NewWalker(r Rules, h *route.Hasher) *Walker { return &Walker{Rules: r, hasher: h} }

// Types of attributes.
const (
	attrOrigin      = 1
	attrPath        = 2
	attrNextHop     = 3
	attrMED         = 4
	attrLocalPref   = 5
	attrCommunities = 8
	attrReach       = 14
	attrUnreach     = 15
	attrExtended    = 16
	attrAS4Path     = 17
	attrLarge       = 32
)

// A bundle's data is a byte of flags, the next hop, and type, length of 16 bits and value for each attribute.
const (
	bundleTwoByteAS = 1
	bundleInternal  = 2
	bundleHead      = 1 + 16
)

// Update reads an UPDATE's body into a batch. The error is a *Notification, with which the session must end; what was
// read before may be in the batch.
func (w *Walker) Update(body []byte, b *route.Batch) error {
	if len(body) < 4 {
		return &Notification{Code: UpdateError, Subcode: 1}
	}
	n := int(binary.BigEndian.Uint16(body))
	if n > len(body)-4 {
		return &Notification{Code: UpdateError, Subcode: 1}
	}
	withdrawn, rest := body[2:2+n], body[2+n:]
	n = int(binary.BigEndian.Uint16(rest))
	if n > len(rest)-2 {
		return &Notification{Code: UpdateError, Subcode: 1}
	}
	list, announced := rest[2:2+n], rest[2+n:]
	if len(withdrawn)+len(list)+len(announced) == 0 {
		b.Complete = append(b.Complete, route.Family{}) // End-of-RIB, RFC 4724 section 2
		return nil
	}
	if err := w.attributes(list); err != nil {
		return err
	}
	if err := w.nlri(b, route.Family{}, withdrawn, route.Withdrawn); err != nil {
		return err
	}
	if w.at.unreach != nil {
		if err := w.unreach(b, len(withdrawn)+len(announced) == 0 &&
			w.at.seen == [4]uint64{1 << attrUnreach}); err != nil {
			return err
		}
	}
	if w.at.reach != nil {
		if err := w.reach(b); err != nil {
			return err
		}
	}
	if len(announced) == 0 {
		return nil
	}
	if !w.at.has(attrNextHop) && !w.Lenient {
		w.fail(Missing)
	}
	return w.nlri(b, route.Family{}, announced, w.addBundle(b, w.at.nextHop))
}

// fail withdraws the UPDATE's routes.
func (w *Walker) fail(r Reason) {
	w.Counts[r]++
	if !w.Lenient {
		w.at.withdraw = true
	}
}

// addBundle puts the bundle with a next hop into the batch, and returns its number.
func (w *Walker) addBundle(b *route.Batch, next flow.Addr) int32 {
	if (!w.at.has(attrOrigin) || !w.at.has(attrPath)) && !w.Lenient {
		w.fail(Missing)
	}
	if w.at.withdraw {
		return route.Withdrawn
	}
	w.bundle[0] = 0
	if w.at.twoByteAS {
		w.bundle[0] |= bundleTwoByteAS
	}
	if w.Internal {
		w.bundle[0] |= bundleInternal
	}
	copy(w.bundle[1:], next[:])
	return b.AddBundle(w.hasher.Sum(w.bundle), w.bundle)
}

// unreach reads MP_UNREACH_NLRI (RFC 4760 section 4). Alone and without routes it is an End-of-RIB.
func (w *Walker) unreach(b *route.Batch, alone bool) error {
	v := w.at.unreach
	if len(v) < 3 {
		return w.unreadable(9)
	}
	f, known := FamilyOf(binary.BigEndian.Uint16(v), v[2])
	switch {
	case !known:
		w.Counts[OtherFamily]++
		return nil
	case len(v) == 3 && alone:
		b.Complete = append(b.Complete, f)
		return nil
	}
	return w.nlri(b, f, v[3:], route.Withdrawn)
}

// reach reads MP_REACH_NLRI (RFC 4760 section 3).
func (w *Walker) reach(b *route.Batch) error {
	v := w.at.reach
	if len(v) < 5 || int(v[3]) > len(v)-5 {
		return w.unreadable(9)
	}
	f, known := FamilyOf(binary.BigEndian.Uint16(v), v[2])
	if !known {
		w.Counts[OtherFamily]++
		return nil
	}
	next, good := nextHop(v[4:4+v[3]], f.Class == route.VPN)
	if !good {
		w.fail(BadNextHop)
	}
	return w.nlri(b, f, v[5+v[3]:], w.addBundle(b, next))
}

// nextHop reads a next hop: IPv4 or IPv6 whatever the family of the routes (RFC 8950, RFC 4798), a link-local one
// behind it perhaps (RFC 2545), for VPNs with a route distinguisher of 0 before each (RFC 4364, RFC 4659).
func nextHop(v []byte, vpn bool) (flow.Addr, bool) {
	if vpn {
		switch len(v) {
		case 12, 24:
			v = v[8:]
		case 48:
			v = v[8:24]
		}
	}
	switch len(v) {
	case 4:
		return flow.AddrFrom4([4]byte(v)), true
	case 32:
		if a := flow.Addr(v[:16]); !a.IsUnspecified() {
			return a, true
		}
		return flow.Addr(v[16:]), true
	case 16:
		return flow.Addr(v), true
	}
	return flow.Addr{}, false
}

// unreadable ends a session, because the routes of the UPDATE cannot be found (RFC 7606 section 5.3). With lenience it
// costs the UPDATE.
func (w *Walker) unreadable(subcode uint8) error {
	w.Counts[BadNLRI]++
	if w.Lenient {
		return nil
	}
	return &Notification{Code: UpdateError, Subcode: subcode}
}

// nlri reads prefixes of a family into the batch.
func (w *Walker) nlri(b *route.Batch, f route.Family, v []byte, bundle int32) error {
	if w.Lenient {
		w.guessPathID(f, v, bundle)
	}
	addPath, start := w.AddPath[f.Index()], len(b.Changes)
	for len(v) > 0 {
		c := route.Change{Bundle: bundle, Class: f.Class}
		var good bool
		if v, good = readNLRI(v, f, addPath, &c); !good {
			if w.Lenient {
				b.Changes = b.Changes[:start]
			}
			return w.unreadable(10)
		}
		b.Changes = append(b.Changes, c)
	}
	return nil
}

// readNLRI reads one prefix into c, and returns what follows it.
func readNLRI(v []byte, f route.Family, addPath bool, c *route.Change) ([]byte, bool) {
	if addPath {
		if len(v) < 5 {
			return nil, false
		}
		c.PathID, v = binary.BigEndian.Uint32(v), v[4:]
	}
	most := 32
	if f.V6 {
		most = 128
	}
	bits := int(v[0])
	v = v[1:]
	size := (bits + 7) / 8
	if size > len(v) {
		return nil, false
	}
	p := v[:size]
	v = v[size:]
	if f.Class != route.Unicast {
		labels := labelBytes(p, c.Bundle == route.Withdrawn)
		if labels == 0 {
			return nil, false
		}
		p, bits = p[labels:], bits-8*labels
	}
	if f.Class == route.VPN {
		if bits < 64 {
			return nil, false
		}
		c.RD, p, bits = route.RD(binary.BigEndian.Uint64(p)), p[8:], bits-64
	}
	if bits < 0 || bits > most {
		return nil, false
	}
	c.Prefix = prefix(p, uint8(bits), f.V6)
	return v, true
}

// guessPathID has prefixes of a family read with path identifiers where none were agreed on, or without where they
// were, if they can be read in the other way only. Routers that send BMP say of their peers what is not so.
func (w *Walker) guessPathID(f route.Family, v []byte, bundle int32) {
	i := f.Index()
	if fits(v, f, w.AddPath[i], bundle) || !fits(v, f, !w.AddPath[i], bundle) {
		return
	}
	w.Counts[OtherPathID]++
	w.AddPath[i] = !w.AddPath[i]
}

// fits reports whether all of v are prefixes. The default route may be there once only: path identifiers, which are
// small numbers mostly, look like several when they are read as prefixes.
func fits(v []byte, f route.Family, addPath bool, bundle int32) bool {
	defaults := 0
	for len(v) > 0 {
		c := route.Change{Bundle: bundle}
		var good bool
		if v, good = readNLRI(v, f, addPath, &c); !good {
			return false
		}
		if c.Prefix.Bits == 0 && !addPath {
			if defaults++; defaults > 1 && f.Class != route.VPN {
				return false
			}
		}
	}
	return true
}

// prefix is the prefix with that address's bytes.
func prefix(p []byte, bits uint8, v6 bool) route.Prefix {
	var a [16]byte
	copy(a[:], p)
	return route.Make(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), bits, v6)
}

// labelBytes is how many bytes the label stack before a prefix has (RFC 8277 section 2); 0: it does not end. A
// withdrawal may have one label of 0x800000 or 0 in place of a stack (sections 2.4 and 2.1).
func labelBytes(p []byte, withdrawn bool) int {
	for n := 3; n <= len(p); n += 3 {
		label := uint32(p[n-3])<<16 | uint32(p[n-2])<<8 | uint32(p[n-1])
		if label&1 != 0 || n == 3 && (label == 0x800000 || label == 0 && withdrawn) {
			return n
		}
	}
	return 0
}
