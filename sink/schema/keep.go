package schema

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Dropped is a partition of a table that DropOldest has dropped.
type Dropped struct {
	Table, Partition string // Partition is its partition_id
	Rows, Bytes      uint64
	First, Last      time.Time // times of the first and of the last row
}

// DropOldest drops the oldest partition of the largest table on disk. That is data_flow, until a rollup, whose rows are
// kept for longer, has become larger. Partitions with rows of today stay. It returns nil if there is nothing to drop.
func DropOldest(ctx context.Context, conn driver.Conn, s *Settings) (*Dropped, error) {
	var names []string
	for _, t := range tables(s) {
		if t.partitionBy != "" && !t.metadata {
			names = append(names, literal(t.name))
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	var found []struct {
		Table     string    `ch:"table"`
		Partition string    `ch:"partition_id"`
		Rows      uint64    `ch:"n"`
		Bytes     uint64    `ch:"bytes"`
		First     time.Time `ch:"first"`
		Last      time.Time `ch:"last"`
	}
	if err := conn.Select(ctx, &found, fmt.Sprintf(`SELECT table, partition_id, sum(rows) AS n,
	sum(bytes_on_disk) AS bytes, toDateTime(min(min_time), 'UTC') AS first, toDateTime(max(max_time), 'UTC') AS last
FROM system.parts WHERE active AND database = %s AND table IN (%s)
GROUP BY table, partition_id
HAVING last < toStartOfDay(now('UTC'))
ORDER BY sum(bytes) OVER (PARTITION BY table) DESC, table, last
LIMIT 1`, literal(s.Database), strings.Join(names, ", "))); err != nil {
		return nil, fmt.Errorf("look for the oldest day: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	f := found[0]
	d := &Dropped{f.Table, f.Partition, f.Rows, f.Bytes, f.First.UTC(), f.Last.UTC()}
	if err := conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP PARTITION ID %s", s.qualified(d.Table),
		literal(d.Partition))); err != nil {
		return nil, fmt.Errorf("drop the oldest day of %s: %w", d.Table, err)
	}
	return d, nil
}

// GoingBytes returns the bytes on disk of inactive parts, which were replaced or dropped: the server deletes their
// files soon.
func GoingBytes(ctx context.Context, conn driver.Conn) (bytes uint64, err error) {
	if err := conn.QueryRow(ctx,
		"SELECT sum(bytes_on_disk) FROM system.parts WHERE NOT active").Scan(&bytes); err != nil {
		return 0, fmt.Errorf("read what is about to be deleted: %w", err)
	}
	return bytes, nil
}
