package enrich

import (
	"net/netip"
	"slices"
	"unsafe"

	"github.com/gaissmai/bart"
)

// places say of an address what all sources of prefixes say of it together, with one look-up. Their trie has every
// prefix of every source; the value is what the longest prefix of each source is there. IPv4 and IPv6 never share keys.
type places struct {
	v4, v6     *bart.Table[uint32]
	direct     []uint32 // see lookup4
	list       []place  // the first is none
	extensions []string
	ext        []match // of each place in turn, one for each extension

	records     *records // of meta_ip
	extRecords  []*records
	ips, blocks int   // distinct prefixes of meta_ip, and announced ones
	extPrefixes []int // by extension
}

// place is what meta_ip and the announced prefixes say of the addresses within a prefix, but not within a longer one.
// It is small, as there are millions.
type place struct {
	ref        uint32 // where the ref of meta_ip's record begins
	asID       uint32 // of the longest announced prefix, else of meta_ip's record
	as         uint32 // the AS's number in asList, and extended
	refLength  uint16
	ipBits     uint8 // length of meta_ip's prefix
	originBits uint8 // length of the announced prefix
}

// extended is set in place.as where an extension has a match: most places need not be looked up there.
const extended = 1 << 31

// nowhere is the place of addresses that no source knows.
var nowhere = place{ipBits: none, originBits: none}

// none is the length of a prefix that there is not.
const none = 0xff

// match is the longest prefix of one source: its record's number and its length, or none.
type match struct {
	record uint32
	bits   uint8
}

// find returns the number of an address's place, 0 for none.
func (p *places) find(a netip.Addr) uint32 {
	if !a.Is4() {
		n, _ := p.v6.Lookup(a)
		return n
	}
	if p.direct != nil {
		b := a.As4()
		if n := p.direct[uint32(b[0])<<16|uint32(b[1])<<8|uint32(b[2])]; n != longer {
			return n
		}
	}
	n, _ := p.v4.Lookup(a)
	return n
}

// The direct table has a number for each of the 2^24 blocks of 256 IPv4 addresses: that of the block's place, 0 for
// none, or longer where the block has prefixes of its own within and the trie must be asked. One fetch from memory
// stands for the six of a trie. It takes 64 MiB, so it is made only for sources of many prefixes.
const (
	longer        = 1 << 31
	directEntries = 1 << 24
	directFrom    = 1 << 16 // prefixes
)

// at returns an address's place and its number.
func (p *places) at(a netip.Addr) (uint32, *place) {
	n := p.find(a)
	return n, &p.list[n]
}

// ref is the ref of meta_ip's record.
func (p *places) ref(at *place) string { return p.records.refs[at.ref:][:at.refLength] }

// extMatch is what an extension says of a place.
func (p *places) extMatch(n uint32, extension int) match {
	return p.ext[int(n)*len(p.extensions)+extension]
}

// merger makes places of the sources: meta_ip, the announced prefixes, and the extensions in the order of their names.
type merger struct {
	*places
	origins *records
	asNames *asList
}

func newPlaces(ip, origin *prefixList, names []string, extensions []*prefixList, as *asList) *places {
	p := &places{v4: new(bart.Table[uint32]), v6: new(bart.Table[uint32]), extensions: names}
	m := merger{places: p, asNames: as, origins: origin.finish()}
	p.records = ip.finish()
	p.ips, p.blocks = len(ip.subnets), len(origin.subnets)
	sources := []*prefixList{ip, origin}
	for _, e := range extensions {
		p.extRecords = append(p.extRecords, e.finish())
		p.extPrefixes = append(p.extPrefixes, len(e.subnets))
		sources = append(sources, e)
	}
	if p.ips+p.blocks >= directFrom {
		p.direct = make([]uint32, directEntries)
		useHugePages(p.direct)
	}
	p.list = append(make([]place, 0, len(ip.subnets)+len(origin.subnets)/4), nowhere)
	for range names {
		p.ext = append(p.ext, match{bits: none})
	}
	sweep(sources, m.insert)
	useHugePages(p.list)
	useHugePages(p.ext)
	useHugePages(unsafe.Slice(unsafe.StringData(p.records.refs), len(p.records.refs)))
	return p
}

// insert adds a prefix with the longest matches of all sources there. Neighbours that are alike share a place.
func (m *merger) insert(at *subnet, matches []match) {
	ext := matches[2:]
	here := m.place(matches[0], matches[1], ext)
	n := len(m.list) - 1
	if n == 0 || m.list[n] != here || !slices.Equal(m.ext[n*len(ext):], ext) {
		m.list = append(m.list, here)
		m.ext = append(m.ext, ext...)
		n++
	}
	if at.six {
		m.v6.Insert(at.prefix(), uint32(n))
		return
	}
	m.v4.Insert(at.prefix(), uint32(n))
	m.insertDirect(at, uint32(n))
}

func (m *merger) place(ip, origin match, ext []match) place {
	p := place{ipBits: ip.bits, originBits: origin.bits}
	if ip.bits != none {
		start, end := m.records.bounds(ip.record)
		p.ref, p.refLength = start, uint16(end-start)
		p.asID = m.records.list[ip.record].asID
	}
	if origin.bits != none {
		p.asID = m.origins.list[origin.record].asID
	}
	p.as = m.asNames.number(p.asID)
	for _, e := range ext {
		if e.bits != none {
			p.as |= extended
		}
	}
	return p
}

// insertDirect puts a prefix into the direct table. Prefixes come in order, those around before those within.
func (m *merger) insertDirect(at *subnet, n uint32) {
	if m.direct == nil {
		return
	}
	first := uint32(at.hi >> 40)
	if at.bits > 24 {
		m.direct[first] = longer
		return
	}
	blocks := m.direct[first:][:1<<(24-at.bits)]
	for i := range blocks {
		blocks[i] = n
	}
}

// sweep visits every prefix of the sources, in order, with the longest match of each source there. The prefixes around
// the one in hand stand on a stack for each source.
func sweep(sources []*prefixList, visit func(at *subnet, matches []match)) {
	heads := make([][]subnet, len(sources))
	stacks := make([][]*subnet, len(sources))
	matches := make([]match, len(sources))
	for i, s := range sources {
		heads[i] = s.subnets
	}
	for {
		var at *subnet
		for i := range heads {
			if len(heads[i]) > 0 && (at == nil || comparePrefixes(&heads[i][0], at) < 0) {
				at = &heads[i][0]
			}
		}
		if at == nil {
			return
		}
		for i := range heads {
			stack := stacks[i]
			for len(stack) > 0 && !stack[len(stack)-1].contains(at) {
				stack = stack[:len(stack)-1]
			}
			if len(heads[i]) > 0 && comparePrefixes(&heads[i][0], at) == 0 {
				stack = append(stack, &heads[i][0])
				heads[i] = heads[i][1:]
			}
			stacks[i], matches[i] = stack, match{bits: none}
			if n := len(stack); n > 0 {
				matches[i] = match{stack[n-1].record, stack[n-1].bits}
			}
		}
		visit(at, matches)
	}
}
