package store_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"golang.org/x/sync/errgroup"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestDeduplicationToken sends inserts twice: rows come once, in the table and in the tables behind its views.
func TestDeduplicationToken(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE flow (device String, octets UInt64) ENGINE = MergeTree ORDER BY device")
	run(t, base, "CREATE TABLE by_device (device String, octets UInt64) ENGINE = SummingMergeTree ORDER BY device")
	run(t, base,
		"CREATE MATERIALIZED VIEW by_device_mv TO by_device AS SELECT device, sum(octets) AS octets FROM flow GROUP "+
			"BY device")
	insert := func(token, rows string) {
		t.Helper()
		run(t, base+"?insert_deduplication_token="+token+"&query="+url.QueryEscape("INSERT INTO flow FORMAT CSV"), rows)
	}
	check := func(step, table, view string) {
		t.Helper()
		if got := run(t, base,
			"SELECT device, sum(octets) FROM flow GROUP BY device ORDER BY device FORMAT CSV"); got != table {
			t.Errorf("%s: table %q, want %q", step, got, table)
		}
		if got := run(t, base,
			"SELECT device, sum(octets) FROM by_device GROUP BY device ORDER BY device FORMAT CSV"); got != view {
			t.Errorf("%s: view %q, want %q", step, got, view)
		}
	}
	rows := "a,1\nb,2\n"
	insert("one", rows)
	insert("one", rows)
	check("same token", "\"a\",1\n\"b\",2\n", "\"a\",1\n\"b\",2\n")
	insert("two", rows)
	check("other token, same rows", "\"a\",2\n\"b\",4\n", "\"a\",2\n\"b\",4\n")
	many := strings.Repeat("c,1\n", 200000) // several blocks of the engine
	insert("three", many)
	insert("three", many)
	check("large insert", "\"a\",2\n\"b\",4\n\"c\",200000\n", "\"a\",2\n\"b\",4\n\"c\",200000\n")
	run(t, base+"?insert_deduplication_token=four", "INSERT INTO flow SELECT 'd', 1")
	run(t, base+"?insert_deduplication_token=four", "INSERT INTO flow SELECT 'd', 1")
	check("insert select", "\"a\",2\n\"b\",4\n\"c\",200000\n\"d\",1\n", "\"a\",2\n\"b\",4\n\"c\",200000\n\"d\",1\n")
}

// TestDictionary looks rows of a table up through a dictionary on it, which the engine reads by itself.
func TestDictionary(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE meta_as (id UInt32, name String) ENGINE = MergeTree ORDER BY id")
	run(t, base, "INSERT INTO meta_as VALUES (64500, 'first'), (64501, 'second')")
	run(t, base,
		"CREATE DICTIONARY meta_as_dict (id UInt64, name String) PRIMARY KEY id SOURCE(CLICKHOUSE(TABLE 'meta_as')) "+
			"LAYOUT(HASHED()) LIFETIME(0)")
	if got := run(t, base, "SELECT dictGet('meta_as_dict', 'name', 64501)"); got != "second\n" {
		t.Errorf("dictGet gives %q", got)
	}
	run(t, base, "INSERT INTO meta_as VALUES (64502, 'third')")
	run(t, base, "SYSTEM RELOAD DICTIONARY meta_as_dict")
	if got := run(t, base, "SELECT dictGet('meta_as_dict', 'name', 64502)"); got != "third\n" {
		t.Errorf("dictGet after a reload gives %q", got)
	}
}

// TestManyClients has eight clients insert and read at once.
func TestManyClients(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (client UInt8, n UInt32) ENGINE = MergeTree ORDER BY n")
	const clients, inserts, rows = 8, 10, 50
	var g errgroup.Group
	for client := range clients {
		c := dial(t, base, nil)
		g.Go(func() error {
			for i := range inserts {
				batch, err := c.PrepareBatch(t.Context(), "INSERT INTO t")
				if err != nil {
					return err
				}
				for n := range rows {
					if err := batch.Append(uint8(client), uint32(i*rows+n)); err != nil {
						return err
					}
				}
				if err := batch.Send(); err != nil {
					return err
				}
				var mine uint64
				if err := c.QueryRow(t.Context(), "SELECT count() FROM t WHERE client = ?",
					client).Scan(&mine); err != nil {
					return err
				}
				if want := uint64((i + 1) * rows); mine != want {
					return fmt.Errorf("client %d reads %d rows after insert %d, want %d", client, mine, i, want)
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
	if got, want := run(t, base, "SELECT count(), uniq(client) FROM t"),
		fmt.Sprintf("%d\t%d\n", clients*inserts*rows, clients); got != want {
		t.Errorf("rows and clients %q, want %q", got, want)
	}
}

// TestBrokenInsert ends its data too early: no row of it may be there.
func TestBrokenInsert(t *testing.T) {
	base := storetest.Start(t)
	run(t, base, "CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")
	body := zipped(strings.Repeat("1\n", 1000))
	r := send(t, http.MethodPost, base+"?query="+url.QueryEscape("INSERT INTO t FORMAT CSV"), body[:len(body)-9],
		"Content-Encoding", "gzip")
	if r.status != http.StatusBadRequest {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if got := run(t, base, "SELECT count() FROM t"); got != "0\n" {
		t.Errorf("%q rows of a broken insert", got)
	}
	run(t, base, "INSERT INTO t VALUES (1)") // the place of the broken one is free again
}

// TestLargeInsertRefused has a body that is far from read when the error is known: the client must get the error, not a
// broken connection.
func TestLargeInsertRefused(t *testing.T) {
	c := dial(t, storetest.Start(t), nil)
	for range 5 {
		err := c.InsertFormat(t.Context(), "CSV", "INSERT INTO nowhere",
			strings.NewReader(strings.Repeat("1\n", 10<<20)))
		var exception *clickhouse.Exception
		if !errors.As(err, &exception) || exception.Code != 60 {
			t.Errorf("error %v, want an exception with code 60", err)
		}
	}
}

// BenchmarkInsert measures what the store adds to the engine: the same Native block over HTTP, 8 bytes a row.
func BenchmarkInsert(b *testing.B) {
	base := storetest.Start(b)
	run(b, base, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	block := run(b, base, "SELECT number AS n FROM numbers(50000) FORMAT Native")
	b.SetBytes(int64(len(block)))
	b.ReportAllocs()
	for b.Loop() {
		run(b, base+"?insert_deduplicate=0&query="+url.QueryEscape("INSERT INTO t FORMAT Native"), block)
	}
}
