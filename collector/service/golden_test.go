package service

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/caida"
	"github.com/metranova/flow-collector/metadata/geo"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/golden"
)

// Every capture of the reference gives the rows that the reference chain wrote, but for its defects that are corrected
// here.
func TestGoldenRows(t *testing.T) {
	golden := golden.Reference(t, "golden")
	cfg := testkit.Config(t,
		"COLLECTOR_ID=oracle-collector", "CLICKHOUSE_POLICY_ORIGINATOR=oracle-net",
		"CLICKHOUSE_POLICY_SCOPE=comm:re, site:oracle",
		"CLICKHOUSE_FLOW_POLICY_COMMUNITY_SCOPE_MAP=64805:lhcone,64806:lsst,64807:fabric,293:ipt,1610612736:vrf-big",
		"CLICKHOUSE_FLOW_TTL=", "CLICKHOUSE_FLOW_MV_BY_IP_VERSION_5M_TTL=",
	)
	s := testService(t, cfg)
	loadGolden(t, s, filepath.Join(golden, "metadata"))
	captures, err := filepath.Glob(filepath.Join(golden, "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures in %s: %v", golden, err)
	}
	for _, path := range captures {
		name := strings.TrimSuffix(filepath.Base(path), ".pcap")
		t.Run(name, func(t *testing.T) {
			testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow")
			testkit.Ask(t, cfg, "TRUNCATE TABLE data_flow_by_ip_version_5m")
			playCapture(t, s, path)
			var rows bytes.Buffer
			if err := setup.Query(t.Context(), cfg, "SELECT * FROM data_flow", "JSONEachRow", &rows); err != nil {
				t.Fatal(err)
			}
			compareRows(t, golden, name, rows.Bytes())
			// What the views make of such rows is package schema's test; that they have made it of all is this one's.
			const sums = "SELECT sum(%s), sum(bit_count), sum(packet_count) FROM "
			all := testkit.Ask(t, cfg, fmt.Sprintf(sums, "1")+"data_flow")
			if got := testkit.Ask(t, cfg, fmt.Sprintf(sums, "flow_count")+"data_flow_by_ip_version_5m"); got != all {
				t.Errorf("the view has flows, bits, packets %s of %s", got, all)
			}
		})
	}
}

// playCapture decodes a capture and returns when its rows are in the table.
func playCapture(t *testing.T, s *service, path string) {
	t.Helper()
	n := len(s.workers.all)
	w := s.workers.add(pipeline.Options{Sinks: s.outputs.batchers(sink.BatcherOptions{Worker: n}, awaitRoom)})
	if _, err := processCaptures([]string{path}, w, nil, &logging.Progress{}); err != nil {
		t.Fatal(err)
	}
	w.Finish()
	s.outputs.awaitDelivery()
}

// loadGolden loads the metadata as its README says: the history first.
func loadGolden(t *testing.T, s *service, dir string) {
	t.Helper()
	in := func(names ...string) []string {
		for i, name := range names {
			names[i] = filepath.Join(dir, name)
		}
		return names
	}
	for _, o := range []metadata.SourceOptions{
		{Files: in("history/meta_device.yml")},
		{
			CAIDA: caida.Files{AS2Org: in("caida_as_org2info.jsonl")[0], PeeringDB: in("caida_peeringdb.json")[0]},
			Geo: geo.Files{
				ASN:       in("geolite2/GeoLite2-ASN-Blocks-IPv4.csv", "geolite2/GeoLite2-ASN-Blocks-IPv6.csv"),
				Locations: in("geolite2/GeoLite2-City-Locations-en.csv"),
				Blocks:    in("geolite2/GeoLite2-City-Blocks-IPv4.csv", "geolite2/GeoLite2-City-Blocks-IPv6.csv"),
				CustomIP:  in("custom_ip_additions.yml")[0],
			},
			Registries: map[string]metadata.RegistrySettings{"scireg": {Places: in("scireg.json")}},
			Files:      in("meta_device.yml", "meta_circuit.yml", "meta_interface.yml", "meta_application.yml"),
		},
	} {
		loadSources(t, s, o)
	}
}

// loadSources loads metadata, and makes the service use all that is in the tables then.
func loadSources(t *testing.T, s *service, o metadata.SourceOptions) {
	t.Helper()
	for _, from := range metadata.Sources(o) {
		sets, err := from.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		loader := metadata.NewLoader(s.database.conn, s.database.settings)
		loader.Report = func(record.Problem) {} // some files have bad records on purpose
		if _, err := loader.Load(t.Context(), sets...); err != nil {
			t.Fatal(err)
		}
	}
	snapshot, err := metadata.BuildFromTables(context.Background(), s.database.conn, s.database.settings)
	if err != nil {
		t.Fatal(err)
	}
	s.workers.snapshot.Store(snapshot)
}

// compareRows compares with the expected rows, corrected, by the reference's own rules.
func compareRows(t *testing.T, golden, name string, rows []byte) {
	t.Helper()
	expected := filepath.Join(golden, name+".fixed.jsonl")
	if _, err := os.Stat(expected); err != nil {
		expected = filepath.Join(golden, name+".jsonl")
	}
	dir := t.TempDir()
	corrected, got := filepath.Join(dir, "expected.jsonl"), filepath.Join(dir, "rows.jsonl")
	if err := os.WriteFile(corrected, correctRows(t, name, expected), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(got, withoutSFlowLabels(t, rows), 0o644); err != nil {
		t.Fatal(err)
	}
	arguments := []string{filepath.Join(golden, "compare.py"), corrected, got}
	if strings.Contains(name, "sflow") || name == "sfprobe" || slices.Contains(wrongTimes, name) {
		arguments = append(arguments, "--arrival")
	}
	report, err := exec.Command("python3", arguments...).CombinedOutput()
	if want := legitimateExtra[name]; want != "" {
		if strings.Contains(string(report), "missing") || !strings.HasSuffix(strings.TrimSpace(string(report)), want) {
			t.Errorf("want %q and nothing missing:\n%s", want, report)
		}
		return
	}
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

// withoutSFlowLabels returns our rows without the flow label of sFlow, which pmacct does not print.
func withoutSFlowLabels(t *testing.T, rows []byte) []byte {
	t.Helper()
	var out []byte
	for line := range bytes.Lines(rows) {
		var row map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatal(err)
		}
		if ext, ok := row["ext"].(map[string]any); ok && row["flow_type"] == "sflow" {
			delete(ext, "ipv6_flow_label")
		}
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// legitimateExtra are rows that pmacct 1.7.7 does not make: of the other direction of biflows (RFC 5103), and of a
// frame with an
// 802.1ad tag (Q29).
var legitimateExtra = map[string]string{
	"ipfix-probe": "4 groups expected, 6 found, 2 differences",
	"synth-sflow": "9 groups expected, 10 found, 1 differences",
}

// wrongTimes are captures of whose flow times pmacct 1.7.7 makes something else: it does not know the NTP form of
// ipfixprobe's elements and takes the export time (Q29), and in synth-nf9 it is 49 days off (Q8).
var wrongTimes = []string{"ipfix-probe", "synth-nf9"}

// correctRows returns the expected rows without the reference's defects that the .fixed.jsonl files still have.
func correctRows(t *testing.T, name, path string) []byte {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []byte
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		var row map[string]any
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		for _, side := range []string{"src", "dst", "peer"} {
			correctAddress(row, side)
		}
		correctTrafficClass(name, row)
		if name == "synth-sflow" {
			correctSynthSFlow(row)
		}
		line, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(append(out, line...), '\n')
	}
	return out
}

// prefixesWithoutAS have a record in meta_ip, which the reference leaves out of its trie for want of an AS (Q12).
var prefixesWithoutAS = map[netip.Prefix]string{
	netip.MustParsePrefix("203.0.113.128/25"): "no-as__v1",
	netip.MustParsePrefix("203.0.113.0/24"):   "203.0.113.0/24__v1",
	netip.MustParsePrefix("161.202.0.0/16"):   "161.202.0.0/16__v1",
}

// longestASN are AS of blocks that are more specific than the City block (Q13).
var longestASN = map[netip.Prefix]float64{
	netip.MustParsePrefix("91.170.143.0/24"): 64530,
	netip.MustParsePrefix("138.187.56.0/21"): 64520,
}

func correctAddress(row map[string]any, side string) {
	text, _ := row[side+"_ip"].(string)
	address, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	address = address.Unmap()
	if row[side+"_ip_ref"] == nil {
		bits := -1
		for prefix, ref := range prefixesWithoutAS {
			if prefix.Contains(address) && prefix.Bits() > bits {
				row[side+"_ip_ref"], bits = ref, prefix.Bits()
			}
		}
	}
	for prefix, as := range longestASN {
		// Only an AS that came from the trie: 12322 and 3303 are those of the blocks around.
		if old, _ := row[side+"_as_id"].(float64); prefix.Contains(address) && (old == 12322 || old == 3303) {
			row[side+"_as_id"], row[side+"_as_ref"] = as, nil
			correctScope(row)
		}
	}
}

// correctScope makes the AS scopes those of the row's AS.
func correctScope(row map[string]any) {
	var scopes []any
	for _, scope := range row["policy_scope"].([]any) {
		if !strings.HasPrefix(scope.(string), "as:") {
			scopes = append(scopes, scope)
		}
	}
	for _, side := range []string{"src", "dst"} {
		if as, _ := row[side+"_as_id"].(float64); as != 0 {
			number, _ := json.Marshal(as)
			scopes = append(scopes, "as:"+string(number))
		}
	}
	row["policy_scope"] = scopes
}

// trafficClass is the right one of IPv6 packets in sFlow, of which pmacct 1.7.7 gives the upper four bits (Q11).
var trafficClass = map[string]float64{"sflow-1140": 8, "sflow-discard-interface": 8, "sfprobe": 40, "synth-sflow": 40}

func correctTrafficClass(name string, row map[string]any) {
	class, found := trafficClass[name]
	ext, _ := row["ext"].(map[string]any)
	if !found || row["ip_version"] != 6.0 || ext["ipv4_tos"] != float64(int(class)>>4) {
		return
	}
	ext["ipv4_tos"], ext["ipv4_dscp"] = class, float64(int(class)>>2)
}

// correctSynthSFlow writes what the reference leaves out: the local preference of a route with an empty AS path (Q10),
// and an IPv6 next hop of an IPv4 flow, which pmacct 1.7.7 does not print.
func correctSynthSFlow(row map[string]any) {
	switch row["dst_port"] {
	case 3.0:
		row["ext"].(map[string]any)["bgp_local_pref"] = 77.0
	case 2.0:
		row["peer_ip"], row["peer_ip_ref"], row["peer_as_id"], row["peer_as_ref"] = "2001:db8::9", "2001:db8::/48__v1",
			3303.0, "3303__v1"
	}
}
