package stages

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/enrich"
)

// Metadata says how much of it is made up. The zero value is none.
type Metadata struct {
	Prefixes  int // of meta_ip, three in four of IPv4; half as many are announced by an AS
	Exporters int // devices, with the addresses of bench gen's
}

// numbersOfAS is how many AS numbers have a record, about as many as there are.
const numbersOfAS = 80_000

// Snapshot makes metadata up, the same for the same numbers.
func (m Metadata) Snapshot() (*enrich.Snapshot, error) {
	b := enrich.NewBuilder()
	b.Grow(m.Prefixes)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range m.Prefixes {
		p := prefix(rng, i%4 == 0)
		b.AddIP(enrich.IPPrefix{Prefix: p, ID: p.String(), Ref: p.String() + "__v1",
			ASID: 1 + rng.Uint32N(numbersOfAS)})
		if i%2 == 0 {
			b.AddASBlock(enrich.ASPrefix{Prefix: p, ASID: 1 + rng.Uint32N(numbersOfAS)})
		}
	}
	for as := range uint32(min(m.Prefixes, numbersOfAS)) {
		b.AddAS(enrich.AS{ID: as + 1, Ref: strconv.Itoa(int(as+1)) + "__v1", Name: fmt.Sprintf("AS%d", as+1)})
	}
	for i := range m.Exporters {
		device := fmt.Sprintf("router%d", i+1)
		b.AddDevice(enrich.Device{ID: device, Ref: device + "__v1", Loopbacks: []netip.Addr{gen.ExporterAddress(i)}})
		for n := uint32(1); n <= 8; n++ {
			id := fmt.Sprintf("%s::eth%d", device, n)
			b.AddInterface(enrich.MetaInterface{ID: id, Ref: id + "__v1", DeviceID: device, FlowIndex: n,
				HasFlowIndex: true, Edge: n == 1})
		}
	}
	if m.Prefixes > 0 {
		b.AddApplication(enrich.Application{ID: "https", Protocol: "tcp", PortMin: 443, PortMax: 443})
	}
	return b.Build()
}

// prefix is one somewhere: of IPv4 /12 to /24, of IPv6 /24 to /48 within 2001::/16.
func prefix(rng *rand.Rand, six bool) netip.Prefix {
	if six {
		a := [16]byte{0: 0x20, 1: 1}
		binary.BigEndian.PutUint32(a[2:], rng.Uint32())
		return netip.PrefixFrom(netip.AddrFrom16(a), 24+rng.IntN(25)).Masked()
	}
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], rng.Uint32())
	return netip.PrefixFrom(netip.AddrFrom4(a), 12+rng.IntN(13)).Masked()
}
