package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/metranova/flow-collector/sink/schema"
)

const example = "../../conf.example/collector.yml"

var equal = []cmp.Option{
	cmpopts.IgnoreUnexported(Config{}),
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func load(t *testing.T, s Source) *Config {
	t.Helper()
	c, problems := Load(s)
	for _, p := range problems {
		t.Error(p)
	}
	if len(problems) > 0 {
		t.FailNow()
	}
	return c
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExampleIsTheDefaults(t *testing.T) {
	if diff := cmp.Diff(load(t, Source{}), load(t, Source{File: example}), equal...); diff != "" {
		t.Errorf("conf.example/collector.yml is not the built-in defaults (-default +example):\n%s", diff)
	}
}

func TestExampleHasEveryKey(t *testing.T) {
	data, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys(Default()) {
		var at any = tree
		for part := range strings.SplitSeq(k.path, ".") {
			section, _ := at.(map[string]any)
			found := false
			if at, found = section[part]; !found {
				t.Errorf("conf.example/collector.yml lacks %s", k.path)
				break
			}
		}
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "collector.yml", "clickhouse: {host: from-file, port: 1111, username: from-file}\n")
	env := write(t, "base.env", "CLICKHOUSE_PORT=2222\nCLICKHOUSE_USERNAME=from-env-file\n")
	c := load(t, Source{File: file, EnvFiles: []string{env}, Environ: []string{"CLICKHOUSE_USERNAME=from-environment"}})
	if got, want := c.Server,
		(Server{Host: "from-file", Port: 2222, Username: "from-environment", Flows: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLoad(t *testing.T) {
	tests := []struct {
		name string
		yaml string
		env  []string
		got  func(*Config) any
		want any
	}{
		{"a list", "listen: {addresses: [\"127.0.0.1:9995\", \"[::1]:9996\"]}", nil,
			func(c *Config) any { return c.Listen.Addresses }, []string{"127.0.0.1:9995", "[::1]:9996"}},
		{"a list as text", "", []string{"LISTEN=127.0.0.1:1, :2"},
			func(c *Config) any { return c.Listen.Addresses }, []string{"127.0.0.1:1", ":2"}},
		{"one value for a list", "policy: {scopes: comm:re}", nil,
			func(c *Config) any { return c.Policy.Scopes }, []string{"comm:re"}},
		{"seconds", "", []string{"CLICKHOUSE_BATCH_TIMEOUT=1.5"},
			func(c *Config) any { return c.Batch.Age }, 1500 * time.Millisecond},
		{"a negative interval is never", "", []string{"CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL=-1"},
			func(c *Config) any { return c.Metadata.CAIDA.Interval }, time.Duration(0)},
		{"sizes", "listen: {receive_buffer: 4MiB}", nil,
			func(c *Config) any { return c.Listen.ReceiveBuffer }, 4 << 20},
		{"a map", "policy: {community_scopes: {\"64805\": lhcone}}", nil,
			func(c *Config) any { return c.Policy.CommunityScopes }, map[string]string{"64805": "lhcone"}},
		{"a map as text", "", []string{"CLICKHOUSE_FLOW_POLICY_COMMUNITY_SCOPE_MAP=64805:lhcone, 64806:lsst"},
			func(c *Config) any { return c.Policy.CommunityScopes },
			map[string]string{"64805": "lhcone", "64806": "lsst"}},
		{"prefixes", "listen: {allowed_exporters: [192.0.2.7, \"2001:db8::/32\"]}", nil,
			func(c *Config) any { return c.Listen.Allowed },
			Allowed{Sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32"),
				netip.MustParsePrefix("2001:db8::/32")}}},
		{"agents", "listen: {allowed_exporters: [192.0.2.7, agent 198.51.100.0/24]}", nil,
			func(c *Config) any { return c.Listen.Allowed },
			Allowed{[]netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")},
				[]netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}},
		{"agents as text", "", []string{"LISTEN_ALLOWED_EXPORTERS=agent 2001:db8::7, ::/0"},
			func(c *Config) any { return c.Listen.Allowed },
			Allowed{[]netip.Prefix{netip.MustParsePrefix("::/0")},
				[]netip.Prefix{netip.MustParsePrefix("2001:db8::7/128")}}},
		{"exporter map", "decoder: {exporter_map: {192.0.2.1: 2001:db8::1}}", nil,
			func(c *Config) any { return c.Decoder.ExporterMap },
			map[netip.Addr]netip.Addr{netip.MustParseAddr("192.0.2.1"): netip.MustParseAddr("2001:db8::1")}},
		{"sampling rates", "decoder: {sampling_rates: {192.0.2.1: 1000, \"2001:db8::1/7\": 512}}", nil,
			func(c *Config) any { return c.Decoder.SamplingRates },
			[]SamplingRate{
				{Exporter: netip.MustParseAddr("192.0.2.1"), Any: true, Rate: 1000},
				{Exporter: netip.MustParseAddr("2001:db8::1"), Interface: 7, Rate: 512},
			}},
		{"a variable", "collector_id: \"${SITE:-lab}-1\"", []string{"SITE=geneva"},
			func(c *Config) any { return c.CollectorID }, "geneva-1"},
		{"a variable's default", "collector_id: \"${SITE:-lab}-1\"", nil,
			func(c *Config) any { return c.CollectorID }, "lab-1"},
		{"a variable keeps no structure", "collector_id: ${SITE}", []string{"SITE=a: [b"},
			func(c *Config) any { return c.CollectorID }, "a: [b"},
		{"a dollar in a password", "clickhouse: {password: 'pa$$w$ord'}", nil,
			func(c *Config) any { return c.Server.Password }, "pa$$w$ord"},
		{"DEBUG", "", []string{"DEBUG=true"}, func(c *Config) any { return c.LogLevel }, "debug"},
		{"an empty section", "listen:\n", nil, func(c *Config) any { return len(c.Listen.Addresses) }, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := load(t, Source{File: write(t, "c.yml", test.yaml), Environ: test.env})
			if diff := cmp.Diff(test.want, test.got(c), equal...); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestViews(t *testing.T) {
	c := load(t, Source{
		File: write(t, "c.yml", "flow: {views: {ip_version: []}, view_settings: {interface_1h_table: hourly}}"),
		Environ: []string{
			"CLICKHOUSE_FLOW_MV_BY_EDGE_AS=5m,1d", "CLICKHOUSE_FLOW_MV_BY_INTERFACE=1h",
			"CLICKHOUSE_FLOW_MV_BY_EDGE_AS_5M_TTL=1 YEAR", "CLICKHOUSE_FLOW_MV_BY_EDGE_AS_5M_TTL_COLUMN=start_time",
			"CLICKHOUSE_FLOW_MV_BY_EDGE_AS_1D_POLICY_SCOPE=comm:re,comm:nren",
			"CLICKHOUSE_FLOW_MV_BY_EDGE_AS_1D_POLICY_OVERRIDE=false",
		},
	})
	fiveMinutes, daily, hourly := schema.NewView(schema.ByEdgeAS, "5m"), schema.NewView(schema.ByEdgeAS, "1d"),
		schema.NewView(schema.ByInterface, "1h")
	fiveMinutes.TTL.Interval = "1 YEAR"
	daily.PolicyScope, daily.PolicyOverride = []string{"comm:re", "comm:nren"}, false
	hourly.Table = "hourly"
	if diff := cmp.Diff([]schema.View{fiveMinutes, daily, hourly}, c.Schema.Views); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEveryProblemInOnePass(t *testing.T) {
	file := write(t, "collector.yml", `colector_id: x
listen:
  addresses: [2055]
  workers: many
  adresses: []
batch: [1]
forward:
  to: [":2055", x]
clickhouse:
  port: 99999
  allowed_exporters: []
policy:
  auto_scopes: perhaps
flow:
  ttl: 30 DAYZ
  view_settings:
    edge_as_5m_tll: 1 DAY
`)
	env := write(t, "a.env", "GOOD=1\nnot a line\n")
	_,
		problems := Load(Source{File: file, EnvFiles: []string{env, "missing.env"},
		Environ: []string{"STORE_LISTEN=8123"}})
	var got []string
	for _, p := range problems {
		line := strings.ReplaceAll(p.String(), filepath.Dir(file)+"/", "")
		got = append(got, strings.ReplaceAll(line, filepath.Dir(env)+"/", ""))
	}
	want := []string{
		`a.env:2: is not NAME=value (the line is not shown: it may have a secret)`,
		`missing.env: no such file or directory`,
		`collector.yml:1: colector_id: there is no such key (did you mean collector_id?)`,
		`collector.yml:3: listen.addresses: [2055]: "2055" is not host:port: did you mean ":2055"?`,
		`collector.yml:4: listen.workers: "many": is not a whole number`,
		`collector.yml:5: listen.adresses: there is no such key (did you mean listen.addresses?)`,
		`collector.yml:6: batch: [1]: is not a mapping`,
		`collector.yml:8: forward.to: [:2055, x]: ":2055" is not host:port`,
		`collector.yml:8: forward.to: [:2055, x]: "x" is not host:port`,
		`collector.yml:10: clickhouse.port: "99999": is not between 1 and 65535`,
		`collector.yml:11: clickhouse.allowed_exporters: there is no such key (did you mean listen.allowed_exporters?)`,
		`collector.yml:13: policy.auto_scopes: "perhaps": is neither true nor false`,
		`environment: STORE_LISTEN: "8123": "8123" is not host:port: did you mean ":8123"?`,
		`collector.yml:17: flow.view_settings.edge_as_5m_tll: 1 DAY: is no setting of a configured view ` +
			`(KIND_WINDOW_ and table, ttl, ttl_column, partition_by, policy_level, policy_scope or policy_override)`,
		`collector.yml:15: flow.ttl: flow TTL: "30 DAYZ" is not an interval such as "30 DAY"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProblemsOfTheWhole(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		want string
	}{
		{"a bad window", []string{"CLICKHOUSE_FLOW_MV_BY_EDGE_AS=5x"}, "view edge_as 5x"},
		{"Kafka without brokers", []string{"KAFKA_OUTPUT_TOPIC=t"}, "kafka.brokers: names no broker"},
		{"a bad topic", []string{"KAFKA_OUTPUT_TOPIC=a b", "KAFKA_BOOTSTRAP_SERVERS=k"},
			"kafka.topic: a b: is not a topic's name"},
		{"a bad broker", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k:0"}, `"k:0" has no port`},
		{"a bad format", []string{"KAFKA_OUTPUT_FORMAT=xml"}, `message format "xml" is none of`},
		{"a bad mechanism", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_SASL_MECHANISM=GSSAPI"},
			`"GSSAPI": is none of PLAIN, SCRAM-SHA-256`},
		{"an authority that is not there", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k",
			"KAFKA_SSL_CA_LOCATION=/nonexistent"}, "kafka.ca_file: /nonexistent: no such file"},
		{"a URL for a host", []string{"CLICKHOUSE_HOST=http://ch.example:8123"}, `give the host without http://`},
		{"a URL for one of two hosts", []string{"CLICKHOUSE_HOST=a,https://b"}, `give the host without https://`},
		{"a path behind a host", []string{"CLICKHOUSE_HOST=ch.example/x"}, `"ch.example/x" is not host or host:port`},
		{"a host with a bad port", []string{"CLICKHOUSE_HOST=ch.example:http"}, `"ch.example:http" has no port`},
		{"a certificate without its key", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k",
			"KAFKA_SSL_CERTIFICATE_LOCATION=/etc/hostname"}, "kafka.cert_file, kafka.key_file: need each other"},
		{"a user without a password", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k",
			"KAFKA_SASL_USERNAME=u"}, "kafka.username, kafka.password: are both needed"},
		{"fewer acks than the idempotent producer needs",
			[]string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k", "KAFKA_ACKS=leader"},
			"kafka.acks: leader: needs kafka.idempotent: false"},
		{"batches that fit into no request", []string{"KAFKA_OUTPUT_TOPIC=t", "KAFKA_BOOTSTRAP_SERVERS=k",
			"KAFKA_MAX_BATCH_BYTES=1GiB"}, "kafka.max_batch_bytes: 1073741824: is more than"},
		{"flows without a sink", []string{"CLICKHOUSE_FLOWS=false"},
			"clickhouse.flows: false: rows would not be stored anywhere"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, problems := Load(Source{Environ: test.env})
			if !slices.ContainsFunc(problems, func(p Problem) bool { return strings.Contains(p.String(), test.want) }) {
				t.Errorf("problems %v, want one with %q", problems, test.want)
			}
		})
	}
}

// TestConfigFileForms has a byte order mark, anchors, aliases and merges; aliases cannot blow a file up.
func TestConfigFileForms(t *testing.T) {
	c := load(t,
		Source{File: write(t, "c.yml",
			"\ufeffx-common: &c {rows: &r 700, age: 3s}\nbatch:\n  <<: *c\n  age: 4s\n  inserters: &n 3\nmetrics: "+
				"{max_exporters: *r}\nlisten: {workers: *n}\n")})
	if c.Batch.Rows != 700 || c.Batch.Age != 4*time.Second || c.Metrics.MaxExporters != 700 || c.Listen.Workers != 3 {
		t.Errorf("%+v, %+v, %d workers", c.Batch, c.Metrics, c.Listen.Workers)
	}
	bomb := "x-a: &a {x: 1}\n"
	for n := range 30 {
		bomb += fmt.Sprintf("x-%c: &%c {<<: [*%c, *%c, *%c]}\n", 'b'+n, 'b'+n, 'a'+n, 'a'+n, 'a'+n)
	}
	_, problems := Load(Source{File: write(t, "c.yml", bomb+"batch: {<<: *z}\n")})
	if len(problems) == 0 {
		t.Error("a file that its aliases blow up is taken")
	}
	_, problems = Load(Source{File: write(t, "c.yml", "batch: &a {<<: *a}\n")})
	if len(problems) == 0 {
		t.Error("a mapping that is merged into itself is taken")
	}
}

func TestLocalStoreWithoutAHost(t *testing.T) {
	if !load(t, Source{}).UsesLocalStore() {
		t.Error("the defaults do not use the local store")
	}
	if load(t, Source{Environ: []string{"CLICKHOUSE_HOST=ch"}}).UsesLocalStore() {
		t.Error("with CLICKHOUSE_HOST the local store is used")
	}
}

// A value that is refused leaves the setting as it was, so that check tries the rest with what would be in force.
func TestRefusedValueLeavesTheSetting(t *testing.T) {
	c := Default()
	refused := 0
	for _, k := range keys(c) {
		if k.path == "clickhouse.host" {
			continue // it also says that there is a server
		}
		for _, bad := range []string{"nonsense", "host:99999", "-1", "192.0.2.0/99", "a=b=c", "http://x:y", "1e99", ":",
			"\x00"} {
			before := k.field.get().String()
			err := k.field.set(value{text: bad})
			var warning ignored
			if err == nil || errors.As(err, &warning) {
				continue
			}
			refused++
			if after := k.field.get().String(); after != before {
				t.Errorf("%s: %q is refused (%v), and the setting becomes %q", k.path, bad, err, after)
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d values were refused", refused)
	}
}

// A file that is no YAML is a problem with a line.
func TestSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"listen: {workers: 1}\nlog:\n\tlevel: info\n":     `:3: found character '\t (a tab: YAML takes spaces there)'`,
		"listen: {workers: 1}\nlisten: {workers: 2}\n":    `:2: mapping key "listen" already defined at [1:1]`,
		"log: {level: info\nlisten: {addresses: [':1']\n": ":2: ",
		"listen:\n  addresses: [':1']\n workers: 2\n":     ":",
		"policy: {originator: \"not closed}\n":            ":",
		"policy:\n  originator: a: b\n":                   ":2: ",
	} {
		path := write(t, "collector.yml", text)
		_, problems := Load(Source{File: path})
		if len(problems) == 0 || !strings.HasPrefix(problems[0].String(), path+want) ||
			strings.Contains(problems[0].Why, "\n") {
			t.Errorf("%q: %v, want %q", text, problems, want)
		}
	}
}
