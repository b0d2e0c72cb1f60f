package schema

import (
	"fmt"
	"slices"
	"strings"
)

// column is one column of a table; its type is spelled as system.columns spells it.
type column struct {
	name, typ string
	also      string // a type of the same values that an existing table may have; "": none
	defaults  string // the DEFAULT expression, if any
	codec     string // what stands in CODEC(…), if anything
	comment   string // what DESCRIBE says of it; an existing column keeps its own until the operator accepts an Offer
	paths     paths  // of a JSON column: its typed paths
	optional  bool   // rows are stored without it, too
	later     string // what the rows have that are there when it is added; "": the type's own default
}

// paths are the typed paths of a JSON column.
type paths map[string]string

// jsonType renders the type of a JSON column, the paths sorted as the server shows them.
func jsonType(p paths) string {
	if len(p) == 0 {
		return "JSON"
	}
	parts := make([]string, 0, len(p))
	for _, name := range sortedKeys(p) {
		parts = append(parts, name+" "+p[name])
	}
	return "JSON(" + strings.Join(parts, ", ") + ")"
}

func jsonColumn(name string, p paths) column {
	return column{name: name, typ: jsonType(p), paths: p}
}

// extColumn is the ext column of tables other than data_flow.
func extColumn(p paths) column {
	c := jsonColumn("ext", p)
	c.comment = "Room for what has no column of its own."
	return c
}

// definition renders the column as CREATE TABLE and ADD COLUMN take it.
func (c *column) definition() string {
	var b strings.Builder
	b.WriteString(ident(c.name) + " " + c.typ)
	if c.defaults != "" {
		b.WriteString(" DEFAULT " + c.defaults)
	}
	if c.comment != "" {
		b.WriteString(" COMMENT " + literal(c.comment))
	}
	if c.codec != "" {
		b.WriteString(" CODEC(" + c.codec + ")")
	}
	return b.String()
}

// table is a MergeTree-family table.
type table struct {
	name        string
	engine      string // without Replicated
	engineArgs  string
	columns     []column
	partitionBy string
	primaryKey  []string // empty: as orderBy
	orderBy     []string
	nullableKey bool     // the keys hold Nullable columns
	metadata    bool     // not rows: whole on every shard
	largest     []string // columns by which the rows with the largest values are found
	ttl         TTL
}

// column is the column of that name; nil if there is none.
func (t *table) column(name string) *column {
	for i := range t.columns {
		if t.columns[i].name == name {
			return &t.columns[i]
		}
	}
	return nil
}

// create renders the CREATE statement.
func (t *table) create(s *Settings) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s%s\n(\n", s.qualified(t.name), s.onCluster())
	for i := range t.columns {
		if i > 0 {
			b.WriteString(",\n")
		}
		b.WriteString("    " + t.columns[i].definition())
	}
	for _, name := range t.largest {
		b.WriteString(",\n    INDEX " + indexOfLargest(name))
	}
	fmt.Fprintf(&b, "\n)\nENGINE = %s\n", t.engineClause(s))
	if t.engine == distributedEngine {
		return strings.TrimSuffix(b.String(), "\n")
	}
	b.WriteString(t.storageClauses())
	b.WriteString("SETTINGS " + t.settingsClause(s))
	return b.String()
}

// indexOfLargest renders the index of the smallest and the largest value of a column in each granule. It takes some
// bytes for 8192 rows, and those with the largest values are found without reading the others.
func indexOfLargest(column string) string {
	return indexName(column) + " " + ident(column) + " TYPE minmax GRANULARITY 1"
}

// indexName is the name of indexOfLargest; the server writes it without quotes.
func indexName(column string) string { return column + "_largest" }

// engineClause renders the engine with its arguments, replicated where the settings say so.
func (t *table) engineClause(s *Settings) string {
	if !s.Replication.Enabled || t.engine == distributedEngine {
		return fmt.Sprintf("%s(%s)", t.engine, t.engineArgs)
	}
	r := s.Replication
	if t.metadata {
		r = s.MetadataReplication()
	}
	args := []string{literal(r.Path), literal(r.Name)}
	if t.engineArgs != "" {
		args = append(args, t.engineArgs)
	}
	return fmt.Sprintf("Replicated%s(%s)", t.engine, strings.Join(args, ", "))
}

// storageClauses renders partition, keys and TTL, one per line.
func (t *table) storageClauses() string {
	var b strings.Builder
	if t.partitionBy != "" {
		fmt.Fprintf(&b, "PARTITION BY %s\n", t.partitionBy)
	}
	if len(t.primaryKey) > 0 {
		fmt.Fprintf(&b, "PRIMARY KEY (%s)\n", identList(t.primaryKey))
	}
	fmt.Fprintf(&b, "ORDER BY (%s)\n", identList(t.orderBy))
	if t.ttl.Interval != "" {
		fmt.Fprintf(&b, "TTL %s + INTERVAL %s\n", ident(t.ttl.Column), t.ttl.Interval)
	}
	return b.String()
}

func (t *table) settingsClause(s *Settings) string {
	var settings []string
	if t.nullableKey {
		settings = append(settings, "allow_nullable_key = 1")
	}
	settings = append(settings, "index_granularity = 8192")
	for _, c := range t.costSettings(s) {
		settings = append(settings, c.String())
	}
	for _, d := range deduplication(s, s.Replication.Enabled) {
		settings = append(settings, fmt.Sprintf("%s = %d", d.name, d.value))
	}
	if t.ttl.Interval != "" {
		settings = append(settings, "ttl_only_drop_parts = 1")
	}
	if s.StoragePolicy != "" && !t.metadata {
		settings = append(settings, "storage_policy = "+literal(s.StoragePolicy))
	}
	return strings.Join(settings, ", ")
}

// costSetting is a setting of a table that says how its parts are written and merged. What is read does not depend on
// it.
type costSetting struct {
	name, value string // the value is SQL
}

func (c costSetting) String() string { return c.name + " = " + c.value }

// wideSetting has an insert written to one file instead of one for each of some hundred columns and paths, which takes
// the server half the processor time. Merges make files of their own for each column as soon as it pays; the default is
// 10 MiB.
var wideSetting = costSetting{"min_bytes_for_wide_part", "104857600"}

// mergeSettings have parts wait until so many can be merged into one. Merging a row takes the server three to four
// times as long as inserting it; by fives, which is about what it does left alone, a row of a busy day is merged seven
// times, this way two or three. What is left of a partition is merged into one part a day after the last of it came, or
// there would be too many in years.
var mergeSettings = []costSetting{
	{mergeWidth, "32"},
	{"min_age_to_force_merge_seconds", "86400"},
	{"min_age_to_force_merge_on_partition_only", "1"},
}

// mergeWidth is the name of the setting that the other mergeSettings depend on.
const mergeWidth = "min_parts_to_merge_at_once"

// jsonSettings have the paths of a JSON column that have no type kept as one map, in inserts and in merges. By default
// the server spreads them over 8 to 32 maps and makes columns of those that are frequent, so that a query for one of
// them reads less. It then writes all of these maps although nearly every row of ours has its paths in typed ones, and
// takes each value of a map apart to merge it.
var jsonSettings = []costSetting{
	{"merge_max_dynamic_subcolumns_in_compact_part", "0"},
	{"merge_max_dynamic_subcolumns_in_wide_part", "0"},
	{"object_shared_data_serialization_version", "'map'"},
	{"object_shared_data_serialization_version_for_zero_level_parts", "'map'"},
}

// NewTableSettings are the names of settings that not every server knows.
func NewTableSettings() []string {
	names := []string{mergeWidth}
	for _, c := range jsonSettings {
		names = append(names, c.name)
	}
	return names
}

// costSettings are those that the table is made with on a server that knows them.
func (t *table) costSettings(s *Settings) []costSetting {
	var all []costSetting
	if t.name == s.local(s.Tables.Flow) {
		all = append(all, wideSetting)
		if s.Knows[mergeWidth] {
			all = append(all, mergeSettings...)
		}
	}
	if t.metadata || !slices.ContainsFunc(t.columns, func(c column) bool { return isJSON(c.typ) }) {
		return all
	}
	for _, c := range jsonSettings {
		if s.Knows[c.name] {
			all = append(all, c)
		}
	}
	return all
}

// tableSetting is a table setting with a numeric value.
type tableSetting struct {
	name  string
	value uint
}

// deduplication are the settings with which a table remembers insert tokens. A replicated one does so by itself, but
// for an hour.
func deduplication(s *Settings, replicated bool) []tableSetting {
	switch {
	case s.DeduplicationWindow == 0:
		return nil
	case !replicated:
		return []tableSetting{{"non_replicated_deduplication_window", s.DeduplicationWindow}}
	}
	return []tableSetting{
		{"replicated_deduplication_window", s.DeduplicationWindow},
		{"replicated_deduplication_window_seconds", s.DeduplicationSeconds},
	}
}

// qualified renders a name of the database's, quoted.
func (s *Settings) qualified(name string) string { return ident(s.Database) + "." + ident(name) }

// onCluster renders the ON CLUSTER clause with a leading space, or nothing.
func (s *Settings) onCluster() string {
	if s.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + literal(s.Cluster)
}

// withoutCluster returns a copy of the settings without Cluster: the server shows statements without ON CLUSTER.
func (s *Settings) withoutCluster() *Settings {
	alone := *s
	alone.Cluster = ""
	return &alone
}
