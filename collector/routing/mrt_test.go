package routing

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/mrt"
	"github.com/metranova/flow-collector/decoder/route"
)

// dump is an MRT file of two peers, the second of which has the better routes.
func dump(t *testing.T, med uint32, prefixes ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	peers := []mrt.Peer{{ID: 1, Address: flow.AddrFrom(netip.MustParseAddr("192.0.2.1")), AS: 64500},
		{ID: 2, Address: flow.AddrFrom(netip.MustParseAddr("192.0.2.2")), AS: 64501}}
	w, err := mrt.NewWriter(&b, time.Unix(1, 0), 1, "", peers)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range prefixes {
		var all []mrt.Entry
		for i := range uint32(2) {
			all = append(all, mrt.Entry{Peer: int(i), Attributes: &route.Attributes{HasMED: true, MED: med + i,
				HasLocalPref: true, LocalPref: 100 + i, NextHop: flow.AddrFrom(netip.MustParseAddr("192.0.2.9"))}})
		}
		if err := w.Write(route.Unicast, 0, route.PrefixFrom(netip.MustParsePrefix(p)), all); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// A file's routes are there, and are replaced when it changes; one that cannot be read leaves them as they are.
func TestMRT(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump")
	put := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, Options{LookEvery: 10 * time.Millisecond, MRT: []MRTFile{{Name: "192.0.2.77", File: path},
		{Name: "one", File: path, Peer: netip.MustParseAddr("192.0.2.1")}}})
	reader := s.RIB().NewReader()
	is := func(f func(*MRTStats) bool) {
		t.Helper()
		eventually(t, func() string {
			if all := s.Stats().MRT; len(all) != 2 || !f(&all[0]) || !f(&all[1]) {
				return fmt.Sprintf("%+v", all)
			}
			return ""
		})
	}
	is(func(m *MRTStats) bool { return m.Err != "" && m.Loaded.IsZero() })
	put(dump(t, 7, "10.0.0.0/8", "11.0.0.0/8"))
	expect(t, s, reader, "192.0.2.77", map[string]int{"10.1.2.3": 8, "11.1.2.3": 8})
	is(func(m *MRTStats) bool { return m.Err == "" && m.Records == 3 })
	one := s.RIB().Router("mrt:one", false)
	if v4, _ := one.Table(route.Unicast, 0).Routes(); v4 != 2 {
		t.Errorf("%d routes of one peer", v4)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(dump(t, 17, "10.0.0.0/8", "12.0.0.0/8"))
	_ = z.Close()
	put(zipped.Bytes())
	expect(t, s, reader, "192.0.2.77", map[string]int{"10.1.2.3": 18, "11.1.2.3": -1, "12.1.2.3": 18})
	put([]byte("not a dump at all, and longer than a header"))
	is(func(m *MRTStats) bool { return m.Err != "" })
	expect(t, s, reader, "192.0.2.77", map[string]int{"10.1.2.3": 18, "12.1.2.3": 18})
}
