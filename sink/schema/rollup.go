package schema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rollup is a set of dimensions by which the engine sums up data_flow, in one table for each step. The sums are those
// of data_flow over whole steps: every flow counts in every rollup. RollupSets is the only place that lists them; the
// setting, the tables, the planner (Choose) and the documentation follow from it.
type Rollup struct {
	Name string
	For  string // for people: what it answers
	// Steps are the widths of its tables, the finest first. Each table is filled from the one before it.
	Steps []string
	// Dimensions are columns of data_flow, paths of its ext as ext.PATH, or NamedScope.
	Dimensions []string
	// Largest are those of Dimensions of which hardly two flows have the same values. Its tables have the largest sums
	// of each insert by them alone, and one row, with Folded, of all others: see foldedQuery. nil: all are kept.
	Largest []string
	// As stands for Name in the names of its tables; "" is Name. An earlier version had tables of other dimensions
	// under Name, which keep their rows.
	As string
	// Shrink is how many flows one row of the finest table has, measured: 20 devices, 10,000 flows a second.
	Shrink int
}

// RollupSets returns all sets. Sets whose finest table would have a row for fewer than 10 flows begin with a wider
// step, or are not there: such a table is a second copy of the rows.
func RollupSets() []Rollup {
	fine, usual, wide := []string{"1m", "5m", "1h", "1d"}, []string{"5m", "1h", "1d"}, []string{"1h", "1d"}
	graphed := []string{"1h", "6h", "1d"} // graphs of a month have steps of 6 hours
	return []Rollup{
		{Name: "traffic", Steps: fine, Shrink: 12_200, For: "traffic by device, protocol and policy",
			Dimensions: []string{"device_id", "flow_type", "protocol", "ip_version", "policy_originator",
				"policy_level"}},
		// With the refs it has what the aggregate by interface has, and which flows have no metadata.
		{Name: "interface", As: "interface_ref", Steps: fine, Shrink: 400,
			For: "traffic by interface, also of interfaces without metadata",
			Dimensions: []string{"device_id", "in_interface_id", inRef, "in_interface_edge", "out_interface_id", outRef,
				"out_interface_edge"}},
		{Name: "interface_application", As: "interface_port", Steps: graphed, Shrink: 200,
			For: "traffic by application over interfaces and circuits",
			Dimensions: []string{"device_id", "in_interface_id", "out_interface_id", "protocol",
				"application_port"}},
		{Name: "application", As: "edge_application", Steps: usual, Shrink: 4_250, For: "traffic by application port",
			Dimensions: []string{"device_id", Edge, "protocol", "application_port"}},
		{Name: "sampling", Steps: usual, Shrink: 10_000, For: "how devices sample",
			Dimensions: []string{"device_id", "flow_type", "sampling_rate", "sampling_source"}},
		{Name: "peer", As: "interface_peer", Steps: usual, Shrink: 1_350, For: "traffic by BGP next hop",
			Dimensions: []string{"device_id", "out_interface_id", "peer_as_id", "peer_ip"}},
		{Name: "src_as", As: "edge_src_as", Steps: usual, Shrink: 20,
			For: "traffic by source AS and its organization", Dimensions: []string{"device_id", Edge, "src_as_id"}},
		{Name: "dst_as", As: "edge_dst_as", Steps: usual, Shrink: 27,
			For:        "traffic by destination AS and its organization",
			Dimensions: []string{"device_id", Edge, "dst_as_id"}},
		// Weeks of all devices together are far fewer rows here than by device.
		{Name: "all_src_as", Steps: graphed, Shrink: 600, For: "traffic by source AS, all devices together",
			Dimensions: []string{"src_as_id"}},
		{Name: "all_dst_as", Steps: graphed, Shrink: 600, For: "traffic by destination AS, all devices together",
			Dimensions: []string{"dst_as_id"}},
		{Name: "as_pair", As: "largest_as_pair", Steps: wide, Shrink: 50, For: "the largest pairs of AS",
			Dimensions: []string{"device_id", Edge, "src_as_id", "dst_as_id"},
			Largest:    []string{"src_as_id", "dst_as_id"}},
		{Name: "talkers", Steps: wide, Shrink: 30, For: "the largest pairs of addresses",
			Dimensions: []string{"device_id", "protocol", "application_port", "src_as_id", "dst_as_id", "src_ip",
				"dst_ip"},
			Largest: []string{"application_port", "src_as_id", "dst_as_id", "src_ip", "dst_ip"}},
		{Name: "as_path", Steps: usual, Shrink: 186, For: "traffic by AS path; needs the bgp extension",
			Dimensions: []string{"device_id", "ext.bgp_as_path_id"}},
		{Name: "community", Steps: usual, Shrink: 75,
			For:        "traffic by BGP community, a flow at each of its own; needs the bgp extension",
			Dimensions: []string{"device_id", Community}},
		{Name: "route", Steps: usual, Shrink: 280,
			For: "traffic by validation of destinations, next AS and origin of the route, and of invalid routes by " +
				"prefix; with the extensions rpki and bgp_meta",
			Dimensions: []string{"device_id", "peer_as_id", Validation, RouteRouter, RouteSource, InvalidAS,
				InvalidPrefix}},
		{Name: "src_prefix", Steps: usual, Shrink: 29, For: "traffic by source prefix and city",
			Dimensions: []string{"src_ip_ref"}},
		{Name: "dst_prefix", Steps: usual, Shrink: 29, For: "traffic by destination prefix and city",
			Dimensions: []string{"dst_ip_ref"}},
		// By device it would have 20 times the rows of hours and days, for 20 devices.
		{Name: "country", Steps: usual, Shrink: 1_000, For: "traffic by country and from country to country",
			Dimensions: []string{srcCountry, dstCountry}},
		{Name: "scireg", Steps: usual, Shrink: 69,
			For:        "traffic by resource of the Science Registry; needs the IP reference extension scireg",
			Dimensions: []string{"device_id", "ext.src_ip_scireg_ref", "ext.dst_ip_scireg_ref"}},
		{Name: "scope", As: NamedScope, Steps: usual, Shrink: 10_000,
			For:        "traffic by the scopes of the policy but as:<AS>, which have rollups of their own",
			Dimensions: []string{"device_id", "policy_originator", "policy_level", NamedScope}},
	}
}

// RollupNames are the names of all sets.
func RollupNames() []string {
	var names []string
	for _, r := range RollupSets() {
		names = append(names, r.Name)
	}
	return names
}

// rollupTTLs are the default TTLs, by step.
var rollupTTLs = map[string]string{"1m": "7 DAY", "5m": "90 DAY", "1h": "5 YEAR", "6h": "5 YEAR", "1d": "10 YEAR"}

// RollupSteps are the steps that a rollup may have, the finest first.
func RollupSteps() []string { return []string{"1m", "5m", "1h", "6h", "1d"} }

// stepDuration is the length of a step of RollupSteps.
func stepDuration(step string) time.Duration {
	switch step {
	case "1m":
		return time.Minute
	case "5m":
		return 5 * time.Minute
	case "1h":
		return time.Hour
	case "6h":
		return 6 * time.Hour
	}
	return 24 * time.Hour
}

// rollupPrefix begins the names of the tables.
const rollupPrefix = "rollup_"

// Table is the name of the table of one step.
func (r *Rollup) Table(step string) string { return rollupPrefix + cmp.Or(r.As, r.Name) + "_" + step }

// rollups are the sets that the settings turn on and that have their extensions, in the order of RollupSets.
func (s *Settings) rollups() []Rollup {
	if s.MetadataOnly {
		return nil
	}
	var on []Rollup
	for _, r := range RollupSets() {
		if (slices.Contains(s.Rollups, r.Name) || slices.Contains(s.Rollups, AllRollups)) && s.missingPath(&r) == "" &&
			s.missingColumn(&r) == "" {
			on = append(on, r)
		}
	}
	return on
}

// AllRollups in Settings.Rollups turns on every set that the extensions allow.
const AllRollups = "all"

// missingPath is a path of ext that the rollup needs and data_flow does not type; "" without one.
func (s *Settings) missingPath(r *Rollup) string {
	typed := s.flowPaths()
	for _, d := range r.Dimensions {
		path, found := strings.CutPrefix(d, "ext.")
		if made := derivedOf(d); made != nil {
			path, found = made.needs, made.needs != ""
		}
		if found && typed[path] == "" {
			return path
		}
	}
	return ""
}

// missingColumn is a column that the rollup needs and data_flow is made without; "" without one.
func (s *Settings) missingColumn(r *Rollup) string {
	for _, d := range r.Dimensions {
		if slices.Contains(s.WithoutColumns, d) {
			return d
		}
	}
	return ""
}

// validateRollups refuses names that are not in RollupSets, and sets whose paths data_flow does not have.
func (s *Settings) validateRollups() error {
	for _, name := range s.Rollups {
		i := slices.IndexFunc(RollupSets(), func(r Rollup) bool { return r.Name == name })
		if i < 0 {
			if name == AllRollups {
				continue
			}
			return fmt.Errorf("rollup %q is none of %s, %s", name, AllRollups, strings.Join(RollupNames(), ", "))
		}
		if path := s.missingPath(&RollupSets()[i]); path != "" {
			return fmt.Errorf("rollup %s needs the path %s of ext, which no extension in the settings has", name, path)
		}
		if column := s.missingColumn(&RollupSets()[i]); column != "" {
			return fmt.Errorf("rollup %s needs the column %s, which the settings leave out", name, column)
		}
	}
	for step, interval := range s.RollupTTLs {
		if rollupTTLs[step] == "" {
			return fmt.Errorf("TTL of rollups: step %q is none of %s", step, strings.Join(RollupSteps(), ", "))
		}
		if err := (TTL{Interval: interval, Column: startTime}).validate("TTL of rollups by " + step); err != nil {
			return err
		}
	}
	return nil
}

// rollupTTL is the TTL of the tables of a step.
func (s *Settings) rollupTTL(step string) TTL {
	interval, given := s.RollupTTLs[step]
	if !given {
		interval = rollupTTLs[step]
	}
	return TTL{Interval: interval, Column: startTime}
}

// columnName is the name that a dimension has as a column of a rollup: paths of ext are columns of their own there.
func columnName(dimension string) string { return strings.TrimPrefix(dimension, "ext.") }

// ofRows is the expression of a dimension over data_flow, with the alias of the table; "" is none.
func ofRows(dimension, alias string) string {
	if made := derivedOf(dimension); made != nil {
		return made.of(alias)
	}
	if !strings.HasPrefix(dimension, "ext.") {
		dimension = ident(dimension)
	}
	if alias == "" {
		return dimension
	}
	return alias + "." + dimension
}

// dimensionColumns are the columns of a rollup's dimensions.
func (s *Settings) dimensionColumns(r *Rollup) []column {
	typed := s.flowPaths()
	var columns []column
	for _, d := range r.Dimensions {
		c := column{name: columnName(d)}
		if path, found := strings.CutPrefix(d, "ext."); found {
			c.typ, c.codec, c.comment = typed[path], codecText, "ext."+path+" of data_flow."
		} else if made := derivedOf(d); made != nil {
			c.typ, c.codec, c.comment = made.typ, made.codec, made.comment
		} else {
			of := flowColumn(d)
			c.typ, c.codec, c.comment = rolledType(d), cmp.Or(of.Codec, codecPlain), of.Comment
		}
		columns = append(columns, c)
	}
	if r.folds() {
		columns = append(columns, column{name: Folded, typ: "Bool", codec: codecPlain,
			comment: "The sums of what was not among the largest: " + strings.Join(r.Largest, ", ") + " are empty."})
	}
	return columns
}

// inRef and outRef are versions of interfaces. data_flow writes them as they are; a rollup has few of them.
const inRef, outRef = "in_interface_ref", "out_interface_ref"

// rolledType is the type of a column of data_flow in rollups.
func rolledType(name string) string {
	if name == inRef || name == outRef {
		return typeTextNull
	}
	return flowColumn(name).Type
}

// rollupTables are the tables of a rollup, the finest first.
func (s *Settings) rollupTables(r *Rollup) []table {
	var tables []table
	for _, step := range r.Steps {
		columns := append([]column{{name: startTime, typ: "DateTime('UTC')", codec: "Delta, ZSTD(1)",
			comment: "Start of the step."}}, s.dimensionColumns(r)...)
		key := []string{startTime}
		for _, c := range columns[1:] {
			key = append(key, c.name)
		}
		for _, sum := range []string{"flow_count", "bit_count", "packet_count"} {
			columns = append(columns, column{name: sum, typ: "UInt64", codec: codecCounter})
		}
		describeSums(columns[len(columns)-3:])
		t := table{
			name: r.Table(step), engine: "SummingMergeTree", engineArgs: "(flow_count, bit_count, packet_count)",
			columns: columns, partitionBy: "toYYYYMMDD(start_time)", primaryKey: key[:min(len(key), 3)], orderBy: key,
			nullableKey: true, ttl: s.rollupTTL(step),
		}
		if stepDuration(step) >= time.Hour {
			t.partitionBy = "toYYYYMM(start_time)" // years of them
		}
		tables = append(tables, t)
	}
	return tables
}

func describeSums(columns []column) {
	for i, text := range []string{"How many flows; sum it.", "Bytes on the wire * 8 * sampling rate; sum it.",
		"Packets * sampling rate; sum it."} {
		columns[i].comment = text
	}
}

// materialized is a materialized view: it fills a table from another.
type materialized struct {
	name, table string // the view, and the table of rows that it fills
	query       string
}

func (m *materialized) create(s *Settings) string {
	return fmt.Sprintf("CREATE MATERIALIZED VIEW IF NOT EXISTS %s%s TO %s\nAS %s",
		s.qualified(m.name), s.onCluster(), s.qualified(m.table), m.query)
}

// rollupViews fill the tables of a rollup: the finest from data_flow, each other one from the one before it.
func (s *Settings) rollupViews(r *Rollup) []materialized {
	var views []materialized
	for i, step := range r.Steps {
		m := materialized{name: r.Table(step) + viewSuffix, table: s.local(r.Table(step))}
		if i == 0 {
			m.query = s.finestQuery(r, s.filledSince(r))
		} else {
			m.query = s.widerQuery(r, r.Steps[i-1], step)
		}
		views = append(views, m)
	}
	return views
}

// filledSince is the condition on rows of data_flow that a view counts: rows inserted after the view was created. Fill
// counts the earlier ones.
func (s *Settings) filledSince(r *Rollup) string {
	since := s.RollupsSince[r.Name]
	if since.IsZero() {
		return ""
	}
	return "insert_time >= " + sinceLiteral(since)
}

const sinceLayout = "2006-01-02 15:04:05.000"

func sinceLiteral(t time.Time) string {
	return "toDateTime64('" + t.UTC().Format(sinceLayout) + "', 3, 'UTC')"
}

// finestQuery sums rows of data_flow up to the finest table of a rollup. Where is a condition on columns of data_flow.
func (s *Settings) finestQuery(r *Rollup, where string) string {
	v := View{Window: r.Steps[0], TTL: s.rollupTTL(r.Steps[len(r.Steps)-1])}
	keys := []string{ofTable(v.startTerm()) + " AS start_time"}
	for _, d := range r.Dimensions {
		keys = append(keys, ofRows(d, "f")+" AS "+ident(columnName(d)))
	}
	sums := summing(keys, "count()", s.qualified(s.local(s.Tables.Flow)), ofTable(where))
	if r.folds() {
		return foldedQuery(r, sums)
	}
	return sums
}

// ofTable is an expression with the name of the table before start_time, which is also what a view calls its step.
func ofTable(expression string) string {
	return strings.ReplaceAll(expression, startTime, "f."+startTime)
}

// widerQuery sums a table of a rollup up to the next one.
func (s *Settings) widerQuery(r *Rollup, from, to string) string {
	interval, err := windowInterval(to)
	if err != nil {
		return "" // no step of RollupSteps
	}
	keys := []string{"toStartOfInterval(f.start_time, INTERVAL " + interval + ") AS start_time"}
	for _, name := range r.columns() {
		keys = append(keys, "f."+ident(name)+" AS "+ident(name))
	}
	return summing(keys, "sum(f.flow_count)", s.qualified(s.local(r.Table(from))), "")
}

// summing is a query without another one within it: the server analyzes it for each insert, which takes as long as
// making a small part. So sums have the names of the columns that they are of, and these the name of the table.
func summing(keys []string, flows, from, where string) string {
	columns := append(keys, flows+" AS flow_count", "sum(f.bit_count) AS bit_count",
		"sum(f.packet_count) AS packet_count")
	from += " AS f"
	if where != "" {
		from += "\nWHERE " + where
	}
	return "SELECT\n    " + strings.Join(columns, ",\n    ") + "\nFROM " + from + "\nGROUP BY ALL"
}

// materializedViews returns all materialized views of the settings, in the order of their creation.
func (s *Settings) materializedViews() []materialized {
	var all []materialized
	for i := range s.Views {
		v := &s.Views[i]
		all = append(all, materialized{name: v.name(), table: s.local(v.Table), query: v.query(s)})
	}
	for _, r := range s.rollups() {
		all = append(all, s.rollupViews(&r)...)
	}
	return all
}
