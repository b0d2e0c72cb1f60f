package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/golden"
)

// referenceColumns are the columns of data_flow that the reference stack writes. Its insert_time is the server's clock.
const referenceColumns = "start_time, end_time, collector_id, policy_originator, policy_level, policy_scope, ext, " +
	"flow_type, device_id, device_ref, src_as_id, src_as_ref, src_ip, src_ip_ref, src_port, dst_as_id, dst_as_ref, " +
	"dst_ip, dst_ip_ref, dst_port, protocol, in_interface_id, in_interface_ref, in_interface_edge, " +
	"out_interface_id, out_interface_ref, out_interface_edge, peer_as_id, peer_as_ref, peer_ip, peer_ip_ref, " +
	"ip_version, application_port, bit_count, packet_count"

// referenceKeys are the keys of ext that the reference stack writes.
var referenceKeys = strings.Fields("bgp_as_path_id bgp_as_path_padding bgp_community bgp_ext_community " +
	"bgp_large_community bgp_local_pref bgp_med src_ip_scireg_ref dst_ip_scireg_ref ipv4_dscp ipv4_tos " +
	"ipv6_flow_label mpls_bottom_label mpls_exp mpls_label mpls_pw mpls_top_label_ip mpls_top_label_type " +
	"mpls_vpn_rd vlan_id vlan_in_id vlan_in_inner_id vlan_out_id vlan_out_inner_id")

// Rows of our own captures are those that the reference stack makes of the same records. testdata/parity/README.md has
// the rules by which the expected rows were checked. It needs nothing but the repository, so that it runs everywhere.
func TestParityRows(t *testing.T) {
	folder := filepath.Join(golden.Repository(t), "bench", "testdata", "metadata")
	cfg := testkit.Config(t, "COLLECTOR_ID=parity", "CLICKHOUSE_POLICY_ORIGINATOR=example",
		"CLICKHOUSE_POLICY_SCOPE=comm:re, site:example", "CLICKHOUSE_FLOW_TTL=",
		"CLICKHOUSE_FLOW_MV_BY_IP_VERSION_5M_TTL=")
	s := testService(t, cfg)
	files, err := filepath.Glob(filepath.Join(folder, "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no metadata in %s: %v", folder, err)
	}
	loadSources(t, s, metadata.SourceOptions{
		Files: files,
		Registries: map[string]metadata.RegistrySettings{"scireg": {Places: []string{filepath.Join(folder,
			"scireg.json")}}},
	})
	for _, name := range []string{"softflowd-v5", "softflowd-sampled", "nfprobe-v9", "nfprobe-ipfix", "sfprobe"} {
		t.Run(name, func(t *testing.T) {
			testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow")
			playCapture(t, s, testkit.OwnCapture(t, name))
			var rows bytes.Buffer
			// Two rows of each kind, and the sums of all rows.
			if err := setup.Query(t.Context(), cfg, "SELECT "+referenceColumns+" FROM data_flow ORDER BY start_time, "+
				"end_time, src_ip, dst_ip, src_port, dst_port, protocol, bit_count, packet_count, toString(ext) "+
				"LIMIT 2 BY ip_version, protocol", "JSONEachRow", &rows); err != nil {
				t.Fatal(err)
			}
			got := referenceRows(t, rows.Bytes())
			sums := testkit.Ask(t, cfg, "SELECT count(), sum(bit_count), sum(packet_count) FROM data_flow")
			got = fmt.Appendf(got, "{\"rows, bits, packets\":%q}\n", sums)
			golden.File(t, filepath.Join("parity", name+".jsonl"), got)
		})
	}
}

// referenceRows returns rows without the keys of ext that the reference does not have, and without keys that are unset.
func referenceRows(t *testing.T, rows []byte) (out []byte) {
	t.Helper()
	for line := range bytes.Lines(rows) {
		var row map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		ext, _ := row["ext"].(map[string]any)
		maps.DeleteFunc(ext, func(key string, value any) bool {
			list, isList := value.([]any)
			return value == nil || isList && len(list) == 0 || !slices.Contains(referenceKeys, key)
		})
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}
