package clickhouse

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// engine starts a real engine and connects to database flows, which it creates.
func engine(t *testing.T, o Options) driver.Conn {
	t.Helper()
	o.Addrs = []string{strings.TrimPrefix(storetest.Start(t), "http://")}
	o.Database, o.CreateDatabase = "flows", true
	conn, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func run(t *testing.T, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if err := conn.Exec(context.Background(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func number(t *testing.T, conn driver.Conn, query string) uint64 {
	t.Helper()
	var n uint64
	if err := conn.QueryRow(context.Background(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// days is a Native block of one row a day.
func days(t *testing.T, n int) []byte {
	t.Helper()
	var (
		start proto.ColDateTime
		bits  proto.ColUInt64
	)
	for day := range n {
		start.Append(time.Unix(int64(day)*86400, 0))
		bits.Append(8)
	}
	input := proto.Input{{Name: "start_time", Data: &start}, {Name: "bit_count", Data: &bits}}
	var b proto.Buffer
	if err := (proto.Block{Columns: len(input), Rows: n}).EncodeRawBlock(&b, 0, input); err != nil {
		t.Fatal(err)
	}
	return b.Buf
}

var flowQuery = InsertQuery("flows", "data_flow", []string{"start_time", "bit_count"})

const createFlow = "CREATE TABLE data_flow (start_time DateTime('UTC'), bit_count UInt64) ENGINE = MergeTree " +
	"PARTITION BY toYYYYMMDD(start_time) ORDER BY start_time SETTINGS non_replicated_deduplication_window = 100"

func TestEngineStoresATokenOnce(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "gzip": {Gzip: true}} {
		t.Run(name, func(t *testing.T) {
			conn := engine(t, o)
			run(t, conn, createFlow)
			w := NewWriter(conn, WriterOptions{JoinBytes: 1})
			for _, token := range []string{"t1", "t2", "t1", "t1"} {
				w.Enqueue(&Insert{Query: flowQuery, Token: token, Rows: 3, Data: days(t, 3)})
			}
			closeWriter(t, w)
			if got := number(t, conn, "SELECT sum(bit_count) FROM data_flow"); got != 2*3*8 {
				t.Errorf("%d bits stored, want those of two blocks, %d", got, 2*3*8)
			}
			if s := w.Stats(); s.Delivered.Inserts != 4 || s.LastError != nil {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// More partitions than max_partitions_per_insert_block (row-semantics F11).
func TestEngineTakesManyDays(t *testing.T) {
	conn := engine(t, Options{})
	run(t, conn, createFlow)
	w := NewWriter(conn, WriterOptions{})
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 150, Data: days(t, 150)})
	closeWriter(t, w)
	if got := number(t, conn, "SELECT count() FROM data_flow"); got != 150 {
		t.Errorf("%d rows stored of 150; stats %+v", got, w.Stats())
	}
}

func TestEngineRejectsWhatDoesNotFit(t *testing.T) {
	conn := engine(t, Options{})
	run(t, conn, createFlow,
		"CREATE TABLE other (start_time DateTime, bit_count Tuple(a UInt8, b UInt8)) ENGINE = MergeTree ORDER BY "+
			"start_time")
	cases := []struct {
		name string
		ins  Insert
	}{
		{"a column that the table lacks",
			Insert{Query: InsertQuery("flows", "data_flow", []string{"start_time", "bits"}), Data: days(t, 1)}},
		{"a column of another type", Insert{Query: InsertQuery("flows", "other", []string{"start_time", "bit_count"}),
			Data: days(t, 1)}},
		{"a block that is cut", Insert{Query: flowQuery, Data: days(t, 10)[:60]}},
		{"a block that is garbage", Insert{Query: flowQuery, Data: []byte("\x01\x01garbage")}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := NewWriter(conn, fast())
			w.Enqueue(&c.ins)
			closeWriter(t, w)
			if s := w.Stats(); s.Lost[sink.Rejected].Inserts != 1 || s.Retried.Inserts != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
	if got := number(t, conn, "SELECT count() FROM data_flow"); got != 0 {
		t.Errorf("%d rows stored of what was rejected", got)
	}
}

// A view that fails lets the insert fail after the table took the rows (row-semantics Q5).
func TestEngineFailingViewStoresOnce(t *testing.T) {
	conn := engine(t, Options{})
	run(t, conn, createFlow,
		"CREATE TABLE names (id UInt64, name String) ENGINE = MergeTree ORDER BY id",
		"CREATE DICTIONARY dict (id UInt64, name String) PRIMARY KEY id SOURCE(CLICKHOUSE(TABLE 'names' DB 'flows')) "+
			"LIFETIME(0) LAYOUT(FLAT())",
		"CREATE TABLE by_name (name String, bit_count UInt64) ENGINE = SummingMergeTree ORDER BY name SETTINGS "+
			"non_replicated_deduplication_window = 100",
		"CREATE MATERIALIZED VIEW by_name_mv TO by_name AS SELECT dictGet('flows.dict', 'name', bit_count) AS name, "+
			"bit_count FROM data_flow",
		"DROP TABLE names SETTINGS check_table_dependencies = 0")
	w := NewWriter(conn, fast())
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 3, Data: days(t, 3)})
	for deadline := time.Now().Add(time.Minute); w.Stats().Retried.Inserts < 3; {
		if time.Now().After(deadline) {
			t.Fatalf("not retried: %+v", w.Stats())
		}
		time.Sleep(time.Millisecond)
	}
	run(t, conn, "CREATE TABLE names (id UInt64, name String) ENGINE = MergeTree ORDER BY id",
		"SYSTEM RELOAD DICTIONARY dict")
	closeWriter(t, w)
	for _, table := range []string{"data_flow", "by_name"} {
		if got := number(t, conn, "SELECT sum(bit_count) FROM "+table); got != 3*8 {
			t.Errorf("%s: %d bits, want %d once", table, got, 3*8)
		}
	}
}

func TestEngineMissingTableIsConfiguration(t *testing.T) {
	conn := engine(t, Options{})
	w := NewWriter(conn, fast())
	w.Enqueue(&Insert{Query: flowQuery, Token: "t", Rows: 1, Data: days(t, 1)})
	for w.Stats().LastError == nil {
		time.Sleep(time.Millisecond)
	}
	if err := w.Stats().LastError; Classify(err) != sink.Configuration {
		t.Errorf("%v is %v", err, Classify(err))
	}
	run(t, conn, createFlow)
	closeWriter(t, w)
	if got := number(t, conn, "SELECT count() FROM data_flow"); got != 1 {
		t.Errorf("%d rows, want 1", got)
	}
}

func TestEngineMissingDatabaseIsConfiguration(t *testing.T) {
	addr := strings.TrimPrefix(storetest.Start(t), "http://")
	conn, err := Open(context.Background(), Options{Addrs: []string{addr}, Database: "nowhere"})
	if err == nil {
		_ = conn.Close()
		t.Fatal("no error")
	}
	if Classify(err) != sink.Configuration || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("%v is %v", err, Classify(err))
	}
}

// A block's columns are matched by name: what the table lacks is left out, what it has more gets its default.
func TestEngineInsertByName(t *testing.T) {
	conn := engine(t, Options{})
	run(t, conn,
		"CREATE TABLE old (start_time DateTime('UTC'), own String DEFAULT 'x', at DateTime DEFAULT now()) ENGINE = "+
			"MergeTree ORDER BY start_time")
	w := NewWriter(conn, WriterOptions{})
	w.Enqueue(&Insert{Query: InsertByName("flows", "old"), Token: "t", Rows: 3, Data: days(t, 3)})
	closeWriter(t, w)
	if got := number(t, conn, "SELECT count() FROM old WHERE own = 'x' AND at > now() - 3600"); got != 3 {
		t.Errorf("%d of 3 rows, %+v", got, w.Stats())
	}
}
