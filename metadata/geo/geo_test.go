package geo

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/metadata/record"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(t *testing.T, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(members); i += 2 {
		w, err := z.Create(members[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(members[i+1]))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// said is what Read makes of files: a line for each record, and the problems without their directories.
type said struct{ asn, blocks, problems []string }

func read(t *testing.T, f Files) said {
	t.Helper()
	sets, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	var s said
	for i, lines := range []*[]string{&s.asn, &s.blocks} {
		err := sets[i].Each(func(r record.Raw, _ string) error {
			*lines = append(*lines, line(r))
			return nil
		}, func(p record.Problem) {
			_, base, _ := strings.Cut(p.String(), filepath.Base(filepath.Dir(p.Place))+"/")
			s.problems = append(s.problems, base)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// line has the id, the subnet where it says something else, the AS and the place of a record; NULL is "-".
func line(r record.Raw) string {
	s := fmt.Sprint(r["id"])
	if subnets, ok := r["ip_subnet"].([]record.Subnet); ok {
		for _, n := range subnets {
			if p := fmt.Sprintf("%s/%d", n.Address, n.Bits); p != s {
				s += " is " + p
			}
		}
	}
	if r["as_id"] != nil {
		s += fmt.Sprint(" AS", r["as_id"])
	}
	for _, column := range []string{"continent_name", "country_code", "country_name", "country_sub_code",
		"country_sub_name", "city_name", "latitude", "longitude"} {
		if v, ok := r[column]; ok && v != nil {
			s += fmt.Sprintf("|%v", v)
		} else {
			s += "|-"
		}
	}
	return strings.TrimSuffix(s, "|-|-|-|-|-|-|-|-")
}

const (
	asnCSV = "network,autonomous_system_number,autonomous_system_organization\n" +
		"192.0.2.0/24,64496,\"One, Inc.\"\n192.0.2.128/25,64497,Two\n"
	locationsCSV = "geoname_id,locale_code,continent_code,continent_name,country_iso_code,country_name," +
		"subdivision_1_iso_code,subdivision_1_name,city_name\n" +
		"7,en,EU,Europe,CH,Switzerland,ZH,Zurich,Zürich\n"
	blocksCSV = "network,geoname_id,latitude,longitude\n192.0.2.0/25,7,47.5,8.5\n192.0.2.128/26,,,\n"
)

var wantCSV = said{
	asn:    []string{"192.0.2.0/24 AS64496", "192.0.2.128/25 AS64497"},
	blocks: []string{"192.0.2.0/25 AS64496|Europe|CH|Switzerland|ZH|Zurich|Zürich|47.5|8.5", "192.0.2.128/26 AS64497"},
}

// TestForms reads the same blocks from every form of file.
func TestForms(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(blocksCSV))
	_ = z.Close()
	city := string(zipped(t, "GeoLite2-City-CSV_1/GeoLite2-City-Locations-de.csv",
		strings.ReplaceAll(locationsCSV, "Switzerland", "Schweiz"),
		"GeoLite2-City-CSV_1/GeoLite2-City-Locations-en.csv", locationsCSV,
		"GeoLite2-City-CSV_1/GeoLite2-City-Blocks-IPv4.csv", blocksCSV, "README.txt", "x"))
	asn := &database{}
	asn.insert("192.0.2.0/25", map[string]any{"autonomous_system_number": uint32(64496),
		"autonomous_system_organization": "One"})
	asn.insert("192.0.2.128/25", map[string]any{"autonomous_system_number": uint32(64497)})
	asn.insert("2001:db8::/32", map[string]any{"autonomous_system_number": uint32(64498)})
	nested := &database{}
	nested.insert("192.0.2.0/25", map[string]any{
		"city": english("Zürich"), "continent": english("Europe"),
		"country":      map[string]any{"iso_code": "CH", "names": map[string]any{"en": "Switzerland"}},
		"subdivisions": []any{map[string]any{"iso_code": "ZH", "names": map[string]any{"en": "Zurich"}}},
		"location":     map[string]any{"latitude": 47.5, "longitude": 8.5},
	})
	nested.insert("2001:db8::/48", map[string]any{"country": map[string]any{"iso_code": "CH"}})
	flat := &database{}
	flat.insert("192.0.2.0/25", map[string]any{"city": "Zürich", "country_code": "CH", "state1": "Zurich",
		"latitude": 47.5, "longitude": 8.5})

	for _, c := range []struct {
		name  string
		files Files
		want  said
	}{
		{"CSV", Files{ASN: []string{file(t, "a.csv", asnCSV)}, Locations: []string{file(t, "l.csv", locationsCSV)},
			Blocks: []string{file(t, "b.csv", blocksCSV)}}, wantCSV},
		{"CSV with the columns in another order, and a byte order mark", Files{
			ASN: []string{file(t, "a.csv",
				"\ufeffautonomous_system_organization,network,autonomous_system_number\nOne,192.0.2.0/24,64496\n"+
					"Two,192.0.2.128/25,64497\n")},
			Locations: []string{file(t, "l.csv", locationsCSV)},
			Blocks: []string{file(t, "b.csv",
				"longitude,latitude,accuracy,geoname_id,network\n8.5,47.5,1,7,192.0.2.0/25\n,,,,192.0.2.128/26\n")},
		}, wantCSV},
		{"gzip", Files{ASN: []string{file(t, "a.csv", asnCSV)}, Locations: []string{file(t, "l.csv", locationsCSV)},
			Blocks: []string{file(t, "b.csv.gz", packed.String())}}, wantCSV},
		{"zip", Files{ASN: []string{file(t, "a.ZIP", string(zipped(t, "d/GeoLite2-ASN-Blocks-IPv4.csv", asnCSV)))},
			Blocks: []string{file(t, "c.zip", city)}}, wantCSV},
		{"mmdb as MaxMind and DB-IP make it", Files{ASN: []string{asn.write(t, "asn.mmdb")},
			Blocks: []string{nested.write(t, "city.mmdb")}}, said{
			asn: []string{"192.0.2.0/25 AS64496", "192.0.2.128/25 AS64497", "2001:db8::/32 AS64498"},
			blocks: []string{"192.0.2.0/25 AS64496|Europe|CH|Switzerland|ZH|Zurich|Zürich|47.5|8.5",
				"2001:db8::/48 AS64498||CH|||||-|-"},
		}},
		{"mmdb as ip-location-db makes it", Files{Blocks: []string{flat.write(t, "city.mmdb")}}, said{
			blocks: []string{"192.0.2.0/25||CH|||Zurich|Zürich|47.5|8.5"},
		}},
		{"ranges of DB-IP", Files{
			ASN: []string{file(t, "a.csv",
				"192.0.2.0,192.0.2.127,64496,\"One, Inc.\"\n192.0.2.128,192.0.2.130,64497,Two\n"+
					"2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,64498,Three\n")},
			Blocks: []string{file(t, "b.csv",
				"192.0.2.0,192.0.2.127,EU,CH,Zurich,Zürich,47.5,8.5\n2001:db8::,2001:db8::ffff,EU,CH,,,,\n")},
		}, said{
			asn: []string{"192.0.2.0/25 AS64496", "192.0.2.128/31 AS64497", "192.0.2.130/32 AS64497",
				"2001:db8::/32 AS64498"},
			blocks: []string{"192.0.2.0/25 AS64496|Europe|CH|||Zurich|Zürich|47.5|8.5",
				"2001:db8::/112 AS64498|Europe|CH|||||-|-"},
		}},
		{"ranges of ip-location-db, and of countries", Files{Blocks: []string{
			file(t, "b.csv", "192.0.2.0,192.0.2.127,CH,Zurich,,Zürich,8001,47.5,8.5,Europe/Zurich\n"),
			file(t, "c.csv", "198.51.100.0,198.51.100.255,FR\n"),
		}}, said{
			blocks: []string{"192.0.2.0/25||CH|||Zurich|Zürich|47.5|8.5", "198.51.100.0/24||FR|||||-|-"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(t, c.files), cmp.AllowUnexported(said{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestBadRows has rows that cost themselves.
func TestBadRows(t *testing.T) {
	got := read(t, Files{
		ASN: []string{file(t, "asn.csv",
			"network,autonomous_system_number\n192.0.2.0/33,1\n192.0.2.0/24,many\n192.0.2.0/24\n198.51.100.0/24,\n"+
				"203.0.113.0/24,0\n192.0.2.\"0/24,1\n192.0.2.0/24,64496\n")},
		Blocks: []string{file(t, "blocks.csv",
			"192.0.2.9,192.0.2.1,CH\n192.0.2.0,2001:db8::,CH\n192.0.2.0,192.0.2.0,CH,x\nx,192.0.2.0,CH\n"+
				"192.0.2.0,192.0.2.0,CH\n")},
	})
	want := said{
		asn:    []string{"192.0.2.0/24 AS64496"},
		blocks: []string{"192.0.2.0/32 AS64496||CH|||||-|-"},
		problems: []string{
			`asn.csv:2: "192.0.2.0/33" is not a network`,
			`asn.csv:3: "many" is not an AS number`,
			"asn.csv:4: 1 cells instead of 2",
			`asn.csv:7: bare " in non-quoted-field`,
			"blocks.csv:1: 192.0.2.9 to 192.0.2.1 is not a range of addresses",
			"blocks.csv:2: 192.0.2.0 to 2001:db8:: is not a range of addresses",
			"blocks.csv:3: 4 cells: neither a country nor a city file of DB-IP or ip-location-db",
			"blocks.csv:4: x to 192.0.2.0 is not a range of addresses",
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBadFiles has files that are refused as a whole, in one line with the path.
func TestBadFiles(t *testing.T) {
	whole := string(zipped(t, "GeoLite2-ASN-Blocks-IPv4.csv", asnCSV))
	torn := &database{}
	torn.insert("192.0.2.0/24", map[string]any{"autonomous_system_number": uint32(1)})
	data, err := os.ReadFile(torn.write(t, "x.mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, text, want string }{
		{"zip cut short", "asn.zip", whole[:len(whole)-30], ": zip: not a valid zip file"},
		{"zip with a byte that is wrong", "asn.zip",
			strings.Replace(whole, "GeoLite2-ASN-Blocks-IPv4.csv", "GeoLite2-ASN-Blocks-IPv4.csv\xff", 1), ": zip: "},
		{"zip of something else", "asn.zip", string(zipped(t, "readme.txt", "x")), ": no *ASN-Blocks*.csv in the zip"},
		{"page of HTML", "asn.csv", "<html>\n", ": no column network in the header"},
		{"header without a column", "asn.csv", "network,as\n192.0.2.0/24,1\n",
			": no column autonomous_system_number in the header"},
		{"empty file", "asn.csv", "", ": empty"},
		{"header only", "asn.csv", "network,autonomous_system_number\n", ": no ASN block in it"},
		{"quote without its end", "asn.csv", asnCSV + "\"192.0.2.0/24,1\n", ": parse error on line 4"},
		{"gzip cut short", "asn.csv", "\x1f\x8b\x08\x00", ": unexpected EOF"},
		{"mmdb cut short", "asn.mmdb", string(data[:len(data)/2]), ": "},
		{"mmdb that is none", "asn.mmdb", "x", ": "},
		{"missing", "", "", "missing.csv: no such file or directory"},
	} {
		path := filepath.Join(t.TempDir(), "missing.csv")
		if c.file != "" {
			path = file(t, c.file, c.text)
		}
		_, err := Read(Files{ASN: []string{path}})
		if err == nil || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), path) != 1 ||
			!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line with the path and %q", c.name, err, c.want)
		}
	}
	// Blocks are read as they are written to the table, so their faults come later.
	sets, err := Read(Files{Blocks: []string{file(t, "b.csv", "network,geoname_id\n192.0.2.0/24,1\n")}})
	if err != nil {
		t.Fatal(err)
	}
	err = sets[1].Each(func(record.Raw, string) error { return nil }, func(record.Problem) {})
	if err == nil || !strings.HasSuffix(err.Error(), "b.csv: no column latitude in the header") {
		t.Errorf("%v", err)
	}
}

func TestAdditions(t *testing.T) {
	got := read(t, Files{
		ASN: []string{file(t, "a.csv", asnCSV)}, Locations: []string{file(t, "l.csv", locationsCSV)},
		Blocks: []string{file(t, "b.csv", blocksCSV)},
		CustomIP: file(t, "custom.yml", `data:
  - {id: 192.0.2.128/26, as_id: 64499, city_name: Bern}
  - {id: site, ip_subnet: [[198.51.100.0, 24]], as_id: 64500}
  - {id: site, ip_subnet: [[198.51.100.0, 25]]}
  - {city_name: nowhere}
`),
	})
	want := said{
		asn:    append(wantCSV.asn, "192.0.2.128/26 192.0.2.128/26 AS64499", "site 198.51.100.0/24 AS64500"),
		blocks: []string{wantCSV.blocks[0], "192.0.2.128/26 AS64499|-|-|-|-|-|Bern|-|-", "site AS64500"},
		problems: []string{
			"custom.yml:5: id: missing",
			"custom.yml:4: site: id: there is a record with it already",
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(said{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct{ first, last, want string }{
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"255.255.255.255", "255.255.255.255", "255.255.255.255/32"},
		{"10.0.0.1", "10.0.0.6", "10.0.0.1/32 10.0.0.2/31 10.0.0.4/31 10.0.0.6/32"},
		{"10.0.0.0", "10.0.2.255", "10.0.0.0/23 10.0.2.0/24"},
		{"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"},
		{"2001:db8::1", "2001:db8::4", "2001:db8::1/128 2001:db8::2/127 2001:db8::4/128"},
	} {
		var got []string
		err := eachOfRange(c.first, c.last, func(p netip.Prefix) error {
			got = append(got, p.String())
			return nil
		})
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s to %s: %v, %v, want %s", c.first, c.last, got, err, c.want)
		}
	}
}

func TestNoRanges(t *testing.T) {
	for _, c := range [][2]string{
		{"10.0.0.2", "10.0.0.1"}, {"10.0.0.1", "2001:db8::1"}, {"10.0.0.1", ""}, {"x", "10.0.0.1"},
		{"::1", "::9%eth0"}, {"::1%eth0", "::9"}, {"::1%eth0", "::9%eth0"},
	} {
		err := eachOfRange(c[0], c[1], func(p netip.Prefix) error { return fmt.Errorf("%v is taken", p) })
		if err == nil || !strings.Contains(err.Error(), "is not a range of addresses") {
			t.Errorf("%s to %s: %v", c[0], c[1], err)
		}
	}
}
