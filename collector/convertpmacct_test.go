package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pmacct"
)

// Every setting that the table of pmacct's keys names exists.
func TestConvertPmacct_settingsExist(t *testing.T) {
	var known []string
	for _, s := range config.Default().Settings() {
		known = append(known, s.Key)
	}
	for _, subject := range pmacct.Counterparts() {
		for _, row := range subject.Rows {
			for _, name := range row.Ours {
				if !slices.Contains(known, name) {
					t.Errorf("%v: there is no setting %s", row.Keys, name)
				}
			}
		}
	}
}

// What the command writes is a configuration without problems.
func TestConvertPmacct(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string { return writeFile(t, dir, name, text) }
	allow := write("allow.lst", "192.0.2.1\n2001:db8::/32\n")
	agents := write("agents.map", "bgp_ip=198.51.100.1 ip=192.0.2.1\n")
	rates := write("sampling.map", "id=1000 ip=192.0.2.1\nid=10 ip=192.0.2.1 in=7\n")
	conf := write("nfacctd.conf", `! a comment
nfacctd_port: 2055
nfacctd_allow_file: `+allow+`
sampling_map: `+rates+`
plugins: kafka[k]
aggregate[k]: src_host, dst_host, as_path, src_as_path, dst_net, src_roa
kafka_topic[k]: flows
kafka_broker_host[k]: 192.0.2.9
kafka_partition_key[k]: $peer_src_ip
bgp_daemon: true
bgp_daemon_port: 1179
bgp_daemon_allow_file: `+allow+`
bgp_agent_map: `+agents+`
nfacctd_as: bgp
bmp_daemon: true
aggregate_filter: port 53
`)
	file := filepath.Join(dir, "collector.yml")
	var out, report bytes.Buffer
	if err := convertPmacct([]string{conf}, file, &out, &report); err != nil {
		t.Fatalf("%v\n%s", err, report.Bytes())
	}
	if out.Len() > 0 || !strings.Contains(report.String(), "nfacctd.conf:16: aggregate_filter: no counterpart: ") {
		t.Errorf("written beside the file: %q; reported:\n%s", out.Bytes(), report.Bytes())
	}
	cfg, problems := config.Load(config.Source{File: file})
	if len(problems) > 0 {
		t.Fatalf("%v", problems)
	}
	got := map[string]string{}
	for _, s := range cfg.Settings() {
		if s.Origin != (config.Origin{}) {
			got[s.Key] = s.Value
		}
	}
	for key, want := range map[string]string{
		"listen.addresses": "2055", "listen.allowed_exporters": "2001:db8::/32",
		"decoder.sampling_rates": "192.0.2.1/7: 10",
		"kafka.topic":            "flows", "kafka.brokers": "192.0.2.9", "kafka.format": "pmacct-json",
		"kafka.key":       "exporter",
		"flow.extensions": "rpki", "routing.as": "bgp", "routing.agents_file": "agents.map",
		"routing.bgp.listen": "1179", "routing.bgp.allow_file": "allow.lst", "routing.bmp.listen": "1790",
		"routing.bmp.allowed": "0.0.0.0/0",
	} {
		if !strings.Contains(got[key], want) {
			t.Errorf("%s is %q, want %q in it", key, got[key], want)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v: %v", info.Mode(), err)
	}
	if err := convertPmacct([]string{conf}, file, &out, &report); err == nil {
		t.Error("a file that is there was overwritten")
	}
	report.Reset()
	if err := convertPmacct([]string{filepath.Join(dir, "none.conf")}, "", &out, &report); err != errReported ||
		!strings.Contains(report.String(), "none.conf: no such file") {
		t.Errorf("%v\n%s", err, report.Bytes())
	}
}

// A map of pmacct with rules that have no counterpart is named line by line, as the collector would not start with it.
func TestConvertPmacct_mapsThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string { return writeFile(t, dir, name, text) }
	tags := write("pretag.map", "set_label=a ip=192.0.2.1\nset_label=b ip=192.0.2.2 in=5\n")
	agents := write("agents.map", "bgp_ip=198.51.100.1 ip=192.0.2.1\nbgp_ip=nonsense ip=192.0.2.1\n")
	conf := write("nfacctd.conf", "plugins: print\npre_tag_map: "+tags+"\nbgp_agent_map: "+agents+"\n")
	var out, report bytes.Buffer
	err := convertPmacct([]string{conf}, "", &out, &report)
	if err != errReported || !strings.Contains(report.String(), "pretag.map:2: in: 5: depends on the flow") ||
		!strings.Contains(report.String(), "agents.map:2: ") || !strings.Contains(report.String(), ", 2 problems") {
		t.Errorf("%v\n%s", err, report.Bytes())
	}
	if _, problems := config.Load(config.Source{File: write("collector.yml", out.String())}); len(problems) != 2 {
		t.Errorf("%v", problems)
	}
}
