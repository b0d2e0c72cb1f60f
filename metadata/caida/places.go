package caida

import (
	_ "embed"
	"strings"
)

// iso3166 has the countries (code, name, continent) and their subdivisions (country-code, name), which are facts of the
// standards ISO 3166-1 and 3166-2.
//
//go:embed iso3166.tsv
var iso3166 string

// places has the names of countries and subdivisions.
type places struct {
	countries    map[string]country // by alpha-2 code
	subdivisions map[string]string  // by code, such as US-CA
}

type country struct{ name, continent string }

func newPlaces() places {
	p := places{map[string]country{}, map[string]string{}}
	for line := range strings.Lines(iso3166) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) == 3 {
			p.countries[fields[0]] = country{fields[1], fields[2]}
		} else {
			p.subdivisions[fields[0]] = fields[1]
		}
	}
	return p
}
