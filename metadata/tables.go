package metadata

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
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

func quote(identifier string) string { return sqltext.Name(identifier) }

func literal(text string) string { return sqltext.Text(text) }

// CreateTables creates the tables of IP reference extensions that are missing. They are other programs' tables, which
// may fill them later. One that cannot be created is left to the Refresher, which reports it and works without it.
func CreateTables(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := database{conn, settings}
	for _, name := range settings.IPRefExtensions {
		if tableName(&settings.Tables, "meta_ip_"+name) != "meta_ip_"+name {
			continue // one of the schema's, under a name of the operator's
		}
		exists, err := d.exists(ctx, "meta_ip_"+name)
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
		table := "meta_ip_" + name
		if table == record.SciReg {
			continue
		}
		exists, err := d.exists(ctx, table)
		if err != nil {
			return nil, err
		}
		if !exists {
			missing = append(missing, tableName(&settings.Tables, table))
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
