// Package tables reads the meta_* tables of a database: names, the versions in force, and tables with millions of
// prefixes.
package tables

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Database gives access to the tables. It is safe for concurrent use.
type Database struct {
	Conn     driver.Conn
	Settings schema.Settings
}

// Name returns a table's quoted name in the database for its standard name.
func (d *Database) Name(table string) string {
	return sqltext.Name(d.Settings.Database) + "." + sqltext.Name(d.Settings.TableName(table))
}

// Rows runs a query and calls row for each row of its result. row must read all columns.
func (d *Database) Rows(ctx context.Context, query string, row func(*record.Reader)) (err error) {
	body, err := d.Conn.QueryFormat(ctx, "RowBinary", query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return record.ReadRows(body, row)
}

// Each calls add with the result of parse for each row of a query. parse must read all columns.
func Each[T any](ctx context.Context, d *Database, query string, add func(T), parse func(*record.Reader) T) error {
	return d.Rows(ctx, query, func(r *record.Reader) {
		if v := parse(r); r.Err() == nil {
			add(v)
		}
	})
}

// Exists reports whether the database has a table with a standard name. It does not need the right to read system
// tables.
func (d *Database) Exists(ctx context.Context, table string) (bool, error) {
	var n uint8
	if err := d.Conn.QueryRow(ctx, "EXISTS TABLE "+d.Name(table)).Scan(&n); err != nil {
		return false, fmt.Errorf("look for table %s: %w", table, err)
	}
	return n > 0, nil
}

// Current returns a subquery of the records in force: id and n, a tuple of the columns of the newest version. It is for
// tables of some hundred thousand records, as the engine groups them in memory.
func (d *Database) Current(table, columns string) string {
	return "(SELECT toString(id) AS id, " + Newest(columns) + " AS n FROM " + d.Name(table) +
		" GROUP BY id HAVING sipHash128(id) NOT IN " + d.Vanished(table) + ")"
}

// Vanished returns a subquery of the hashes of the ids that some source had and none has any more.
func (d *Database) Vanished(table string) string { return d.Settings.Vanished(table) }

// Newest returns an expression for the columns of the newest version of an id: by insert time, which has a resolution
// of one second, then by version number.
func Newest(columns string) string {
	return "argMax((" + columns + "), (insert_time, toUInt64OrZero(extract(ref, '__v([0-9]+)$'))))"
}

// MakeRef returns the ref of a version.
func MakeRef(id string, number uint32) string {
	return id + "__v" + strconv.FormatUint(uint64(number), 10)
}

// RefNumber returns the number at the end of a ref; 0 if there is none.
func RefNumber(ref string) uint32 {
	i := strings.LastIndex(ref, "__v")
	if i < 0 {
		return 0
	}
	n, err := strconv.ParseUint(ref[i+len("__v"):], 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
