package enrich

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/metranova/flow-collector/decoder/flow"
)

func exampleLoopbacks() []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.IPv6Unspecified()}
}

func TestSnapshotSwap(t *testing.T) {
	version := func(n int) *Snapshot {
		v := "__v" + strconv.Itoa(n)
		return built(t, func(b *Builder) {
			b.AddDevice(Device{ID: "r1", Ref: "r1" + v, Loopbacks: exampleLoopbacks()})
			b.AddInterface(MetaInterface{ID: "i", Ref: "i" + v, DeviceID: "r1", FlowIndex: 1, HasFlowIndex: true})
			b.AddIP(IPPrefix{Prefix: prefix("10.0.0.0/8"), ID: "ten", Ref: "ten" + v, ASID: 7})
			b.AddAS(AS{ID: 7, Ref: "as" + v})
			b.AddApplication(Application{ID: "a", Protocol: "tcp", PortMin: uint16(n), PortMax: uint16(n)})
			if n == 1 {
				b.AddIPExtension("x", IPPrefix{Prefix: prefix("10.0.0.0/8"), ID: "e", Ref: "e" + v})
			}
		})
	}
	one, two := version(1), version(2)
	e, r := New(Options{IPRefExtensions: []string{"x"}}),
		flow.Record{Exporter: addr("192.0.2.1"), InIf: 1, SrcAddr: addr("10.0.0.1"), IPProtocol: 6, SrcPort: 1,
			DstPort: 2}
	for i, s := range []*Snapshot{one, two, one, two} {
		var row Row
		e.Enrich(s, &r, &row)
		n, ext := 1+i%2, ""
		if n == 1 {
			ext = "e__v1"
		}
		v := "__v" + strconv.Itoa(n)
		if row.DeviceRef != "r1"+v || row.In.Ref != "i"+v || row.SrcIPRef != "ten"+v || row.SrcASRef != "as"+v ||
			row.ApplicationPort != uint16(n) || refOf(row.SrcExtRef, 0) != ext {
			t.Errorf("snapshot %d: got %+v", n, row)
		}
	}
}

// TestHostCollision looks up, in turn, two addresses with one slot: one in a subnet, the other in none.
func TestHostCollision(t *testing.T) {
	inside, outside := addr("10.2.0.1"), flow.Addr{}
	for n := uint32(0); outside == (flow.Addr{}); n++ {
		a := flow.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0xac100000+n)))
		if slotOf(&a) == slotOf(&inside) {
			outside = a
		}
	}
	e, s := New(Options{IPRefExtensions: []string{"scireg"}}), exampleSnapshot(t)
	for range 3 {
		var row Row
		e.Enrich(s, &flow.Record{SrcAddr: inside, DstAddr: outside}, &row)
		if row.SrcIPRef != "ten__v1" || row.SrcASID != 200 || refOf(row.SrcExtRef, 0) != "7__v1" ||
			row.DstIPRef != "" ||
			row.DstASID != 0 || refOf(row.DstExtRef, 0) != "" {
			t.Fatalf("got %+v", row)
		}
	}
}

func TestExporterCacheIsBounded(t *testing.T) {
	e, s := New(Options{}), exampleSnapshot(t)
	for n := range uint32(maxExporters + 10) {
		var row Row
		a := flow.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n)))
		e.Enrich(s, &flow.Record{Exporter: a}, &row)
		if want := a.String(); row.DeviceID != want && row.DeviceID != "r1" {
			t.Fatalf("got %q, want %q", row.DeviceID, want)
		}
	}
	if n := len(e.exporters.byAddr); n > maxExporters {
		t.Errorf("holds %d exporters, more than %d", n, maxExporters)
	}
}

// TestCachedAnswersEqualUncached compares an enricher that has seen much with a new one for each record.
func TestCachedAnswersEqualUncached(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	snapshots := []*Snapshot{exampleSnapshot(t), generated(t, rng, 2000)}
	o := Options{IPRefExtensions: []string{"scireg"},
		Policy: Policy{Scopes: []string{"s"}, AutoScopes: true, CommunityScopes: map[string]string{"1": "one"}}}
	cached, s := New(o), snapshots[0]
	var got Row
	for n := range 1500 {
		if rng.IntN(100) == 0 {
			s = snapshots[rng.IntN(2)]
		}
		r := randomRecord(rng)
		cached.Enrich(s, &r, &got)
		var want Row
		New(o).Enrich(s, &r, &want)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("record %d: %s", n, diff)
		}
	}
}

// randomRecord takes every value from a small set, so that caches hit and miss.
func randomRecord(rng *rand.Rand) flow.Record {
	exporters := []flow.Addr{addr("192.0.2.1"), addr("2001:db8::1"), addr("192.0.2.50"), {}}
	return flow.Record{
		Has: flow.Fields(rng.Uint64()), Protocol: flow.Protocol(rng.IntN(5)),
		Exporter:   exporters[rng.IntN(len(exporters))],
		IPProtocol: []uint8{1, 6, 17}[rng.IntN(3)], InIf: rng.Uint32N(4), OutIf: rng.Uint32N(4),
		InIfKind: flow.InterfaceKind(rng.IntN(4)),
		SrcAddr:  randomAddr(rng), DstAddr: randomAddr(rng), BGPNextHop: randomAddr(rng),
		MPLSTopLabelAddr: randomAddr(rng),
		SrcAS:            rng.Uint32N(3) * 100, DstAS: rng.Uint32N(3) * 100, PeerDstAS: rng.Uint32N(3) * 100,
		SrcPort: []uint16{0, 443, 8500}[rng.IntN(3)], DstPort: []uint16{0, 443, 8500}[rng.IntN(3)],
		Bytes: rng.Uint64(), Packets: rng.Uint64(), SamplingRate: rng.Uint32N(3),
		MPLSRD:     [8]byte{1: byte(rng.IntN(3)), 7: byte(rng.IntN(2))},
		IngressVRF: rng.Uint32N(2), ASPath: []uint32{1, rng.Uint32N(2), rng.Uint32N(2)}[:rng.IntN(4)],
	}
}

func randomAddr(rng *rand.Rand) flow.Addr {
	if rng.IntN(4) == 0 {
		return flow.Addr{0: 0x20, 1: 1, 2: 0xd, 3: 0xb8, 4: byte(rng.IntN(256)), 15: byte(rng.IntN(256))}
	}
	return flow.AddrFrom4([4]byte{10, byte(rng.IntN(8)), byte(rng.IntN(256)), byte(rng.IntN(256))})
}

// Prefetch changes nothing of what Enrich says.
func TestPrefetch(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s := generated(t, rng, directFrom)
	hosts := addresses(rng, 500)
	records := benchRecords(hosts, func() int { return rng.IntN(len(hosts)) })[:1000]
	without, with := New(benchOptions), New(benchOptions)
	var want, got Row
	with.Prefetch(s, records)
	for i := range records {
		without.Enrich(s, &records[i], &want)
		with.Enrich(s, &records[i], &got)
		if want.SrcIPRef != got.SrcIPRef || want.DstASID != got.DstASID ||
			!slices.Equal(want.PolicyScope.Append(nil), got.PolicyScope.Append(nil)) {
			t.Fatalf("record %d: %+v, want %+v", i, got, want)
		}
	}
}

// refOf is the ref of an extension.
func refOf(refs []string, extension int) string {
	if refs == nil {
		return ""
	}
	return refs[extension]
}
