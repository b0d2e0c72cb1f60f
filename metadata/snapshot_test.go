package metadata

import (
	"context"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/source"
)

// TestNewestPrefix loads versions of a prefix into the engine: the newest one's subnets and AS count, none of an older
// one.
func TestNewestPrefix(t *testing.T) {
	conn, settings := openStore(t)
	if err := conn.Exec(context.Background(), `INSERT INTO meta_ip (id, ref, hash, insert_time, ip_subnet, as_id, `+
		`country_code, country_name) VALUES
		('a', 'a__v1', 'x', '2024-01-01 00:00:00', [('::ffff:192.0.2.0', 24), ('::ffff:198.51.100.0', 24)], 64496,
			'FR', 'France'),
		('a', 'a__v2', 'x', '2024-01-02 00:00:00', [('::ffff:192.0.2.0', 24), ('2001:db8::', 32)], NULL,
			'CH', 'Switzerland'),
		('b', 'b__v9', 'x', '2024-01-01 00:00:00', [('::ffff:203.0.113.0', 24)], 64497, NULL, NULL),
		('b', 'b__v10', 'x', '2024-01-01 00:00:00', [('::ffff:203.0.113.0', 24)], 64498, '', 'Atlantis')`); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "snapshot")
	writeSnapshotFile(t, conn, settings, file)
	kept, err := LoadSnapshotFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]enrich.IPMatch{
		"192.0.2.1":    {Prefix: netip.MustParsePrefix("192.0.2.0/24"), Ref: "a__v2", Country: "CH"},
		"2001:db8::1":  {Prefix: netip.MustParsePrefix("2001:db8::/32"), Ref: "a__v2", Country: "CH"},
		"198.51.100.1": {},
		"203.0.113.1": {Prefix: netip.MustParsePrefix("203.0.113.0/24"), Ref: "b__v10", ASID: 64498,
			Country: "Atlantis"},
	}
	for name, s := range map[string]*enrich.Snapshot{"tables": mustBuild(t, conn, settings), "file": kept} {
		got := map[string]enrich.IPMatch{}
		for address := range want {
			got[address], _ = s.LookupIP(netip.MustParseAddr(address))
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// The next load goes on from the newest version.
	versions, err := newDatabase(conn, settings).readVersions(context.Background(),
		NewLoader(conn, settings).tables["meta_ip"])
	if err != nil {
		t.Fatal(err)
	}
	if a, b := versions.byID[versions.key("a")], versions.byID[versions.key("b")]; a.number != 2 || b.number != 10 {
		t.Errorf("versions %d and %d, want 2 and 10", a.number, b.number)
	}
}

// TestSnapshotFileIsWholeOrNone cuts and alters the file at every byte.
func TestSnapshotFileIsWholeOrNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	w, err := createSnapshotFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := &source.Target{File: &w.Encoder}
	devices().Put(enrich.Device{ID: "d", Ref: "d__v1", Version: 1,
		Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")}}, to)
	interfaces().Put(enrich.MetaInterface{ID: "i", Ref: "i__v1", DeviceID: "d", FlowIndex: 7, HasFlowIndex: true,
		Edge:    true,
		Version: 1}, to)
	applications().Put(enrich.Application{ID: "ssh", Protocol: "tcp", PortMin: 22, PortMax: 22}, to)
	autonomousSystems().Put(enrich.AS{ID: 64496, Ref: "64496__v1", Name: "A", OrganizationID: "o"}, to)
	organizations().Put(enrich.Organization{ID: "o", Ref: "o__v1", Name: "O"}, to)
	ipPrefixes().Put(enrich.IPPrefix{ID: "p", Ref: "p__v1", Prefix: netip.MustParsePrefix("192.0.2.0/24"), ASID: 64496},
		to)
	asBlocks().Put(enrich.ASPrefix{Prefix: netip.MustParsePrefix("2001:db8::/32"), ASID: 64496}, to)
	extension("").Put(extensionPrefix{"scireg",
		enrich.IPPrefix{ID: "other", Ref: "1__v1", Prefix: netip.MustParsePrefix("192.0.2.0/25")}}, to)
	if err := w.commit(); err != nil {
		t.Fatal(err)
	}
	s, err := LoadSnapshotFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := enrich.Stats{Devices: 1, Interfaces: 1, Applications: 1, AS: 1, Organizations: 1, IPs: 1, ASBlocks: 1,
		Extensions: map[string]int{"scireg": 1}}
	if diff := cmp.Diff(want, s.Stats()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, err := readAll(path)
	if err != nil {
		t.Fatal(err)
	}
	ignore := &source.Target{Builder: enrich.NewBuilder()}
	for i := range len(data) {
		if readSnapshot(data[:i], ignore) == nil {
			t.Errorf("the first %d of %d bytes are taken for a file", i, len(data))
		}
		altered := []byte(data)
		altered[i] ^= 1
		if readSnapshot(string(altered), ignore) == nil {
			t.Errorf("a file with another byte at %d is taken", i)
		}
	}
}
