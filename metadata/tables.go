package metadata

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/tables"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// sourceTable lists the records of each source; see the package comment.
const sourceTable = schema.SourceTable

// database has the tables, to which this package also writes.
type database struct{ tables.Database }

func newDatabase(conn driver.Conn, settings schema.Settings) *database {
	return &database{tables.Database{Conn: conn, Settings: settings}}
}

func literal(text string) string { return sqltext.Text(text) }

// CreateTables creates missing tables of IP reference extensions, which other programs fill, maybe later. If one cannot
// be created, the Refresher reports it and works without it.
func CreateTables(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := newDatabase(conn, settings)
	for _, name := range settings.IPRefExtensions {
		table := schema.ExtensionTable(name)
		if settings.KnowsMetadataTable(table) {
			continue // schema.Apply creates it
		}
		exists, err := d.Exists(ctx, table)
		if err != nil {
			return err
		}
		if !exists {
			// without the right to create it, everything else works
			_ = conn.Exec(ctx, settings.CreateExtensionTable(name))
		}
	}
	return nil
}

// MissingExtensionTables returns the tables of IP reference extensions that the database does not have, under their
// names there, except those that the schema creates.
func MissingExtensionTables(ctx context.Context, conn driver.Conn, settings schema.Settings) ([]string, error) {
	d := newDatabase(conn, settings)
	var missing []string
	for _, name := range settings.IPRefExtensions {
		table := schema.ExtensionTable(name)
		if settings.KnowsMetadataTable(table) {
			continue
		}
		exists, err := d.Exists(ctx, table)
		if err != nil {
			return nil, err
		}
		if !exists {
			missing = append(missing, settings.TableName(table))
		}
	}
	return missing, nil
}
