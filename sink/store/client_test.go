package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// dial opens clickhouse-go, unmodified and with its defaults, on a store.
func dial(t testing.TB, url string, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	o := &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{strings.TrimPrefix(url, "http://")}}
	if change != nil {
		change(o)
	}
	c, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestClickHouseGo goes through everything that the driver offers over HTTP, with each of its compressions.
func TestClickHouseGo(t *testing.T) {
	url := storetest.Start(t)
	for name, compression := range map[string]*clickhouse.Compression{
		"plain":   nil,
		"lz4":     {Method: clickhouse.CompressionLZ4},
		"zstd":    {Method: clickhouse.CompressionZSTD, Level: 1},
		"gzip":    {Method: clickhouse.CompressionGZIP, Level: 1},
		"deflate": {Method: clickhouse.CompressionDeflate, Level: 1},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			c := dial(t, url, func(o *clickhouse.Options) { o.Compression = compression })
			must(t, c.Ping(ctx))
			table := "flows_" + name
			must(t, c.Exec(ctx, "CREATE TABLE "+table+` (id UInt64, at DateTime64(3, 'UTC'), who `+
				`LowCardinality(String), maybe Nullable(String),
				source IPv6, tags Array(String), pair Tuple(name String, n UInt32), key UUID, attributes Map(String, `+
				`UInt64)) ENGINE = MergeTree ORDER BY id`))
			insertRows(t, c, table)
			checkRows(t, c, table)
			checkNoRows(t, c, table)
			checkFormats(t, c, table)
			err := c.Exec(ctx, "SELECT * FROM nowhere")
			var exception *clickhouse.Exception
			if !errors.As(err, &exception) || exception.Code != 60 {
				t.Errorf("unknown table: error %v, want an exception with code 60", err)
			}
		})
	}
}

// flow is a row of the table of TestClickHouseGo.
type flow struct {
	ID         uint64            `ch:"id"`
	At         time.Time         `ch:"at"`
	Who        string            `ch:"who"`
	Maybe      *string           `ch:"maybe"`
	Source     netip.Addr        `ch:"source"`
	Tags       []string          `ch:"tags"`
	Pair       map[string]any    `ch:"pair"`
	Key        uuid.UUID         `ch:"key"`
	Attributes map[string]uint64 `ch:"attributes"`
}

func flows() []flow {
	text := "x"
	var list []flow
	for i := range uint64(3) {
		f := flow{ID: i, At: time.Date(2026, 5, 4, 3, 2, int(i), 123e6, time.UTC), Who: "edge",
			Source: netip.MustParseAddr("2001:db8::1"),
			Tags:   []string{"a", "b"}[:i], Pair: map[string]any{"name": "n", "n": uint32(i)},
			Key:        uuid.MustParse("5f0c7a34-2f6e-4d8e-9b1a-0c1d2e3f4a5b"),
			Attributes: map[string]uint64{"k": i}}
		if i != 1 {
			f.Maybe = &text
		}
		list = append(list, f)
	}
	return list
}

func insertRows(t *testing.T, c driver.Conn, table string) {
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO "+table)
	must(t, err)
	for _, f := range flows() {
		must(t, batch.Append(f.ID, f.At, f.Who, f.Maybe, f.Source, f.Tags, f.Pair, f.Key, f.Attributes))
	}
	must(t, batch.Send())
}

func checkRows(t *testing.T, c driver.Conn, table string) {
	var count uint64
	must(t, c.QueryRow(t.Context(), "SELECT count() FROM "+table).Scan(&count))
	if count != 3 {
		t.Errorf("count %d, want 3", count)
	}
	rows, err := c.Query(t.Context(), "SELECT * FROM "+table+" WHERE id >= {from:UInt64} ORDER BY id",
		clickhouse.Named("from", "1"))
	must(t, err)
	defer rows.Close()
	var got []flow
	for rows.Next() {
		var f flow
		must(t, rows.ScanStruct(&f))
		got = append(got, f)
	}
	must(t, rows.Err())
	if diff := cmp.Diff(flows()[1:], got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// checkNoRows reads a result without rows, which over HTTP has no byte at all.
func checkNoRows(t *testing.T, c driver.Conn, table string) {
	rows, err := c.Query(t.Context(), "SELECT id FROM "+table+" WHERE id = 77")
	must(t, err)
	defer rows.Close()
	if rows.Next() || rows.Err() != nil {
		t.Errorf("a row, or error %v, of an empty result", rows.Err())
	}
}

// checkFormats sends and fetches bytes that are encoded elsewhere; Native is what the collector sends.
func checkFormats(t *testing.T, c driver.Conn, table string) {
	ctx := t.Context()
	must(t, c.InsertFormat(ctx, "CSV", "INSERT INTO "+table+" (id, who)", strings.NewReader("7,seven\n8,eight\n")))
	var block proto.Buffer
	ids, names := proto.ColUInt64{9}, proto.ColStr{}
	names.Append("nine")
	must(t, (proto.Block{Columns: 2, Rows: 1}).EncodeRawBlock(&block, 0,
		[]proto.InputColumn{{Name: "id", Data: &ids}, {Name: "who", Data: &names}}))
	must(t, c.InsertFormat(ctx, "Native", "INSERT INTO "+table+" (id, who)", bytes.NewReader(block.Buf)))
	r, err := c.QueryFormat(ctx, "CSV", "SELECT id, who FROM "+table+" WHERE id > 5 ORDER BY id")
	must(t, err)
	defer r.Close()
	csv, err := io.ReadAll(r)
	must(t, err)
	if want := "7,\"seven\"\n8,\"eight\"\n9,\"nine\"\n"; string(csv) != want {
		t.Errorf("CSV %q, want %q", csv, want)
	}
}

// TestNativeTypes reads a value of every type that the schema or a dashboard may select, through the re-framed
// protocol.
func TestNativeTypes(t *testing.T) {
	c := dial(t, storetest.Start(t), nil)
	for expression, want := range map[string]string{
		"toInt128(-5)":         "-5",
		"toFloat32(1.5)":       "1.5",
		"true":                 "true",
		"toDate('2026-05-04')": "2026-05-04 00:00:00 +0000 UTC",
		"toDateTime('2026-05-04 01:02:03', 'UTC')":         "2026-05-04 01:02:03 +0000 UTC",
		"toDateTime64('2026-05-04 01:02:03.5', 3, 'UTC')":  "2026-05-04 01:02:03.5 +0000 UTC",
		"toDecimal64(1.25, 4)":                             "1.25",
		"toIPv4('192.0.2.1')":                              "192.0.2.1",
		"toIPv6('2001:db8::1')":                            "2001:db8::1",
		"toFixedString('ab', 2)":                           "ab",
		"CAST('b', 'Enum8(\\'a\\' = 1, \\'b\\' = 2)')":     "b",
		"[[1, 2], []]::Array(Array(UInt16))":               "[[1 2] []]",
		"map('k', [1, 2]::Array(UInt16))":                  "map[k:[1 2]]",
		"tuple(1::UInt16, 'x')":                            "[1 x]",
		"CAST(tuple(1, 'x'), 'Tuple(a UInt16, b String)')": "map[a:1 b:x]",
		"[NULL, 'x']":                                      "[<nil> 0x",
		"toLowCardinality('lc')":                           "lc",
		"['a', 'b', 'a']::Array(LowCardinality(String))":   "[a b a]",
		"[]::Array(LowCardinality(String))":                "[]",
		"CAST(NULL, 'LowCardinality(Nullable(String))')":   "<nil>",
		"toIntervalHour(2)":                                "2 Hours",
		"(1., 2.)::Point":                                  "[1 2]",
		"CAST(7, 'SimpleAggregateFunction(sum, UInt64)')":  "7",
		"5::Dynamic":                                  "{5 ",
		"'v'::Variant(UInt64, String)":                "{v ",
		"[tuple(1, map('k', toLowCardinality('v')))]": "[[1 map[k:v]]]",
		"repeat('x', 200000)":                         strings.Repeat("x", 200000),
		"arrayMap(x -> toLowCardinality(toString(x)), range(300))[300]":            "299",
		"CAST(['2001:db8::1', '::'], 'Array(IPv6)')":                               "[2001:db8::1 ::]",
		"CAST((now(), 'a', [1]), 'Tuple(t DateTime, s String, l Array(UInt8))').s": "a",
	} {
		rows, err := c.Query(t.Context(), "SELECT number, "+expression+" AS x, number * 2 AS behind FROM numbers(3)")
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		n := uint64(0)
		for rows.Next() {
			value := reflect.New(rows.ColumnTypes()[1].ScanType())
			var number, behind uint64
			if err := rows.Scan(&number, value.Interface(), &behind); err != nil {
				t.Errorf("%s: %v", expression, err)
				break
			}
			got := fmt.Sprint(show(value))
			if !strings.HasPrefix(got, want) || number != n || behind != 2*n {
				t.Errorf("%s: row %d is %.100s (%d, %d), want %.100s", expression, n, got, number, behind, want)
			}
			n++
		}
		if err := rows.Err(); err != nil || n != 3 {
			t.Errorf("%s: %d rows, want 3; error %v", expression, n, err)
		}
		rows.Close()
	}
}

// show is the value behind pointers.
func show(v reflect.Value) any {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		if s, ok := v.Interface().(fmt.Stringer); ok {
			return s
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Pointer {
		return nil
	}
	return v.Interface()
}

// TestJSONColumn writes and reads a JSON column with typed and dynamic paths.
func TestJSONColumn(t *testing.T) {
	ctx := t.Context()
	c := dial(t, storetest.Start(t), nil)
	must(t,
		c.Exec(ctx,
			"CREATE TABLE j (id UInt64, ext JSON(vlan UInt16, `mpls.label` Array(UInt32))) ENGINE = MergeTree ORDER "+
				"BY id"))
	must(t, c.InsertFormat(ctx, "JSONEachRow",
		"INSERT INTO j", strings.NewReader(`{"id":1,"ext":{"vlan":10,"mpls":{"label":[1,2]},"other":"x"}}
{"id":2,"ext":{"vlan":20,"more":{"n":5}}}
{"id":3,"ext":{}}
`)))
	rows, err := c.Query(ctx, "SELECT id, ext FROM j ORDER BY id")
	must(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var id uint64
		var ext clickhouse.JSON
		must(t, rows.Scan(&id, &ext))
		b, err := json.Marshal(&ext)
		must(t, err)
		got = append(got, string(b))
	}
	must(t, rows.Err())
	want := []string{`{"mpls":{"label":[1,2]},"other":"x","vlan":10}`, `{"more":{"n":5},"mpls":{"label":[]},"vlan":20}`,
		`{"mpls":{"label":[]},"vlan":0}`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
