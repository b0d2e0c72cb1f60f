package schema

import (
	"fmt"
	"strings"
)

// column is one column of a table; its type is spelled as system.columns spells it.
type column struct {
	name, typ string
	defaults  string // the DEFAULT expression, if any
	codec     string // what stands in CODEC(…), if anything
	comment   string // what DESCRIBE says of it; an existing column keeps its own until the operator accepts an Offer
	paths     paths  // of a JSON column: its typed paths
	optional  bool   // rows are stored without it, too
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
	nullableKey bool // the keys hold Nullable columns
	metadata    bool // not rows: whole on every shard
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
	fmt.Fprintf(&b, "\n)\nENGINE = %s\n", t.engineClause(s))
	if t.engine == distributedEngine {
		return strings.TrimSuffix(b.String(), "\n")
	}
	b.WriteString(t.storageClauses())
	b.WriteString("SETTINGS " + t.settingsClause(s))
	return b.String()
}

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
	if t.name == s.local(s.Tables.Flow) {
		settings = append(settings, wideSetting)
		if s.KnowsMergeWidth {
			settings = append(settings, mergeSettings...)
		}
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

// wideSetting has an insert written to one file instead of one for each of some hundred columns and paths, which takes
// the server half the processor time. Merges make files of their own for each column as soon as it pays; the default is
// 10 MiB.
const wideSetting = "min_bytes_for_wide_part = 104857600"

// mergeSettings have parts wait until so many can be merged into one. Merging a row takes the server three to four
// times as long as inserting it; by fives, which is about what it does left alone, a row of a busy day is merged seven
// times, this way two or three. What is left of a partition is merged into one part a day after the last of it came, or
// there would be too many in years.
var mergeSettings = []string{
	mergeWidth + " = 32",
	"min_age_to_force_merge_seconds = 86400",
	"min_age_to_force_merge_on_partition_only = 1",
}

// mergeWidth is the name of a setting that older servers do not know.
const mergeWidth = "min_parts_to_merge_at_once"

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
