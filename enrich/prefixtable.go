package enrich

import (
	"net/netip"
	"slices"
	"unsafe"

	"github.com/gaissmai/bart"
)

// prefixTable is one longest-prefix-match table for all prefix sources. Its trie has every prefix of every source, and
// each entry holds the longest match of each source, so that one look-up answers for all. IPv4 and IPv6 never share
// keys.
type prefixTable struct {
	v4, v6     *bart.Table[uint32]
	direct     []uint32 // see directEntries; nil for small tables
	list       []entry  // entries; the first one is noEntry
	extensions []string
	ext        []match // for each entry: one match for each extension

	records     *records // of meta_ip
	extRecords  []*records
	ips, blocks int   // the number of distinct prefixes of meta_ip, and of announced ones
	extPrefixes []int // the number of prefixes of each extension
}

// entry holds what meta_ip and the announced prefixes say about the addresses of a prefix that are in no longer prefix.
// It is small because there are millions.
type entry struct {
	ref        uint32 // where the meta_ip record begins in records.refs; 0: there is none
	asID       uint32 // of the longest announced prefix, else of the meta_ip record
	as         uint32 // the index of the AS in asList, and the flag extended
	refLength  uint16
	ipBits     uint8 // length of the meta_ip prefix, or noPrefix
	originBits uint8 // length of the announced prefix, or noPrefix
}

// extended is set in entry.as if an extension has a match. Most entries have none, so that their extensions need no
// look-up.
const extended = 1 << 31

// noEntry is the entry of addresses that no source has.
var noEntry = entry{ipBits: noPrefix, originBits: noPrefix}

// noPrefix is a prefix length that means "no prefix".
const noPrefix = 0xff

// match is the longest match of one source: its record and the prefix's length, or noPrefix.
type match struct {
	record uint32
	bits   uint8
}

// find returns the index of an address's entry; 0 for none.
func (p *prefixTable) find(a netip.Addr) uint32 {
	if !a.Is4() {
		n, _ := p.v6.Lookup(a)
		return n
	}
	if p.direct != nil {
		b := a.As4()
		if n := p.direct[uint32(b[0])<<16|uint32(b[1])<<8|uint32(b[2])]; n != useTrie {
			return n
		}
	}
	n, _ := p.v4.Lookup(a)
	return n
}

// The direct table has an element for each of the 2^24 IPv4 /24 blocks: the index of the block's entry (0: none), or
// useTrie if there are longer prefixes within the block. One memory access replaces the six of the trie. It takes 64
// MiB, so that it is built only for large tables.
const (
	useTrie       = 1 << 31
	directEntries = 1 << 24
	directFrom    = 1 << 16 // the number of prefixes from which on it is built
)

// at returns an address's entry and its index.
func (p *prefixTable) at(a netip.Addr) (uint32, *entry) {
	n := p.find(a)
	return n, &p.list[n]
}

// ref returns the ref of the meta_ip record.
func (p *prefixTable) ref(at *entry) string {
	return p.records.refs[at.ref+countryBytes:][:at.refLength]
}

// country returns the country of the meta_ip record.
func (p *prefixTable) country(at *entry) string { return p.records.country(at.ref) }

// extMatch returns an extension's match in entry n.
func (p *prefixTable) extMatch(n uint32, extension int) match {
	return p.ext[int(n)*len(p.extensions)+extension]
}

// merger builds the prefix table from its sources: meta_ip, the announced prefixes, and the extensions sorted by name.
type merger struct {
	*prefixTable
	origins *records
	asNames *asList
}

func newPrefixTable(ip, origin *prefixList, names []string, extensions []*prefixList, as *asList) *prefixTable {
	p := &prefixTable{v4: new(bart.Table[uint32]), v6: new(bart.Table[uint32]), extensions: names}
	m := merger{prefixTable: p, asNames: as, origins: origin.finish()}
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
	p.list = append(make([]entry, 0, len(ip.subnets)+len(origin.subnets)/4), noEntry)
	for range names {
		p.ext = append(p.ext, match{bits: noPrefix})
	}
	sweep(sources, m.insert)
	useHugePages(p.list)
	useHugePages(p.ext)
	useHugePages(unsafe.Slice(unsafe.StringData(p.records.refs), len(p.records.refs)))
	return p
}

// insert adds a prefix with the longest match of each source. Consecutive prefixes with equal entries share one entry.
func (m *merger) insert(at *subnet, matches []match) {
	ext := matches[2:]
	here := m.entry(matches[0], matches[1], ext)
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

func (m *merger) entry(ip, origin match, ext []match) entry {
	p := entry{ipBits: ip.bits, originBits: origin.bits}
	if ip.bits != noPrefix {
		start, end := m.records.bounds(ip.record)
		p.ref, p.refLength = start, uint16(end-start-countryBytes)
		p.asID = m.records.list[ip.record].asID
	}
	if origin.bits != noPrefix {
		p.asID = m.origins.list[origin.record].asID
	}
	p.as = m.asNames.number(p.asID)
	for _, e := range ext {
		if e.bits != noPrefix {
			p.as |= extended
		}
	}
	return p
}

// insertDirect adds a prefix to the direct table. A prefix must come before the longer ones within it.
func (m *merger) insertDirect(at *subnet, n uint32) {
	if m.direct == nil {
		return
	}
	first := uint32(at.hi >> 40)
	if at.bits > 24 {
		m.direct[first] = useTrie
		return
	}
	blocks := m.direct[first:][:1<<(24-at.bits)]
	for i := range blocks {
		blocks[i] = n
	}
}

// sweep visits every prefix of all sources, in order, with the longest match of each source. For each source a stack
// holds the prefixes that contain the current one.
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
			stacks[i], matches[i] = stack, match{bits: noPrefix}
			if n := len(stack); n > 0 {
				matches[i] = match{stack[n-1].record, stack[n-1].bits}
			}
		}
		visit(at, matches)
	}
}
