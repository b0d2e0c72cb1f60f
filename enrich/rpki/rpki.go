// Package rpki holds validated ROA payloads and says what they make of a route (RFC 6811). It knows no source of them.
package rpki

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// State is what validation says of a route: its prefix and its origin AS.
type State uint8

// The states of RFC 6811 section 2. None says that nothing was validated: there is no route, or there are no payloads.
const (
	None State = iota
	Unknown
	Invalid
	Valid
	// ValidCover and UnknownCover are Invalid, where the next shorter route that is not invalid too is Valid or
	// Unknown. Only pmacct tells them apart.
	ValidCover
	UnknownCover
)

// String is the state as columns have it; "" is None.
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Invalid, ValidCover, UnknownCover:
		return "invalid"
	case Valid:
		return "valid"
	}
	return ""
}

// Pmacct is the state as pmacct's roa_src and roa_dst have it.
func (s State) Pmacct() byte { return "uuivVU"[s] }

// VRP is a validated ROA payload: AS may announce Prefix, and parts of it with up to MaxLength bits.
type VRP struct {
	Prefix    netip.Prefix // masked
	MaxLength uint8        // not below Prefix.Bits()
	AS        uint32
}

func (v VRP) String() string { return fmt.Sprintf("%s-%d AS%d", v.Prefix, v.MaxLength, v.AS) }

// Max is how many payloads a table has at most. The whole Internet has fewer than one million in 2026; each takes some
// 60 bytes.
const Max = 4_000_000

// ErrFull says that a table has Max payloads.
var ErrFull = errors.New("too many validated ROA payloads")

// origin is what a payload says besides its prefix.
type origin struct {
	as        uint32
	maxLength uint8
}

// Table is a set of payloads. It never changes, and is safe for concurrent use. Use a Builder to make one.
type Table struct {
	tree *bart.Table[[]origin]
	vrps int
}

// Empty has no payloads: all routes are Unknown.
var Empty = &Table{tree: new(bart.Table[[]origin])}

// Len returns the number of payloads.
func (t *Table) Len() int { return t.vrps }

// All returns the payloads in no particular order.
func (t *Table) All() iter.Seq[VRP] {
	return func(yield func(VRP) bool) {
		for p, all := range t.tree.All() {
			for _, o := range all {
				if !yield(VRP{p, o.maxLength, o.as}) {
					return
				}
			}
		}
	}
}

// Validate returns the state of a route, never None. AS 0 is an origin that nobody may have (RFC 6483 section 4), which
// is also that of a path that ends in an AS_SET. It does not allocate.
func (t *Table) Validate(p netip.Prefix, as uint32) State {
	state, length := Unknown, uint8(p.Bits())
	for {
		at, all, found := t.tree.LookupPrefixLPM(p)
		if !found {
			return state
		}
		state = Invalid
		for _, o := range all {
			if o.as == as && as != 0 && length <= o.maxLength {
				return Valid
			}
		}
		if at.Bits() == 0 {
			return state
		}
		p, _ = at.Addr().Prefix(at.Bits() - 1)
	}
}

// Covering appends the payloads whose prefix holds p.
func (t *Table) Covering(all []VRP, p netip.Prefix) []VRP {
	for at, origins := range t.tree.Supernets(p) {
		for _, o := range origins {
			all = append(all, VRP{at, o.maxLength, o.as})
		}
	}
	return all
}

// Builder makes a table. It belongs to one goroutine.
type Builder struct{ table *Table }

// NewBuilder returns a builder that has the payloads of a table to begin with. nil: none.
func NewBuilder(from *Table) *Builder {
	if from == nil || from.vrps == 0 {
		return &Builder{&Table{tree: new(bart.Table[[]origin])}}
	}
	return &Builder{&Table{tree: from.tree.Clone(), vrps: from.vrps}}
}

// Add adds a payload. added is false if it is there already. The only error is ErrFull.
func (b *Builder) Add(v VRP) (added bool, err error) {
	o := origin{v.AS, v.MaxLength}
	all, _ := b.table.tree.Get(v.Prefix)
	switch {
	case slices.Contains(all, o):
		return false, nil
	case b.table.vrps >= Max:
		return false, ErrFull
	}
	// A copy: the slice may be shared with the table that this began with.
	b.table.tree.Insert(v.Prefix, append(append(make([]origin, 0, len(all)+1), all...), o))
	b.table.vrps++
	return true, nil
}

// Remove removes a payload, and reports whether it was there.
func (b *Builder) Remove(v VRP) bool {
	all, _ := b.table.tree.Get(v.Prefix)
	i := slices.Index(all, origin{v.AS, v.MaxLength})
	if i < 0 {
		return false
	}
	b.table.vrps--
	if len(all) == 1 {
		b.table.tree.Delete(v.Prefix)
		return true
	}
	b.table.tree.Insert(v.Prefix, slices.Delete(slices.Clone(all), i, i+1))
	return true
}

// Table ends the building.
func (b *Builder) Table() *Table {
	t := b.table
	b.table = nil
	return t
}

// Current is the table that is in use. The zero value has none. It is safe for concurrent use.
type Current struct{ table atomic.Pointer[Table] }

// Table returns the table; nil if there has been none.
func (c *Current) Table() *Table { return c.table.Load() }

// Set replaces the table. Whoever has the one of before may go on with it.
func (c *Current) Set(t *Table) { c.table.Store(t) }
