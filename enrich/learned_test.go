package enrich

import (
	"fmt"
	"slices"
	"testing"

	"github.com/metranova/flow-collector/decoder/flow"
)

// namesOf has a name for each of n interfaces and a description for number 0x10000.
func namesOf(n int) *flow.Names {
	names := &flow.Names{Interface: map[uint32]flow.InterfaceName{}, VRF: map[uint32]string{1: "default", 2: "lhcone"}}
	for i := range n {
		names.Interface[uint32(i)] = flow.InterfaceName{Name: fmt.Sprintf("et-0/0/%d", i), Description: "to elsewhere"}
	}
	names.Interface[0x10000] = flow.InterfaceName{Description: "only described"}
	return names
}

func TestLearnedInterfaces(t *testing.T) {
	snapshot := exampleSnapshot(t)
	known := snapshot.exporter(flow.AddrFrom4([4]byte{192, 0, 2, 1}))
	var inMetadata uint32
	for index, i := range known.interfaces {
		if i.ID != "" && index != 0 && index != flow.InterfaceSelf {
			inMetadata = index
		}
	}
	names := namesOf(10)
	names.Interface[inMetadata] = flow.InterfaceName{Name: "other"}
	for _, c := range []struct {
		name    string
		index   uint32
		kind    flow.InterfaceKind
		names   *flow.Names
		without bool
		want    Interface
	}{
		{"named by the exporter", 9, flow.InterfaceIndex, names, false, Interface{ID: known.id + "::et-0/0/9"}},
		{"described only", 0x10000, flow.InterfaceIndex, names, false, Interface{ID: known.id + "::only described"}},
		{"metadata's name comes first", inMetadata, flow.InterfaceIndex, names, false, known.interfaces[inMetadata]},
		{"not named", 4711, flow.InterfaceIndex, names, false, Interface{}},
		{"0 is none", 0, flow.InterfaceIndex, names, false, known.interfaces[0]},
		{"no ifIndex", 9, flow.InterfaceDiscarded, names, false, Interface{}},
		{"no names", 9, flow.InterfaceIndex, nil, false, Interface{}},
		{"not wanted", 9, flow.InterfaceIndex, names, true, Interface{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := New(Options{WithoutLearned: c.without})
			r := flow.Record{Exporter: known.addr, InIf: c.index, InIfKind: c.kind, Names: c.names}
			var row Row
			for range 2 {
				e.Enrich(snapshot, &r, &row)
				if row.In != c.want {
					t.Errorf("got %+v, want %+v", row.In, c.want)
				}
			}
		})
	}
}

// A name that changes is the row's from then on, and Unknown tells it.
func TestLearnedNamesAreTold(t *testing.T) {
	snapshot, e, names := exampleSnapshot(t), New(Options{}), namesOf(0)
	r := flow.Record{Exporter: flow.AddrFrom4([4]byte{192, 0, 2, 1}), InIf: 4711, OutIf: 4712, Names: names}
	var row Row
	for _, name := range []string{"Gi0/1", "Gi0/2", "bad \xff"} {
		names.Interface[4711] = flow.InterfaceName{Name: name}
		e.Enrich(snapshot, &r, &row)
		e.Publish()
		told := e.Unknown()
		if len(told) != 1 || !slices.Equal(told[0].Indexes, []uint32{4711, 4712}) ||
			!slices.Equal(told[0].Learned, []string{name, ""}) {
			t.Errorf("told %+v", told)
		}
	}
	if want := row.DeviceID + "::bad \ufffd"; row.In.ID != want {
		t.Errorf("id %q, want %q", row.In.ID, want)
	}
}

func TestVRFName(t *testing.T) {
	names := namesOf(0)
	for _, c := range []struct {
		name    string
		has     flow.Fields
		in, out uint32
		want    string
	}{
		{"none sent", 0, 2, 2, ""},
		{"ingress", flow.IngressVRF, 2, 0, "lhcone"},
		{"egress", flow.EgressVRF, 0, 2, "lhcone"},
		{"from the default one", flow.IngressVRF | flow.EgressVRF, 1, 2, "lhcone"},
		{"within the default one", flow.IngressVRF | flow.EgressVRF, 1, 1, "default"},
		{"unnamed ingress", flow.IngressVRF | flow.EgressVRF, 9, 2, "lhcone"},
		{"not named", flow.IngressVRF, 9, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := flow.Record{Has: c.has, IngressVRF: c.in, EgressVRF: c.out, Names: names}
			var row Row
			New(Options{}).Enrich(exampleSnapshot(t), &r, &row)
			if row.VRFName != c.want {
				t.Errorf("got %q, want %q", row.VRFName, c.want)
			}
		})
	}
}

// More interfaces than the caches hold allocate nothing once each was seen.
func TestLearnedAllocatesNothing(t *testing.T) {
	snapshot, e, names := exampleSnapshot(t), New(Options{}), namesOf(maxLearned-2)
	var row Row
	r := flow.Record{Exporter: flow.AddrFrom4([4]byte{192, 0, 2, 1}), Names: names}
	all := func() {
		for i := range uint32(maxLearned - 2) {
			r.InIf, r.OutIf = i, i/2
			e.Enrich(snapshot, &r, &row)
		}
	}
	all()
	if n := testing.AllocsPerRun(3, all); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
