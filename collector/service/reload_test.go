package service

import (
	"encoding/binary"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// changeable is a collector whose configuration is a file, which the test changes.
type changeable struct {
	*running
	t    *testing.T
	file string
	dir  string
	sent uint32
}

// startChangeable runs a collector with a configuration of these sections; %DIR% stands for a directory of the test's.
func startChangeable(t *testing.T, sections string) *changeable {
	t.Helper()
	store, err := url.Parse(storetest.Start(t))
	if err != nil {
		t.Fatal(err)
	}
	c := &changeable{t: t, dir: t.TempDir()}
	c.file = filepath.Join(c.dir, "collector.yml")
	c.write(sections)
	cfg, problems := config.Load(config.Source{File: c.file, Environ: []string{
		"CLICKHOUSE_HOST=" + store.Hostname(), "CLICKHOUSE_PORT=" + store.Port(), "LISTEN=" + testkit.FreePort(t),
		"HTTP_LISTEN=127.0.0.1:0",
		"CACHE_DIR=" + t.TempDir(), "SPOOL_PATH=" + t.TempDir(),
	}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c.running = startConfigured(t, cfg, testkit.Patience)
	return c
}

// write replaces the file as an editor does.
func (c *changeable) write(sections string) {
	c.t.Helper()
	text := strings.ReplaceAll(sections, "%DIR%", c.dir)
	if !strings.Contains(text, "metadata:") {
		text += "\nmetadata: {dir: " + c.dir + "}\n"
	}
	if err := os.WriteFile(c.file+".new", []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.file+".new", c.file); err != nil {
		c.t.Fatal(err)
	}
}

// change writes the file and waits until it is in use.
func (c *changeable) change(sections string) {
	c.t.Helper()
	before, wrong := c.reloads(), c.log.FilterMessage("the new configuration is wrong").Len()
	c.write(sections)
	testkit.WaitFor(c.t, "the change to be noticed", func() bool {
		for _, problem := range c.log.FilterMessage("the new configuration is wrong").All()[wrong:] {
			c.t.Fatal(problem.ContextMap())
		}
		return c.reloads() > before
	})
}

// reloads is how often a configuration was taken.
func (c *changeable) reloads() int { return c.log.FilterMessage("settings changed").Len() }

// flow sends one flow from 127.0.0.1 with its time, a route distinguisher and source port n, and returns n.
func (c *changeable) flow() uint32 {
	c.t.Helper()
	c.sent++
	// Source and destination, ports, protocol, octets, packets, interface, route distinguisher of type 0.
	fields := [][2]uint32{{8, 4}, {12, 4}, {7, 2}, {11, 2}, {4, 1}, {1, 4}, {2, 4}, {10, 4}, {90, 8}}
	template := append(be(256, 2), be(uint32(len(fields)), 2)...)
	for _, f := range fields {
		template = append(append(template, be(f[0], 2)...), be(f[1], 2)...)
	}
	record := []byte{198, 18, 0, 1, 198, 18, 16, 1}
	record = append(append(append(record, be(c.sent, 2)...), be(443, 2)...), 17)
	record = append(append(append(record, be(1000, 4)...), be(1, 4)...), be(7, 4)...)
	record = append(record, 0, 0, 0xfc, 0x00, 0, 0, 0xfd, 0x25) // 64512:64805
	header := append(append(be(9, 2), be(2, 2)...), be(3_600_000, 4)...)
	header = binary.BigEndian.AppendUint32(header, uint32(time.Now().Unix()))
	header = append(append(header, be(c.sent, 4)...), be(1, 4)...)
	testkit.Send(c.t, c.address, append(append(header, dataSet(0, template)...), dataSet(256, record)...))
	return c.sent
}

// row sends flows until an expression of one's row has a value.
func (c *changeable) row(expression, want string) {
	c.t.Helper()
	var got string
	testkit.WaitFor(c.t, expression+" to be "+want+" in a row", func() bool {
		n := c.flow()
		for range 30 {
			got = testkit.Ask(c.t, c.cfg, "SELECT toString("+expression+") FROM data_flow WHERE src_port = "+
				portText(int(n)))
			if got = strings.ReplaceAll(got, `\'`, "'"); got != "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		return got == want
	})
}

const quick = "batch: {age: 100ms}\n"

func TestReload_everyLiveSettingTakesEffect(t *testing.T) {
	c := startChangeable(t, quick)
	c.row("sampling_source", "assumed")

	c.change(quick + "decoder: {sampling_rates: {127.0.0.1: 500}}")
	c.row("(sampling_rate, sampling_source, packet_count)", "(500,'override',500)")

	c.change(quick + "decoder: {exporter_map: {127.0.0.1: 192.0.2.99}}")
	c.row("(sampling_rate, device_id)", "(1,'192.0.2.99')")

	c.change(quick + "policy: {scopes: [\"comm:all\"], auto_scopes: false}")
	c.row("(device_id, policy_scope)", "('127.0.0.1',['comm:all'])")

	c.change(quick + "policy: {community_scopes: {\"64805\": lhcone}}")
	c.row("policy_scope", "['comm:lhcone']")

	other := filepath.Join(c.dir, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	device := "table: meta_device\ndata:\n  - {id: seven, type: router, loopback_ip: [\"127.0.0.1\"]}\n"
	if err := os.WriteFile(filepath.Join(other, "meta_device.yml"), []byte(device), 0o644); err != nil {
		t.Fatal(err)
	}
	c.change(quick + "metadata: {dir: %DIR%/other}")
	c.row("device_id", "seven")
	seven := "table: meta_interface\ndata:\n  - {id: \"seven::uplink\", type: port, device_id: seven, flow_index: 7, " +
		"name: uplink}\n"
	if err := os.WriteFile(filepath.Join(c.dir, "more.yml"), []byte(seven), 0o644); err != nil {
		t.Fatal(err)
	}
	c.change(quick + "metadata: {dir: %DIR%/other, files: [%DIR%/more.yml]}")
	c.row("in_interface_id", "seven::uplink")

	c.change(quick + "metadata: {dir: %DIR%/other}\nlisten: {allowed_exporters: [192.0.2.0/24]}")
	refused := c.flow()
	c.change(quick + "metadata: {dir: %DIR%/other}\nlisten: {allowed_exporters: [127.0.0.0/8]}")
	c.row("device_id", "seven")
	if got := testkit.Ask(t, c.cfg, "SELECT count() FROM data_flow WHERE src_port = "+
		portText(int(refused))); got != "0" {
		t.Errorf("%s rows of an exporter that may not send", got)
	}
	if n := c.log.FilterMessage("settings changed that need a restart").Len(); n != 0 {
		t.Errorf("%d lines say that a restart is needed", n)
	}

	// the line of the change itself is written before
	c.change(quick + "log: {level: error}\nmetadata: {dir: %DIR%/other}")
	testkit.WaitFor(t, "the log to be silent", func() bool {
		before := c.log.Len()
		c.signals <- syscall.SIGHUP
		time.Sleep(100 * time.Millisecond)
		return c.log.Len() == before
	})
	c.write(quick + "log: {level: info}\nmetadata: {dir: %DIR%/other}")
	testkit.WaitFor(t, "the log to speak again", func() bool {
		before := c.log.Len()
		c.signals <- syscall.SIGHUP
		time.Sleep(100 * time.Millisecond)
		return c.log.Len() > before
	})
	c.stop(t)
}

// Labels, policies, the list of ports and the minimum of a flow's size take effect at once, in the table, in the losses
// and in the metrics; a list that is edited is noticed.
// The limits of the routing table are taken while it is in use.
func TestReload_routingLimits(t *testing.T) {
	peering := testkit.FreePort(t)
	routing := func(limits string) string {
		return "routing: {" + limits + "bgp: {listen: [\"" + peering + "\"], neighbors: [127.0.0.2]}}\n"
	}
	c := startChangeable(t, routing("max_memory: 256MiB, "))
	page := c.httpURL(t)
	limit := func(bytes string) {
		t.Helper()
		testkit.WaitFor(t, "the limit of "+bytes, func() bool {
			text, _ := web.Get(t.Context(), page, "/metrics")
			return strings.Contains(string(text), "flow_collector_routing_memory_limit_bytes "+bytes+"\n")
		})
	}
	limit("2.68435456e+08")
	c.change(routing("max_memory: 1GiB, max_routes: 5, "))
	limit("1.073741824e+09")
}

func TestReload_labelsPortsAndMinimum(t *testing.T) {
	c := startChangeable(t, quick+"collector_id: here\n")
	origin := "(collector_id, policy_originator, policy_level, policy_scope)"
	c.row(origin, "('here','unknown','tlp:amber',[])")
	c.change(quick + "collector_id: here\npolicy:\n  scopes: [\"comm:all\"]\n  exporters:\n" +
		"    collector_id: {127.0.0.0/8: wide, 127.0.0.0/24: campus}\n    level: {127.0.0.1: tlp:green}\n" +
		"    scopes: {127.0.0.0/8: \"comm:re comm:x\"}\n")
	c.row(origin, "('campus','unknown','tlp:green',['comm:re','comm:x'])")

	list := filepath.Join(c.dir, "labels")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(list, "set_label=first ip=0.0.0.0/0\n")
	c.change(quick + "policy: {label_file: %DIR%/labels, originator: us}")
	c.row("collector_id", "first")
	write(list, "! edited\nset_label=second ip=127.0.0.1\n")
	c.row("collector_id", "second")

	write(filepath.Join(c.dir, "ports"), "443\n")
	c.change(quick + "flow: {ports_file: %DIR%/ports}")
	testkit.WaitFor(t, "ports of rows to be those of the list only", func() bool {
		c.flow()
		return testkit.Ask(t, c.cfg, "SELECT count() > 0 FROM data_flow WHERE src_port = 0 AND dst_port = 443") == "1"
	})

	c.change(quick + "flow: {min_packets: 2}")
	small := c.flow()
	testkit.WaitFor(t, "the metric to count small flows", func() bool {
		_, metrics := getURL(t, c.httpURL(t)+"/metrics")
		return strings.Contains(metrics, "flow_collector_records_below_minimum_total{")
	})
	c.change(quick)
	c.row("collector_id", "here") // as at the start: collector_id needs a restart
	if got := testkit.Ask(t, c.cfg, "SELECT count() FROM data_flow WHERE src_port = "+
		portText(int(small))); got != "0" {
		t.Errorf("%s rows of a flow that is too small", got)
	}
	c.stop(t)
	if got := testkit.Ask(t, c.cfg, "SELECT (stage, unit, sumIf(count, missing) > 0) FROM collector_loss "+
		"WHERE what = 'below_minimum' GROUP BY ALL"); got != `('filter','records',1)` {
		t.Errorf("collector_loss has %s", got)
	}
}

// sFlow agents name themselves: exporter_address says which of the two names counts.
func TestReload_exporterAddress(t *testing.T) {
	c := startChangeable(t, quick)
	devices := func() string { return testkit.Ask(t, c.cfg, "SELECT DISTINCT device_id FROM data_flow ORDER BY 1") }
	all := testkit.Payloads(t, "sfprobe")
	testkit.Send(t, c.address, all...)
	testkit.WaitFor(t, "rows of the agent", func() bool { return devices() == "198.51.100.31" })
	c.change(quick + "decoder: {exporter_address: source}")
	testkit.WaitFor(t, "rows of the source",
		func() bool { testkit.Send(t, c.address, all...); return devices() == "127.0.0.1\n198.51.100.31" })
	c.stop(t)
}

func TestReload_badConfigurationIsRefusedWhole(t *testing.T) {
	c := startChangeable(t, quick+"decoder: {sampling_rates: {127.0.0.1: 500}}")
	c.row("sampling_rate", "500")
	c.write("batch: {age: 100ms, rows: many}\ndecoder: {sampling_rates: {127.0.0.1: 900}}\npolicy: {scope: [x]}\n")
	testkit.WaitFor(t, "the refusal", func() bool { return c.log.FilterMessageSnippet("is refused").Len() > 0 })
	var problems []string
	for _, line := range c.log.FilterMessage("the new configuration is wrong").All() {
		problems = append(problems, line.ContextMap()["problem"].(string))
	}
	if len(problems) != 2 || problems[0] != c.file+`:1: batch.rows: "many": is not a whole number` ||
		!strings.HasPrefix(problems[1], c.file+":3: policy.scope: there is no such key") {
		t.Errorf("said:\n%s", strings.Join(problems, "\n"))
	}
	c.row("sampling_rate", "500")
	if _, body := getURL(t, c.httpURL(t)+"/exporters"); !strings.Contains(body,
		"the configuration was changed and is refused") {
		t.Error("the page does not say that the configuration was refused")
	}
	c.change(quick + "decoder: {sampling_rates: {127.0.0.1: 900}}")
	c.row("sampling_rate", "900")
	if _, body := getURL(t, c.httpURL(t)+"/exporters"); strings.Contains(body, "is refused") {
		t.Error("the page says that the configuration is refused still")
	}
	c.stop(t)
}

func TestReload_namesWhatNeedsARestart(t *testing.T) {
	c := startChangeable(t, quick)
	c.change("batch: {age: 200ms, rows: 10}\npolicy: {originator: us, scopes: [a]}\n")
	lines := c.log.FilterMessage("settings changed that need a restart").All()
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	keys := lines[0].ContextMap()["keys"].([]any)
	if len(keys) != 3 || keys[0] != "policy.originator" || keys[1] != "batch.rows" || keys[2] != "batch.age" {
		t.Errorf("named: %v", keys)
	}
	if _, body := getURL(t, c.httpURL(t)+"/exporters"); !strings.Contains(body,
		"not in use before a restart: policy.originator, batch.rows, batch.age") {
		t.Error("the page does not name them")
	}
	c.change(quick)
	if _, body := getURL(t, c.httpURL(t)+"/exporters"); strings.Contains(body, "before a restart") {
		t.Error("the page names settings that are as they were")
	}
	c.stop(t)
}

// A file that is replaced through a link, as Kubernetes does, is noticed; a file beside it is not.
func TestReloader_reads(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "collector.yml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Load(config.Source{File: file})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := newReloader(cfg, nil, nil, zap.NewAtomicLevel(), zap.NewNop())
	for name, want := range map[string]bool{"collector.yml": true, "..data": true, "collector.yml~": false,
		"sub/..data": false} {
		if got := r.reads(filepath.Join(dir, name)); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
