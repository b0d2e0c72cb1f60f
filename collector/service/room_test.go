package service

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// When the disk is full the oldest days go until there is room, of every table, but not what is newer than yesterday.
func TestRoom(t *testing.T) {
	address, err := url.Parse(storetest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(t.Context(), clickhouse.Options{Addrs: []string{address.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := schema.Default()
	s.Views, s.Rollups = []schema.View{schema.NewView(schema.ByIPVersion, "5m")}, []string{"traffic"}
	if _, err := schema.Apply(t.Context(), conn, s); err != nil {
		t.Fatal(err)
	}
	// Midnight may come at any time: tomorrow is never before today, and the others always are.
	first := time.Now().UTC().Truncate(24 * time.Hour)
	ages := []int64{-1, 2, 3, 4, 5, 6}
	for _, age := range ages {
		if err := conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO data_flow (start_time, end_time, src_ip, dst_ip, "+
			"ip_version, bit_count, packet_count) SELECT toDateTime64(%d, 3, 'UTC') AS t, t, toIPv6(concat('::ffff:', "+
			"IPv4NumToString(rand32()))), toIPv6('::'), 4, rand64(), 1 FROM numbers(20000)",
			first.Unix()-age*86400)); err != nil {
			t.Fatal(err)
		}
	}
	left := func(table string) (ages []int64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), fmt.Sprintf("SELECT arraySort(groupUniqArray(intDiv(%d - "+
			"toUnixTimestamp(start_time), 86400))) FROM %s", first.Unix(), table)).Scan(&ages); err != nil {
			t.Fatal(err)
		}
		return ages
	}
	var dayBytes uint64
	if err := conn.QueryRow(t.Context(), "SELECT toUInt64(sum(bytes_on_disk) / "+fmt.Sprint(len(ages))+
		") FROM system.parts "+
		"WHERE active AND table = 'data_flow'").Scan(&dayBytes); err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zap.WarnLevel)
	free, wanted := uint64(0), uint64(0)
	r := room{conn: conn, settings: &s, log: zap.New(core),
		disk: func() (uint64, uint64, error) { return free, wanted, nil }}

	free, wanted = 100, 100
	if err := r.look(t.Context()); err != nil || lines.Len() > 0 {
		t.Errorf("with enough room: %v, %v", err, lines.All())
	}
	if err := conn.Exec(t.Context(), "SYSTEM STOP MERGES"); err != nil { // no other files that go meanwhile
		t.Fatal(err)
	}
	free, wanted = 0, dayBytes*3/2
	if err := r.look(t.Context()); err != nil {
		t.Error(err)
	}
	if got := left("data_flow"); !slices.Equal(got, []int64{-1, 2, 3, 4}) || lines.Len() != 2 {
		t.Errorf("days %v are left, want the last four; %v", got, lines.All())
	}
	// All but today goes, of the small tables too; then there is nothing to drop.
	wanted = 1 << 60
	if err := r.look(t.Context()); err == nil {
		t.Error("there is no more to drop, and no error")
	}
	for _, table := range []string{"data_flow", "data_flow_by_ip_version_5m", "rollup_traffic_1m"} {
		if got := left(table); !slices.Equal(got, []int64{-1}) {
			t.Errorf("%s has days %v, want tomorrow", table, got)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	lines.TakeAll()
	for range 2 {
		r.note(r.look(t.Context()))
	}
	if lines.Len() != 1 {
		t.Errorf("a problem that stays is logged %d times", lines.Len())
	}
	r.keep(ended) // returns
}
