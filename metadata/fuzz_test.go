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
)

// FuzzSnapshotFile reads any records, with a sum that is right. What is read and written again is the same.
func FuzzSnapshotFile(f *testing.F) {
	w, err := createSnapshotFile(filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	to := w.feed()
	to.device(enrich.Device{ID: "d", Ref: "d__v1", Version: 1,
		Loopbacks: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	to.iface(enrich.MetaInterface{ID: "i", Ref: "i__v1", DeviceID: "d", FlowIndex: 4, HasFlowIndex: true})
	to.application(enrich.Application{ID: "http", Protocol: "tcp", PortMin: 80, PortMax: 90})
	to.as(enrich.AS{ID: 64496, Ref: "x", Name: "n"})
	to.organization(enrich.Organization{ID: "o", Ref: "o__v1", Name: "O"})
	to.ip(enrich.IPPrefix{Prefix: netip.MustParsePrefix("192.0.2.0/24"), Ref: "192.0.2.0/24__v1", ID: "192.0.2.0/24",
		ASID: 3})
	to.ip(enrich.IPPrefix{Prefix: netip.MustParsePrefix("2001:db8::/32"), Ref: "a", ID: "b"})
	to.asBlock(enrich.ASPrefix{Prefix: netip.MustParsePrefix("10.0.0.0/8"), ASID: 5})
	to.extension("scireg", enrich.IPPrefix{Prefix: netip.MustParsePrefix("192.0.2.0/25"), Ref: "s", ID: "s"})
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
		if err := readSnapshot(string(data), both(builderFeed(b), counting(&records))); err != nil {
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

func counting(n *int) feed {
	return feed{
		device: func(enrich.Device) { *n++ }, iface: func(enrich.MetaInterface) { *n++ },
		application: func(enrich.Application) { *n++ },
		as:          func(enrich.AS) { *n++ }, organization: func(enrich.Organization) { *n++ },
		ip:      func(enrich.IPPrefix) { *n++ },
		asBlock: func(enrich.ASPrefix) { *n++ }, extension: func(string, enrich.IPPrefix) { *n++ },
	}
}

// TestSnapshotFileOfAnotherVersion: the error says which one it is, whatever else the file has.
func TestSnapshotFileOfAnotherVersion(t *testing.T) {
	for _, magic := range []string{"flow-collector metadata 0\n", "flow-collector metadata 2\nmore",
		"flow-collector metadata "} {
		path := filepath.Join(t.TempDir(), "s")
		writeFile(t, path, magic)
		if _, err := LoadSnapshotFile(path); err == nil ||
			!strings.Contains(err.Error(), "a snapshot file of version") {
			t.Errorf("%q: %v", magic, err)
		}
	}
}
