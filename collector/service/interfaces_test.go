package service

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/sink"
)

// counterSample is an sFlow datagram of 192.0.2.7 with a sample of generic interface counters (sflow_version_5.txt): so
// many octets in, twice as many out, and packets of every kind; 0xffffffff is a counter that is not kept.
func counterSample(sequence, uptimeMs, index uint32, octets uint64, packets uint32, status uint32) []byte {
	words := func(b []byte, list ...uint32) []byte {
		for _, n := range list {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	counters := words(nil, index, 6)
	counters = binary.BigEndian.AppendUint64(counters, 10_000_000_000)
	counters = words(counters, 1, status)
	counters = binary.BigEndian.AppendUint64(counters, octets)
	counters = words(counters, packets, packets, 0xffffffff, packets, packets, packets)
	counters = binary.BigEndian.AppendUint64(counters, 2*octets)
	counters = words(counters, packets, packets, packets, packets, packets, 0)
	record := append(words(nil, 1, uint32(len(counters))), counters...)
	sample := append(words(nil, sequence, index, 1), record...)
	datagram := words(nil, 5, 1, 0xc0000207, 0, sequence, uptimeMs, 1, 2, uint32(len(sample)))
	return append(datagram, sample...)
}

// What devices count of their interfaces is in the table as what it grew by, under the names that metadata has.
func TestInterfaceTraffic(t *testing.T) {
	cfg := testkit.Config(t, "COLLECTOR_ID=c1", "CLICKHOUSE_POLICY_SCOPE=site:x", "CLICKHOUSE_POLICY_ORIGINATOR=o",
		"CLICKHOUSE_IF_TRAFFIC_TTL=")
	for name, text := range map[string]string{
		"meta_device.yml": "table: meta_device\ndata:\n  - {id: switch7, type: switch, loopback_ip: [192.0.2.7]}\n",
		"meta_interface.yml": "table: meta_interface\ndata:\n  - {id: 'switch7::eth1', device_id: switch7, name: " +
			"eth1, type: port, flow_index: 1}\n",
	} {
		if err := os.WriteFile(filepath.Join(cfg.Metadata.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := testService(t, cfg)
	w := s.workers.add(pipeline.Options{Sinks: s.outputs.batchers(sink.BatcherOptions{Ageing: true}, awaitRoom)})
	const start = 1_700_000_000
	for i, payload := range [][]byte{
		counterSample(1, 10_000, 1, 1<<40, 0xfffffff0, 3),
		counterSample(1, 10_000, 2, 0xffffffffffffffff, 0, 1),
		counterSample(2, 40_000, 1, 1<<40+1500, 4, 3),
		counterSample(2, 40_000, 2, 0xffffffffffffffff, 7, 0),
	} {
		received := time.Unix(start+int64(i/2)*30, 0)
		w.Process([]exporter.Datagram{{Payload: payload, Received: received.UnixNano()}}, received)
	}
	w.Tick(time.Unix(start+50, 0))
	s.accounts.settleLosses()
	s.outputs.awaitDelivery()
	got := testkit.Ask(t, cfg,
		"SELECT * EXCEPT (insert_time, ext) FROM data_interface_traffic ORDER BY interface_id FORMAT Vertical")
	want := strings.TrimSpace(`
Row 1:
──────
start_time:               2023-11-14 22:13:20
end_time:                 2023-11-14 22:13:50
collector_id:             c1
policy_originator:        o
policy_level:             tlp:amber
policy_scope:             ['site:x']
interface_id:             switch7:2
interface_ref:            ᴺᵁᴸᴸ
admin_status:             down
oper_status:              down
in_bit_count:             ᴺᵁᴸᴸ
in_discard_packet_count:  7
in_error_packet_count:    7
in_bcast_packet_count:    ᴺᵁᴸᴸ
in_ucast_packet_count:    7
in_mcast_packet_count:    7
out_bit_count:            0
out_discard_packet_count: 7
out_error_packet_count:   7
out_bcast_packet_count:   7
out_ucast_packet_count:   7
out_mcast_packet_count:   7

Row 2:
──────
start_time:               2023-11-14 22:13:20
end_time:                 2023-11-14 22:13:50
collector_id:             c1
policy_originator:        o
policy_level:             tlp:amber
policy_scope:             ['site:x']
interface_id:             switch7::eth1
interface_ref:            switch7::eth1__v1
admin_status:             up
oper_status:              up
in_bit_count:             12000
in_discard_packet_count:  20
in_error_packet_count:    20
in_bcast_packet_count:    ᴺᵁᴸᴸ
in_ucast_packet_count:    20
in_mcast_packet_count:    20
out_bit_count:            24000
out_discard_packet_count: 20
out_error_packet_count:   20
out_bcast_packet_count:   20
out_ucast_packet_count:   20
out_mcast_packet_count:   20`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	samples := testkit.Ask(t, cfg, "SELECT sum(count) FROM collector_loss WHERE what = 'counter_samples'")
	if samples != "4" {
		t.Errorf("%s counter samples in collector_loss, want 4", samples)
	}
}
