package service

import (
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/decoder/bgp"
)

// Rows have what the exporter's routes say, once its router has announced them.
func TestServe_routes(t *testing.T) {
	page, peering := testkit.FreePort(t), testkit.FreePort(t)
	roas := filepath.Join(t.TempDir(), "roas.json")
	if err := os.WriteFile(roas, []byte(`{"roas":[{"prefix":"0.0.0.0/0","asn":64502}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startServe(t, "CLICKHOUSE_FLOW_TTL=", "HTTP_LISTEN="+page, "BGP_LISTEN="+peering, "RPKI_FILE="+roas,
		"CLICKHOUSE_FLOW_EXTENSIONS=bgp,bgp_src,bgp_meta,rpki",
		"BGP_NEIGHBORS=127.0.0.0/8", "ROUTING_AS=bgp")
	c, err := net.Dial("tcp", peering)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	send := func(b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	open := bgp.Open{AS: 64500, HoldTime: 90, ID: 0xc0000201}
	send(open.Append(nil))
	answer := make([]byte, bgp.HeaderBytes)
	if _, err := io.ReadFull(c, answer); err != nil || answer[18] != byte(bgp.OpenType) {
		t.Fatalf("no OPEN: %v, %v", answer, err)
	}
	send(bgp.AppendKeepalive(nil))
	// 0.0.0.0/0 over AS 64501 64501 64502, by 192.0.2.9, local preference 200, MED 7, community 64500:1.
	body, _ := hex.DecodeString("0000" + "0031" + "40010100" + "40020e0203" + "0000fbf5" + "0000fbf5" + "0000fbf6" +
		"400304c0000209" + "80040400000007" + "400504000000c8" + "c00804fbf40001" + "00")
	send(append(bgp.AppendHeader(nil, bgp.UpdateType, len(body)), body...))
	metrics := func() string {
		text, _ := web.Get(t.Context(), "http://"+page, "/metrics")
		return string(text)
	}
	testkit.WaitFor(t, "the route", func() bool {
		return strings.Contains(metrics(),
			`flow_collector_routing_routes{family="ipv4 unicast",neighbor="127.0.0.1",router="192.0.2.1"} 1`)
	})
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v5")...)
	testkit.WaitFor(t, "look-ups", func() bool {
		text := metrics()
		return strings.Contains(text, `flow_collector_routing_lookups_total{result="default"} `) &&
			!strings.Contains(text, `flow_collector_routing_lookups_total{result="default"} 0`)
	})
	_ = c.Close()
	testkit.WaitFor(t, "the end of the session", func() bool {
		return strings.Contains(metrics(),
			`flow_collector_routing_session_up{neighbor="127.0.0.1",router="192.0.2.1"} 0`)
	})
	testkit.Send(t, r.address, testkit.Payloads(t, "softflowd-v5")...) // the route is used still
	testkit.WaitFor(t, "look-ups of stale routes", func() bool {
		return !strings.Contains(metrics(), `flow_collector_routing_lookups_total{result="stale"} 0`)
	})
	if text := metrics(); !strings.Contains(text,
		`flow_collector_routing_exporter_lookups_total{exporter="127.0.0.1",result="stale"} `) {
		t.Errorf("no look-ups by exporter: %s", text)
	}
	for path, want := range map[string]string{
		"/routing":      "no session now ", // of the exporter's look-ups
		"/routing.json": `"session_down"`,
		"/routes.json?address=192.0.2.7&exporter=127.0.0.1": `"outcome": "stale"`,
	} {
		if code, text := getURL(t, "http://"+page+path); code != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: %d, no %q in %s", path, code, want, text)
		}
	}
	if codes := verdictsOf(exportersOf(t, "http://"+page)); len(codes) == 0 || slices.Contains(codes[""], "no_router") {
		t.Errorf("verdicts %v", codes)
	}
	r.stop(t)
	// Each row is one look-up, in the table at the end too.
	rows := testkit.Ask(t, r.cfg, "SELECT count() FROM data_flow")
	if text := r.summary.String(); !strings.Contains(text, rows+" routes looked up: ") ||
		!strings.Contains(text, " by a default route, ") ||
		!strings.Contains(text, " of a router without a session\n") {
		t.Errorf("%s rows, and the summary is\n%s", rows, text)
	}
	got := testkit.Ask(t, r.cfg, `SELECT src_as_id, dst_as_id, peer_as_id, toString(peer_ip), ext.bgp_as_path_id,
		ext.bgp_as_path_padding, ext.bgp_community, ext.bgp_local_pref, ext.bgp_med, ext.bgp_src_as_path_id,
		ext.bgp_src_community, ext.bgp_src_med, ext.bgp_peer_src_as, ext.bgp_router, ext.bgp_src_prefix,
		ext.bgp_dst_prefix, ext.rpki_src, ext.rpki_dst, ext.bgp_source FROM data_flow GROUP BY ALL
		ORDER BY toString(ext.bgp_source)`)
	want := "64502\t64502\t64501\t::ffff:192.0.2.9\t[64501,64502]\t[2,1]\t['64500:1']\t200\t7\t[64501,64502]\t" +
		"['64500:1']\t7\t64501\t192.0.2.1\t0.0.0.0/0\t0.0.0.0/0\tvalid\tvalid\t"
	want = want + "bgp\n" + want + "stale"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
