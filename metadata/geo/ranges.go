package geo

import (
	"net/netip"
	"strconv"
)

// DB-IP and ip-location-db publish CSV files without a header whose rows start with the first and the last address.
//
//	ASN:                  first, last, number, name
//	DB-IP country lite:   first, last, country
//	DB-IP city lite:      first, last, continent, country, state, city, latitude, longitude
//	ip-location-db city:  first, last, country, state, state2, city, postcode, latitude, longitude, time zone
const (
	countryCells     = 3
	cityLiteCells    = 8
	ipLocationDBCity = 10
)

func eachRangeASN(t *table, yield func(netip.Prefix, uint32)) error {
	return t.each(countryCells, func(cells []string) error {
		if cells[2] == "" {
			return nil
		}
		as, err := strconv.ParseUint(cells[2], 10, 32)
		if err != nil {
			return bad("%q is not an AS number", cells[2])
		}
		return eachOfRange(cells[0], cells[1], func(p netip.Prefix) error {
			yield(p, uint32(as))
			return nil
		})
	})
}

func eachRangeBlock(t *table, yield func(*block) error) error {
	return t.each(countryCells, func(cells []string) error {
		b := block{location: location{known: true}}
		l := &b.location
		switch len(cells) {
		case ipLocationDBCity:
			l.code, l.subName, l.city = cells[2], cells[3], cells[5]
			b.latitude, b.longitude = number(cells[7]), number(cells[8])
		case cityLiteCells:
			l.continent, l.code, l.subName, l.city = continents[cells[2]], cells[3], cells[4], cells[5]
			b.latitude, b.longitude = number(cells[6]), number(cells[7])
		case countryCells:
			l.code = cells[2]
		default:
			return bad("%d cells: neither a country nor a city file of DB-IP or ip-location-db", len(cells))
		}
		return eachOfRange(cells[0], cells[1], func(p netip.Prefix) error {
			b.prefix, b.network = p, p.String()
			return yield(&b)
		})
	})
}

var continents = map[string]string{
	"AF": "Africa", "AN": "Antarctica", "AS": "Asia", "EU": "Europe",
	"NA": "North America", "OC": "Oceania", "SA": "South America",
}

// eachOfRange calls yield with the smallest set of prefixes that covers the addresses from first to last. An address
// with a zone (RFC 4007 §11) is of one host's link, and no prefix has it.
func eachOfRange(first, last string, yield func(netip.Prefix) error) error {
	from, err1 := netip.ParseAddr(first)
	to, err2 := netip.ParseAddr(last)
	if err1 != nil || err2 != nil || from.Zone()+to.Zone() != "" || from.BitLen() != to.BitLen() || to.Less(from) {
		return bad("%s to %s is not a range of addresses", first, last)
	}
	for {
		bits := from.BitLen()
		for bits > 0 {
			wider := netip.PrefixFrom(from, bits-1)
			if wider.Masked().Addr() != from || to.Less(lastOf(wider)) {
				break
			}
			bits--
		}
		p := netip.PrefixFrom(from, bits)
		if err := yield(p); err != nil {
			return err
		}
		end := lastOf(p)
		if end == to {
			return nil
		}
		from = end.Next()
	}
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().AsSlice()
	for i := p.Bits(); i < len(a)*8; i++ {
		a[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(a)
	return last
}
