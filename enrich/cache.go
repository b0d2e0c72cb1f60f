package enrich

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxExporters bounds the exporters that an enricher remembers; more make it forget all and begin anew.
const maxExporters = 1 << 14

// exporterCache remembers what a snapshot says of exporters. Records of one exporter mostly follow each other.
type exporterCache struct {
	byAddr map[flow.Addr]*exporterEntry
	last   *exporterEntry
	fresh  bool // an entry has noted an unknown interface since the latest publication, or all were forgotten
}

type exporterEntry struct {
	addr       flow.Addr
	id, ref    string
	interfaces map[uint32]Interface
	unknown    unknownInterfaces
	learned    map[uint32]learnedInterface
	fresh      *bool  // the cache's
	salt       uint32 // keeps exporters' interfaces apart
}

func newExporterCache() exporterCache {
	return exporterCache{byAddr: map[flow.Addr]*exporterEntry{}}
}

func (c *exporterCache) reset() {
	clear(c.byAddr)
	c.last, c.fresh = nil, true
}

func (c *exporterCache) of(s *Snapshot, a flow.Addr) *exporterEntry {
	if c.last != nil && c.last.addr == a {
		return c.last
	}
	x := c.byAddr[a]
	if x == nil {
		if len(c.byAddr) >= maxExporters {
			clear(c.byAddr)
			c.fresh = true
		}
		x = s.exporter(a)
		x.fresh, x.salt = &c.fresh, uint32(len(c.byAddr))*61
		c.byAddr[a] = x
	}
	c.last = x
	return x
}

// exporter looks an exporter up: its device, or else its address in the device's place.
func (s *Snapshot) exporter(a flow.Addr) *exporterEntry {
	x := &exporterEntry{addr: a, id: "unknown"}
	if a != (flow.Addr{}) { // unset is no address, even if a device claims ::
		x.id = a.String()
		if d, found := s.devices[a.Netip()]; found {
			x.id, x.ref = d.ID, d.Ref
		}
	}
	x.interfaces = s.interfaces[x.id]
	return x
}

// interfaceOf is the interface with that number. Only a plain index and the device itself have one.
func (x *exporterEntry) interfaceOf(index uint32, kind flow.InterfaceKind) Interface {
	switch kind {
	case flow.InterfaceIndex:
	case flow.InterfaceInternal:
		index = flow.InterfaceSelf
	default:
		return Interface{}
	}
	found, known := x.interfaces[index]
	if !known && x.ref != "" && x.unknown.note(index) {
		*x.fresh = true
	}
	return found
}

// interfaceSlots is how many interfaces an enricher remembers.
const interfaceSlots = 1 << 8

// interfaceCache stands before the exporters' maps. Neighbouring numbers of one exporter have slots of their own.
type interfaceCache [interfaceSlots]struct {
	exporter *exporterEntry
	index    uint32
	known    Interface
}

// of returns the interface with that number: as metadata has it, else as names has it, which may be nil.
func (c *interfaceCache) of(x *exporterEntry, index uint32, kind flow.InterfaceKind, names *flow.Names) Interface {
	if kind != flow.InterfaceIndex {
		return x.interfaceOf(index, kind)
	}
	slot := &c[(index+x.salt)%interfaceSlots]
	if slot.exporter != x || slot.index != index {
		slot.exporter, slot.index, slot.known = x, index, x.interfaceOf(index, kind)
	}
	if names != nil && slot.known.ID == "" && index != 0 {
		return x.learn(index, names)
	}
	return slot.known
}

// hostSlots is how many addresses an enricher remembers.
const hostSlots = 1 << 15

// hostCache remembers the places of addresses that only a trie can find. An address has one slot; the latest address
// with that slot is in it.
type hostCache []hostEntry

type hostEntry struct {
	addr   flow.Addr
	filled bool
	place  uint32
}

func (c hostCache) reset() { clear(c) }

// place returns the number of an address's place.
func (c hostCache) place(p *places, a *flow.Addr) uint32 {
	if p.direct != nil && a.Is4() {
		if n := p.direct[blockOf(a)]; n != longer {
			return n
		}
	}
	h := &c[slotOf(a)]
	if !h.filled || h.addr != *a {
		*h = hostEntry{*a, true, p.find(a.Netip())}
	}
	return h.place
}

// blockOf is the number of an IPv4 address's block in the direct table.
func blockOf(a *flow.Addr) uint32 { return binary.BigEndian.Uint32(a[12:]) >> 8 }

// slotOf mixes the address's halves (the constant is 2^64 divided by the golden ratio).
func slotOf(a *flow.Addr) uint64 {
	const golden = 0x9e3779b97f4a7c15
	h := (binary.LittleEndian.Uint64(a[:8])*golden ^ binary.LittleEndian.Uint64(a[8:])) * golden
	return h >> 49 // 64 - log2(hostSlots)
}

// asSlots is how many AS numbers an enricher remembers that meta_as does not have: about as many as are in use, for
// where there is no meta_as at all. They take some 3 MB.
const asSlots = 1 << 16

// asCache remembers what a row says of AS numbers that meta_as does not have. Neighbouring numbers have slots of their
// own.
type asCache []asSlot

type asSlot struct {
	id uint32
	asNames
}

// unknown returns what a row says of an AS number that meta_as does not have. It is valid until the next call.
func (c asCache) unknown(s *scopes, id uint32) *asNames {
	slot := &c[id%asSlots]
	if slot.id != id {
		*slot = asSlot{id, asNames{scope: s.unknown(id)}}
	}
	return &slot.asNames
}
