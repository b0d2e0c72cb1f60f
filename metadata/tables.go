package metadata

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// sourceTable lists the records of each source; see the package comment.
const sourceTable = "meta_source"

// database knows where the tables are.
type database struct {
	conn     driver.Conn
	settings schema.Settings
}

// name is a table's quoted name in the database, from its standard name.
func (d *database) name(table string) string {
	return quote(d.settings.Database) + "." + quote(tableName(&d.settings.Tables, table))
}

// tableName is what the settings call the table with a standard name. Tables that the settings do not know keep it.
func tableName(t *schema.Tables, standard string) string {
	switch standard {
	case record.Organization:
		return t.Organization
	case record.AS:
		return t.AS
	case record.Device:
		return t.Device
	case record.Circuit:
		return t.Circuit
	case record.Interface:
		return t.Interface
	case record.IP:
		return t.IP
	case record.SciReg:
		return t.SciReg
	case record.Application:
		return t.Application
	}
	return standard
}

func quote(identifier string) string {
	return "`" + strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(identifier) + "`"
}

func literal(text string) string {
	return "'" + strings.NewReplacer("\\", "\\\\", "'", "\\'").Replace(text) + "'"
}

// CreateTables creates our own two tables where they are missing. The others are schema.Apply's.
func CreateTables(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := database{conn, settings}
	for _, t := range []struct{ name, columns, engine, order string }{
		{record.ASPrefix, "id String, ref String, hash String, insert_time DateTime DEFAULT now(), ext JSON, " +
			"tag Array(LowCardinality(String)), ip_subnet Array(Tuple(IPv6, UInt8)), as_id UInt32",
			"MergeTree", "ref, id, insert_time"},
		{sourceTable, "table_name LowCardinality(String), source LowCardinality(String), id String, present Bool, " +
			"insert_time DateTime64(6) DEFAULT now64(6)",
			"ReplacingMergeTree", "table_name, source, id"},
	} {
		version := ""
		if t.engine == "ReplacingMergeTree" {
			version = "insert_time"
		}
		statement := fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s (%s) ENGINE = %s ORDER BY (%s)",
			d.name(t.name), d.onCluster(), t.columns, d.engine(t.engine, version), t.order)
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("create table %s: %w", t.name, err)
		}
	}
	return nil
}

func (d *database) onCluster() string {
	if d.settings.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + quote(d.settings.Cluster)
}

func (d *database) engine(name, version string) string {
	var arguments []string
	if r := d.settings.MetadataReplication(); r.Enabled {
		name = "Replicated" + name
		arguments = append(arguments, literal(r.Path), literal(r.Name))
	}
	if version != "" {
		arguments = append(arguments, version)
	}
	return name + "(" + strings.Join(arguments, ", ") + ")"
}

// newest are the columns of the newest version of each id: by insert time, which has seconds only, then by the version's number.
func newest(columns string) string {
	return "argMax((" + columns + "), (insert_time, toUInt64OrZero(extract(ref, '__v([0-9]+)$'))))"
}
