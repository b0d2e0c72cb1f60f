package enrich

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// fillGenerated adds prefixes of meta_ip and half as many announced ones, three in four of them IPv4.
func fillGenerated(b *Builder, rng *rand.Rand, n int) {
	for i := range n {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32()))),
			12+rng.IntN(13))
		if i%4 == 0 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: byte(rng.Uint32()), 3: byte(rng.Uint32()),
				4: byte(rng.Uint32()), 5: byte(rng.Uint32())}), 24+rng.IntN(25))
		}
		p = p.Masked()
		b.AddIP(IPPrefix{Prefix: p, ID: p.String(), Ref: p.String() + "__v1", ASID: 1 + rng.Uint32N(80000),
			Country: strconv.Itoa(int(p.Addr().As16()[13]) % 60)})
		if i%2 == 0 {
			b.AddASBlock(ASPrefix{p, 1 + rng.Uint32N(80000)})
		}
	}
	for as := range uint32(min(n, 80000)) {
		b.AddAS(AS{ID: as + 1, Ref: strconv.Itoa(int(as+1)) + "__v1"})
	}
	b.AddDevice(Device{ID: "r1", Ref: "r1__v1", Loopbacks: exampleLoopbacks()})
	b.AddApplication(Application{ID: "https", Protocol: "tcp", PortMin: 443, PortMax: 443})
	for i := range uint32(8) {
		b.AddInterface(MetaInterface{ID: strconv.Itoa(int(i)), DeviceID: "r1", FlowIndex: i, HasFlowIndex: true})
	}
}

func generated(t testing.TB, rng *rand.Rand, n int) *Snapshot {
	return built(t, func(b *Builder) { fillGenerated(b, rng, n) })
}

func benchPrefixes() int {
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}

// addresses are those of hosts anywhere: three in four IPv4.
func addresses(rng *rand.Rand, n int) []flow.Addr {
	all := make([]flow.Addr, n)
	for i := range all {
		all[i] = flow.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32())))
		if i%4 == 0 {
			all[i] = flow.Addr{0: 0x20, 1: 1, 2: byte(rng.Uint32()), 3: byte(rng.Uint32()), 4: byte(rng.Uint32()),
				5: byte(rng.Uint32()), 15: 1}
		}
	}
	return all
}

// benchRecords takes source and destination from hosts by the numbers of next.
func benchRecords(hosts []flow.Addr, next func() int) []flow.Record {
	records := make([]flow.Record, 1<<15)
	for i := range records {
		records[i] = flow.Record{Protocol: flow.IPFIX, IPVersion: 4, Exporter: addr("192.0.2.1"), IPProtocol: 6,
			SrcPort: 443, DstPort: 50000,
			InIf: uint32(i % 8), OutIf: uint32((i + 3) % 8), Bytes: 1500, Packets: 1, SamplingRate: 1000,
			SrcAddr: hosts[next()], DstAddr: hosts[next()]}
	}
	return records
}

var benchOptions = Options{Policy: Policy{Scopes: []string{"site"}, AutoScopes: true}}

func BenchmarkEnrich(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := generated(b, rng, benchPrefixes())
	hosts := addresses(rng, 1<<20)
	zipf := rand.NewZipf(rng, 1.2, 1, uint64(len(hosts)-1))
	for _, c := range []struct {
		name string
		next func() int
	}{
		{"random", func() int { return rng.IntN(len(hosts)) }},
		{"zipf", func() int { return int(zipf.Uint64()) }},
	} {
		ends := make([][2]flow.Addr, 1<<18)
		for i := range ends {
			ends[i] = [2]flow.Addr{hosts[c.next()], hosts[c.next()]}
		}
		// As many records as a decoder hands on at a time, and as near as it has left them.
		const batch = 32
		records := benchRecords(hosts, c.next)[:batch]
		b.Run(c.name, func(b *testing.B) {
			e := New(benchOptions)
			var row Row
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i%batch == 0 {
					for j := range records {
						end := &ends[(i+j)&(len(ends)-1)]
						records[j].SrcAddr, records[j].DstAddr = end[0], end[1]
					}
					e.Prefetch(s, records)
				}
				e.Enrich(s, &records[i%batch], &row)
				i++
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	n := benchPrefixes()
	b.ReportAllocs()
	for b.Loop() {
		generated(b, rand.New(rand.NewPCG(1, 2)), n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/prefix")
}

func TestEnrichDoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := generated(t, rng, 10_000)
	hosts := addresses(rng, 1<<14)
	records := benchRecords(hosts, func() int { return rng.IntN(len(hosts)) })
	for i := range records {
		records[i].ASPath, records[i].MPLSRD = []uint32{1, 1, 2}, [8]byte{1: 2, 7: byte(i)}
		records[i].Has, records[i].BGPNextHop = flow.BGPNextHop, records[i].DstAddr
	}
	e := New(benchOptions)
	var row Row
	all := func() {
		for i := range records {
			e.Enrich(s, &records[i], &row)
		}
	}
	if n := testing.AllocsPerRun(2, all); n != 0 { // the first run, which is not counted, fills the caches
		t.Errorf("%v allocations in %d records, want none", n, len(records))
	}
}
