package clickhouse

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// The store is killed twice under traffic, and the Writer is closed and made again in between: every row is stored
// once, in the table and in its view.
func TestEngineOutage(t *testing.T) {
	s := storetest.Supervise(t, store.Options{})
	options := Options{Addrs: []string{strings.TrimPrefix(s.URL(), "http://")}, Database: "flows", CreateDatabase: true,
		DialTimeout: time.Second}
	conn, err := Open(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	run(t, conn, createFlow,
		"CREATE TABLE by_day (day Date, bit_count UInt64) ENGINE = SummingMergeTree ORDER BY day SETTINGS "+
			"non_replicated_deduplication_window = 100",
		"CREATE MATERIALIZED VIEW by_day_mv TO by_day AS SELECT toDate(start_time) AS day, bit_count FROM data_flow")

	dir := t.TempDir()
	const blocks, rows = 60, 3
	sent, fromSpool := uint64(0), uint64(0)
	for round := range 2 {
		fromSpool += outage(t, conn, s, dir, round, blocks/2, rows)
		sent += blocks / 2 * rows
	}
	if fromSpool == 0 {
		t.Error("nothing went to disk")
	}
	for _, table := range []string{"data_flow", "by_day"} {
		if got := number(t, conn, "SELECT sum(bit_count) FROM "+table); got != sent*8 {
			t.Errorf("%s: %d bits, want those of %d rows, %d", table, got, sent, sent*8)
		}
	}
}

// outage sends blocks, kills the store after a third of them, and in the first round closes the Writer while it is
// down. It returns how many rows came from disk.
func outage(t *testing.T, conn driver.Conn, s *store.Supervisor, dir string, round, blocks, rows int) uint64 {
	t.Helper()
	sp := openSpool(t, dir)
	o := withSpool(sp)
	o.Inserters, o.RetryMax = 2, 50*time.Millisecond
	w := NewWriter(conn, o)
	restarts := s.Restarts()
	for i := range blocks {
		if i == blocks/3 {
			pid := 0 // which would be this process's own group
			until(t, "the store runs", func() bool { pid = s.PID(); return pid > 0 })
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "the supervisor notices", func() bool { return s.Restarts() > restarts })
		}
		w.Enqueue(&Insert{Query: flowQuery, Token: fmt.Sprintf("%d-%d", round, i), Rows: rows, Data: days(t, rows)})
		time.Sleep(2 * time.Millisecond)
	}
	if round > 0 {
		until(t, "the spool is empty", func() bool {
			s := w.Stats()
			return s.Spool.Waiting.Entries == 0 &&
				s.QueuedBytes == 0
		})
	}
	closeWriter(t, w)
	stats := w.Stats()
	allThere(t, uint64(blocks), stats)
	if len(stats.Lost) != 0 {
		t.Errorf("lost %+v", stats.Lost)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	return stats.FromSpool.Rows
}
