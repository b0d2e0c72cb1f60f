package service

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// Two collectors on one store behind a balancer that asks /collecting: exporters go to the first until it stops, then
// to the second. Each flow is one row, and rows name the collector that took them.
func TestServe_exportersMoveToAnotherCollector(t *testing.T) {
	first := startServe(t, "COLLECTOR_ID=first", "HTTP_LISTEN=127.0.0.1:0", "CLICKHOUSE_FLOW_TTL=")
	second := startConfigured(t, testkit.ConfigFor(t, "COLLECTOR_ID=second", "CLICKHOUSE_FLOW_TTL=",
		"LISTEN="+testkit.FreePort(t), "CLICKHOUSE_HOST="+first.cfg.Server.Host,
		fmt.Sprintf("CLICKHOUSE_PORT=%d", first.cfg.Server.Port), "CACHE_DIR="+t.TempDir(),
		"METADATA_DIR="+t.TempDir(), "SPOOL_PATH="+t.TempDir()), testkit.Patience)
	url := first.httpURL(t)
	collects := func() bool {
		answer, err := http.Get(url + "/collecting")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	testkit.WaitFor(t, "the first to collect", collects)
	payloads := testkit.Payloads(t, "softflowd-v5")
	half := len(payloads) / 2
	testkit.Send(t, first.address, payloads[:half]...)
	first.signals <- syscall.SIGTERM
	testkit.WaitFor(t, "the balancer to see that the first stops", func() bool { return !collects() })
	testkit.Send(t, second.address, payloads[half:]...)
	if err := <-first.ended; err != nil {
		t.Error(err)
	}
	second.stop(t)
	got := testkit.Ask(t, second.cfg, "SELECT count(), arraySort(groupUniqArray(collector_id)) FROM data_flow")
	if want := "140\t['first','second']"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
