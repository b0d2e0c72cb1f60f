package geo

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gaissmai/bart"
	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/bounds"
	"github.com/metranova/flow-collector/metadata/record"
)

// TestBombs has files that are made to use up memory or time: each ends with one line.
func TestBombs(t *testing.T) {
	header := "network,geoname_id,latitude,longitude\n"
	for _, test := range []struct{ name, text, want string }{
		{"a cell that does not end", header + `"` + strings.Repeat("x", 4<<20),
			"an entry or line of more than the 65536 bytes allowed"},
		{"a row that does not end", header + strings.Repeat("x", 4<<20),
			"an entry or line of more than the 65536 bytes allowed"},
		{"a first row that does not end", strings.Repeat("x", 4<<20),
			"an entry or line of more than the 65536 bytes allowed"},
		{"rows that are none", header + strings.Repeat("x\n", 200_000), "more than 100000 rows are wrong"},
		{"rows with bare quotes", header + strings.Repeat("x\"y\n", 200_000), "more than 100000 rows are wrong"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.csv")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			sets, err := Read(Files{Blocks: []string{path}})
			if err == nil {
				err = sets[1].Each(func(record.Raw, string) error { return nil }, func(record.Problem) {})
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// TestDatabaseBomb has 128 nodes with both sides to the next one: 2^128 networks, with data and without.
func TestDatabaseBomb(t *testing.T) {
	for _, end := range []uint32{dataFlag, emptySlot} {
		d := &database{data: appendField(nil, map[string]any{"autonomous_system_number": uint32(64496)})}
		for i := range uint32(127) {
			d.nodes = append(d.nodes, [2]uint32{i + 1, i + 1})
		}
		d.nodes = append(d.nodes, [2]uint32{end, end})
		path, n := d.write(t, "bomb.mmdb"), 0
		err := eachDatabaseASN(path, func(netip.Prefix, uint32) { n++ })
		if err == nil || !strings.Contains(err.Error(), "more leaves than 128 nodes can have") || n > 300 {
			t.Errorf("%d networks, %v", n, err)
		}
		if err := eachDatabaseBlock(path, func(*block) error { return nil }); err == nil {
			t.Error("its blocks are read")
		}
	}
}

// TestDatabaseText has one long text to which all networks lead.
func TestDatabaseText(t *testing.T) {
	d := &database{}
	d.insert("192.0.2.0/24", map[string]any{"city": strings.Repeat("x", maxText+1), "country": "CH"})
	err := eachDatabaseBlock(d.write(t, "bomb.mmdb"), func(*block) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "192.0.2.0/24 has a location of more than 4096 bytes") {
		t.Errorf("%.300v", err)
	}
	d = &database{}
	d.insert("192.0.2.0/24", map[string]any{"city": strings.Repeat("x", maxText+1), "country": []any{}})
	err = eachDatabaseBlock(d.write(t, "wrong.mmdb"), func(*block) error { return nil })
	if err == nil || len(err.Error()) > 400 {
		t.Errorf("an error of %d bytes", len(fmt.Sprint(err)))
	}
}

// TestZipMembers has members that are small enough alone, and too large together.
func TestZipMembers(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n := range 5 {
		w, err := z.Create(fmt.Sprintf("City-Blocks-%d.csv", n))
		if err == nil {
			_, err = w.Write([]byte("network,geoname_id,latitude,longitude\n" +
				strings.Repeat("192.0.2.0/24,,1,1\n", 1000)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{200_000: "", 50_000: "allowed"} {
		rows := 0
		err := eachMember(path, "Blocks", bounds.Limits{Total: limit, Entry: maxRow}, func(record.Problem) {},
			func(t *table) error { return t.each(1, func([]string) error { rows++; return nil }) })
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("limit %d: %d rows, %v", limit, rows, err)
		}
	}
}

// TestZipDirectory has a zip of nothing but entries in its directory. Each would take ten times its size in memory.
func TestZipDirectory(t *testing.T) {
	for entries, want := range map[int]string{100: "no *Blocks*.csv in the zip",
		300_000: "the directory of the zip has more than the 1048576 bytes allowed"} {
		const size = 46 + 8
		var b []byte
		for range entries {
			head := make([]byte, size)
			binary.LittleEndian.PutUint32(head, 0x02014b50)
			binary.LittleEndian.PutUint16(head[28:], size-46) // length of the name
			copy(head[46:], "name.txt")
			b = append(b, head...)
		}
		end := make([]byte, 22)
		binary.LittleEndian.PutUint32(end, 0x06054b50)
		binary.LittleEndian.PutUint16(end[8:], uint16(entries))
		binary.LittleEndian.PutUint16(end[10:], uint16(entries))
		binary.LittleEndian.PutUint32(end[12:], uint32(len(b)))
		path := filepath.Join(t.TempDir(), "x.zip")
		if err := os.WriteFile(path, append(b, end...), 0o600); err != nil {
			t.Fatal(err)
		}
		err := eachMember(path, "Blocks", tableLimits, func(record.Problem) {}, func(*table) error { return nil })
		if err == nil || err.Error() != want {
			t.Errorf("%d entries: %v, want %s", entries, err, want)
		}
		if err := checkZip(path); (err == nil) != (entries == 100) {
			t.Errorf("%d entries: a download is checked with %v", entries, err)
		}
	}
}

// TestIPinfo has the forms of IPinfo's databases.
func TestIPinfo(t *testing.T) {
	d := &database{}
	d.insert("192.0.2.0/24", map[string]any{"asn": "AS64496", "as_name": "A", "city": "Bern", "region": "Bern",
		"region_code": "BE",
		"country":     "CH", "latitude": "46.9", "longitude": "7.4"})
	d.insert("198.51.100.0/24", map[string]any{"asn": "AS64497", "country": "Switzerland", "country_code": "CH",
		"continent": "Europe", "continent_code": "EU"})
	d.insert("203.0.113.0/24", map[string]any{"city": "Geneva", "country": "CH", "country_name": "Switzerland",
		"continent": "EU", "lat": "46.2", "lng": "191"})
	d.insert("2001:db8::/32", map[string]any{"city": "Bern", "country_code": "CH", "state1": "BE", "latitude": 46.5,
		"longitude": 7.5})
	path := d.write(t, "ipinfo.mmdb")
	var got []string
	if err := eachDatabaseBlock(path, func(b *block) error {
		l := b.location
		got = append(got, fmt.Sprint(b.network, " ", l.city, ",", l.subName, ",", l.subCode, ",", l.code, ",",
			l.country, ",", l.continent, ",", b.latitude, ",", b.longitude))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := eachDatabaseASN(path, func(p netip.Prefix,
		as uint32) {
		got = append(got, fmt.Sprint(p, " AS", as))
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"192.0.2.0/24 Bern,Bern,BE,CH,,,46.9,7.4",
		"198.51.100.0/24 ,,,CH,Switzerland,Europe,<nil>,<nil>",
		"203.0.113.0/24 Geneva,,,CH,Switzerland,Europe,<nil>,<nil>",
		"2001:db8::/32 Bern,BE,,CH,,,46.5,7.5",
		"192.0.2.0/24 AS64496", "198.51.100.0/24 AS64497",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzDatabase(f *testing.F) {
	d := &database{}
	d.insert("192.0.2.0/24", map[string]any{"autonomous_system_number": uint32(64496), "asn": "AS1"})
	d.insert("2001:db8::/32", map[string]any{"city": english("Geneva"), "country": map[string]any{"iso_code": "CH"},
		"location": map[string]any{"latitude": 46.2, "longitude": 6.1}})
	data, err := os.ReadFile(d.write(f, "x.mmdb"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	path := filepath.Join(f.TempDir(), "x.mmdb")
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			t.Skip() // what is wrong is wrong in small files too, and these are read many more times
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		_ = eachDatabaseASN(path, func(netip.Prefix, uint32) { n++ })
		_ = eachDatabaseBlock(path, func(*block) error { n++; return nil })
		if n > 4*len(data)+8 {
			t.Errorf("%d networks of %d bytes", n, len(data))
		}
	})
}

func FuzzTable(f *testing.F) {
	for _, seed := range []string{
		"network,autonomous_system_number,autonomous_system_organization\n192.0.2.0/24,64496,\"A, B\"\n",
		"\ufeff192.0.2.0,192.0.2.255,64496,Org\n2001:db8::,2001:db8::ff,64497,\"O\"\n",
		"network,geoname_id,latitude,longitude\n192.0.2.0/24,1,46.2,6.1\n",
		"2001:db8::,2001:db8::9%eth0,64497,\"O\"\n",
		"0.0.0.0,255.255.255.255,CH,BE,,Bern,,46.9,7.4,\n::,::1,EU,CH,BE,Bern,1,2\n",
	} {
		f.Add([]byte(seed))
	}
	var ips *record.Table
	for _, t := range record.Tables() {
		if t.Name == record.IP {
			ips = t
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &reader{locations: map[string]location{}}
		for _, use := range []func(*table) error{
			func(c *table) error { return eachASNRow(c, func(netip.Prefix, uint32) {}) },
			func(c *table) error {
				return r.eachBlockRow(c, func(b *block) error {
					raw := record.Raw{}
					(&reader{asn: new(bart.Table[uint32])}).fill(raw, b)
					_, err := ips.Coerce(raw, nil)
					return err
				})
			},
		} {
			in, err := bounds.New(bytes.NewReader(data), tableLimits)
			if err != nil {
				return
			}
			_ = useTable("x", in, func(record.Problem) {}, use)
		}
	})
}
