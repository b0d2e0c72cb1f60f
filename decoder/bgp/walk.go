package bgp

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
)

// Reason says what is wrong with an UPDATE.
type Reason uint8

// The reasons. Those up to Missing withdraw the routes of the UPDATE (treat-as-withdraw, RFC 7606 section 2), except
// for a lenient Walker.
const (
	BadAttributes Reason = iota // an attribute's length exceeds the list of attributes
	BadFlags
	BadOrigin
	BadPath
	BadNextHop
	BadMED
	BadLocalPref
	BadCommunities
	Missing     // ORIGIN, AS_PATH or NEXT_HOP is missing
	Duplicate   // an attribute repeats; the first is used (RFC 7606 section 3 g)
	OtherFamily // routes of a family that is not supported; they are skipped
	BadAS4Path  // AS4_PATH is discarded (RFC 6793 section 6)
	TwoByteAS   // AS_PATH has AS numbers of the other size than negotiated; only a lenient Walker reads it
	OtherPathID // path identifiers are present but not negotiated, or the reverse; only a lenient Walker reads them
	BadNLRI     // prefixes cannot be read, which ends the session unless the Walker is lenient
	Reasons     // number of reasons
)

// String returns the reason's name in metrics.
func (r Reason) String() string {
	return [...]string{"bad_attributes", "bad_flags", "bad_origin", "bad_as_path", "bad_next_hop", "bad_med",
		"bad_local_pref", "bad_communities", "missing_attribute", "duplicate_attribute", "other_family", "bad_as4_path",
		"two_byte_as", "other_path_id", "bad_nlri"}[r]
}

// Rules says how to read the UPDATEs of a session.
type Rules struct {
	FourByteAS bool                 // AS numbers have 4 bytes (RFC 6793)
	AddPath    [route.Families]bool // prefixes have path identifiers (RFC 7911), by route.Family.Index
	Internal   bool                 // both speakers have the same AS number: iBGP
	// Lenient keeps whatever can be read in spite of RFC 7606. It is for BMP, MRT and captures, where the announcing
	// router has accepted the UPDATE and cannot be told of an error.
	Lenient bool
}

// Agreed returns the rules that two OPENs negotiate for UPDATEs from the neighbour to us.
func Agreed(ours, theirs *Open) Rules {
	r := Rules{FourByteAS: ours.FourByteAS && theirs.FourByteAS, Internal: ours.AS == theirs.AS}
	for i := range r.AddPath {
		r.AddPath[i] = ours.Receive[i] && theirs.Send[i]
	}
	return r
}

// Walker reads the UPDATEs of a session into batches. Create it with NewWalker. It is not safe for concurrent use. Once
// its buffers have grown it does not allocate.
type Walker struct {
	Rules
	Counts [Reasons]uint64 // UPDATEs or attributes by what is wrong with them

	hasher *route.Hasher
	bundle []byte     // of the current UPDATE
	attrs  attributes // of the current UPDATE
}

// NewWalker returns a walker. h must be the hasher of the routing table that gets the batches.
func NewWalker(r Rules, h *route.Hasher) *Walker { return &Walker{Rules: r, hasher: h} }

// Attribute type codes.
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

// The data of a bundle is one byte of flags, the next hop as 16 bytes, and then for each attribute its type (1 byte),
// length (2 bytes) and value.
const (
	bundleTwoByteAS = 1
	bundleInternal  = 2
	bundleHead      = 1 + 16
)

// Update reads an UPDATE's body and adds its changes to the batch. The error is a *Notification, with which the session
// must end. The batch may then have changes from before the fault.
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
	if w.attrs.unreach != nil {
		if err := w.unreach(b, len(withdrawn)+len(announced) == 0 &&
			w.attrs.seen == [4]uint64{1 << attrUnreach}); err != nil {
			return err
		}
	}
	if w.attrs.reach != nil {
		if err := w.reach(b); err != nil {
			return err
		}
	}
	if len(announced) == 0 {
		return nil
	}
	if !w.attrs.has(attrNextHop) && !w.Lenient {
		w.treatAsWithdraw(Missing)
	}
	return w.nlri(b, route.Family{}, announced, w.addBundle(b, w.attrs.nextHop))
}

// treatAsWithdraw counts an error and has the routes of the UPDATE withdrawn, unless the walker is lenient.
func (w *Walker) treatAsWithdraw(r Reason) {
	w.Counts[r]++
	if !w.Lenient {
		w.attrs.withdraw = true
	}
}

// addBundle adds the UPDATE's attributes with a next hop to the batch and returns the bundle's number.
func (w *Walker) addBundle(b *route.Batch, next flow.Addr) int32 {
	if (!w.attrs.has(attrOrigin) || !w.attrs.has(attrPath)) && !w.Lenient {
		w.treatAsWithdraw(Missing)
	}
	if w.attrs.withdraw {
		return route.Withdrawn
	}
	w.bundle[0] = 0
	if w.attrs.twoByteAS {
		w.bundle[0] |= bundleTwoByteAS
	}
	if w.Internal {
		w.bundle[0] |= bundleInternal
	}
	copy(w.bundle[1:], next[:])
	return b.AddBundle(w.hasher.Sum(w.bundle), w.bundle)
}

// unreach reads MP_UNREACH_NLRI (RFC 4760 section 4). An empty one that is the UPDATE's only content is an End-of-RIB
// (RFC 4724 section 2).
func (w *Walker) unreach(b *route.Batch, alone bool) error {
	v := w.attrs.unreach
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
	v := w.attrs.reach
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
		w.treatAsWithdraw(BadNextHop)
	}
	return w.nlri(b, f, v[5+v[3]:], w.addBundle(b, next))
}

// nextHop reads the next hop of MP_REACH_NLRI. Its length says whether it is IPv4 or IPv6, which need not be the family
// of the routes (RFC 8950, RFC 4798). A link-local address may follow an IPv6 one (RFC 2545). In a VPN a route
// distinguisher of 0 precedes each address (RFC 4364, RFC 4659).
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

// unreadable returns the error of an UPDATE whose prefixes cannot be parsed, which must end the session (RFC 7606
// section 5.3). A lenient walker skips them instead.
func (w *Walker) unreadable(subcode uint8) error {
	w.Counts[BadNLRI]++
	if w.Lenient {
		return nil
	}
	return &Notification{Code: UpdateError, Subcode: subcode}
}

// nlri adds a change for each prefix in v to the batch. bundle is route.Withdrawn for withdrawals.
func (w *Walker) nlri(b *route.Batch, f route.Family, v []byte, bundle int32) error {
	if w.Lenient {
		w.inferPathID(f, v, bundle)
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

// readNLRI reads one prefix into c and returns the bytes that follow.
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

// inferPathID corrects w.AddPath for a family if the prefixes can be parsed only with the other value. The OPENs that
// some routers send over BMP do not say whether path identifiers are present.
func (w *Walker) inferPathID(f route.Family, v []byte, bundle int32) {
	i := f.Index()
	if parses(v, f, w.AddPath[i], bundle) || !parses(v, f, !w.AddPath[i], bundle) {
		return
	}
	w.Counts[OtherPathID]++
	w.AddPath[i] = !w.AddPath[i]
}

// parses reports whether v can be parsed as prefixes to its end. More than one default route counts as a failure: path
// identifiers are mostly small numbers, whose zero bytes read as default routes.
func parses(v []byte, f route.Family, addPath bool, bundle int32) bool {
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

// prefix returns the prefix whose address starts with the bytes of p.
func prefix(p []byte, bits uint8, v6 bool) route.Prefix {
	var a [16]byte
	copy(a[:], p)
	return route.Make(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), bits, v6)
}

// labelBytes returns the length of the label stack before a prefix (RFC 8277 section 2), or 0 if the stack has no end.
// In a withdrawal a single label of 0x800000 or 0 can replace the stack (sections 2.4 and 2.1).
func labelBytes(p []byte, withdrawn bool) int {
	for n := 3; n <= len(p); n += 3 {
		label := uint32(p[n-3])<<16 | uint32(p[n-2])<<8 | uint32(p[n-1])
		if label&1 != 0 || n == 3 && (label == 0x800000 || label == 0 && withdrawn) {
			return n
		}
	}
	return 0
}
