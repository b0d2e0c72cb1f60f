package geo

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/metranova/flow-collector/metadata/record"
)

// asnEntry is an entry of an ASN database; ip-location-db and MaxMind use the same names.
type asnEntry struct {
	Number uint32 `maxminddb:"autonomous_system_number"`
	Text   string `maxminddb:"asn"` // IPinfo's form: "AS64496"
}

func (e *asnEntry) number() uint32 {
	if e.Number != 0 {
		return e.Number
	}
	n, _ := strconv.ParseUint(strings.TrimPrefix(e.Text, "AS"), 10, 32)
	return uint32(n)
}

// names are the names in several languages; we use English.
type names struct {
	English string `maxminddb:"en"`
}

// cityEntry is an entry of a city database: nested in MaxMind's and DB-IP's, flat in ip-location-db's.
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

// flatEntry has text where cityEntry has maps, as in ip-location-db's and IPinfo's databases. IPinfo's differ: country
// is a code if there is no country_code, and coordinates are text.
type flatEntry struct {
	City          string `maxminddb:"city"`
	Code          string `maxminddb:"country_code"`
	Country       string `maxminddb:"country"`
	CountryName   string `maxminddb:"country_name"`
	Continent     string `maxminddb:"continent"`
	ContinentName string `maxminddb:"continent_name"`
	State         string `maxminddb:"state1"`
	Region        string `maxminddb:"region"`
	RegionCode    string `maxminddb:"region_code"`
	Latitude      any    `maxminddb:"latitude"`
	Longitude     any    `maxminddb:"longitude"`
	Lat           any    `maxminddb:"lat"`
	Lng           any    `maxminddb:"lng"`
}

func (b *block) takeFlat(e *flatEntry) {
	l := &b.location
	*l = location{known: true, city: e.City, code: e.Code, country: e.CountryName, continent: e.ContinentName,
		subName: cmp.Or(e.State, e.Region), subCode: e.RegionCode}
	switch {
	case len(e.Country) == 2 && l.code == "":
		l.code = e.Country
	case len(e.Country) > 2 && l.country == "":
		l.country = e.Country
	}
	if l.continent == "" {
		l.continent = e.Continent
		if name, isCode := continents[e.Continent]; isCode {
			l.continent = name
		}
	}
	latitude, longitude := coordinate(e.Latitude, 90), coordinate(e.Longitude, 180)
	if latitude == nil && longitude == nil {
		latitude, longitude = coordinate(e.Lat, 90), coordinate(e.Lng, 180)
	}
	b.place(latitude, longitude)
}

// coordinate returns nil if v is not a coordinate up to most.
func coordinate(v any, most float64) *float64 {
	f, ok := record.Number(v)
	if !ok || math.Abs(f) > most {
		return nil
	}
	return &f
}

func isDatabase(path string) bool { return strings.EqualFold(filepath.Ext(path), ".mmdb") }

// openDatabase reads the file into memory. If it were mapped, truncating the file would crash the process.
func openDatabase(path string) (*maxminddb.Reader, error) {
	const most = 2 << 30
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.Size() > most {
		return nil, fmt.Errorf("more than the %d bytes allowed", most)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return maxminddb.OpenBytes(data)
}

// eachNetwork calls use for each network with data. A tree of n nodes has n + 1 leaves. A malicious file whose nodes
// lead to the same nodes repeatedly can have 2^128, so leaves without data are counted too.
func eachNetwork(db *maxminddb.Reader, use func(maxminddb.Result) error) error {
	ends := uint(0)
	for result := range db.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if ends++; ends > 2*db.Metadata.NodeCount+2 {
			return fmt.Errorf("its tree has more leaves than %d nodes can have: the file is damaged or malicious",
				db.Metadata.NodeCount)
		}
		if result.Err() == nil && !result.Found() {
			continue
		}
		if err := use(result); err != nil {
			return shortened(err)
		}
	}
	return nil
}

// shortened is an error without the rest of a long text, which the library puts into its errors as it is.
func shortened(err error) error {
	const most = 300
	text := err.Error()
	if len(text) <= most {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
}

func eachDatabaseASN(path string, yield func(netip.Prefix, uint32)) error {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return eachNetwork(db, func(result maxminddb.Result) error {
		var e asnEntry
		if err := result.Decode(&e); err != nil {
			return err
		}
		if n := e.number(); n != 0 {
			yield(result.Prefix(), n)
		}
		return nil
	})
}

func eachDatabaseBlock(path string, yield func(*block) error) error {
	db, err := openDatabase(path)
	if err != nil {
		return err
	}
	defer db.Close()
	flat := false // city is text then, which does not fit cityEntry; all records of a file have the same form
	return eachNetwork(db, func(result maxminddb.Result) error {
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
			b.takeFlat(&e)
		}
		if b.location.textLength() > maxText {
			return fmt.Errorf("%s has a location of more than %d bytes: the file is damaged or malicious", b.network,
				maxText)
		}
		return yield(&b)
	})
}

// textLength is the length of its texts, in bytes.
func (l *location) textLength() int {
	return len(l.city) + len(l.continent) + len(l.country) + len(l.code) + len(l.subName) + len(l.subCode)
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
