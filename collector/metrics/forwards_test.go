package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/ledger"
)

func TestForwards(t *testing.T) {
	s := forward.Stats{Target: "192.0.2.1:2055", Sent: 7}
	s.Lost[forward.Refused], s.Lost[forward.Full] = 2, 3
	m := New(Options{Ledger: ledger.New(ledger.Options{}),
		Forward: func() []forward.Stats { return []forward.Stats{s} }})
	const want = `# HELP flow_collector_forward_dropped_datagrams_total Datagrams that another collector did not ` +
		`get, by reason.
# TYPE flow_collector_forward_dropped_datagrams_total counter
flow_collector_forward_dropped_datagrams_total{reason="failed",target="192.0.2.1:2055"} 0
flow_collector_forward_dropped_datagrams_total{reason="full",target="192.0.2.1:2055"} 3
flow_collector_forward_dropped_datagrams_total{reason="other_family",target="192.0.2.1:2055"} 0
flow_collector_forward_dropped_datagrams_total{reason="refused",target="192.0.2.1:2055"} 2
flow_collector_forward_dropped_datagrams_total{reason="too_long",target="192.0.2.1:2055"} 0
flow_collector_forward_dropped_datagrams_total{reason="unreachable",target="192.0.2.1:2055"} 0
# HELP flow_collector_forwarded_datagrams_total Datagrams that were forwarded to another collector.
# TYPE flow_collector_forwarded_datagrams_total counter
flow_collector_forwarded_datagrams_total{target="192.0.2.1:2055"} 7
`
	if err := testutil.GatherAndCompare(m.registry, strings.NewReader(want),
		"flow_collector_forwarded_datagrams_total", "flow_collector_forward_dropped_datagrams_total"); err != nil {
		t.Error(err)
	}
}
