package gen

import "math/rand/v2"

// record is one flow before it is written in a protocol's form.
type record struct {
	six              bool
	src, dst         [16]byte // of IPv4 the first 4 bytes
	srcHost, dstHost uint32   // what everything else of a host follows from
	srcPort, dstPort uint16
	protocol, flags  uint8
	tos              uint8
	bytes, packets   uint32
	in, out          uint32
	startMs, endMs   int64
}

// interfaces is how many each exporter has; they are numbered from 1.
const interfaces = 8

// IP protocol numbers.
const (
	protocolICMP, protocolTCP, protocolUDP, protocolICMPv6 = 1, 6, 17, 58
)

// traffic makes flows one after the other.
type traffic struct {
	o        Options
	rng      *rand.Rand
	families [2]family // IPv4, IPv6
	made     int
	left     int
	exporter int // of the datagram in progress
	nowMs    int64
	r        record
}

func newTraffic(o Options) *traffic {
	t := &traffic{o: o, rng: rand.New(rand.NewPCG(o.Seed, o.Part)), left: o.Flows, nowMs: o.Start.UnixMilli()}
	sixFlows := share(o.Flows, o.IPv6)
	sixHosts := min(share(o.Hosts, o.IPv6), 2*sixFlows)
	if sixFlows > 0 {
		sixHosts = max(1, sixHosts)
	}
	if fourFlows := o.Flows - sixFlows; fourFlows > 0 && sixHosts == o.Hosts && o.Hosts > 1 {
		sixHosts--
	}
	t.families[0] = newFamily(o, t.rng, o.Hosts-sixHosts, 2*(o.Flows-sixFlows))
	t.families[1] = newFamily(o, t.rng, sixHosts, 2*sixFlows)
	return t
}

// share is how many of n have a property that this part of them has.
func share(n int, part float64) int { return int(float64(n)*part + 1e-6) }

// nextIsIPv6 reports the family of the next flow: they are spread evenly, so that a share is met exactly.
func (t *traffic) nextIsIPv6() bool { return share(t.made+1, t.o.IPv6) > share(t.made, t.o.IPv6) }

// next makes a flow, which is valid until the next one is made.
func (t *traffic) next() *record {
	r, rng := &t.r, t.rng
	six := t.nextIsIPv6()
	f := &t.families[0]
	if six {
		f = &t.families[1]
	}
	*r = record{six: six, srcHost: f.pick(rng), dstHost: f.pick(rng)}
	if t.o.Homed {
		r.srcHost = f.behind(r.srcHost, uint32(t.exporter), uint32(t.o.Exporters))
	}
	r.src, r.dst = address(six, r.srcHost, t.o.Seed), address(six, r.dstHost, t.o.Seed)
	n := rng.Uint64()
	r.srcPort, r.dstPort = uint16(32768+n&0x3fff), service(n>>14&15)
	if n>>18&1 == 1 {
		r.srcPort, r.dstPort = r.dstPort, r.srcPort
	}
	switch kind := n >> 19 & 31; {
	case kind < 22:
		r.protocol, r.flags = protocolTCP, 0x10|uint8(n>>24&0xb)
	case kind < 31:
		r.protocol = protocolUDP
	default:
		r.protocol, r.srcPort, r.dstPort = protocolICMP, 0, 8<<8
		if six {
			r.protocol, r.dstPort = protocolICMPv6, 128<<8
		}
	}
	if n>>28&7 == 0 {
		r.tos = 8
	}
	r.packets = 1 + uint32(1)<<(n>>31&7) + uint32(n>>34&3)
	r.bytes = r.packets * (64 + uint32(n>>36)%1380)
	r.in, r.out = 1+uint32(n>>47&7), 1+uint32(n>>50&7)
	if t.o.Homed {
		r.in, r.out = towards(r.srcHost), towards(r.dstHost)
	}
	// It took at most a minute and ended within the second before the datagram's, whose header has whole seconds.
	r.endMs = t.nowMs - t.nowMs%1000 - int64(n>>53&1023)
	r.startMs = r.endMs - int64(rng.Uint32()%60_000)
	t.made++
	t.left--
	t.nowMs = t.o.Start.UnixMilli() + int64(float64(t.made)/t.o.Rate*1000)
	return r
}

// service is a port that is often met; n is below 16.
func service(n uint64) uint16 {
	ports := [16]uint16{443, 443, 443, 443, 443, 443, 443, 80, 80, 53, 53, 22, 1094, 2811, 5201, 8443}
	return ports[n]
}

// family chooses hosts of one address family.
type family struct {
	hosts  int
	draws  int // in all
	spread int // hosts that were met in turn, by Bresenham's rule
	turn   int
	zipf   *rand.Zipf
}

func newFamily(o Options, rng *rand.Rand, hosts, draws int) family {
	f := family{hosts: hosts, draws: draws}
	if o.Zipf != 0 && hosts > 1 {
		f.zipf = rand.NewZipf(rng, o.Zipf, 1, uint64(hosts-1))
	}
	return f
}

// pick returns the number of a host. Now and then, as often as it takes for all of them to be met, it is the next in
// turn.
func (f *family) pick(rng *rand.Rand) uint32 {
	if f.spread += f.hosts; f.spread >= f.draws {
		f.spread -= f.draws
		f.turn++
		return uint32(f.turn - 1)
	}
	if f.zipf != nil {
		return uint32(f.zipf.Uint64())
	}
	return uint32(rng.IntN(f.hosts))
}

// behind returns a host that is met about as often, and sends through the exporter. With fewer hosts than exporters it
// is the host itself.
func (f *family) behind(host, exporter, exporters uint32) uint32 {
	at := host - host%exporters + exporter
	if at >= uint32(f.hosts) && at >= exporters {
		at -= exporters
	}
	if at >= uint32(f.hosts) {
		return host
	}
	return at
}

// towards is the interface of an exporter on whose side the AS of a host is.
func towards(host uint32) uint32 { return 1 + as(host)%interfaces }

// networks8 is how many /8 of IPv4 hosts are in: 1 to 223 without 10 and 127.
const networks8 = 221

// maxHosts of one family.
const maxHosts = networks8 << 24

// address is the one of a host, somewhere in the unicast space; no two hosts have the same.
func address(six bool, host uint32, seed uint64) (a [16]byte) {
	n := scatter(host, seed)
	for n >= maxHosts { // a permutation that is walked on until it is back among the hosts' numbers is one of those
		n = scatter(n, seed)
	}
	if six {
		return [16]byte{0: 0x20, 1: 0x01, 2: byte(n >> 24), 3: byte(n >> 16), 4: byte(n >> 8), 5: byte(n), 15: 1}
	}
	n += 1 << 24
	if n >= 10<<24 {
		n += 1 << 24
	}
	if n >= 127<<24 {
		n += 1 << 24
	}
	return [16]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// scatter is a permutation of all 32-bit numbers: multiplications by odd numbers and shifts can be undone.
func scatter(n uint32, seed uint64) uint32 {
	n ^= uint32(seed)
	n *= 0x9e3779b1
	n ^= n >> 15
	n *= 0x85ebca77
	n ^= n >> 13
	n *= 0xc2b2ae3d
	return n ^ n>>16
}

// as is the number of the AS that a host is in.
func as(host uint32) uint32 { return 1 + host*2654435761>>7%64_000 }
