package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

func settings(t *testing.T, c *Config) map[string]Setting {
	t.Helper()
	all := map[string]Setting{}
	for _, s := range c.Settings() {
		if _, twice := all[s.Key]; twice {
			t.Errorf("%s is there twice", s.Key)
		}
		all[s.Key] = s
	}
	return all
}

func TestOrigins(t *testing.T) {
	file := write(t, "collector.yml", `clickhouse:
  host: ${HOST}
  port: 1111
batch: {rows: 0x}
metadata:
  caida: {as2org_file: a.jsonl}
flow:
  view_settings: {edge_as_5m_ttl: 1 YEAR}
`)
	env := write(t, "base.env", "\nHOST=db\nCLICKHOUSE_PORT=2222\nCLICKHOUSE_USERNAME=file\n"+
		"CLICKHOUSE_FLOW_MV_BY_INTERFACE_5M_TTL='1 DAY'\n")
	c, problems := Load(Source{File: file, EnvFiles: []string{env},
		Environ: []string{"CLICKHOUSE_USERNAME=x", "CHDB_LIB_PATH=/e.so", "CLICKHOUSE_PASSWORD=hunter2", "DEBUG=1"}})
	if len(problems) != 1 {
		t.Fatalf("problems: %v", problems)
	}
	all := settings(t, c)
	for _, test := range []struct{ key, value, origin string }{
		{"clickhouse.host", "db", file + ":2"},
		{"clickhouse.port", "2222", "CLICKHOUSE_PORT (" + env + ":3)"},
		{"clickhouse.username", "x", "CLICKHOUSE_USERNAME (environment)"},
		{"clickhouse.password", Hidden, "CLICKHOUSE_PASSWORD (environment)"},
		{"clickhouse.database", "default", "default"},
		{"kafka.password", `""`, "default"},
		{"store.engine", "/e.so", "CHDB_LIB_PATH (environment)"},
		{"batch.rows", "50000", "default"}, // what was refused is not in force
		{"metadata.caida.as2org_file", "a.jsonl", file + ":6"},
		{"metadata.caida.use_url", "false", file + ":6, by metadata.caida.as2org_file"},
		{"log.debug", "true", "DEBUG (environment)"},
		{"log.level", "debug", "DEBUG (environment), by log.debug"},
		{"flow.view_settings", "{edge_as_5m_ttl: 1 YEAR, interface_5m_ttl: 1 DAY}",
			file + ":8, CLICKHOUSE_FLOW_MV_BY_INTERFACE_5M_TTL (" + env + ":5)"},
	} {
		if s := all[test.key]; s.Value != test.value || s.Origin.String() != test.origin {
			t.Errorf("%s is %s from %s, not %s from %s", test.key, s.Value, s.Origin, test.value, test.origin)
		}
	}
	if s := all["metadata.geo.maxmind_key"]; !s.Secret || !s.Live || s.Help == "" || len(s.Env) != 2 {
		t.Errorf("maxmind_key: %+v", s)
	}
}

// Settings as the file: each value is read as what it was.
func TestSettingsAreReadAgain(t *testing.T) {
	c := load(t, Source{File: write(t, "collector.yml", `
listen: {addresses: ["127.0.0.1:9995", "[::1]:9996"], allowed_exporters: [192.0.2.7, "2001:db8::/32"], `+
		`receive_buffer: 1000001}
decoder:
  sampling_rates: {192.0.2.1: 1000, "2001:db8::1/17": 512}
  exporter_map: {"2001:db8::1": 192.0.2.1}
  hold_for: 1.5s
policy: {community_scopes: {"64805": "a: b, {c}", x: ""}, scopes: ["a,b", "null", "c #d", " e ", "- f", "ü"], level: `+
		`"null"}
clickhouse: {sharding_key: "cityHash64('x: y') # no comment", database: "yes", username: "*a", host: "a:1, [::1]:2"}
flow: {columns: {tcp_flags: false}, views: {edge_as: []}, view_settings: {interface_5m_policy_scope: "a, b"}}
metadata: {scireg: {sources: ["https://registry.example/list.json", /etc/"x".json]}}
`)})
	tree := map[string]any{}
	for _, s := range c.Settings() {
		var value any
		if err := yaml.Unmarshal([]byte(s.Value), &value); err != nil {
			t.Errorf("%s: %s: %s", s.Key, s.Value, err)
		}
		at := tree
		parts := strings.Split(s.Key, ".")
		for _, part := range parts[:len(parts)-1] {
			if at[part] == nil {
				at[part] = map[string]any{}
			}
			at = at[part].(map[string]any)
		}
		at[parts[len(parts)-1]] = rawText(s.Value)
	}
	again := load(t, Source{File: write(t, "again.yml", block(tree, ""))})
	if diff := cmp.Diff(c, again, equal...); diff != "" {
		t.Errorf("(-before +again):\n%s", diff)
	}
	if got := again.Decoder.ExporterMap[netip.MustParseAddr("2001:db8::1")]; got != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("exporter_map: %s", got)
	}
}

type rawText string

// block is a tree as YAML.
func block(tree map[string]any, indent string) string {
	var b strings.Builder
	for name, node := range tree {
		if text, leaf := node.(rawText); leaf {
			b.WriteString(indent + name + ": " + string(text) + "\n")
			continue
		}
		b.WriteString(indent + name + ":\n" + block(node.(map[string]any), indent+"  "))
	}
	return b.String()
}

func TestSettingsHideSecrets(t *testing.T) {
	c := load(t,
		Source{Environ: []string{"CLICKHOUSE_PASSWORD=s3cret", "STORE_PASSWORD=s3cret", "KAFKA_SASL_PASSWORD=s3cret",
			"KAFKA_SSL_KEY_PASSWORD=s3cret", "MAXMIND_LICENSE_KEY=s3cret",
			"HTTP_HEADERS=Authorization:Bearer s3cret",
			"SCIREG_HTTP_CONSUMER_URLS=https://me:s3cr@et@r.example/a@b?x=1&api_key=s3cret#f,https://s3cret@r.example",
			"CAIDA_ORG_AS_CONSUMER_AS2ORG_URL=https://r.example/{date}?token=s3cret"}})
	for _, s := range c.Settings() {
		if strings.Contains(s.Value, "s3cr") {
			t.Errorf("%s shows %s", s.Key, s.Value)
		}
		if s.Key == "metadata.scireg.sources" &&
			s.Value != `["https://(hidden)@r.example/a@b?x=1&api_key=(hidden)#f", "https://(hidden)@r.example"]` {
			t.Error(s.Value)
		}
	}
	if all := strings.Join(c.Secrets(), " "); !strings.Contains(all, "Bearer s3cret") ||
		strings.Count(all, "s3cr") < 6 {
		t.Errorf("secrets are %s", all)
	}
	for _, s := range Default().Settings() {
		last := s.Key[strings.LastIndexByte(s.Key, '.')+1:]
		named := strings.Contains(last, "password") || strings.HasSuffix(last, "maxmind_key") || last == "headers"
		if named != s.Secret {
			t.Errorf("%s: secret is %v", s.Key, s.Secret)
		}
	}
}
