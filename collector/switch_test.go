package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/sink/golden"
)

// The switch from the reference stack as the root README has it, with environment files of the reference's names and
// values: credentials and hosts are filled in, nothing else. What is printed is testdata/switch.txt: -update writes it.
//
// There is no way out of this host, so downloads fail, and the files that the reference left in caches are used.
func TestSwitch(t *testing.T) {
	cfg := testkit.Config(t)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"scireg_id": 1, "addresses": ["198.18.0.0/15"], "org_name": "University of A"}]`))
	}))
	defer registry.Close()
	dir := t.TempDir()
	filled := strings.NewReplacer("CLICKHOUSE_HOST=clickhouse", "CLICKHOUSE_HOST="+cfg.Server.Host,
		"CLICKHOUSE_PORT=9440", fmt.Sprintf("CLICKHOUSE_PORT=%d", cfg.Server.Port),
		"CLICKHOUSE_USERNAME=pipeline_user", "CLICKHOUSE_USERNAME=default", "CLICKHOUSE_PASSWORD=CHANGEME",
		"CLICKHOUSE_PASSWORD=", "YOUR_ACCOUNT_ID_HERE", "123456", "YOUR_LICENSE_KEY_HERE", "abcdef",
		"https://registry.example", registry.URL)
	stock, err := filepath.Glob("config/testdata/reference/*.env")
	if err != nil || len(stock) < 8 {
		t.Fatalf("%q, %v", stock, err)
	}
	const asnColumns = "network,autonomous_system_number,autonomous_system_organization\n"
	files := map[string]string{
		"conf/meta_device.yml": metaDevice,
		"conf/meta_interface.yml": "table: meta_interface\ndata:\n  - {id: \"router1::uplink\", type: port, " +
			"device_id: router1, name: uplink, flow_index: 0, edge: true}\n",
		"caches/caida_as_org2info.jsonl": `{"type":"Organization","organizationId":"A-1","name":"Org A",` +
			`"country":"CH"}` + "\n" + `{"type":"ASN","asn":"64500","organizationId":"A-1","name":"AS-A"}` + "\n",
		"caches/caida_peeringdb.json": `{"org":{"data":[{"id":1,"name":"Org B"}]},` +
			`"net":{"data":[{"org_id":1,"asn":64501,"name":"AS-B"}]}}`,
		"caches/custom_as_additions.yml":  "data: []\n",
		"caches/custom_org_additions.yml": "data: []\n",
		"caches/custom_ip_additions.yml":  "data: []\n",
		"caches/GeoLite2-ASN-Blocks-IPv4.csv": asnColumns +
			"198.18.0.0/15,64500,Org A\n",
		"caches/GeoLite2-ASN-Blocks-IPv6.csv": asnColumns +
			"2001:db8::/32,64500,Org A\n",
		"caches/GeoLite2-City-Locations-en.csv": "geoname_id,locale_code,continent_code,continent_name," +
			"country_iso_code,country_name,subdivision_1_iso_code,subdivision_1_name,city_name\n" +
			"1,en,EU,Europe,CH,Switzerland,,,Geneva\n",
		"caches/GeoLite2-City-Blocks-IPv4.csv": "network,geoname_id,latitude,longitude\n198.18.0.0/15,1,46.2,6.1\n",
		"caches/GeoLite2-City-Blocks-IPv6.csv": "network,geoname_id,latitude,longitude\n2001:db8::/32,1,46.2,6.1\n",
	}
	for _, path := range stock {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files["conf/envs/"+filepath.Base(path)] = filled.Replace(string(text))
	}
	writeFiles(t, dir, files, 0o600)
	shim := fmt.Sprintf("#!/bin/sh\nIFS=$(printf '\\037')\n%s=\"$*\" exec %s\n", runEnv, os.Args[0])
	if err := os.WriteFile(filepath.Join(dir, "collector"), []byte(shim), 0o700); err != nil {
		t.Fatal(err)
	}
	flows, page := testkit.FreePort(t), testkit.FreePort(t)
	command := func(script string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "LISTEN="+flows, "HTTP_LISTEN="+page,
			"HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=", "COLLECTOR_ID=switch")
		return cmd
	}
	variables, check, run := switchCommands(t)

	var transcript bytes.Buffer
	fmt.Fprintf(&transcript, "$ %s\n$ %s\n", variables, check)
	out, err := command(variables + "\n" + check).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", check, err, out)
	}
	transcript.Write(out)

	var log bytes.Buffer
	collector := command(variables + "\nexec " + run)
	collector.Stderr = &log
	if err := collector.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the collector wrote:\n%s", &log)
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- collector.Wait() }()
	t.Cleanup(func() { _ = collector.Process.Kill() })
	get := func(path string) string {
		text, _ := web.Get(t.Context(), "http://"+page, path)
		return string(text)
	}
	ready := func() bool { return strings.HasPrefix(get("/readyz"), "ready") }
	testkit.WaitFor(t, "/readyz to be 200", ready)
	// The first rows may come before the feeds are read.
	testkit.WaitFor(t, "the AS numbers and prefixes of the caches", func() bool {
		out, _ := command(variables + "\ncollector metadata show $FILES 198.18.0.1").CombinedOutput()
		metrics := get("/metrics")
		return strings.Contains(string(out), "64500") && asLoaded.MatchString(metrics) &&
			prefixesLoaded.MatchString(metrics)
	})
	testkit.Send(t, flows, testkit.Payloads(t, "softflowd-v5")...)
	const question = `collector query "SELECT device_id, in_interface_id, src_as_id, any(src_ip_ref), count() ` +
		`FROM data_flow WHERE inPrefix(src_ip, '198.18.0.0/15') GROUP BY ALL ORDER BY ALL"`
	fmt.Fprintf(&transcript, "$ %s\n$ %s\n", run, question)
	ask := func(sql string) string {
		out, err := command(variables + "\n" + strings.Replace(sql, "query", "query $FILES", 1)).CombinedOutput()
		if err != nil {
			t.Logf("%s: %v\n%s", sql, err, out)
		}
		return string(out)
	}
	testkit.WaitFor(t, "the rows", func() bool {
		return strings.TrimSpace(ask(`collector query --format TSV "SELECT count() FROM data_flow"`)) ==
			fmt.Sprint(rowsOfV5)
	})
	transcript.WriteString(ask(question))
	if err := collector.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !strings.Contains(log.String(), "nothing lost") {
		t.Errorf("%v\n%s", err, &log)
	}

	// What is different on each host.
	out = regexp.MustCompile(`(?m)^\w+ +receive buffer .*\n`).ReplaceAll(transcript.Bytes(), nil)
	text := strings.NewReplacer(dir, "/srv/flow", fmt.Sprintf("%s:%d", cfg.Server.Host, cfg.Server.Port),
		"clickhouse:9440", registry.URL, "https://registry.example", flows, ":2055", page, ":8080").
		Replace(string(out))
	for pattern, by := range map[string]string{
		`(server version|ClickHouse) \d+(\.\d+)+`: "$1 26.7",
		// a prefix is written again when the organization of its AS is known
		`__v\d`:                               "__v1",
		`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\dZ?`: "2026-05-04 12:00:00",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, by)
	}
	golden.Compare(t, "testdata/switch.txt", []byte(text))
}

// What /metrics says when AS numbers and prefixes are in use.
var (
	asLoaded       = regexp.MustCompile(`(?m)^flow_collector_metadata_records\{kind="as"\} [1-9]`)
	prefixesLoaded = regexp.MustCompile(`(?m)^flow_collector_metadata_records\{kind="ip_prefix"\} [1-9]`)
)

// switchCommands are the commands of README's switch: the variable with the files, check and run.
func switchCommands(t *testing.T) (variables, check, run string) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range blockCommands(string(readme)) {
		command, _, _ = strings.Cut(command, "  #")
		switch {
		case strings.HasPrefix(command, "FILES="):
			variables = command
		case strings.HasPrefix(command, "collector check $FILES"):
			check = command
		case strings.HasPrefix(command, "collector run $FILES"):
			run = command
		}
	}
	if variables == "" || check == "" || run == "" {
		t.Fatalf("README has %q, %q, %q", variables, check, run)
	}
	return variables, strings.TrimSpace(check), run
}
