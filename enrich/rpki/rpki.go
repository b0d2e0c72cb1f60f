// Package rpki holds validated ROA payloads (VRPs) and validates the origin of routes with them (RFC 6811). Package
// collector/rpki fetches them.
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

// State is the validation state of a route, that is of its prefix and origin AS.
type State uint8

// The states (RFC 6811 section 2). None means that nothing was validated, because there is no route or no table.
const (
	None State = iota
	Unknown
	Invalid
	Valid
	// ValidCover and UnknownCover are Invalid too. The next shorter route that is not Invalid is Valid or Unknown. Only
	// pmacct distinguishes them.
	ValidCover
	UnknownCover
)

// String returns the state's name in columns, which is "" for None.
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

// Pmacct returns the state's letter in pmacct's roa_src and roa_dst.
func (s State) Pmacct() byte { return "uuivVU"[s] }

// VRP is a validated ROA payload: AS may announce Prefix, and prefixes within it of up to MaxLength bits.
type VRP struct {
	Prefix    netip.Prefix // masked
	MaxLength uint8        // at least Prefix.Bits()
	AS        uint32
}

func (v VRP) String() string { return fmt.Sprintf("%s-%d AS%d", v.Prefix, v.MaxLength, v.AS) }

// Max is the maximum number of VRPs of a table. The whole Internet has fewer than one million in 2026. Each takes some
// 60 bytes.
const Max = 4_000_000

// ErrFull is the error of a table with Max VRPs.
var ErrFull = errors.New("too many validated ROA payloads")

// origin is a VRP without its prefix.
type origin struct {
	as        uint32
	maxLength uint8
}

// Table is an immutable set of VRPs. Create it with a Builder. It is safe for concurrent use.
type Table struct {
	tree *bart.Table[[]origin]
	vrps int
}

// Empty is a table without VRPs. Every route is Unknown.
var Empty = &Table{tree: new(bart.Table[[]origin])}

// Len returns the number of VRPs.
func (t *Table) Len() int { return t.vrps }

// All returns the VRPs in no particular order.
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

// Validate returns the state of a route: Unknown, Invalid or Valid. AS 0 matches no VRP (RFC 6483 section 4); pass it
// for a path that ends in an AS_SET. It does not allocate.
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

// Covering appends the VRPs whose prefix contains p.
func (t *Table) Covering(all []VRP, p netip.Prefix) []VRP {
	for at, origins := range t.tree.Supernets(p) {
		for _, o := range origins {
			all = append(all, VRP{at, o.maxLength, o.as})
		}
	}
	return all
}

// Builder builds a Table. Create it with NewBuilder. It is not safe for concurrent use.
type Builder struct{ table *Table }

// NewBuilder returns a builder that starts with the VRPs of a table. nil: it starts empty.
func NewBuilder(from *Table) *Builder {
	if from == nil || from.vrps == 0 {
		return &Builder{&Table{tree: new(bart.Table[[]origin])}}
	}
	return &Builder{&Table{tree: from.tree.Clone(), vrps: from.vrps}}
}

// Add adds a VRP. added is false if the builder has it already. The only error is ErrFull.
func (b *Builder) Add(v VRP) (added bool, err error) {
	o := origin{v.AS, v.MaxLength}
	all, _ := b.table.tree.Get(v.Prefix)
	switch {
	case slices.Contains(all, o):
		return false, nil
	case b.table.vrps >= Max:
		return false, ErrFull
	}
	// Copy the slice, which the table of NewBuilder may share.
	b.table.tree.Insert(v.Prefix, append(append(make([]origin, 0, len(all)+1), all...), o))
	b.table.vrps++
	return true, nil
}

// Remove removes a VRP. It reports whether the builder had it.
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

// Table returns the table. The builder must not be used afterwards.
func (b *Builder) Table() *Table {
	t := b.table
	b.table = nil
	return t
}

// Current is a reference to the table in use. The zero value refers to none. It is safe for concurrent use.
type Current struct{ table atomic.Pointer[Table] }

// Table returns the table, or nil if none was set yet.
func (c *Current) Table() *Table { return c.table.Load() }

// Set replaces the table. The old one can still be used by those who have it.
func (c *Current) Set(t *Table) { c.table.Store(t) }
