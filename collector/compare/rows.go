package compare

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// Rows selects the rows that an account is made from, of a table with data_flow's columns.
type Rows struct {
	Table     string // quoted for SQL
	From, To  time.Time
	Collector string // collector_id; "": all
}

// AddRows adds rows that began in [From, To).
func (a *Account) AddRows(ctx context.Context, conn driver.Conn, r Rows) error {
	what := `toString(device_id) AS device,
	ifNull(toString(in_interface_id), '') AS i, ifNull(toString(out_interface_id), '') AS o`
	if a.By == BySource {
		what = `replaceRegexpOne(toString(src_ip), '^::ffff:([0-9.]+)$', '\\1') AS device, '' AS i, '' AS o`
	}
	query := `SELECT toInt64(toUnixTimestamp(toStartOfMinute(start_time))) AS minute, ` + what + `,
	count() AS flows, sum(bit_count) AS bits, sum(packet_count) AS packets,
	countIf(toUnixTimestamp64Milli(start_time) % 1000 != 0) = 0 AS whole
FROM ` + r.Table + `
WHERE start_time >= fromUnixTimestamp64Milli(?) AND start_time < fromUnixTimestamp64Milli(?)`
	arguments := []any{r.From.UnixMilli(), r.To.UnixMilli()}
	if r.Collector != "" {
		query += " AND collector_id = ?"
		arguments = append(arguments, r.Collector)
	}
	rows, err := conn.Query(ctx, query+"\nGROUP BY minute, device, i, o", arguments...)
	if err != nil {
		return fmt.Errorf("read rows of %s: %w", r.Table, err)
	}
	for rows.Next() {
		var k Key
		var s Sums
		var whole uint8
		if err := rows.Scan(&k.Minute, &k.Device, &k.In, &k.Out, &s.Flows, &s.Bits, &s.Packets, &whole); err != nil {
			return fmt.Errorf("read rows of %s: %w", r.Table, err)
		}
		a.Whole = a.Whole && whole == 1
		a.Add(k, s)
	}
	return rows.Err()
}

// QuoteTable quotes a table's name, with or without its database.
func QuoteTable(name string) string {
	parts := strings.SplitN(name, ".", 2)
	for i, p := range parts {
		parts[i] = sqltext.Name(p)
	}
	return strings.Join(parts, ".")
}
