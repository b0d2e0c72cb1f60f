package pipeline

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/listen"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// What a core router's flows look like: how many hosts talk, and how much is known of them.
const (
	scaleHosts      = 200_000
	scalePrefixes   = 1_000_000
	scaleAS         = 80_000
	scaleInterfaces = 64
	scaleDatagrams  = 1 << 12
)

var scaleExporter = netip.MustParseAddrPort("192.0.2.1:4000")

// scaleHost is a host and the AS that the router says it is in.
type scaleHost struct {
	addr [4]byte
	as   uint32
}

// scaleTraffic makes the datagrams of one router.
type scaleTraffic struct {
	rng   *rand.Rand
	hosts []scaleHost
	next  func() int // the number of the next host
	now   time.Time
}

// newScaleTraffic chooses hosts evenly, or by Zipf's law as traffic does.
func newScaleTraffic(zipf bool) *scaleTraffic {
	t := &scaleTraffic{rng: rand.New(rand.NewPCG(1, 2)), hosts: make([]scaleHost, scaleHosts), now: time.Now()}
	as := rand.NewZipf(t.rng, 1.1, 1, scaleAS-1)
	for i := range t.hosts {
		t.hosts[i].as = 1 + uint32(as.Uint64())
		binary.BigEndian.PutUint32(t.hosts[i].addr[:], t.rng.Uint32())
	}
	t.next = func() int { return t.rng.IntN(scaleHosts) }
	if zipf {
		z := rand.NewZipf(t.rng, 1.1, 1, scaleHosts-1)
		t.next = func() int { return int(z.Uint64()) }
	}
	return t
}

// scaleFields are a router's elements and their lengths: 20 fields, 57 bytes.
var scaleFields = [][2]uint16{
	{8, 4}, {12, 4}, {15, 4}, {18, 4}, {10, 4}, {14, 4}, {2, 4}, {1, 4}, {22, 4}, {21, 4},
	{7, 2}, {11, 2}, {6, 1}, {4, 1}, {5, 1}, {16, 4}, {17, 4}, {9, 1}, {13, 1}, {61, 1},
}

const scaleUptime = 1_000_000_000

// v9 is a NetFlow v9 export packet (RFC 3954 §5.1) with one FlowSet.
func (t *scaleTraffic) v9(sequence uint32, id uint16, set []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, 9)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint32(b, scaleUptime)
	b = binary.BigEndian.AppendUint32(b, uint32(t.now.Unix()))
	b = binary.BigEndian.AppendUint32(b, sequence)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, uint16(4+len(set)))
	return append(b, set...)
}

func (t *scaleTraffic) v9Template() []byte {
	set := binary.BigEndian.AppendUint16(nil, 256)
	set = binary.BigEndian.AppendUint16(set, uint16(len(scaleFields)))
	for _, f := range scaleFields {
		set = binary.BigEndian.AppendUint16(set, f[0])
		set = binary.BigEndian.AppendUint16(set, f[1])
	}
	return t.v9(0, 0, set)
}

// v9Data is a datagram of 25 records, which is what fits into 1500 bytes.
func (t *scaleTraffic) v9Data(sequence uint32) []byte {
	var set []byte
	for range 25 {
		src, dst := t.hosts[t.next()], t.hosts[t.next()]
		set = append(append(set, src.addr[:]...), dst.addr[:]...)
		hop := byte(t.rng.IntN(16))
		set = append(set, 192, 0, 2, hop, 192, 0, 2, 16+hop)
		age := t.rng.Uint32N(60_000)
		for _, v := range []uint32{t.rng.Uint32N(scaleInterfaces), t.rng.Uint32N(scaleInterfaces),
			1 + t.rng.Uint32N(100),
			40 + t.rng.Uint32N(100_000), scaleUptime - age - t.rng.Uint32N(60_000), scaleUptime - age} {
			set = binary.BigEndian.AppendUint32(set, v)
		}
		set = binary.BigEndian.AppendUint16(set, uint16(1024+t.rng.IntN(60_000)))
		set = binary.BigEndian.AppendUint16(set, []uint16{443, 53, 80, 22, 5201}[t.rng.IntN(5)])
		set = append(set, 0x1b, []byte{6, 6, 6, 17}[t.rng.IntN(4)], byte(t.rng.IntN(4))<<3)
		set = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(set, src.as), dst.as)
		set = append(set, 24, 20, 0)
	}
	return t.v9(sequence, 256, set)
}

// sflowData is a datagram of 7 samples with headers of 128 bytes and the VLANs.
func (t *scaleTraffic) sflowData(sequence uint32) []byte {
	words := func(b []byte, list ...uint32) []byte {
		for _, n := range list {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	const samples = 7
	b := words(nil, 5, 1)
	b = append(b, 192, 0, 2, 1)
	b = words(b, 0, sequence, scaleUptime, samples)
	for i := range uint32(samples) {
		src, dst := t.hosts[t.next()], t.hosts[t.next()]
		frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 5, 0xd4, 0, 1, 0, 0, 64, 6, 0, 0}
		frame = append(append(frame, src.addr[:]...), dst.addr[:]...)
		frame = binary.BigEndian.AppendUint16(frame, uint16(1024+t.rng.IntN(60_000)))
		frame = append(frame, 1, 187, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18)
		frame = append(frame, make([]byte, 128-len(frame))...)
		b = words(b, 1, 32+8+16+uint32(len(frame))+8+16, sequence*samples+i, 7, 1000, 5000, 0,
			t.rng.Uint32N(scaleInterfaces), t.rng.Uint32N(scaleInterfaces), 2)
		b = words(b, 1, 16+uint32(len(frame)), 1, 1518, 4, uint32(len(frame)))
		b = append(b, frame...)
		b = words(b, 1001, 16, 100, 0, 200, 0)
	}
	return b
}

// datagrams are those that make makes.
func (t *scaleTraffic) datagrams(make func(sequence uint32) []byte) []exporter.Datagram {
	all := []exporter.Datagram{}
	for i := range uint32(scaleDatagrams) {
		all = append(all, exporter.Datagram{Payload: make(i + 1), Source: scaleExporter, Received: t.now.UnixNano()})
	}
	return all
}

// scaleSnapshot has prefixes of meta_ip everywhere, half as many announced ones, some of an extension, and all AS and
// interfaces.
func scaleSnapshot(t testing.TB) *enrich.Snapshot {
	t.Helper()
	rng := rand.New(rand.NewPCG(3, 4))
	b := enrich.NewBuilder()
	b.Grow(scalePrefixes)
	for i := range scalePrefixes {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32()))),
			12+rng.IntN(13)).Masked()
		if i%4 == 0 {
			six := [16]byte{0: 0x20, 1: 1}
			binary.BigEndian.PutUint32(six[2:], rng.Uint32())
			p = netip.PrefixFrom(netip.AddrFrom16(six), 24+rng.IntN(25)).Masked()
		}
		b.AddIP(enrich.IPPrefix{Prefix: p, ID: p.String(), Ref: p.String() + "__v1", ASID: 1 + rng.Uint32N(scaleAS)})
		if i%2 == 0 {
			b.AddASBlock(enrich.ASPrefix{Prefix: p, ASID: 1 + rng.Uint32N(scaleAS)})
		}
		if i%500 == 0 {
			b.AddIPExtension("scireg", enrich.IPPrefix{Prefix: p, ID: strconv.Itoa(i), Ref: strconv.Itoa(i) + "__v1"})
		}
	}
	for as := range uint32(scaleAS) {
		b.AddAS(enrich.AS{ID: as + 1, Ref: strconv.Itoa(int(as+1)) + "__v1"})
	}
	b.AddDevice(enrich.Device{ID: "core1.example.net", Ref: "core1.example.net__v1",
		Loopbacks: []netip.Addr{scaleExporter.Addr()}})
	for i := range uint32(scaleInterfaces) {
		id := fmt.Sprintf("core1.example.net::et-0/0/%d", i)
		b.AddInterface(enrich.MetaInterface{ID: id, Ref: id + "__v1", DeviceID: "core1.example.net", FlowIndex: i,
			HasFlowIndex: true, Edge: i < 8})
	}
	for _, port := range []uint16{443, 80, 22, 5201} {
		b.AddApplication(enrich.Application{ID: strconv.Itoa(int(port)), Protocol: "tcp", PortMin: port, PortMax: port})
	}
	b.AddApplication(enrich.Application{ID: "dns", Protocol: "udp", PortMin: 53, PortMax: 53})
	s, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// scaleRoutes are routes of the router to the networks of all hosts, with the attributes of transit routes: 4 AS, 8
// communities.
func scaleRoutes(t testing.TB, traffic *scaleTraffic) *rib.RIB {
	t.Helper()
	r, err := rib.New(rib.Options{MaxMemory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	router := r.Router("router", true)
	source := router.NewSource(0)
	source.Begin()
	batch := &route.Batch{Decode: func(data []byte, a *route.Attributes) error {
		n := binary.LittleEndian.Uint32(data)
		a.NextHop = flow.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		a.HasLocalPref, a.LocalPref = true, 100
		a.Path = append(a.Path, route.Segment{Kind: route.Sequence, AS: []uint32{64500, 3356, n>>8 + 1, n + 1}})
		for i := range uint32(8) {
			a.Communities = append(a.Communities, 64500<<16|(n+i)%2000)
		}
		return nil
	}}
	for i := range traffic.hosts {
		data := binary.LittleEndian.AppendUint32(nil, uint32(i/6))
		p := netip.PrefixFrom(netip.AddrFrom4(traffic.hosts[i].addr), 16+i%9).Masked()
		batch.Changes = append(batch.Changes, route.Change{Prefix: route.PrefixFrom(p),
			Bundle: batch.AddBundle(r.Hasher().Sum(data), data)})
		if len(batch.Changes) == 250 || i == len(traffic.hosts)-1 {
			if refused, bad, err := source.Apply(batch); refused+bad > 0 || err != nil {
				t.Fatal(refused, bad, err)
			}
			batch.Reset()
		}
	}
	r.Publish()
	r.SetAddresses(map[flow.Addr]*rib.Router{flow.AddrFrom(scaleExporter.Addr()): router}, nil)
	return r
}

// scaleWorker is a worker with that snapshot and those routes, which has seen the template.
func scaleWorker(t testing.TB, current *atomic.Pointer[enrich.Snapshot], routes *rib.RIB,
	traffic *scaleTraffic) *Worker {
	w := newWorker(t, func(*clickhouse.Insert) {})
	w.Snapshot = current
	if routes != nil {
		w.Enricher = enrich.New(enrich.Options{IPRefExtensions: []string{"scireg"},
			Routes: enrich.RouteOptions{RIB: routes, AS: enrich.ASRoute, CommunityNames: true}})
	}
	w.Process([]exporter.Datagram{{Payload: traffic.v9Template(), Source: scaleExporter,
		Received: traffic.now.UnixNano()}}, traffic.now)
	return w
}

// BenchmarkScale is the way from the datagram to the encoded block at the size of a core router's: 200,000 hosts, a
// million prefixes. It takes as many datagrams at a time as the listener does. Each goroutine has a worker: -cpu 1,2
// shows how that scales.
func BenchmarkScale(b *testing.B) {
	var current atomic.Pointer[enrich.Snapshot]
	current.Store(scaleSnapshot(b))
	for _, c := range []struct {
		name   string
		zipf   bool
		routed bool
		make   func(*scaleTraffic, uint32) []byte
	}{
		{"v9/zipf", true, false, (*scaleTraffic).v9Data},
		{"v9/random", false, false, (*scaleTraffic).v9Data},
		{"v9/routes", true, true, (*scaleTraffic).v9Data},
		{"sflow/zipf", true, false, (*scaleTraffic).sflowData},
	} {
		traffic := newScaleTraffic(c.zipf)
		all := traffic.datagrams(func(n uint32) []byte { return c.make(traffic, n) })
		workers := make(chan *Worker, 64)
		b.Run(c.name, func(b *testing.B) {
			var routes *rib.RIB
			if c.routed {
				routes = scaleRoutes(b, traffic)
			}
			for len(workers) < runtime.GOMAXPROCS(0) {
				w := scaleWorker(b, &current, routes, traffic)
				for range 2 { // grows what is used again from then on
					w.Process(all, traffic.now)
				}
				workers <- w
			}
			var rows atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				w := <-workers
				had := w.Rows()
				for i := 0; pb.Next(); i = (i + listen.BatchDatagrams) % len(all) {
					w.Process(all[i:i+listen.BatchDatagrams], traffic.now)
				}
				rows.Add(w.Rows() - had)
				workers <- w
			})
			b.ReportMetric(float64(cpuTime(b)-before)/float64(rows.Load()), "cpu-ns/row")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows.Load()), "ns/row")
		})
	}
}

// cpuTime is what the process has used, which other programs on the machine change less than the time that went by.
func cpuTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
