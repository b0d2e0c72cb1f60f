package outage

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func options(t *testing.T, rate int, length time.Duration) Options {
	t.Helper()
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "collector")
	if out, err := exec.Command("go", "build", "-o", program, "../../collector").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := Options{Collector: program, Engine: engine, Dir: filepath.Join(dir, "run"), Rate: rate, For: length,
		Rollups: []string{"traffic", "dst_as"}, Log: t.Logf}
	if os.Geteuid() == 0 {
		o.DiskBytes = 1 << 30
	} else {
		t.Log("not root: the store's disk is not filled up")
	}
	return o
}

// The short form of `bench outage`: what the kernel handed over is in the table and in every view, once.
func TestRun(t *testing.T) {
	result, err := Run(t.Context(), options(t, 100_000, 20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(result)
	t.Logf("%s", text)
	if problem := result.Problem(); problem != "" {
		t.Error(problem)
	}
	if result.Cuts == 0 {
		t.Error("no answer was lost after a commit")
	}
}

// The short form of `bench crash`.
func TestCrash(t *testing.T) {
	const kills = 3
	o := options(t, 20_000, 10*time.Second)
	o.DiskBytes = 0
	result, err := Crash(t.Context(), o, kills)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(result)
	t.Logf("%s", text)
	if problem := result.Problem(); problem != "" {
		t.Error(problem)
	}
	if len(result.Kills) != kills || result.Rows.Rows == 0 {
		t.Errorf("%d kills, %d rows", len(result.Kills), result.Rows.Rows)
	}
}

// A result says what should not be.
func TestResult_Problem(t *testing.T) {
	whole := Sums{90, 720, 90}
	for _, test := range []struct {
		name string
		Result
		fine bool
	}{
		{"all there", Result{Sent: 90, Rows: whole, Views: map[string]Sums{"v": whole}}, true},
		{"the kernel dropped", Result{Sent: 120, KernelDrops: 1, Rows: whole, Views: map[string]Sums{"v": whole}},
			true},
		{"killed", Result{Sent: 120, Rows: whole, Kills: []Kill{{Lost: 30}}}, true},
		{"lost", Result{Sent: 91, Rows: whole}, false},
		{"more than sent", Result{Sent: 60, Rows: whole}, false},
		{"twice", Result{Sent: 90, Rows: whole, Twice: 1}, false},
		{"killed, a view without what was under way",
			Result{Sent: 90, Rows: whole, Views: map[string]Sums{"v": {89, 712, 89}}, Kills: []Kill{{}}}, true},
		{"killed, a view with more than the table",
			Result{Sent: 90, Rows: whole, Views: map[string]Sums{"v": {91, 728, 91}}, Kills: []Kill{{}}}, false},
		{"killed, a view without far too much", Result{
			Sent: 300_000, Rows: Sums{300_000, 2_400_000, 300_000},
			Views: map[string]Sums{"v": {100_000, 800_000, 100_000}}, Kills: []Kill{{}},
		}, false},
		{"a view without a row", Result{Sent: 90, Rows: whole, Views: map[string]Sums{"v": {89, 720, 90}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.Problem(); (got == "") != test.fine {
				t.Errorf("%q", got)
			}
		})
	}
}

// What the sender sends is decoded to one flow for each number.
func TestSender(t *testing.T) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s, err := newSender(socket.LocalAddr().(*net.UDPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	numbers := map[uint64]bool{}
	batch := flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			numbers[records[i].Bytes] = true
		}
	})
	d := decoder.New(decoder.Options{})
	buffer := make([]byte, 2000)
	for n := range 3 * exporters {
		s.send(n % exporters)
		length, from, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if want := exporterAddress(n % exporters); from.Addr().Unmap() != want {
			t.Errorf("from %s, want %s", from.Addr(), want)
		}
		d.Decode(&exporter.Datagram{
			Payload: bytes.Clone(buffer[:length]), Source: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
			Received: time.Now().UnixNano(),
		}, batch)
	}
	if sent := s.sent(); sent != 3*exporters*flowsPerDatagram || len(numbers) != int(sent) || numbers[0] ||
		!numbers[1] || !numbers[sent] {
		t.Errorf("%d sent, %d numbers arrived", sent, len(numbers))
	}
	for _, stream := range d.Exporters().Streams() {
		if stream.Lost.Load() != 0 || stream.Datagrams.Load() != 3 {
			t.Errorf("%s: %d lost, %d datagrams", stream.Key.Exporter, stream.Lost.Load(), stream.Datagrams.Load())
		}
	}
}
