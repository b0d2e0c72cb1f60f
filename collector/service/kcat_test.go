package service

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/bench/routers"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/decoder/route"
)

// kcat (librdkafka) reads the messages of kafka.format: pmacct-json with what routes say, byte for byte those that
// TestSpeakersNfacctd compares with nfacctd's.
func TestSpeakersKcat(t *testing.T) {
	if os.Getenv("ROUTING_TEST") == "" {
		t.Skip("kcat is started by make test-routing only")
	}
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("kcat is not installed: apt-get install kcat")
	}
	full, err := routers.Table("")
	if err != nil {
		t.Skipf("there is no full table: %v", err)
	}
	var table []route.Prefix
	for i := 0; i < len(full); i += len(full) / 2000 {
		table = append(table, full[i])
	}
	const flows = 3000
	c := testkit.KafkaCluster(t)
	page, peering := testkit.FreePort(t), testkit.FreePort(t)
	r := startConfigured(t, testkit.Config(t, append(kafkaEnv(t, c), "KAFKA_OUTPUT_FORMAT=pmacct-json",
		"KAFKA_COMPRESSION=zstd", "CLICKHOUSE_FLOWS=false", "LISTEN="+testkit.FreePort(t), "HTTP_LISTEN="+page,
		"BGP_LISTEN="+peering, "BGP_NEIGHBORS=127.0.0.0/8", "ROUTING_AS=bgp",
		"CLICKHOUSE_FLOW_EXTENSIONS=bgp,ipv4,ipv6,mpls,vlan,bgp_src,bgp_meta,rpki")...), testkit.Patience)
	var x *routers.Speaker
	testkit.WaitFor(t, "a session", func() (done bool) {
		var err error
		x, err = routers.Connect(peering, 0, false)
		return err == nil
	})
	defer x.Close()
	stream, _ := announcements(table)
	if err := x.Send(stream); err != nil {
		t.Fatal(err)
	}
	testkit.WaitFor(t, "the routes", func() bool { return routesOf(t, page) == len(table) })
	for _, d := range flowsTo(table, flows) {
		sendFrom(t, r.address, d.payload)
	}
	testkit.WaitFor(t, "the messages", func() bool { return consumedSoFar(c) >= flows })
	r.stop(t)
	var want []string
	for _, m := range consumed(t, c, flows) {
		want = append(want, string(m.Value))
	}
	out, err := exec.Command("kcat", "-q", "-C", "-b", c.ListenAddrs()[0], "-t", "flows", "-o", "beginning",
		"-e").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("kcat reads %d messages, %d were sent; the first: %s, %s", len(got), len(want), got[0], want[0])
	}
	if n := strings.Count(string(out), `"as_path": "645`); n < flows/3 {
		t.Errorf("%d of %d messages have a path: %s", n, flows, got[0])
	}
}
