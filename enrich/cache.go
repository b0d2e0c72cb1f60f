package enrich

import (
	"encoding/binary"

	"github.com/metranova/flow-collector/decoder/flow"
)

// maxExporters bounds the exporters that an enricher remembers. When it is exceeded, all are forgotten.
const maxExporters = 1 << 14

// exporterCache caches look-ups of exporters in the snapshot. Consecutive records are mostly from one exporter.
type exporterCache struct {
	byAddr map[flow.Addr]*exporterEntry
	last   *exporterEntry
	fresh  bool // set when an entry notes an unknown interface, or the cache is cleared; cleared by Publish
}

type exporterEntry struct {
	routes     exporterRoutes
	lookUps    *lookUpCounter // nil: no look-up was counted yet
	addr       flow.Addr
	id, ref    string
	interfaces map[uint32]Interface
	unknown    unknownInterfaces
	learned    map[uint32]learnedInterface
	fresh      *bool // points to the cache's fresh
	origin     *Origin
	scopes     *scopes // nil: its label was not looked up yet
	salt       uint32  // separates the interfaces of different exporters in interfaceCache
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

// exporter looks up an exporter: its device, or its address if metadata has no such device.
func (s *Snapshot) exporter(a flow.Addr) *exporterEntry {
	x := &exporterEntry{addr: a, id: "unknown"}
	if a != (flow.Addr{}) { // an unset address matches nothing, even if a device has the loopback ::
		x.id = a.String()
		if d, found := s.devices[a.Netip()]; found {
			x.id, x.ref = d.ID, d.Ref
		}
	}
	x.interfaces = s.interfaces[x.id]
	return x
}

// interfaceOf returns the interface with a number. Only plain indexes and the device itself have an interface.
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

// interfaceSlots is the size of interfaceCache.
const interfaceSlots = 1 << 8

// interfaceCache avoids look-ups in the exporters' maps. Consecutive interface numbers of an exporter get different
// slots.
type interfaceCache struct {
	slots [interfaceSlots]interfaceSlot
	other Interface // the latest that has no slot
}

type interfaceSlot struct {
	exporter *exporterEntry
	index    uint32
	known    Interface
}

// of returns the interface with a number: as metadata has it, else as the exporter's own names have it. names may be
// nil. The interface is valid until the next call.
func (c *interfaceCache) of(x *exporterEntry, index uint32, kind flow.InterfaceKind, names *flow.Names) *Interface {
	if kind != flow.InterfaceIndex {
		c.other = x.interfaceOf(index, kind)
		return &c.other
	}
	slot := &c.slots[(index+x.salt)%interfaceSlots]
	if slot.exporter != x || slot.index != index {
		slot.exporter, slot.index, slot.known = x, index, x.interfaceOf(index, kind)
	}
	if names != nil && slot.known.ID == "" && index != 0 {
		c.other = x.learn(index, names)
		return &c.other
	}
	return &slot.known
}

// hostSlots is the size of hostCache.
const hostSlots = 1 << 15

// hostCache caches look-ups of addresses that need the trie. Each address has one slot, which holds the latest address
// that was looked up there.
type hostCache []hostEntry

type hostEntry struct {
	addr   flow.Addr
	filled bool
	entry  uint32
}

func (c hostCache) reset() { clear(c) }

// entry returns the index of an address's entry in the prefix table.
func (c hostCache) entry(p *prefixTable, a *flow.Addr) uint32 {
	if p.direct != nil && a.Is4() {
		if n := p.direct[blockOf(a)]; n != useTrie {
			return n
		}
	}
	h := &c[slotOf(a)]
	if !h.filled || h.addr != *a {
		*h = hostEntry{*a, true, p.find(a.Netip())}
	}
	return h.entry
}

// blockOf returns the index of an IPv4 address's /24 block in the direct table.
func blockOf(a *flow.Addr) uint32 { return binary.BigEndian.Uint32(a[12:]) >> 8 }

// slotOf hashes an address to its slot. The constant is 2^64 divided by the golden ratio.
func slotOf(a *flow.Addr) uint64 {
	const golden = 0x9e3779b97f4a7c15
	h := (binary.LittleEndian.Uint64(a[:8])*golden ^ binary.LittleEndian.Uint64(a[8:])) * golden
	return h >> 49 // 64 - log2(hostSlots)
}
