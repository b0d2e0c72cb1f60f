package status

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// The largest of the last minutes are those of the store, with their share and name; nothing else of the table counts.
func TestTop(t *testing.T) {
	address, err := url.Parse(storetest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(t.Context(), clickhouse.Options{Addrs: []string{address.Host}, Database: "default"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, sql := range []string{
		"CREATE TABLE flows (start_time DateTime64(3, 'UTC'), src_as_id UInt32, dst_as_id UInt32, " +
			"in_interface_id Nullable(String), out_interface_id Nullable(String), bit_count UInt64) " +
			"ENGINE = MergeTree ORDER BY start_time",
		"INSERT INTO flows VALUES (now(), 64500, 64501, 'core1::a', 'core1::b', 600000), " +
			"(now(), 64501, 64500, 'core1::b', NULL, 1800000), (now(), 0, 0, NULL, NULL, 1), " +
			"(now() - INTERVAL 1 HOUR, 64502, 64502, 'old', 'old', 9000000)",
	} {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	builder := enrich.NewBuilder()
	builder.AddAS(enrich.AS{ID: 64500, Ref: "64500__v1", Name: "UNI-A"})
	snapshot, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	top := &Top{Conn: conn, Database: "default", Table: "flows", Snapshot: func() *enrich.Snapshot { return snapshot }}
	if top.StoreClock() != 0 {
		t.Error("the store's clock is known before anybody asked")
	}
	got := top.Get(t.Context())
	if got.Error != "" || len(got.SourceAS) != 2 || len(got.DestAS) != 2 || len(got.Interfaces) != 2 {
		t.Fatalf("got %+v", got)
	}
	if s := got.SourceAS[1]; s.ID != "64500" || s.Name != "UNI-A" || s.Bits != 1000 || s.Share != 0.25 {
		t.Errorf("the second source is %+v", s)
	}
	if s := got.Interfaces[0]; s.ID != "core1::b" || s.Bits != 4000 || s.Name != "" {
		t.Errorf("the first interface is %+v", s)
	}
	if again := top.Get(t.Context()); again != got {
		t.Error("the store is asked again at once")
	}
	if clock := top.StoreClock(); clock < -time.Hour || clock > time.Hour {
		t.Errorf("the store's clock is %v ahead", clock)
	}
}

// broken is a store that does not answer.
type broken struct {
	driver.Conn
	err error
}

func (b broken) QueryRow(context.Context, string, ...any) driver.Row { return brokenRow{nil, b.err} }

type brokenRow struct {
	driver.Row
	err error
}

func (r brokenRow) Scan(...any) error { return r.err }

// A store that does not answer is one line, of the innermost reason.
func TestTop_error(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, test := range []struct {
		err  error
		want string
	}{
		{errors.Join(errors.New("driver: bad connection"), refused), "dial tcp: connection refused"},
		{errors.New("code: 60, message: no such table (version 26.7.3)\nmore"), "code: 60, message: no such table"},
		{errors.New(strings.Repeat("é", 150)), strings.Repeat("é", 100) + "…"},
	} {
		top := &Top{Conn: broken{nil, test.err}}
		if got := top.Get(t.Context()); got.Error != test.want || got.Minutes != topMinutes {
			t.Errorf("%v: %+v, want %q", test.err, got, test.want)
		}
	}
}
