package schema

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Usage is the disk space that the tables of a database use, and a forecast.
type Usage struct {
	Tables []TableUsage // the largest first
	// Free and Disk are bytes of the disk that the tables are on, as the server sees it: without what it keeps free.
	Free, Disk uint64
}

// TableUsage is one table's part.
type TableUsage struct {
	Table       string
	Rows, Bytes uint64 // Bytes on disk, compressed
	First, Last time.Time
	TTL         TTL
	KnownTTL    bool    // TTL is one interval, or none; without TTL.Interval rows are kept for good
	BytesADay   float64 // at the rate of the last day that is over, or of all its rows where there is none
	WhenFull    uint64  // bytes when it has rows of its whole TTL, at that rate; 0 where it grows for good
}

// Total is the sum of all tables.
func (u *Usage) Total() (bytes uint64, bytesADay float64) {
	for _, t := range u.Tables {
		bytes, bytesADay = bytes+t.Bytes, bytesADay+t.BytesADay
	}
	return bytes, bytesADay
}

// DaysLeft returns after how many days the disk is full at today's rate, with the TTLs considered. fits is true if all
// tables reach their TTL before.
func (u *Usage) DaysLeft(now time.Time) (days int, fits bool) {
	const most = 3650
	free := float64(u.Free)
	for days = 0; days < most; days++ {
		for _, t := range u.Tables {
			if !t.growsOn(now.Add(time.Duration(days) * 24 * time.Hour)) {
				continue
			}
			free -= t.BytesADay
		}
		if free < 0 {
			return days, false
		}
	}
	return most, true
}

// growsOn reports whether the table still grows on a day, because its oldest rows have not reached the TTL.
func (t *TableUsage) growsOn(day time.Time) bool {
	kept := t.TTL.Duration()
	return kept == 0 || t.First.IsZero() || day.Before(t.First.Add(kept))
}

// ReadUsage asks the server. Tables without a column start_time (metadata) do not grow by the day.
func ReadUsage(ctx context.Context, conn driver.Conn, s *Settings) (*Usage, error) {
	var rows []struct {
		Table      string    `ch:"table"`
		Rows       uint64    `ch:"n"`
		Bytes      uint64    `ch:"bytes"`
		First      time.Time `ch:"first"`
		Last       time.Time `ch:"last"`
		DayBytes   float64   `ch:"day_bytes"`
		EngineFull string    `ch:"engine_full"`
		Series     uint8     `ch:"series"`
	}
	// Parts of a daily partition are of one day; of others the share of a day is taken from the whole.
	err := conn.Select(ctx, &rows, fmt.Sprintf(`SELECT t.name AS table, sum(p.rows) AS n, sum(p.bytes_on_disk) AS bytes,
		toDateTime(min(p.min_time), 'UTC') AS first, toDateTime(max(p.max_time), 'UTC') AS last,
		toFloat64(sumIf(p.bytes_on_disk, toDate(p.min_time, 'UTC') = toDate(now('UTC')) - 1 AND
			toDate(p.max_time, 'UTC') = toDate(now('UTC')) - 1)) AS day_bytes,
		any(t.engine_full) AS engine_full,
		toUInt8(any(t.name IN (SELECT table FROM system.columns WHERE database = %[1]s AND name = 'start_time'))) AS `+
		`series
	FROM system.tables AS t
	INNER JOIN (SELECT * FROM system.parts WHERE active) AS p ON p.database = t.database AND p.table = t.name
	WHERE t.database = %[1]s GROUP BY t.name ORDER BY bytes DESC, table`, literal(s.Database)))
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	u := &Usage{}
	for _, r := range rows {
		t := TableUsage{Table: r.Table, Rows: r.Rows, Bytes: r.Bytes}
		t.TTL, t.KnownTTL = parseTTL(ttlOf(storageClauses(r.EngineFull)))
		if r.Series == 1 {
			t.First, t.Last = r.First.UTC(), r.Last.UTC()
			t.BytesADay = r.DayBytes
			if t.BytesADay == 0 {
				days := max(t.Last.Sub(t.First).Hours()/24, 1.0/24)
				t.BytesADay = float64(t.Bytes) / days
			}
			t.WhenFull = uint64(t.BytesADay * t.TTL.Duration().Hours() / 24)
		}
		u.Tables = append(u.Tables, t)
	}
	if err := conn.QueryRow(ctx, "SELECT sum(unreserved_space), sum(total_space) FROM system.disks").Scan(&u.Free,
		&u.Disk); err != nil {
		return nil, fmt.Errorf("read the free disk: %w", err)
	}
	return u, nil
}
