package enrich

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// subnet is a prefix and the index of its record. hi and lo are the address in host byte order; an IPv4 address is in
// the upper 32 bits of hi.
type subnet struct {
	hi, lo uint64
	record uint32
	bits   uint8
	six    bool
}

func newSubnet(p netip.Prefix, record uint32) subnet {
	s := subnet{record: record, bits: uint8(p.Bits()), six: p.Addr().Is6()}
	if s.six {
		b := p.Addr().As16()
		s.hi, s.lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	} else {
		b := p.Addr().As4()
		s.hi = uint64(binary.BigEndian.Uint32(b[:])) << 32
	}
	return s
}

func (s *subnet) prefix() netip.Prefix {
	if !s.six {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(s.hi>>32)))),
			int(s.bits))
	}
	b := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.hi), s.lo)
	return netip.PrefixFrom(netip.AddrFrom16([16]byte(b)), int(s.bits))
}

// comparePrefixes orders IPv4 before IPv6, then by address, then shorter prefixes before longer ones.
func comparePrefixes(a, b *subnet) int {
	switch {
	case a.six != b.six:
		if b.six {
			return -1
		}
		return 1
	case a.hi != b.hi:
		return cmp.Compare(a.hi, b.hi)
	case a.lo != b.lo:
		return cmp.Compare(a.lo, b.lo)
	}
	return cmp.Compare(a.bits, b.bits)
}

// contains reports whether b is s or lies within it.
func (s *subnet) contains(b *subnet) bool {
	if s.six != b.six || s.bits > b.bits {
		return false
	}
	if s.bits <= 64 {
		shift := 64 - s.bits // in Go a shift by 64 gives 0, which is right for s.bits == 0
		return s.hi>>shift == b.hi>>shift
	}
	shift := 128 - s.bits
	return s.hi == b.hi && s.lo>>shift == b.lo>>shift
}

// The digits of a subnet's sort key, least significant first: length, the bytes of the address, family.
const digits = 1 + 16 + 1

func (s *subnet) digit(n int) byte {
	switch {
	case n == 0:
		return s.bits
	case n <= 8:
		return byte(s.lo >> (8 * (n - 1)))
	case n <= 16:
		return byte(s.hi >> (8 * (n - 9)))
	case s.six:
		return 1
	}
	return 0
}

// sortSubnets sorts by prefix and keeps the order of equal ones. It returns the list or a copy. A radix sort takes a
// tenth of the time of a comparison sort, which would need seconds for millions of subnets.
func sortSubnets(list []subnet) []subnet {
	if slices.IsSortedFunc(list, func(a, b subnet) int { return comparePrefixes(&a, &b) }) {
		return list
	}
	var counts [digits][256]int
	for i := range list {
		for n := range digits {
			counts[n][list[i].digit(n)]++
		}
	}
	spare := make([]subnet, len(list))
	for n := range digits {
		next := &counts[n]
		if next[list[0].digit(n)] == len(list) {
			continue // all digits are equal: nothing to sort
		}
		at := 0
		for value, count := range next {
			next[value] = at
			at += count
		}
		for i := range list {
			d := list[i].digit(n)
			spare[next[d]] = list[i]
			next[d]++
		}
		list, spare = spare, list
	}
	return list
}

// records are the records that prefixes belong to. All refs are in one string, so that millions of them need no string
// header each and the garbage collector does not scan them. Two bytes before each ref are the index of the record's
// country, which so is in the cache when the ref is. No record begins at 0: there it has no country and an empty ref.
type records struct {
	refs      string
	list      []record
	countries []string // the first one is ""
}

// record is the end of a ref in refs, where the next record begins, and the record's AS.
type record struct{ end, asID uint32 }

// countryBytes is how many bytes the index of the country takes.
const countryBytes = 2

// bounds returns where record n begins and ends in refs.
func (r *records) bounds(n uint32) (start, end uint32) {
	start = countryBytes
	if n > 0 {
		start = r.list[n-1].end
	}
	return start, r.list[n].end
}

// ref returns the ref of record n.
func (r *records) ref(n uint32) string {
	start, end := r.bounds(n)
	return r.refs[start+countryBytes : end]
}

// country returns the country of the record that begins at start.
func (r *records) country(start uint32) string {
	return r.countries[uint32(r.refs[start])|uint32(r.refs[start+1])<<8]
}

// at returns the record that begins at start.
func (r *records) at(start uint32) *record {
	n, _ := slices.BinarySearchFunc(r.list, start+1, func(r record, end uint32) int { return cmp.Compare(r.end, end) })
	return &r.list[n]
}

// prefixList collects the prefixes of a source. Consecutive subnets of the same record share it.
type prefixList struct {
	subnets   []subnet
	refs      bytes.Buffer
	list      []record
	last      string
	countries []string
	numbers   map[string]uint16 // the indexes of countries
}

func (l *prefixList) add(p IPPrefix) {
	prefix := normalize(p.Prefix)
	if !prefix.IsValid() {
		return
	}
	l.begin()
	if len(l.list) == 0 || l.last != p.Ref || l.list[len(l.list)-1].asID != p.ASID {
		n := l.country(p.Country)
		l.refs.Write([]byte{byte(n), byte(n >> 8)})
		l.refs.WriteString(p.Ref)
		l.list = append(l.list, record{uint32(l.refs.Len()), p.ASID})
		l.last = p.Ref
	}
	l.subnets = append(l.subnets, newSubnet(prefix, uint32(len(l.list)-1)))
}

// begin writes what stands before the first record.
func (l *prefixList) begin() {
	if l.refs.Len() == 0 {
		l.refs.Write(make([]byte, countryBytes))
		l.countries, l.numbers = []string{""}, map[string]uint16{"": 0}
	}
}

// country returns the index of a country. There are some 250; beyond 65,535 they are not known.
func (l *prefixList) country(name string) uint16 {
	n, known := l.numbers[name]
	if !known && len(l.countries) <= math.MaxUint16 {
		n = uint16(len(l.countries))
		name = strings.Clone(name)
		l.countries = append(l.countries, name)
		l.numbers[name] = n
	}
	return n
}

// finish sorts the subnets and removes duplicates of a prefix: the greatest id is kept, then the latest.
func (l *prefixList) finish() *records {
	l.begin()
	r := &records{refs: l.refs.String(), list: l.list, countries: l.countries}
	l.refs, l.last = bytes.Buffer{}, ""
	l.subnets = sortSubnets(l.subnets)
	kept := l.subnets[:0]
	for _, s := range l.subnets {
		last := len(kept) - 1
		if last < 0 || comparePrefixes(&kept[last], &s) != 0 {
			kept = append(kept, s)
		} else if idOf(r.ref(s.record)) >= idOf(r.ref(kept[last].record)) {
			kept[last] = s
		}
	}
	l.subnets = kept
	return r
}

// idOf returns the id in a ref of the form <id>__v<n>.
func idOf(ref string) string {
	if i := strings.LastIndex(ref, "__v"); i >= 0 {
		return ref[:i]
	}
	return ref
}
