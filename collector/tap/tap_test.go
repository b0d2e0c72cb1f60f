package tap

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/message"
)

func row() *enrich.Row {
	addr := func(s string) flow.Addr { return flow.AddrFrom(netip.MustParseAddr(s)) }
	return &enrich.Row{
		Flow: &flow.Record{Exporter: addr("203.0.113.1"), SrcAddr: addr("192.0.2.7"), DstAddr: addr("2001:db8::1"),
			Protocol: flow.IPFIX, SamplingRate: 100},
		DeviceID: "core1", Protocol: "tcp", SrcASID: 64500, DstASID: 64501, SrcPort: 50000, DstPort: 443, IPVersion: 4,
		Bits: 8000, Packets: 3, In: enrich.Interface{ID: "core1::et-0/0/0"},
	}
}

func TestFilter(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                   true,
		"device = core1":                     true,
		"device = core2":                     false,
		"exporter = 203.0.113.1":             true,
		"src in 192.0.2.0/24":                true,
		"dst in 192.0.2.0/24":                false,
		"ip in (10.0.0.0/8, 2001:db8::/32)":  true,
		"port = 443 and proto = TCP":         true,
		"src.port = 443":                     false,
		"as = AS64501":                       true,
		"not as = 64502":                     true,
		"bytes >= 1000 packets < 3":          false,
		"in.if ~ ET-0":                       true,
		"proto in (udp, icmp) or port < 444": true,
		"sampling != 100":                    false,
		"type = ipfix version = 4":           true,
	} {
		match, err := compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := match(row()); got != want {
			t.Errorf("%s is %v", text, got)
		}
	}
	for text, want := range map[string]string{
		"devcie = x":  "devcie is no field of a record: did you mean device?",
		"port = http": `port: "http" is no number`,
		"src = x":     `src: "x" is neither an address nor a prefix`,
		"device < x":  "is a text",
		"port = ":     "filter",
		"bytes ~ 1":   "is a number",
	} {
		if _, err := compile(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Who asks gets the records that pass, until the server ends; nobody else can open the socket, and without readers
// workers have nothing to do.
func TestSocket(t *testing.T) {
	var hub Hub
	path := SocketPath(t.TempDir())
	s, err := Listen(path, &hub, message.Layout{CollectorID: "lab"}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	if _, err := Listen(path, &hub, message.Layout{}, zap.NewNop()); err == nil {
		t.Error("a second collector takes the socket")
	}
	if hub.Current().Load() != nil {
		t.Error("there is a tap without a reader")
	}
	enough := errors.New("enough")
	got := make(chan error, 1)
	var record map[string]any
	go func() {
		got <- Read(t.Context(), path, "port = 443", func(line []byte) error {
			if err := json.Unmarshal(line, &record); err != nil {
				return err
			}
			return enough
		}, func(uint64) {})
	}()
	waitFor(t, "a tap", func() bool { return hub.Current().Load() != nil })
	other := row()
	other.DstPort = 80
	(*hub.Current().Load())(other)
	(*hub.Current().Load())(row())
	if err := <-got; !errors.Is(err, enough) || record["dst_port"] != 443.0 || record["device_id"] != "core1" {
		t.Errorf("%v: %v", err, record)
	}
	waitFor(t, "no tap", func() bool { return hub.Current().Load() == nil })
	err = Read(t.Context(), path, "nonsense = 1", func([]byte) error { return nil }, func(uint64) {})
	if err == nil || !strings.Contains(err.Error(), "nonsense is no field") {
		t.Errorf("a wrong filter: %v", err)
	}
	go func() {
		got <- Read(context.Background(), path, "", func([]byte) error { return nil }, func(uint64) {})
	}()
	waitFor(t, "a tap", func() bool { return hub.Current().Load() != nil })
	s.Close()
	if err := <-got; err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("the end of the collector: %v", err)
	}
	if err := Read(t.Context(), filepath.Join(t.TempDir(), "none"), "", nil, nil); err == nil {
		t.Error("a socket that is not there answers")
	}
}

// A reader that does not read costs the worker nothing but a count.
func TestReaderThatStops(t *testing.T) {
	var hub Hub
	tp := newTap(func(*enrich.Row) bool { return true }, message.Layout{})
	if !hub.add(tp) {
		t.Fatal("no tap")
	}
	r := row()
	for range 3 * queued {
		(*hub.Current().Load())(r)
	}
	if got, left := uint64(len(tp.out)), tp.left.Load(); got+left != 3*queued || left == 0 {
		t.Errorf("%d records and %d left out of %d", got, left, 3*queued)
	}
	for range maxTaps - 1 {
		if !hub.add(newTap(func(*enrich.Row) bool { return true }, message.Layout{})) {
			t.Error("there are not enough taps")
		}
	}
	if hub.add(tp) {
		t.Error("there are too many taps")
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}
