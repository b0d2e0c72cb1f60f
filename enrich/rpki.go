package enrich

import (
	"cmp"
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
	"github.com/metranova/flow-collector/enrich/rpki"
)

// RPKIOptions say what routes are validated with. The zero value is: they are not.
type RPKIOptions struct {
	Current *rpki.Current
	// Covers tells invalid routes apart by the next shorter route that is not invalid, as pmacct does.
	Covers bool
}

// validator validates the routes of rows. It remembers what it has validated.
type validator struct {
	RPKIOptions
	table *rpki.Table // of the present batch; nil: there are no payloads
	known []validated
}

// validated is a route and its state in a table.
type validated struct {
	table  *rpki.Table
	prefix route.Prefix
	origin uint32
	state  rpki.State
}

// validatedSlots is how many routes a validator remembers, 400 KiB.
const validatedSlots = 1 << 13

func newValidator(o RPKIOptions) *validator {
	if o.Current == nil {
		return nil
	}
	return &validator{RPKIOptions: o, known: make([]validated, validatedSlots)}
}

func (v *validator) state(p route.Prefix, origin uint32) rpki.State {
	const golden = 0x9e3779b97f4a7c15
	hash := ((p.Hi^uint64(p.Bits))*golden ^ p.Lo ^ uint64(origin)) * golden
	k := &v.known[hash>>51] // 64 - log2(validatedSlots)
	if k.table != v.table || k.prefix != p || k.origin != origin {
		*k = validated{v.table, p, origin, v.table.Validate(p.Netip(), origin)}
	}
	return k.state
}

// endpoint is what is known of one end of a flow, for validation.
type endpoint struct {
	addr  *flow.Addr
	at    *entry // of the prefix table
	route *rib.Route
	found bool   // there is a route
	sent  uint32 // AS of the record; 0: none
	mask  uint8  // of the record; 0: none
	as    uint32 // of the row
}

// of validates the route to an end: that of the router, else the prefix and AS that the record has, else the announced
// prefix that holds the address, with the row's AS, or if that is
// 0 with the one that announces it.
func (v *validator) of(routes *routes, x *endpoint) rpki.State {
	if v.table == nil {
		return rpki.None
	}
	switch {
	case x.found:
		state := v.state(x.route.Prefix(), x.route.ValidatedOrigin())
		if state == rpki.Invalid && v.Covers {
			return v.cover(routes, *x.route)
		}
		return state
	case x.sent != 0 && x.mask != 0:
		return v.state(prefixOf(x.addr, x.mask), x.sent)
	case x.at.originBits != noPrefix:
		return v.state(prefixOf(x.addr, x.at.originBits), cmp.Or(x.as, x.at.asID))
	}
	return rpki.None
}

// cover is the state of an invalid route by the next shorter one that is not invalid.
func (v *validator) cover(routes *routes, x rib.Route) rpki.State {
	for {
		shorter, found := routes.reader.Shorter(&x)
		if !found {
			return rpki.Invalid
		}
		switch v.state(shorter.Prefix(), shorter.ValidatedOrigin()) {
		case rpki.Valid:
			return rpki.ValidCover
		case rpki.Unknown:
			return rpki.UnknownCover
		}
		x = shorter
	}
}

// prefixOf is the prefix of an address with a length, which for IPv4 counts the bits of IPv4.
func prefixOf(a *flow.Addr, bits uint8) route.Prefix {
	if a.Is4() {
		return route.Make(uint64(binary.BigEndian.Uint32(a[12:]))<<32, 0, min(bits, 32), false)
	}
	return route.Make(binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(a[8:]), min(bits, 128), true)
}
