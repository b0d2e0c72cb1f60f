package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ArchiveTable is where rows of an archive are stored: the columns of data_flow, without TTL and without views.
const ArchiveTable = "data_flow_archive"

// TimeSlice is the rows of data_flow from From on and before To.
type TimeSlice struct {
	From, To            time.Time
	Rows, Bits, Packets uint64
}

// TimeSlices cuts a range of start_time into slices of whole seconds that have at most that many rows each, unless one
// second has more. Slices without rows are left out.
func TimeSlices(ctx context.Context, conn driver.Conn, s *Settings, from, to time.Time,
	rows uint64) ([]TimeSlice, error) {
	var seconds []struct {
		Second  time.Time `ch:"second"`
		Rows    uint64    `ch:"n"`
		Bits    uint64    `ch:"bits"`
		Packets uint64    `ch:"packets"`
	}
	err := conn.Select(ctx, &seconds, fmt.Sprintf("SELECT toDateTime(toStartOfSecond(start_time), 'UTC') AS second, "+
		"count() AS n, sum(bit_count) AS bits, sum(packet_count) AS packets FROM %s WHERE start_time >= %s AND "+
		"start_time < %s GROUP BY second ORDER BY second", s.qualified(s.Tables.Flow), sinceLiteral(from),
		sinceLiteral(to)))
	if err != nil {
		return nil, fmt.Errorf("count the rows of %s: %w", s.Tables.Flow, err)
	}
	var all []TimeSlice
	for _, second := range seconds {
		at := second.Second.UTC()
		last := len(all) - 1
		if last < 0 || all[last].Rows+second.Rows > rows {
			all = append(all, TimeSlice{From: at})
			last++
		}
		slice := &all[last]
		slice.To = at.Add(time.Second)
		slice.Rows, slice.Bits, slice.Packets = slice.Rows+second.Rows, slice.Bits+second.Bits,
			slice.Packets+second.Packets
	}
	return all, nil
}

// CountRows counts the rows of a table with start_time from a time on and before another.
func CountRows(ctx context.Context, conn driver.Conn, s *Settings, table string, from, to time.Time) (rows uint64,
	err error) {
	if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE start_time >= %s AND start_time < %s",
		s.qualified(table), sinceLiteral(from), sinceLiteral(to))).Scan(&rows); err != nil {
		return 0, fmt.Errorf("count the rows of %s: %w", table, err)
	}
	return rows, nil
}

// ArchiveColumns are the columns of a table that an archive has: those that rows carry, not what the server fills in.
func ArchiveColumns(ctx context.Context, conn driver.Conn, s *Settings, table string) ([]string, error) {
	var names []string
	err := conn.QueryRow(ctx, "SELECT groupArray(name) FROM (SELECT name FROM system.columns WHERE database = "+
		literal(s.Database)+" AND table = "+literal(table)+
		" AND default_kind IN ('', 'DEFAULT') ORDER BY position)").Scan(
		&names)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", table, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("there is no table %s", table)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "insert_time" }), nil
}

// CommonColumns are the columns of an archive that a table has, and those that it does not have.
func CommonColumns(archive, table []string) (common, left []string) {
	for _, name := range archive {
		if slices.Contains(table, name) {
			common = append(common, name)
		} else {
			left = append(left, name)
		}
	}
	return common, left
}

// jsonColumnName is the column that is a text in an archive: Parquet has no type for it.
const jsonColumnName = "ext"

// SliceQuery reads the rows of a slice as an archive has them: ext as JSON text, in the order of the table.
func SliceQuery(s *Settings, table string, columns []string, slice TimeSlice) string {
	var terms []string
	for _, name := range columns {
		if name == jsonColumnName {
			terms = append(terms, "toJSONString(ext) AS ext")
			continue
		}
		terms = append(terms, ident(name))
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE start_time >= %s AND start_time < %s", strings.Join(terms, ", "),
		s.qualified(table), sinceLiteral(slice.From), sinceLiteral(slice.To))
}

// ArchiveSettings go with the query that writes a file.
func ArchiveSettings() chgo.Settings {
	return chgo.Settings{"output_format_parquet_compression_method": "zstd",
		"output_format_parquet_string_as_string":                 1,
		"output_format_parquet_fixed_string_as_fixed_byte_array": 1, "max_result_bytes": 0, "max_execution_time": 0}
}

// ImportSettings go with the insert of a file.
func ImportSettings(token string) chgo.Settings {
	return chgo.Settings{
		"insert_deduplication_token": token, "insert_deduplicate": 1, "async_insert": 0, "max_insert_threads": 1,
		"deduplicate_blocks_in_dependent_materialized_views": 1, "optimize_on_insert": 0,
		"max_partitions_per_insert_block": 0, "min_insert_block_size_rows": 1 << 40, "min_insert_block_size_bytes": 0,
		"input_format_parquet_preserve_order": 1,
	}
}

// ImportStatement stores a file's columns in a table.
func ImportStatement(s *Settings, table string, columns []string) string {
	return "INSERT INTO " + s.qualified(table) + " (" + identList(columns) + ")"
}

// MakeArchiveTable makes the table for rows of archives, where it is missing: as data_flow, without TTL. A table that
// is there is taken as it is.
func MakeArchiveTable(ctx context.Context, conn driver.Conn, s Settings, table string) error {
	if exists(ctx, conn, s.qualified(table)) {
		return nil
	}
	t := flowTable(&s)
	t.name, t.ttl = table, TTL{}
	if err := conn.Exec(ctx, t.create(&s)); err != nil {
		return fmt.Errorf("make table %s: %w", table, err)
	}
	return nil
}
