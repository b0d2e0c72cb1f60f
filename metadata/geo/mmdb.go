package geo

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// asnEntry is what ASN databases hold; ip-location-db's and MaxMind's have the same names.
type asnEntry struct {
	Number uint32 `maxminddb:"autonomous_system_number"`
}

// names are by language; ours is English.
type names struct {
	English string `maxminddb:"en"`
}

// cityEntry is what city databases hold: nested in MaxMind's and DB-IP's, flat in ip-location-db's.
type cityEntry struct {
	City struct {
		Names names `maxminddb:"names"`
	} `maxminddb:"city"`
	Continent struct {
		Names names `maxminddb:"names"`
	} `maxminddb:"continent"`
	Country struct {
		Code  string `maxminddb:"iso_code"`
		Names names  `maxminddb:"names"`
	} `maxminddb:"country"`
	Location struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
	Subdivisions []struct {
		Code  string `maxminddb:"iso_code"`
		Names names  `maxminddb:"names"`
	} `maxminddb:"subdivisions"`
}

type flatEntry struct {
	City      string   `maxminddb:"city"`
	Code      string   `maxminddb:"country_code"`
	State     string   `maxminddb:"state1"`
	Latitude  *float64 `maxminddb:"latitude"`
	Longitude *float64 `maxminddb:"longitude"`
}

func isDatabase(path string) bool { return strings.EqualFold(filepath.Ext(path), ".mmdb") }

// openDatabase reads the file into memory. Mapped, a file that is cut short by somebody would end the process.
func openDatabase(path string) (*maxminddb.Reader, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return maxminddb.OpenBytes(data)
}

func eachDatabaseASN(path string, yield func(netip.Prefix, uint32)) error {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer db.Close()
	for result := range db.Networks() {
		var e asnEntry
		if err := result.Decode(&e); err != nil {
			return err
		}
		if e.Number != 0 {
			yield(result.Prefix(), e.Number)
		}
	}
	return nil
}

func eachDatabaseBlock(path string, yield func(*block) error) error {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer db.Close()
	flat := false // city is a text then, and so not of cityEntry's type; all records of a file are alike
	for result := range db.Networks() {
		b := block{prefix: result.Prefix(), network: result.Prefix().String()}
		if !flat {
			var e cityEntry
			err := result.Decode(&e)
			if err == nil {
				b.takeNested(&e)
			} else if flat = result.Decode(&flatEntry{}) == nil; !flat {
				return err
			}
		}
		if flat {
			var e flatEntry
			if err := result.Decode(&e); err != nil {
				return err
			}
			b.location = location{known: true, city: e.City, code: e.Code, subName: e.State}
			b.place(e.Latitude, e.Longitude)
		}
		if err := yield(&b); err != nil {
			return err
		}
	}
	return nil
}

func (b *block) takeNested(e *cityEntry) {
	b.location = location{
		known: true, city: e.City.Names.English, continent: e.Continent.Names.English,
		country: e.Country.Names.English, code: e.Country.Code,
	}
	if len(e.Subdivisions) > 0 {
		b.location.subName, b.location.subCode = e.Subdivisions[0].Names.English, e.Subdivisions[0].Code
	}
	b.place(e.Location.Latitude, e.Location.Longitude)
}

func (b *block) place(latitude, longitude *float64) {
	if latitude != nil && longitude != nil {
		b.latitude, b.longitude = *latitude, *longitude
	}
}
