package service

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/testkit"
)

// running is a collector on sockets, as `collector run` starts it.
type running struct {
	cfg     *config.Config
	address string
	log     *observer.ObservedLogs
	signals chan os.Signal
	ended   chan error
	summary bytes.Buffer // complete when it has ended
}

// startServe runs a collector until the test ends or stop is called.
func startServe(t *testing.T, environ ...string) *running {
	t.Helper()
	return startConfigured(t, testkit.Config(t, append(environ, "LISTEN="+testkit.FreePort(t))...), testkit.Patience)
}

// startConfigured is the same with a configuration and how long rows wait for the first metadata.
func startConfigured(t *testing.T, cfg *config.Config, metadataWait time.Duration) *running {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	r := &running{
		cfg: cfg, address: cfg.Listen.Addresses[0],
		log: logs, signals: make(chan os.Signal, 4), ended: make(chan error, 1),
	}
	r.serve(core, metadataWait)
	testkit.WaitFor(t, "the collector to listen", func() bool {
		select {
		case err := <-r.ended:
			t.Fatalf("the collector ended before it listened: %v", err)
		default:
		}
		return logs.FilterMessage("listening").Len() > 0
	})
	return r
}

// serve runs the collector, whose rows wait for the first metadata for so long.
func (r *running) serve(core zapcore.Core, metadataWait time.Duration) {
	exit := func(status int) { r.ended <- fmt.Errorf("exited at once with %d", status) }
	go func() {
		r.ended <- Serve(r.cfg, zap.New(core), r.signals, &r.summary,
			ServeOptions{MetadataWait: metadataWait, Exit: exit})
	}()
}

// withoutServer is how long rows wait for metadata in tests whose server is down: not at all.
const withoutServer = time.Millisecond

// stop ends the collector as SIGTERM does.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.signals <- syscall.SIGTERM
	select {
	case err := <-r.ended:
		if err != nil {
			t.Errorf("stopping: %v", err)
		}
	case <-time.After(testkit.Patience):
		t.Fatal("the collector did not stop")
	}
}

func TestServe_everyProtocolOnOnePort(t *testing.T) {
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=")
	for _, name := range []string{"softflowd-v5", "softflowd-v9", "softflowd-ipfix", "sfprobe"} {
		testkit.Send(t, r.address, testkit.Payloads(t, name)...)
	}
	r.stop(t)
	// The traffic has 906 packets, 568 of them IPv4, which is all that v5 knows; sfprobe took 112 of them, one in 8.
	got := testkit.Ask(t, r.cfg,
		"SELECT flow_type, count(), sum(packet_count) FROM data_flow GROUP BY flow_type ORDER BY flow_type")
	want := "netflow\t600\t2380\nsflow\t112\t896"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestServe_rejectsBadInputAndGoesOn(t *testing.T) {
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=")
	v9 := testkit.Payloads(t, "softflowd-v9")
	testkit.Send(t, r.address,
		[]byte("garbage that is no flow export"), // version 0x6761
		[]byte{0},                                // shorter than any header
		v9[0][:10],                               // a header cut in the middle
		// data without a template
		[]byte{0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7, 1, 4, 0, 8, 1, 2, 3, 4},
	)
	testkit.Send(t, r.address, v9...)
	testkit.WaitFor(t, "the good datagrams", func() bool {
		return r.log.FilterMessage("listening").Len() > 0 &&
			testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow") == "230"
	})
	r.stop(t)
	for _, line := range []string{
		"lost: 1 × unknown_version (no exporter known)",
		"lost: 2 × truncated (no exporter known)",
		"lost: 1 × no_template (127.0.0.1 netflow9 domain 7)",
		"230 rows written",
	} {
		if !strings.Contains(r.summary.String(), line) {
			t.Errorf("the summary has no %q:\n%s", line, &r.summary)
		}
	}
}

func TestServe_portInUse(t *testing.T) {
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	address := socket.LocalAddr().String()
	err = Serve(testkit.ConfigFor(t, "LISTEN="+address), zap.NewNop(), nil, io.Discard, ServeOptions{})
	if err == nil || !strings.Contains(err.Error(), address) ||
		!strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

// A server that is down when the collector starts costs no row.
func TestServe_collectsWhileTheServerIsDown(t *testing.T) {
	proxy := newGate(t)
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=")
	r.stop(t) // makes the tables
	address := testkit.FreePort(t)
	direct := r.cfg.Server
	r.cfg.Server.Host, r.cfg.Server.Port = "127.0.0.1", int(netip.MustParseAddrPort(proxy.address).Port())
	r.cfg.Listen.Addresses = []string{address}
	r.signals = make(chan os.Signal, 4)
	core, logs := observer.New(zap.InfoLevel)
	r.serve(core, withoutServer)
	testkit.WaitFor(t, "the collector to listen", func() bool { return logs.FilterMessage("listening").Len() > 0 })
	testkit.WaitFor(t, "a line about the server",
		func() bool { return logs.FilterMessage("rows are collected and wait").Len() > 0 })
	testkit.Send(t, address, testkit.Payloads(t, "softflowd-v9")...)
	proxy.open(net.JoinHostPort(direct.Host, portText(direct.Port)))
	reader := *r.cfg
	reader.Server = direct
	testkit.WaitFor(t, "the rows after the server came back",
		func() bool { return testkit.Ask(t, &reader, "SELECT count() FROM data_flow") == "230" })
	r.stop(t)
}

// gate is an address that refuses connections until it is opened, and leads to a server from then on.
type gate struct {
	t       *testing.T
	address string
	done    sync.WaitGroup
}

func newGate(t *testing.T) *gate {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &gate{t: t, address: l.Addr().String()}
}

func (g *gate) open(to string) {
	l, err := net.Listen("tcp4", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { l.Close(); g.done.Wait() })
	g.done.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp4", to)
			if err != nil {
				in.Close()
				continue
			}
			g.done.Go(func() { pipe(in, out) })
			g.done.Go(func() { pipe(out, in) })
		}
	})
}

// pipe copies until one side closes, and closes both.
func pipe(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	_, _ = io.Copy(to, from) // ends with an error when the other direction has closed
}

func portText(port int) string { return strconv.Itoa(port) }

// What cannot be delivered before the collector has to stop waits on disk, and the next run delivers it.
func TestServe_rowsOutliveAStopWhileTheServerIsDown(t *testing.T) {
	first := startServe(t, "CLICKHOUSE_FLOW_TTL=")
	first.stop(t) // makes the tables
	server, down := first.cfg.Server, newGate(t)
	run := func(metadataWait time.Duration) *running {
		r := &running{cfg: first.cfg, signals: make(chan os.Signal, 4), ended: make(chan error, 1)}
		core, logs := observer.New(zap.InfoLevel)
		r.serve(core, metadataWait)
		testkit.WaitFor(t, "the collector to listen", func() bool { return logs.FilterMessage("listening").Len() > 0 })
		return r
	}
	first.cfg.Server.Port = int(netip.MustParseAddrPort(down.address).Port())
	first.cfg.Listen.Addresses = []string{testkit.FreePort(t)}
	first.cfg.Batch.Grace = time.Second
	second := run(withoutServer)
	// A stop still takes what the sockets hold.
	testkit.Send(t, first.cfg.Listen.Addresses[0], testkit.Payloads(t, "softflowd-v9")...)
	second.stop(t)
	if !strings.Contains(second.summary.String(), ", 230 wait in the spool") {
		t.Errorf("said:\n%s", &second.summary)
	}
	first.cfg.Server = server
	third := run(testkit.Patience)
	testkit.WaitFor(t, "the rows of the run before",
		func() bool { return testkit.Ask(t, first.cfg, "SELECT count() FROM data_flow") == "230" })
	third.stop(t)
	if !strings.Contains(third.summary.String(), "230 rows written") ||
		!strings.Contains(third.summary.String(), "nothing lost") {
		t.Errorf("said:\n%s", &third.summary)
	}
}
