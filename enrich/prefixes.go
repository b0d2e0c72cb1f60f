package enrich

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/gaissmai/bart"
)

// family is a trie for each address family: IPv4 and IPv6 prefixes never share keys.
type family struct{ v4, v6 *bart.Table[uint32] }

func newFamily() family {
	return family{v4: new(bart.Table[uint32]), v6: new(bart.Table[uint32])}
}

func (f *family) of(a netip.Addr) *bart.Table[uint32] {
	if a.Is4() {
		return f.v4
	}
	return f.v6
}

func (f *family) insert(p netip.Prefix, value uint32) {
	if p.IsValid() {
		f.of(p.Addr()).Insert(p, value)
	}
}

func (f *family) lookup(a netip.Addr) (uint32, bool) { return f.of(a).Lookup(a) }

func (f *family) size() int { return f.v4.Size() + f.v6.Size() }

// prefixes are the subnets of a metadata table. A subnet's value is the number of its record; the records' refs lie one
// after the other in one string, so that millions of them cost no header each and nothing for the garbage collector to
// walk through.
type prefixes struct {
	family
	refs    string
	records []record
}

// record is where a ref ends in refs (it begins where the one before it ends), and the record's AS.
type record struct{ end, asID uint32 }

// ref returns the ref of a record.
func (p *prefixes) ref(n uint32) string {
	start := uint32(0)
	if n > 0 {
		start = p.records[n-1].end
	}
	return p.refs[start:p.records[n].end]
}

// prefixBuilder collects prefixes. Subnets of one record that come one after the other share it.
type prefixBuilder struct {
	family
	refs    bytes.Buffer
	records []record
	last    string
}

func newPrefixBuilder() *prefixBuilder { return &prefixBuilder{family: newFamily()} }

func (b *prefixBuilder) add(p IPPrefix) {
	prefix := normalize(p.Prefix)
	if !prefix.IsValid() {
		return
	}
	table := b.of(prefix.Addr())
	if other, found := table.Get(prefix); found && idOf(b.ref(other)) > p.ID {
		return
	}
	if len(b.records) == 0 || b.last != p.Ref || b.records[len(b.records)-1].asID != p.ASID {
		b.refs.WriteString(p.Ref)
		b.records = append(b.records, record{uint32(b.refs.Len()), p.ASID})
		b.last = p.Ref
	}
	table.Insert(prefix, uint32(len(b.records)-1))
}

func (b *prefixBuilder) ref(n uint32) string {
	start := uint32(0)
	if n > 0 {
		start = b.records[n-1].end
	}
	return string(b.refs.Bytes()[start:b.records[n].end])
}

// idOf returns the id of a ref, which is the id and its version: <id>__v<n>.
func idOf(ref string) string {
	if i := strings.LastIndex(ref, "__v"); i >= 0 {
		return ref[:i]
	}
	return ref
}

func (b *prefixBuilder) build() *prefixes {
	return &prefixes{family: b.family, refs: b.refs.String(), records: b.records}
}
