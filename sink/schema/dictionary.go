package schema

import (
	"fmt"
	"strings"
)

// dictionary is a dictionary over a metadata table.
type dictionary struct {
	Dictionary
	columns []string // definitions
	key     string
	query   string // its columns: the key, the range if there is one, the attributes
	layout  string
	ranges  string // the RANGE clause, if the layout needs one

	maskPassword bool
}

// dictionaries are those that the settings ask for.
func dictionaries(s *Settings) []dictionary {
	var all []dictionary
	if s.ApplicationDictionary.Enabled {
		all = append(all, applicationDictionary(s))
	}
	if s.ASDictionary.Enabled {
		all = append(all, asDictionary(s))
	}
	return all
}

// ReloadDictionaries returns the statements that have ClickHouse read the dictionaries' tables now, instead of at some
// time within their lifetime.
func (s *Settings) ReloadDictionaries() []string {
	var all []string
	for _, d := range dictionaries(s) {
		all = append(all, "SYSTEM RELOAD DICTIONARY"+s.onCluster()+" "+s.qualified(d.Name))
	}
	return all
}

// applicationDictionary names the application of a protocol and port. Of the ranges that hold a port the one that
// starts last wins, so that 443 is https and not the range of all system ports. Records that no source has any more are
// left out.
func applicationDictionary(s *Settings) dictionary {
	return dictionary{
		Dictionary: s.ApplicationDictionary,
		columns: []string{
			"`id` String", "`protocol` String", "`port_range_min` UInt16", "`port_range_max` UInt16",
		},
		key: "protocol",
		query: "SELECT lower(source.protocol) AS protocol, least(source.port_range_min, source.port_range_max) AS " +
			"port_range_min, " +
			"greatest(source.port_range_min, source.port_range_max) AS port_range_max, source.id AS id FROM " +
			s.qualified(s.Tables.Application) +
			" AS source FINAL WHERE sipHash128(concat(source.protocol, ' ', source.id, ' ', " +
			"toString(source.port_range_min), ' ', toString(source.port_range_max))) NOT IN " +
			s.Vanished(ApplicationTable),
		layout: "COMPLEX_KEY_RANGE_HASHED(range_lookup_strategy 'max')",
		ranges: "RANGE(MIN port_range_min MAX port_range_max)",
	}
}

// asDictionary gives the name of an AS, of its newest version. Records that no source has any more are left out.
func asDictionary(s *Settings) dictionary {
	return dictionary{
		Dictionary: s.ASDictionary,
		columns:    []string{"`id` UInt32", "`name` String"},
		key:        "id",
		query: "SELECT id, argMax(name, (insert_time, length(ref), ref)) AS name FROM " +
			s.qualified(s.Tables.AS) + " WHERE sipHash128(toString(id)) NOT IN " + s.Vanished(ASTable) + " GROUP BY id",
		layout: "HASHED()",
	}
}

// create renders the statement; verb is CREATE or CREATE OR REPLACE.
func (d *dictionary) create(s *Settings, verb string) string {
	var b strings.Builder
	exists := ""
	if verb == "CREATE" {
		exists = " IF NOT EXISTS"
	}
	fmt.Fprintf(&b, "%s DICTIONARY%s %s%s\n(\n    %s\n)\n",
		verb, exists, s.qualified(d.Name), s.onCluster(), strings.Join(d.columns, ",\n    "))
	fmt.Fprintf(&b, "PRIMARY KEY %s\n", ident(d.key))
	fmt.Fprintf(&b, "SOURCE(CLICKHOUSE(%s))\n", d.source(s))
	fmt.Fprintf(&b, "LIFETIME(MIN %d MAX %d)\n", d.LifetimeMin, d.LifetimeMax)
	fmt.Fprintf(&b, "LAYOUT(%s)", d.layout)
	if d.ranges != "" {
		b.WriteString("\n" + d.ranges)
	}
	return b.String()
}

// source renders what stands in SOURCE(CLICKHOUSE(…)).
func (d *dictionary) source(s *Settings) string {
	from := &s.DictionarySource
	var parts []string
	if from.NamedCollection != "" {
		parts = append(parts, "NAME "+ident(from.NamedCollection))
	} else {
		// The server itself, which takes this address for its own and does not connect. Without it the name localhost
		// is looked up, which minimal images do not know.
		parts = append(parts, "HOST '127.0.0.1'")
	}
	if from.Username != "" {
		parts = append(parts, "USER "+literal(from.Username))
	}
	if from.Password != "" {
		password := from.Password
		if d.maskPassword {
			password = "[HIDDEN]"
		}
		parts = append(parts, "PASSWORD "+literal(password))
	}
	parts = append(parts, "DB "+literal(s.Database), "QUERY "+literal(d.query))
	return strings.Join(parts, " ")
}

// masked is the dictionary as the server shows it, with its password hidden.
func (d *dictionary) masked() *dictionary {
	m := *d
	m.maskPassword = true
	return &m
}
