package geo

import (
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"
)

// asnEntry is what ASN databases hold; ip-location-db's and MaxMind's have the same names.
type asnEntry struct {
	Number uint32 `maxminddb:"autonomous_system_number"`
}

// names are by language.
type names map[string]string

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

func eachDatabaseASN(path string, yield func(netip.Prefix, uint32)) error {
	db, err := maxminddb.Open(path)
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
	db, err := maxminddb.Open(path)
	if err != nil {
		return err
	}
	defer db.Close()
	for result := range db.Networks() {
		b := block{prefix: result.Prefix(), network: result.Prefix().String()}
		var e cityEntry
		if err := result.Decode(&e); err == nil {
			b.takeNested(&e)
		} else {
			var flat flatEntry // city is a text in it, and so not of cityEntry's type
			if result.Decode(&flat) != nil {
				return err
			}
			b.location = location{known: true, city: flat.City, code: flat.Code, subName: flat.State}
			b.place(flat.Latitude, flat.Longitude)
		}
		if err := yield(&b); err != nil {
			return err
		}
	}
	return nil
}

func (b *block) takeNested(e *cityEntry) {
	b.location = location{
		known: true, city: e.City.Names["en"], continent: e.Continent.Names["en"],
		country: e.Country.Names["en"], code: e.Country.Code,
	}
	if len(e.Subdivisions) > 0 {
		b.location.subName, b.location.subCode = e.Subdivisions[0].Names["en"], e.Subdivisions[0].Code
	}
	b.place(e.Location.Latitude, e.Location.Longitude)
}

func (b *block) place(latitude, longitude *float64) {
	if latitude != nil && longitude != nil {
		b.latitude, b.longitude = *latitude, *longitude
	}
}
