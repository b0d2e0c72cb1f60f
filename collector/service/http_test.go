package service

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/testkit"
)

// httpURL is where a collector that was started answers.
func (r *running) httpURL(t *testing.T) string {
	t.Helper()
	lines := r.log.FilterMessage("HTTP answers").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines say where HTTP answers", len(lines))
	}
	return lines[0].ContextMap()["url"].(string)
}

// getURL returns the status and the body of an answer.
func getURL(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestServe_isReady(t *testing.T) {
	r := startServe(t, "HTTP_LISTEN=127.0.0.1:0")
	url := r.httpURL(t)
	if status, body := getURL(t, url+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d %s", status, body)
	}
	testkit.WaitFor(t, "/readyz to be 200", func() bool {
		status,
			_ := getURL(t, url+"/readyz")
		return status == http.StatusOK
	})
	r.stop(t)
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("HTTP answers after the stop")
	}
}

func TestServe_saysWhyItIsNotReady(t *testing.T) {
	down := newGate(t)
	core, logs := observer.New(zap.InfoLevel)
	at := netip.MustParseAddrPort(down.address)
	r := &running{
		cfg: testkit.ConfigFor(t, "CLICKHOUSE_HOST="+at.Addr().String(), "CLICKHOUSE_PORT="+portText(int(at.Port())),
			"LISTEN="+testkit.FreePort(t),
			"HTTP_LISTEN=127.0.0.1:0", "CACHE_DIR="+t.TempDir(), "METADATA_DIR="+t.TempDir(),
			"SPOOL_PATH="+t.TempDir()),
		log: logs, signals: make(chan os.Signal, 4), ended: make(chan error, 1),
	}
	r.serve(core, withoutServer)
	testkit.WaitFor(t, "HTTP to answer", func() bool { return logs.FilterMessage("HTTP answers").Len() > 0 })
	url := r.httpURL(t)
	// A quick machine has started by now. What is answered before is tested in package web.
	if status, body := getURL(t, url+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("while it starts: %d %s", status, body)
	}
	testkit.WaitFor(t, "the collector to listen", func() bool { return logs.FilterMessage("listening").Len() > 0 })
	status, body := getURL(t, url+"/readyz")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "the tables are not made") ||
		!strings.Contains(body, "the metadata is not loaded") {
		t.Errorf("without a server: %d %s", status, body)
	}
	if status, body := getURL(t, url+"/exporters"); status != http.StatusOK ||
		!strings.Contains(body, "The store does not say") || !strings.Contains(body, "not ready") {
		t.Errorf("the page without a server: %d %s", status, body)
	}
	r.stop(t)
}

func TestServe_portOfHTTPInUse(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := testkit.ConfigFor(t, "LISTEN="+testkit.FreePort(t), "HTTP_LISTEN="+l.Addr().String())
	err = Serve(cfg, zap.NewNop(), nil, io.Discard, ServeOptions{})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) ||
		!strings.Contains(err.Error(), "HTTP_LISTEN") {
		t.Errorf("got %v", err)
	}
}

// Prometheus gets what the collector counted, by exporter.
func TestServe_metrics(t *testing.T) {
	r := startServe(t, "HTTP_LISTEN=127.0.0.1:0", "CLICKHOUSE_FLOW_TTL=")
	url := r.httpURL(t)
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v9")...)
	testkit.Send(t, r.address, []byte("garbage that is no flow export"))
	var body string
	has := func(line string) bool { return strings.Contains(body, "\n"+line+"\n") }
	const stream = `domain="0",exporter="127.0.0.1",protocol="netflow9"`
	testkit.WaitFor(t, "230 rows delivered", func() bool {
		_, body = getURL(t, url+"/metrics")
		return has(
			`flow_collector_sink_rows_total{domain="0",exporter="127.0.0.1",outcome="delivered",protocol="netflow9",` +
				`reason="",sink="clickhouse"} 230`)
	})
	for _, line := range []string{
		`flow_collector_records_total{` + stream + `} 230`,
		`flow_collector_unattributed_datagrams_total{reason="unknown_version"} 1`,
		`flow_collector_sink_waiting_rows{sink="clickhouse"} 0`,
		`flow_collector_spool_rows{sink="clickhouse"} 0`,
	} {
		if !has(line) {
			t.Errorf("not there: %s", line)
		}
	}
	r.stop(t)
}
