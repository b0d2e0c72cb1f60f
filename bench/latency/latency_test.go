package latency

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// delay is how long the test's collector keeps a row; it loses every lostEvery-th.
const (
	delay     = 300 * time.Millisecond
	lostEvery = 5
)

func TestRun(t *testing.T) {
	conn, err := clickhouse.New(clickhouse.Options{Addrs: []string{strings.TrimPrefix(storetest.Start(t), "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := context.Background()
	if err := conn.Exec(ctx,
		"CREATE TABLE flows (src_ip IPv6, dst_ip IPv6, start_time DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY "+
			"start_time"); err != nil {
		t.Fatal(err)
	}
	r, err := Run(ctx, Options{
		To: collector(t, conn), Conn: conn, Table: "flows", Samples: 20, Every: 10 * time.Millisecond,
		Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != 20 || r.Missing != 4 || len(r.Each) != 16 {
		t.Fatalf("%d sent, %d missing, %d found; want 20, 4, 16", r.Sent, r.Missing, len(r.Each))
	}
	if r.Percentile(0) < delay || r.Percentile(100) < r.Percentile(50) || r.Percentile(50) < r.Percentile(0) {
		t.Errorf("took %v, at least %s", r.Each, delay)
	}
	if r.Resolution <= 0 {
		t.Error("no resolution")
	}
}

// collector is one that keeps each flow for a while, and puts it into the table.
func collector(t *testing.T, table driver.Conn) netip.AddrPort {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	go func() {
		n := 0
		d := decoder.New(decoder.Options{})
		b := flow.NewBatch(func(records []flow.Record) {
			for _, r := range records {
				if n++; n%lostEvery == 0 {
					continue
				}
				time.AfterFunc(delay, func() {
					err := table.Exec(context.Background(),
						fmt.Sprintf("INSERT INTO flows VALUES ('%s', '%s', fromUnixTimestamp64Milli(%d))", r.SrcAddr,
							r.DstAddr, r.StartMs))
					if err != nil {
						t.Error(err)
					}
				})
			}
		})
		buffer := make([]byte, 1<<16)
		for {
			length, source, err := socket.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			d.Decode(&exporter.Datagram{Payload: buffer[:length], Source: source, Received: time.Now().UnixNano()}, b)
		}
	}()
	return socket.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestResult_Percentile(t *testing.T) {
	var r Result
	if r.Percentile(50) != 0 {
		t.Error("nothing has a median")
	}
	for i := range 100 {
		r.Each = append(r.Each, time.Duration(i+1))
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 51, 99: 100, 100: 100} {
		if got := r.Percentile(p); got != want {
			t.Errorf("p%.0f is %d, want %d", p, got, want)
		}
	}
}

func TestRun_refuses(t *testing.T) {
	if _, err := Run(context.Background(), Options{Samples: 0}); err == nil {
		t.Error("no flows are no error")
	}
}
