package metadata

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/geo"
	"github.com/metranova/flow-collector/metadata/source"
)

// TestBadInput has every source go bad at once: a line for each fault with the file, the line or record and the reason,
// the good records beside it taken, and everything that was in force still in force.
func TestBadInput(t *testing.T) {
	t.Parallel()
	conn, settings := openStore(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	const asn = "network,autonomous_system_number,autonomous_system_organization\n192.0.2.0/24,64496,A\n"
	zipped := string(zipOf(t, map[string]string{"GeoLite2-ASN-Blocks-IPv4.csv": asn}))
	writeFile(t, in("asn.zip"), zipped)
	writeFile(t, in("blocks.csv"), "network,geoname_id,latitude,longitude\n192.0.2.0/24,,1.5,2.5\n")
	writeFile(t, in("scireg.json"),
		`[{"scireg_id": 1, "addresses": ["192.0.2.1"]}, {"scireg_id": 2, "addresses": ["192.0.2.2"]}]`)
	deviceFile(t, in("meta_device.yml"), "one", "192.0.2.1")
	options := SourceOptions{Dir: dir,
		Registries: map[string]source.RegistrySettings{"scireg": {Places: []string{in("scireg.json")}}},
		Geo:        geo.Files{ASN: []string{in("asn.zip")}, Blocks: []string{in("blocks.csv")}}}
	r := startRefresher(t, conn, settings, "", Sources(options))

	ip := func(s *enrich.Snapshot, address string) string {
		m, _ := s.LookupIP(netip.MustParseAddr(address))
		return m.Ref
	}
	scireg := func(s *enrich.Snapshot, address string) string {
		m, _ := s.LookupExtension("scireg", netip.MustParseAddr(address))
		return m.Ref
	}
	old := func(s *enrich.Snapshot) bool {
		_, as, _ := s.LookupASBlock(netip.MustParseAddr("192.0.2.9"))
		return as == 64496 && ip(s, "192.0.2.9") == "192.0.2.0/24__v1" && hasDevice(s, "192.0.2.1") &&
			scireg(s, "192.0.2.1") == "1__v1" && scireg(s, "192.0.2.2") == "2__v1"
	}
	if !old(r.snapshot.Load()) {
		t.Fatal("the good files are not in force: " + r.log())
	}

	writeFile(t, in("meta_device.yml"), `table: meta_device
data:
  - {id: two, type: router, loopback_ip: ["192.0.2.2"]}
  - {id: one, type: router, loopback_ip: {a: 1}, hostname: [x]}
  - {id: two, type: router, loopback_ip: ["192.0.2.3"]}
`)
	writeFile(t, in("scireg.json"),
		`[{"scireg_id": 1, "addresses": ["192.0.2.1", "192.0.2.400"]}, {"scireg_id": 2, "addresses": ["none"]}, `+
			`{"scireg_id": 3, "addresses": ["192.0.2.3"]}]`)
	writeFile(t, in("asn.zip"), zipped[:len(zipped)/2])
	r.becomes("the good records beside the bad ones match",
		func(s *enrich.Snapshot) bool { return hasDevice(s, "192.0.2.2") && scireg(s, "192.0.2.3") == "3__v1" })
	r.says("left out", in("meta_device.yml")+":4: one: hostname: ")
	r.says("left out", in("meta_device.yml")+":5: two: another record with this id comes before it")
	r.says("left out", `scireg.json: entry 1: 1: address left out: "192.0.2.400" is not an IP address`)
	r.says("left out", "scireg.json: entry 2: 2: addresses: none is valid")
	r.says("source not loaded", in("asn.zip")+": zip: not a valid zip file")
	if s := r.snapshot.Load(); !old(s) || hasDevice(s, "192.0.2.3") {
		t.Error("what was in force is not any more: " + r.log())
	}

	// A header in another order is as good as any; a file that is put back is read again.
	writeFile(t, in("asn.zip"), zipped)
	if err := os.Remove(in("meta_device.yml")); err != nil {
		t.Fatal(err)
	}
	deviceFile(t, in("meta_device.yml"), "one", "192.0.2.1")
	writeFile(t, in("blocks.csv"),
		"longitude,network,latitude,geoname_id\n2.5,192.0.2.0/24,1.5,\n7.5,198.51.100.0/24,1.5,\n")
	r.becomes("the block that is new matches",
		func(s *enrich.Snapshot) bool { return ip(s, "198.51.100.1") == "198.51.100.0/24__v1" })
	r.becomes("the device that was dropped does not match",
		func(s *enrich.Snapshot) bool { return !hasDevice(s, "192.0.2.2") })
	if s := r.snapshot.Load(); !old(s) {
		t.Error("the same block in another order of columns is another one: " + r.log())
	}
	if strings.Contains(r.log(), "\n\n") {
		t.Error("a message of more than one line: " + r.log())
	}
}
