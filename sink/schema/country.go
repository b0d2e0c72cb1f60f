package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// The collector writes the countries of both ends into each row, because it knows them when it makes the row. Looking
// them up by the refs of prefixes takes the server a join with meta_ip for each query, or all prefixes in a dictionary
// in memory. Rows from before the columns have LaterCountry: a default that the columns get when they are added to a
// table with rows, and lose when fillCountries has looked up the countries of these.

const srcCountry, dstCountry = "src_country", "dst_country"

// CountryOf is the expression of the country of a meta_ip record, as rows have it.
const CountryOf = "ifNull(coalesce(nullIf(toString(country_code), ''), nullIf(toString(country_name), '')), '')"

// LaterCountry is the country of rows that were inserted by a version that did not write it.
const LaterCountry = "?"

func isCountry(dimension string) bool { return dimension == srcCountry || dimension == dstCountry }

// readCountriesLater finds out whether rows of data_flow are from before the columns of countries.
func (have *state) readCountriesLater(s *Settings) {
	flow := have.tables[s.local(s.Tables.Flow)]
	s.CountriesLater = flow.hasRows() // they are added now
	for _, c := range flow.columns {
		if isCountry(c.Name) {
			s.CountriesLater = c.Default == literal(LaterCountry)
		}
	}
}

// countriesJoined reports whether views look countries up for rows, because these may not have them.
func (s *Settings) countriesJoined() bool {
	return s.CountriesLater || slices.ContainsFunc(s.WithoutColumns, isCountry)
}

// countryJoin is the alias of the table with which a dimension's country is looked up.
func countryJoin(dimension string) string { return "of_" + dimension }

// joinCountry looks a country up by the ref of the prefix, for rows with the alias f.
func (s *Settings) joinCountry(dimension string) string {
	alias := countryJoin(dimension)
	ref := strings.TrimSuffix(dimension, "_country") + "_ip_ref"
	return fmt.Sprintf("\nANY LEFT JOIN (SELECT ref, %s AS country FROM %s) AS %s ON %s.ref = f.%s", CountryOf,
		s.qualified(s.Tables.IP), alias, alias, ref)
}

// countriesTable has the country of each ref while fillCountries runs.
const countriesTable = "collector_country"

// fillCountries looks up the countries of the rows from before their columns. The server rewrites these two columns of
// all parts that are there. It may be interrupted and called again. Each replica of a table would look them up for
// itself, in a table that it does not have, so replicated tables stay as they are.
func (s *Settings) fillCountries(ctx context.Context, conn driver.Conn, progress func(Filling)) error {
	if _, err := look(ctx, conn, s); err != nil {
		return err
	}
	if !s.CountriesLater || !s.fillsCountries() {
		return nil
	}
	flow, table := s.qualified(s.local(s.Tables.Flow)), s.qualified(countriesTable)
	var older uint64
	if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE %s = %s", flow, srcCountry,
		literal(LaterCountry))).Scan(&older); err != nil {
		return fmt.Errorf("count the rows without countries: %w", err)
	}
	get := func(side string) string {
		return fmt.Sprintf("%s_country = if(%s_country = %s, joinGet(%s, 'country', ifNull(toString(%s_ip_ref), '')), "+
			"%s_country)", side, side, literal(LaterCountry), literal(s.Database+"."+countriesTable), side, side)
	}
	settings := chgo.Context(ctx, chgo.WithSettings(chgo.Settings{"mutations_sync": 2, "max_execution_time": 0,
		"allow_nondeterministic_mutations": 1}))
	for _, step := range []struct{ what, statement string }{
		{"make a table of countries", "CREATE TABLE IF NOT EXISTS " + table + s.onCluster() +
			" (ref String, country LowCardinality(String)) ENGINE = Join(ANY, LEFT, ref)"},
		{"read the countries of prefixes", fmt.Sprintf("INSERT INTO %s SELECT ref, any(%s) FROM %s GROUP BY ref", table,
			CountryOf, s.qualified(s.Tables.IP))},
		{"look up the countries of rows", fmt.Sprintf("ALTER TABLE %s%s UPDATE %s, %s WHERE %s = %s OR %s = %s", flow,
			s.onCluster(), get("src"), get("dst"), srcCountry, literal(LaterCountry), dstCountry,
			literal(LaterCountry))},
		{"note that rows have their countries", fmt.Sprintf("ALTER TABLE %s%s MODIFY COLUMN %s REMOVE DEFAULT, "+
			"MODIFY COLUMN %s REMOVE DEFAULT", flow, s.onCluster(), srcCountry, dstCountry)},
		{"drop the table of countries", "DROP TABLE IF EXISTS " + table + s.onCluster()},
	} {
		if err := conn.Exec(settings, step.statement); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	s.CountriesLater = false
	progress(Filling{Rollup: "countries of rows", Flows: older})
	return s.replaceCountrySums(ctx, conn)
}

// fillsCountries reports whether fillCountries can be used.
func (s *Settings) fillsCountries() bool {
	return !slices.ContainsFunc(s.WithoutColumns, isCountry) && !s.Replication.Enabled
}

// replaceCountrySums replaces the view of sums by country, which has no need to look up countries any more.
func (s *Settings) replaceCountrySums(ctx context.Context, conn driver.Conn) error {
	for _, r := range RollupSets() {
		if !slices.ContainsFunc(r.Dimensions, isCountry) {
			continue
		}
		if err := s.replaceViews(ctx, conn, s.sumsViewsOf(&r, s.isOn(&r)), "the columns of countries"); err != nil {
			return err
		}
	}
	return nil
}
