package schema

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// Offer is a change to an existing table that only the operator decides on: Apply does not do it.
type Offer struct {
	Table     string
	Line      string // what changes, and its consequences
	Statement string
	Rewrites  bool    // parts that are there keep the old form until they are merged or rewritten (Rewrite)
	ends      *Rollup // whose finest view the statement drops; nil: it does no such thing
}

// Offers returns the differences between the existing tables and those that the settings would create, which Apply does
// not remove.
func Offers(ctx context.Context, conn driver.Conn, s Settings) ([]Offer, error) {
	steps, err := look(ctx, conn, &s)
	return steps.offers, err
}

func (p *planner) offer(table, statement, line string, args ...any) {
	p.offers = append(p.offers, Offer{Table: table, Statement: statement, Line: fmt.Sprintf(line, args...)})
}

// offerForm offers the codecs, settings and comments with which the table would be created now. Only a MergeTree has
// them.
func (p *planner) offerForm(t *table, old *existing) {
	if !strings.HasSuffix(old.Engine, "MergeTree") {
		return
	}
	p.codecs(t, old)
	p.pathTypes(t, old)
	p.refTypes(t, old)
	p.costs(t, old)
	p.indexes(t, old)
	p.comments(t, old)
}

// codecs offers the codecs with which the table would be created now.
func (p *planner) codecs(t *table, old *existing) {
	is := map[string]string{}
	for _, c := range old.columns {
		is[c.Name] = c.Codec
	}
	var parts, names []string
	for i := range t.columns {
		c := &t.columns[i]
		have, there := is[c.name]
		if !there || c.codec == "" || plainCodec(have) == plainCodec("CODEC("+c.codec+")") {
			continue
		}
		parts = append(parts, "MODIFY COLUMN "+ident(c.name)+" CODEC("+c.codec+")")
		names = append(names, c.name)
	}
	if len(parts) == 0 {
		return
	}
	p.offer(t.name, p.alter(t.name, strings.Join(parts, ", ")), "codecs of %d columns (%s): at once for new parts, "+
		"for others as they are merged", len(names), shortList(names))
	p.offers[len(p.offers)-1].Rewrites = true
}

// pathTypes offers the types of typed paths with which the table would be created now.
func (p *planner) pathTypes(t *table, old *existing) {
	for i := range t.columns {
		c := &t.columns[i]
		at := slices.IndexFunc(old.columns, func(o existingColumn) bool { return o.Name == c.name })
		if len(c.paths) == 0 || at < 0 {
			continue
		}
		arguments, typed := parseJSON(old.columns[at].Type)
		var names []string
		for j, argument := range arguments {
			path := sqltext.ParseElement(argument)
			if want := c.paths[path.Name]; want != "" && typed[path.Name] == path.Type && path.Type != want {
				arguments[j] = path.Name + " " + want
				names = append(names, path.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		p.offer(t.name, p.alter(t.name, "MODIFY COLUMN "+ident(c.name)+" JSON("+strings.Join(arguments, ", ")+")"),
			"types of %d paths of %s (%s), by which inserts and merges take less time; values stay the same. The "+
				"server converts %s of all rows that are there, which takes it some %d s a million rows; without this "+
				"change nothing is lost", len(names), c.name, shortList(names), c.name, convertSeconds)
	}
}

// refTypes offers dictionaries for the columns of refs if the settings want them. It does not offer to take them away:
// that the table has them can be the operator's choice.
func (p *planner) refTypes(t *table, old *existing) {
	if !p.s.LowCardinalityRefs {
		return
	}
	var parts, names []string
	for i := range t.columns {
		c := &t.columns[i]
		if slices.ContainsFunc(old.columns, func(o existingColumn) bool {
			return o.Name == c.name &&
				o.Type == c.also
		}) {
			parts = append(parts, "MODIFY COLUMN "+ident(c.name)+" "+c.typ)
			names = append(names, c.name)
		}
	}
	if len(parts) > 0 {
		p.offer(t.name, p.alter(t.name, strings.Join(parts, ", ")), "%d columns of refs (%s) get dictionaries, by "+
			"which they take less disk; values stay the same. The server rewrites these columns of all rows that are "+
			"there", len(names), shortList(names))
	}
}

// convertSeconds is how long the server takes to convert ext of a million rows to another type, measured on one core.
const convertSeconds = 20

// costs offers the settings with which the table would be created now, except those for which it has a value: that may
// be the operator's choice.
func (p *planner) costs(t *table, old *existing) {
	var missing, names []string
	for _, c := range t.costSettings(p.s) {
		if !strings.Contains(old.EngineFull, " "+c.name+" = ") {
			missing, names = append(missing, c.String()), append(names, c.name)
		}
	}
	if len(missing) > 0 {
		p.offer(t.name, p.alter(t.name, "MODIFY SETTING "+strings.Join(missing, ", ")),
			"settings by which inserts and merges take less time (%s): at once, for new parts; no part is rewritten",
			shortList(names))
	}
}

// indexes offers the indexes with which the table would be created now.
func (p *planner) indexes(t *table, old *existing) {
	var parts, names []string
	for _, name := range t.largest {
		if !strings.Contains(old.Create, "INDEX "+indexName(name)+" ") {
			parts, names = append(parts, "ADD INDEX IF NOT EXISTS "+indexOfLargest(name)), append(names, name)
		}
	}
	if len(parts) == 0 {
		return
	}
	p.offer(t.name, p.alter(t.name, strings.Join(parts, ", ")), "indexes of the largest flows (by %s), which are then "+
		"found without reading all: at once for new parts, for others as they are merged", shortList(names))
	p.offers[len(p.offers)-1].Rewrites = true
}

// comments offers the column comments with which the table would be created now.
func (p *planner) comments(t *table, old *existing) {
	is := map[string]string{}
	for _, c := range old.columns {
		is[c.Name] = c.Comment
	}
	var parts, names []string
	for i := range t.columns {
		c := &t.columns[i]
		if have, there := is[c.name]; there && c.comment != "" && have != c.comment {
			parts = append(parts, "COMMENT COLUMN "+ident(c.name)+" "+literal(c.comment))
			names = append(names, c.name)
		}
	}
	if len(parts) > 0 {
		p.offer(t.name, p.alter(t.name, strings.Join(parts, ", ")), "comments of %d columns (%s), which replace those "+
			"that are there", len(names), shortList(names))
	}
}

func shortList(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}

// widths matches arguments that the server adds to codecs by itself, such as Delta(8) and GCD(4).
var widths = regexp.MustCompile(`\b(Delta|DoubleDelta|GCD|T64)\([^)]*\)`)

// plainCodec returns a codec in one form, without the arguments that the server may add or leave out.
func plainCodec(codec string) string {
	codec = widths.ReplaceAllString(codec, "$1")
	if strings.HasSuffix(codec, "ZSTD)") {
		codec = strings.TrimSuffix(codec, ")") + "(1))" // the default level
	}
	return strings.ReplaceAll(codec, " ", "")
}

// Size is the size of a table's columns on disk.
type Size struct {
	Rows, Bytes, Parts uint64
	Partitions         []string // their ids, the oldest first
}

// SizeOf reads the size of a table.
func SizeOf(ctx context.Context, conn driver.Conn, s *Settings, table string) (Size, error) {
	var size Size
	err := conn.QueryRow(ctx, "SELECT sum(rows), sum(data_compressed_bytes), count(), "+
		"arraySort(groupUniqArray(partition_id)) FROM system.parts WHERE active AND database = "+literal(s.Database)+
		" AND table = "+literal(table)).Scan(&size.Rows, &size.Bytes, &size.Parts, &size.Partitions)
	if err != nil {
		return Size{}, fmt.Errorf("read the size of %s: %w", table, err)
	}
	return size, nil
}

// Accept makes the change of an offer.
func Accept(ctx context.Context, conn driver.Conn, s *Settings, o Offer) error {
	if o.ends != nil {
		if err := endRollup(ctx, conn, s, o.ends); err != nil {
			return err
		}
	}
	if err := conn.Exec(ctx, o.Statement); err != nil {
		return fmt.Errorf("change table %s: %w", o.Table, err)
	}
	return nil
}

// Rewrite rewrites a partition of a table in the table's current form. It needs as much free disk as the partition
// takes, and some microseconds of processor time per row.
func Rewrite(ctx context.Context, conn driver.Conn, s *Settings, table, partition string) error {
	err := conn.Exec(ctx, "OPTIMIZE TABLE "+s.qualified(table)+s.onCluster()+" PARTITION ID "+literal(partition)+
		" FINAL SETTINGS optimize_skip_merged_partitions = 0, mutations_sync = 2")
	if err != nil {
		return fmt.Errorf("rewrite partition %s of %s: %w", partition, table, err)
	}
	return nil
}
