package geo

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/metranova/flow-collector/metadata/record"
)

// eachASNBlock reads a file of ASN blocks in any of the formats.
func eachASNBlock(path string, yield func(netip.Prefix, uint32), report func(record.Problem)) error {
	if isDatabase(path) {
		return eachDatabaseASN(path, yield)
	}
	return eachTable(path, "ASN-Blocks", report, func(t *table) error { return eachASNRow(t, yield) })
}

func eachASNRow(t *table, yield func(netip.Prefix, uint32)) error {
	if !t.hasHeader() {
		return eachRangeASN(t, yield)
	}
	at, err := t.columns("network", "autonomous_system_number")
	if err != nil {
		return err
	}
	return t.each(widest(at), func(cells []string) error {
		p, err := network(cells[at[0]])
		if err != nil {
			return err
		}
		if cells[at[1]] == "" {
			return nil
		}
		as, err := strconv.ParseUint(cells[at[1]], 10, 32)
		if err != nil {
			return bad("%q is not an AS number", cells[at[1]])
		}
		yield(p, uint32(as))
		return nil
	})
}

func network(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, bad("%q is not a network", s)
	}
	return p, nil
}

func (r *reader) readLocations(path string) error {
	err := eachTable(path, "Locations-en", r.report, func(t *table) error {
		at, err := t.columns("geoname_id", "continent_name", "country_iso_code", "country_name",
			"subdivision_1_iso_code", "subdivision_1_name", "city_name")
		if err != nil {
			return err
		}
		return t.each(widest(at), func(cells []string) error {
			if len(r.locations) >= maxPlaces {
				return fmt.Errorf("more than %d locations", maxPlaces)
			}
			for _, n := range at {
				r.placeText += len(cells[n])
			}
			if r.placeText > maxPlaceText {
				return fmt.Errorf("locations with more than %d bytes of text", maxPlaceText)
			}
			r.locations[cells[at[0]]] = location{
				known: true, continent: cells[at[1]], code: cells[at[2]], country: cells[at[3]],
				subCode: cells[at[4]], subName: cells[at[5]], city: cells[at[6]],
			}
			return nil
		})
	})
	if err != nil {
		return inFile(path, err)
	}
	return nil
}

func (r *reader) eachGeoLite2Block(t *table, yield func(*block) error) error {
	at, err := t.columns("network", "geoname_id", "latitude", "longitude")
	if err != nil {
		return err
	}
	var b block
	return t.each(widest(at), func(cells []string) error {
		p, err := network(cells[at[0]])
		if err != nil {
			return err
		}
		b = block{network: cells[at[0]], prefix: p, location: r.locations[cells[at[1]]]}
		b.latitude, b.longitude = number(cells[at[2]]), number(cells[at[3]])
		return yield(&b)
	})
}

// number returns nil if s is not a number.
func number(s string) any {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return f
}
