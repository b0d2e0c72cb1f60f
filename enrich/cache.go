package enrich

import (
	"encoding/binary"
	"slices"

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
	fresh      *bool // the cache's
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
		x.fresh = &c.fresh
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

// internalInterface is the number under which metadata knows the device itself as an interface: sFlow's word for packets that
// it sent or took.
const internalInterface = 0x3fffffff

// interfaceOf is the interface with that number. Only a plain index and the device itself have one.
func (x *exporterEntry) interfaceOf(index uint32, kind flow.InterfaceKind) Interface {
	switch kind {
	case flow.InterfaceIndex:
	case flow.InterfaceInternal:
		index = internalInterface
	default:
		return Interface{}
	}
	found, known := x.interfaces[index]
	if !known && x.ref != "" && x.unknown.note(index) {
		*x.fresh = true
	}
	return found
}

// hostSlots is how many addresses an enricher remembers: 2 to 3 MB for each worker, so that more of the traffic's heavy
// hitters keep their slots; a slot fetched from memory costs less than the tries.
const hostSlots = 1 << 15

// hostCache stands before the trie. An address has one slot; the latest address with that slot is in it.
type hostCache struct {
	names      []string
	extensions []int // of the snapshot's places, -1 for those it does not have
	slots      []hostEntry
	refs       []string // of each slot in turn, one for each extension
}

type hostEntry struct {
	addr    flow.Addr
	filled  bool
	matched bool   // the address is in a subnet of meta_ip
	asID    uint32 // of the address, where matched
	ref     string
	as      asNames // of asID
}

func newHostCache(extensions []string) hostCache {
	return hostCache{
		names:      extensions,
		extensions: make([]int, len(extensions)),
		slots:      make([]hostEntry, hostSlots),
		refs:       make([]string, len(extensions)*hostSlots),
	}
}

func (c *hostCache) reset(s *Snapshot) {
	for i, name := range c.names {
		c.extensions[i] = slices.Index(s.places.extensions, name)
	}
	clear(c.slots)
	clear(c.refs)
}

// of returns what is known of an address, and its extensions' refs. Both are valid until the next call.
func (c *hostCache) of(e *Enricher, s *Snapshot, a flow.Addr) (*hostEntry, []string) {
	n := slotOf(a)
	h, refs := &c.slots[n], c.refs[int(n)*len(c.names):][:len(c.names)]
	if !h.filled || h.addr != a {
		*h = hostEntry{addr: a, filled: true}
		clear(refs)
		c.fill(h, refs, s)
		if h.as == (asNames{}) && h.asID != 0 {
			h.as = *e.as.of(e, s, h.asID)
		}
	}
	return h, refs
}

// slotOf mixes the address's halves (the constant is 2^64 divided by the golden ratio).
func slotOf(a flow.Addr) uint64 {
	const golden = 0x9e3779b97f4a7c15
	h := (binary.LittleEndian.Uint64(a[:8])*golden ^ binary.LittleEndian.Uint64(a[8:])) * golden
	return h >> 49 // 64 - log2(hostSlots)
}

func (c *hostCache) fill(h *hostEntry, refs []string, s *Snapshot) {
	n, at := s.places.at(h.addr.Netip())
	if at == nil {
		return
	}
	if at.ipBits != none {
		h.matched, h.ref, h.asID, h.as = true, s.places.ref(at), at.asID, s.as.names[at.as]
	}
	for i, e := range c.extensions {
		if e < 0 {
			continue
		}
		if m := s.places.extMatch(n, e); m.bits != none {
			refs[i] = s.places.extRecords[e].ref(m.record)
		}
	}
}

// asOf is the AS that the record says, else the address's own, and what the row says of it.
func (e *Enricher) asOf(s *Snapshot, h *hostEntry, sent uint32) (uint32, *asNames) {
	if sent == 0 || sent == h.asID {
		return h.asID, &h.as
	}
	return sent, e.as.of(e, s, sent)
}

// asSlots is how many AS numbers an enricher remembers.
const asSlots = 1 << 12

// asCache stands before the map of AS numbers. Neighbouring numbers have slots of their own.
type asCache []asSlot

type asSlot struct {
	id     uint32
	filled bool
	asNames
}

func (c asCache) reset() { clear(c) }

// of returns what a row says of an AS number. It is valid until the next call.
func (c asCache) of(e *Enricher, s *Snapshot, id uint32) *asNames {
	slot := &c[id%asSlots]
	if !slot.filled || slot.id != id {
		*slot = asSlot{id, true, s.as.names[s.as.number(id)]}
		if slot.scope == "" {
			slot.scope = e.scopes.unknown(id)
		}
	}
	return &slot.asNames
}
