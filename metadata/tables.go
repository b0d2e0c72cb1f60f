package metadata

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// sourceTable lists the records of each source; see the package comment.
const sourceTable = schema.SourceTable

// database knows where the tables are.
type database struct {
	conn     driver.Conn
	settings schema.Settings
}

// name is a table's quoted name in the database, from its standard name.
func (d *database) name(table string) string {
	return quote(d.settings.Database) + "." + quote(d.settings.TableName(table))
}

func quote(identifier string) string { return sqltext.Name(identifier) }

func literal(text string) string { return sqltext.Text(text) }

// CreateTables creates the tables of IP reference extensions that are missing. They are other programs' tables, which
// may fill them later. One that cannot be created is left to the Refresher, which reports it and works without it.
func CreateTables(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := database{conn, settings}
	for _, name := range settings.IPRefExtensions {
		table := schema.ExtensionTable(name)
		if settings.KnowsMetadataTable(table) {
			continue // schema.Apply makes it
		}
		exists, err := d.exists(ctx, table)
		if err != nil {
			return err
		}
		if !exists {
			_ = conn.Exec(ctx, settings.CreateExtensionTable(name)) // without the right to create it, the rest works
		}
	}
	return nil
}

// MissingExtensionTables are the tables of IP reference extensions that the database does not have, under their names
// there. Those that the schema makes are left out.
func MissingExtensionTables(ctx context.Context, conn driver.Conn, settings schema.Settings) ([]string, error) {
	d := database{conn, settings}
	var missing []string
	for _, name := range settings.IPRefExtensions {
		table := schema.ExtensionTable(name)
		if settings.KnowsMetadataTable(table) {
			continue
		}
		exists, err := d.exists(ctx, table)
		if err != nil {
			return nil, err
		}
		if !exists {
			missing = append(missing, settings.TableName(table))
		}
	}
	return missing, nil
}

// exists reports whether the database has a table with a standard name. It needs no right to read system tables.
func (d *database) exists(ctx context.Context, table string) (bool, error) {
	var n uint8
	if err := d.conn.QueryRow(ctx, "EXISTS TABLE "+d.name(table)).Scan(&n); err != nil {
		return false, fmt.Errorf("look for table %s: %w", table, err)
	}
	return n > 0, nil
}

// newest are the columns of the newest version of each id: by insert time, which has seconds only, then by the
// version's number.
func newest(columns string) string {
	return "argMax((" + columns + "), (insert_time, toUInt64OrZero(extract(ref, '__v([0-9]+)$'))))"
}
