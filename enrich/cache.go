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
}

type exporterEntry struct {
	addr       flow.Addr
	id, ref    string
	interfaces map[uint32]Interface
}

func newExporterCache() exporterCache {
	return exporterCache{byAddr: map[flow.Addr]*exporterEntry{}}
}

func (c *exporterCache) reset() {
	clear(c.byAddr)
	c.last = nil
}

func (c *exporterCache) of(s *Snapshot, a flow.Addr) *exporterEntry {
	if c.last != nil && c.last.addr == a {
		return c.last
	}
	x := c.byAddr[a]
	if x == nil {
		if len(c.byAddr) >= maxExporters {
			clear(c.byAddr)
		}
		x = s.exporter(a)
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
	return x.interfaces[index]
}

// hostSlots is how many addresses an enricher remembers: 2 to 3 MB for each worker, so that more of the traffic's heavy
// hitters keep their slots; a slot fetched from memory costs less than the tries.
const hostSlots = 1 << 15

// hostCache stands before the tries. An address has one slot; the latest address with that slot is in it.
type hostCache struct {
	extensions []*prefixes // of the snapshot, nil for those it does not have
	names      []string
	slots      []hostEntry
}

type hostEntry struct {
	addr    flow.Addr
	filled  bool
	matched bool   // the address is in a subnet of meta_ip
	asID    uint32 // of the address, where matched
	ref     string
	ext     []string
}

func newHostCache(extensions []string) hostCache {
	c := hostCache{
		extensions: make([]*prefixes, len(extensions)),
		names:      extensions,
		slots:      make([]hostEntry, hostSlots),
	}
	refs := make([]string, len(extensions)*hostSlots)
	for i := range c.slots {
		c.slots[i].ext, refs = refs[:len(extensions):len(extensions)], refs[len(extensions):]
	}
	return c
}

func (c *hostCache) reset(s *Snapshot) {
	for i, name := range c.names {
		c.extensions[i] = s.extensions[name]
	}
	for i := range c.slots {
		slot := &c.slots[i]
		clear(slot.ext)
		*slot = hostEntry{ext: slot.ext}
	}
}

// of returns what is known of an address. The entry is valid until the next call.
func (c *hostCache) of(s *Snapshot, a flow.Addr) *hostEntry {
	h := &c.slots[slotOf(a)]
	if !h.filled || h.addr != a {
		c.fill(h, s, a)
	}
	return h
}

// slotOf mixes the address's halves (the constant is 2^64 divided by the golden ratio).
func slotOf(a flow.Addr) uint64 {
	const golden = 0x9e3779b97f4a7c15
	h := (binary.LittleEndian.Uint64(a[:8])*golden ^ binary.LittleEndian.Uint64(a[8:])) * golden
	return h >> 49 // 64 - log2(hostSlots)
}

func (c *hostCache) fill(h *hostEntry, s *Snapshot, a flow.Addr) {
	h.addr, h.filled, h.matched, h.asID, h.ref = a, true, false, 0, ""
	ip := a.Netip()
	if n, found := s.ips.lookup(ip); found {
		h.matched, h.ref, h.asID = true, s.ips.ref(n), s.ips.records[n].asID
		if as, found := s.asBlocks.lookup(ip); found {
			h.asID = as
		}
	}
	for i, e := range c.extensions {
		h.ext[i] = ""
		if e == nil {
			continue
		}
		if n, found := e.lookup(ip); found {
			h.ext[i] = e.ref(n)
		}
	}
}

// asOr is the AS that the record says, else the address's own.
func (h *hostEntry) asOr(sent uint32) uint32 {
	if sent != 0 || !h.matched {
		return sent
	}
	return h.asID
}

// asSlots is how many AS numbers an enricher remembers.
const asSlots = 1 << 12

// asCache stands before the map of AS numbers. Neighbouring numbers have slots of their own.
type asCache []asSlot

type asSlot struct {
	id         uint32
	filled     bool
	ref, scope string
}

func (c asCache) reset() { clear(c) }

// of returns an AS number's ref and policy scope. The slot is valid until the next call.
func (c asCache) of(s *Snapshot, scopes *scopes, id uint32) *asSlot {
	slot := &c[id%asSlots]
	if !slot.filled || slot.id != id {
		*slot = asSlot{id: id, filled: true, ref: s.asRef(id), scope: scopes.as(s, id)}
	}
	return slot
}
