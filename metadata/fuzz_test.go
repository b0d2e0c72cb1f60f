package metadata

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/source"
)

// FuzzSnapshotFile reads any records, with a sum that is right. What is read and written again is the same.
func FuzzSnapshotFile(f *testing.F) {
	w, err := createSnapshotFile(filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	to := &source.Target{File: &w.Encoder}
	devices().Put(enrich.Device{ID: "d", Ref: "d__v1", Version: 1,
		Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, to)
	interfaces().Put(enrich.MetaInterface{ID: "i", Ref: "i__v1", DeviceID: "d", FlowIndex: 4, HasFlowIndex: true}, to)
	applications().Put(enrich.Application{ID: "http", Protocol: "tcp", PortMin: 80, PortMax: 90}, to)
	autonomousSystems().Put(enrich.AS{ID: 64496, Ref: "x", Name: "n"}, to)
	organizations().Put(enrich.Organization{ID: "o", Ref: "o__v1", Name: "O"}, to)
	ipPrefixes().Put(enrich.IPPrefix{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Ref: "192.0.2.0/24__v1",
		ID: "192.0.2.0/24", ASID: 3, Country: "CH"}, to)
	ipPrefixes().Put(enrich.IPPrefix{Prefix: netip.MustParsePrefix("2001:db8::/32"), Ref: "a", ID: "b"}, to)
	asBlocks().Put(enrich.ASPrefix{Prefix: netip.MustParsePrefix("10.0.0.0/8"), ASID: 5}, to)
	extension("").Put(extensionPrefix{"scireg",
		enrich.IPPrefix{Prefix: netip.MustParsePrefix("192.0.2.0/25"), Ref: "s", ID: "s"}}, to)
	if err := w.commit(); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(w.path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[len(fileMagic) : len(data)-8])
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(fileMagic), body...)
		data = binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data))
		b := enrich.NewBuilder()
		records := 0
		if err := readSnapshot(string(data), &source.Target{Builder: b, Want: func(string) bool {
			records++
			return true
		}}); err != nil {
			return
		}
		if records > len(body) {
			t.Errorf("%d records in %d bytes", records, len(body))
		}
		s, err := b.Build()
		if err != nil {
			return
		}
		s.LookupDevice(netip.MustParseAddr("192.0.2.1"))
		s.LookupAS(64496)
		s.LookupIP(netip.MustParseAddr("2001:db8::1"))
	})
}

// TestSnapshotFileOfAnotherVersion: the error says which one it is, whatever else the file has.
func TestSnapshotFileOfAnotherVersion(t *testing.T) {
	for _, magic := range []string{"flow-collector metadata 0\n", "flow-collector metadata 3\nmore",
		"flow-collector metadata "} {
		path := filepath.Join(t.TempDir(), "s")
		writeFile(t, path, magic)
		if _, err := LoadSnapshotFile(path); err == nil ||
			!strings.Contains(err.Error(), "a snapshot file of version") {
			t.Errorf("%q: %v", magic, err)
		}
	}
}
