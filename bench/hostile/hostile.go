// Package hostile makes the datagrams of attackers: floods of forged sources, of state that a collector keeps, of rows
// and of work. It knows how the protocols are written and imports nothing of what reads them.
package hostile

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Kind is a way to harm a collector by datagrams alone.
type Kind struct {
	Name  string
	Does  string
	Rate  int // datagrams a second of a flood: what one sender does with little effort
	build func(*maker) func(i int) []byte
	// sources is how many addresses the datagrams come from, one after the other; 0: 1. inRow is how many datagrams of
	// one address follow each other; 0: 1.
	sources, inRow int
}

// Flood makes the datagrams of one kind, the same for the same seed. It belongs to one goroutine.
type Flood struct {
	kind Kind
	next func(i int) []byte
	i    int
}

// maker is what generators have in common.
type maker struct {
	*rand.Rand
	now time.Time
}

// Flood returns the kind's flood. now is the time that the datagrams are exported.
func (k Kind) Flood(seed uint64, now time.Time) *Flood {
	m := &maker{rand.New(rand.NewPCG(seed, 0)), now}
	return &Flood{kind: k, next: k.build(m)}
}

// Next returns the next datagram and its source, an address of 127.0.0.0/8 from first on. The datagram is valid until
// the next call.
func (f *Flood) Next(first netip.Addr) (source netip.Addr, datagram []byte) {
	n := f.i / max(f.kind.inRow, 1) % max(f.kind.sources, 1)
	datagram = f.next(f.i)
	f.i++
	a := first.As4()
	a[3] += byte(n)
	a[2] += byte(n >> 8)
	a[1] += byte(n >> 16)
	return netip.AddrFrom4(a), datagram
}

// Named returns the kind of that name.
func Named(name string) (k Kind, ok bool) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, true
		}
	}
	return Kind{}, false
}

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		{Name: "sources", Does: "each datagram is of another source", Rate: 20_000, sources: 100_000, build: header},
		{Name: "garbage", Does: "random bytes", Rate: 10_000, sources: 50, build: garbage},
		{Name: "domains", Does: "each is of another observation domain", Rate: 20_000, build: domains},
		{Name: "domain-templates", Does: "the same, with a template", Rate: 10_000, build: domainTemplates},
		{Name: "agents", Does: "each is of another sFlow agent", Rate: 20_000, build: agents},
		{Name: "held", Does: "58 KB of data without a template", Rate: 500, sources: 400, build: held},
		{Name: "held-small", Does: "1,000 small data sets without templates", Rate: 500, sources: 300,
			build: heldSmall},
		{Name: "held-rows", Does: "24 sets of 128 flow records, each before its template", Rate: 500, build: heldRows},
		{Name: "templates", Does: "64 templates of one field", Rate: 5_000, sources: 20, build: templates(64)},
		{Name: "templates-many", Does: "1,000 templates of one field", Rate: 500, sources: 20, build: templates(1000)},
		{Name: "templates-wide", Does: "a template of 1,024 fields", Rate: 512, build: wideTemplates},
		{Name: "redefinitions", Does: "8,000 templates, each redefined", Rate: 500, build: redefinitions},
		{Name: "withdrawals", Does: "templates and their withdrawals", Rate: 500, build: withdrawals},
		{Name: "empty-sets", Does: "16,000 empty data sets", Rate: 500, build: emptySets},
		{Name: "names", Does: "10,000 names of interfaces", Rate: 500, sources: 60, inRow: 7, build: names(10_000, 1)},
		{Name: "names-long", Does: "names of 255 bytes", Rate: 500, build: names(230, 255)},
		{Name: "vrfs", Does: "1,000 names and distinguishers of VRFs", Rate: 500, build: vrfs},
		{Name: "names-used", Does: "records of 10,000 named interfaces and 20,000 VRFs", Rate: 500,
			build: namesUsed},
		{Name: "distinguishers", Does: "records with a route distinguisher each", Rate: 500,
			build: rows(60_000, flowRD...)},
		{Name: "rates", Does: "500 sampling rates", Rate: 500, build: rates},
		{Name: "rates-used", Does: "1,000 sampling rates of interfaces, and records of such", Rate: 500,
			build: ratesUsed},
		{Name: "rates-several", Does: "sampling rates of pairs of things, and records that name these", Rate: 500,
			build: ratesSeveral},
		{Name: "rates-same", Does: "the same pairs in each domain, and records that name them in others", Rate: 500,
			build: ratesSame},
		{Name: "all-new", Does: "a jumbo frame of new templates, names, rates and flow records", Rate: 500,
			build: allNew},
		{Name: "renames", Does: "another name and rate for the exporter", Rate: 3_000, sources: 50, build: renames},
		{Name: "jumps", Does: "sequence numbers at random", Rate: 3_000, sources: 50, build: jumps},
		{Name: "one-byte", Does: "60,000 records of one byte", Rate: 500, build: rows(60_000, 4, 1)},
		{Name: "counters-only", Does: "records of a counter alone", Rate: 500, build: rows(60_000, 1, 4)},
		{Name: "rows", Does: "random flow records in a datagram of 1,400 bytes", Rate: 1000,
			build: rows(1_400, flow36...)},
		{Name: "rows-jumbo", Does: "random flow records in a jumbo frame", Rate: 500, build: rows(9_100, flow36...)},
		{Name: "rows-20", Does: "60 KB of random records of 20 bytes", Rate: 500, build: rows(60_000, flow20...)},
		{Name: "rows-36", Does: "60 KB of random records of 36 bytes", Rate: 500, build: rows(60_000, flow36...)},
		{Name: "rows-v6", Does: "60 KB of random records of IPv6", Rate: 500, build: rows(60_000, flow6...)},
		{Name: "rows-all", Does: "60 KB of random records with nearly all that a row can hold", Rate: 500,
			build: rows(60_000, flowAll...)},
		{Name: "rows-texts", Does: "records with new interfaces, AS and VLANs each", Rate: 1000,
			build: rows(1_400, flowWide...)},
		{Name: "totals", Does: "records of new flows with their totals", Rate: 1000, build: totals},
		{Name: "fields", Does: "one element 40 times in a record", Rate: 500, build: repeated},
		{Name: "texts", Does: "200 records with texts of variable length", Rate: 500, build: texts},
		{Name: "lists", Does: "1,000 records with lists", Rate: 500, build: lists},
		{Name: "frames", Does: "900 records with sections of frames", Rate: 500, build: frames},
		{Name: "days", Does: "records of 100 days in the future", Rate: 500, build: days(100, 1)},
		{Name: "days-past", Does: "records of all days that the table keeps", Rate: 500, build: days(200, -1)},
		{Name: "v5", Does: "30 random records of NetFlow v5", Rate: 1000, build: v5(30)},
		{Name: "v5-sources", Does: "the same, each datagram of another source", Rate: 1000, sources: 100_000,
			build: v5(30)},
		{Name: "v5-one", Does: "one record of NetFlow v5, each of another source", Rate: 10_000, sources: 100_000,
			build: v5(1)},
		{Name: "v5-huge", Does: "1,300 records of NetFlow v5", Rate: 500, build: v5(1_300)},
		{Name: "samples", Does: "800 sFlow samples", Rate: 500, build: samples(800)},
		{Name: "agents-rows", Does: "an sFlow sample of another agent each", Rate: 10_000, build: agentSamples},
		{Name: "samplers", Does: "160 sFlow samples, of another data source each", Rate: 500, build: samplers},
		{Name: "samples-empty", Does: "8,000 sFlow samples without a packet", Rate: 500, build: emptySamples},
		{Name: "sample-lengths", Does: "sFlow lengths that are not true", Rate: 500, build: lengths},
		{Name: "interfaces", Does: "counters of 500 interfaces, new ones each", Rate: 500, build: interfaces},
		{Name: "mixed", Does: "all protocols from one source, which share a number", Rate: 3_000, sources: 50,
			build: mixed},
		{Name: "paths-short", Does: "300 sFlow samples, AS paths and communities of 10 random numbers", Rate: 500,
			build: gateways(300, 10)},
		{Name: "paths", Does: "100 sFlow samples, of 50 random numbers", Rate: 500, build: gateways(100, 50)},
		{Name: "paths-long", Does: "20 sFlow samples, of 250 random numbers", Rate: 500, build: gateways(20, 250)},
		{Name: "paths-sources", Does: "300 sFlow samples, of 10 random numbers, from 1,000 sources", Rate: 500,
			sources: 1000, build: gateways(300, 10)},
	}
}
