package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/sink/schema"
)

// stock writes the files of testdata/reference, which have the names and values of the reference stack's, to a host
// where the containers' directories are not. It returns their paths in the order in which they are to be read, and the
// root of the containers.
func stock(t *testing.T) (files []string, root string) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "app")
	for _, name := range []string{"base.env", "data_flow.env", "metadata_caida_org_as.env", "metadata_ip_geo.env",
		"metadata_scireg.env", "metadata_file_export.env", "cache_ip_trie.env", "metadata_iri.env"} {
		text, err := os.ReadFile(filepath.Join("testdata/reference", name))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, write(t, name, strings.ReplaceAll(string(text), "/app/c", root+"/c")))
	}
	return files, root
}

// The files of the reference work as they are: each name and value of them is understood, and what stands below /app
// is found below metadata.dir and metadata.cache_dir.
func TestStockFiles(t *testing.T) {
	files, root := stock(t)
	dir := t.TempDir()
	conf, caches := filepath.Join(dir, "conf"), filepath.Join(dir, "caches")
	for _, file := range []string{conf + "/meta_device.yml", conf + "/meta_interface.yml",
		caches + "/custom_ip_additions.yml"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, problems := Load(Source{EnvFiles: files, Container: root, Environ: []string{"METADATA_DIR=" + conf,
		"CACHE_DIR=" + caches}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	m := c.Metadata
	got := map[string]any{
		"files": m.Files, "caida": m.CAIDA, "asn": m.Geo.ASNFiles, "custom": m.Geo.CustomIP,
		"scireg": m.Registries[0].Sources,
		"every":  m.Registries[0].Interval, "certificate": c.Kafka.CertFile, "port": c.Server.Port,
		"refresh": m.Refresh,
	}
	want := map[string]any{
		"files": []string{conf + "/meta_interface.yml", conf + "/meta_device.yml"}, // meta_circuit.yml is optional
		"caida": CAIDA{Interval: 24 * time.Hour, UseURL: true, AS2OrgFile: caches + "/caida_as_org2info.jsonl",
			PeeringFile: caches + "/caida_peeringdb.json", CustomAS: caches + "/custom_as_additions.yml",
			CustomOrg: caches + "/custom_org_additions.yml"},
		"asn":    []string{caches + "/GeoLite2-ASN-Blocks-IPv4.csv", caches + "/GeoLite2-ASN-Blocks-IPv6.csv"},
		"custom": caches + "/custom_ip_additions.yml", "scireg": []string{"https://registry.example/scireg.json"},
		"every": time.Hour, "certificate": conf + "/certificates/prod/kafka_user.crt", "port": 9440,
		"refresh": time.Duration(0),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	notes := lines(c.Notes())
	for _, part := range []string{"/conf is not on this host: its files are looked for in " + conf,
		"/caches is not on this host", "IP_GEO_CSV_CONSUMER_ASN_FILES", conf + "/meta_circuit.yml"} {
		if !strings.Contains(notes, part) {
			t.Errorf("no %q in the notes:\n%s", part, notes)
		}
	}
	warnings := lines(c.Warnings())
	for _, name := range []string{"CLICKHOUSE_PASSWORD", "IP_GEO_CSV_CONSUMER_MAXMIND_ACCOUNT_ID"} {
		if !strings.Contains(warnings, name+": ") || strings.Contains(warnings, "KAFKA_SSL_KEY_PASSWORD") {
			t.Errorf("warnings:\n%s", warnings)
		}
	}
	for _, u := range c.Unused() {
		if !u.Known {
			t.Error(u)
		}
	}
}

// In a container that has the directories of the reference's, they are used without a word.
func TestStockFiles_inTheirContainer(t *testing.T) {
	files, root := stock(t)
	t.Chdir(t.TempDir())
	for _, dir := range []string{"conf", "caches"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := load(t, Source{EnvFiles: files, Container: root})
	m := c.Metadata
	if m.Dir != root+"/conf" || m.CacheDir != root+"/caches" ||
		m.CAIDA.AS2OrgFile != root+"/caches/caida_as_org2info.jsonl" {
		t.Errorf("%+v", m)
	}
	if notes := lines(c.Notes()); strings.Contains(notes, "is not on this host") {
		t.Error(notes)
	}
}

// The directory of downloads may be that of the containers, with or without a slash at its end.
func TestStockFiles_directoryOfDownloads(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, test := range []struct {
		name, given, want string // the directories below the root
		isThere, isNoted  bool
	}{
		{"not on this host", "caches", "ours", false, true},
		{"with a slash", "caches/", "ours", false, true},
		{"on this host, where CACHE_DIR is another", "caches", "ours", true, false},
		{"a directory in it", "caches/geo", "ours/geo", false, true},
		{"of the operator", "elsewhere", "elsewhere", false, false},
	} {
		root := t.TempDir()
		if test.isThere {
			if err := os.Mkdir(filepath.Join(root, "caches"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		c := load(t, Source{Container: root, Environ: []string{"CACHE_DIR=" + root + "/ours",
			"IP_GEO_CSV_CONSUMER_CACHE_DIR=" + root + "/" + test.given}})
		if got, want := c.Metadata.Geo.CacheDir, filepath.Join(root, test.want); got != want {
			t.Errorf("%s: %s, want %s", test.name, got, want)
		}
		if notes := lines(c.Notes()); strings.Contains(notes, "is not on this host") != test.isNoted {
			t.Errorf("%s: the notes are %q", test.name, notes)
		}
	}
}

func lines(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// The prefix of the HTTP consumer's variables is the operator's choice.
func TestRegistryNames(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"its own prefix", "PIPELINE_YAML=/x/metadata_scireg.yml\nHTTP_CONSUMER_ENV_PREFIX=REG\n" +
			"REG_HTTP_CONSUMER_URLS=https://a.example\n", "https://a.example"},
		{"none", "PIPELINE_YAML=metadata_scireg.yml\nHTTP_CONSUMER_URLS=https://b.example\n", "https://b.example"},
		{"the usual one", "SCIREG_HTTP_CONSUMER_URLS=https://c.example\n", "https://c.example"},
		{"another pipeline's", "PIPELINE_YAML=metadata_iri.yml\nHTTP_CONSUMER_URLS=https://d.example\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := load(t, Source{EnvFiles: []string{write(t, "a.env", test.file)}})
			if got := strings.Join(c.Metadata.Registries[0].Sources, ","); got != test.want {
				t.Errorf("sources %q, want %q", got, test.want)
			}
			unused := lines(problemsOf(c.Unused()))
			if used := !strings.Contains(unused, "HTTP_CONSUMER_URLS"); used != (test.want != "") {
				t.Errorf("not used: %s", unused)
			}
		})
	}
}

func problemsOf(unused []UnusedVariable) []Problem {
	var all []Problem
	for _, u := range unused {
		all = append(all, u.Problem)
	}
	return all
}

func TestReferenceValuesOfNewNames(t *testing.T) {
	c := load(t, Source{Environ: []string{"HTTP_HEADERS=Authorization:Bearer a:b,X-Site:lab", "HTTP_SSL_VERIFY=false",
		"CLICKHOUSE_IF_METADATA_EXTENSIONS=sap,vrtr,port", "CLICKHOUSE_STORAGE_POLICY=tiered",
		"CLICKHOUSE_AS_METADATA_TABLE=a", "CAIDA_ORG_AS_CONSUMER_AS_TABLE=b", "IP_GEO_CSV_CONSUMER_TABLE=ips",
		"CLICKHOUSE_SKIP_VERIFY=true"}})
	want := map[string]string{"Authorization": "Bearer a:b", "X-Site": "lab"}
	if diff := cmp.Diff(want, c.Metadata.Registries[0].Headers); diff != "" || c.Metadata.Registries[0].Verify {
		t.Errorf("headers -want +got:\n%s", diff)
	}
	if !slices.Equal(c.Schema.InterfaceExtensions, []string{"sap", "vrtr"}) || c.Schema.StoragePolicy != "tiered" ||
		c.Schema.Tables.AS != "a" || c.Schema.Tables.IP != "ips" || !c.Server.SkipVerify {
		t.Errorf("%+v", c.Schema)
	}
	warnings := lines(c.Warnings())
	for _, part := range []string{"port: there is no such extension",
		"CAIDA_ORG_AS_CONSUMER_AS_TABLE: has another value than CLICKHOUSE_AS_METADATA_TABLE"} {
		if !strings.Contains(warnings, part) {
			t.Errorf("no %q in\n%s", part, warnings)
		}
	}
	if schema.KnowsInterfaceExtension("port") {
		t.Error("there is an extension port")
	}
}

// Values that the reference stack takes, or that people write who know it, and what they are here.
func TestWaysToWriteValues(t *testing.T) {
	for _, test := range []struct{ variable, path, want string }{
		{"CLICKHOUSE_FLOW_TTL=30 DAYS", "flow.ttl", "30 DAY"},
		{"CLICKHOUSE_FLOW_TTL= 30 days ", "flow.ttl", "30 DAY"},
		{"CLICKHOUSE_IF_TRAFFIC_TTL=2 months", "tables.interface_traffic_ttl", "2 MONTH"},
		{"CLICKHOUSE_FLOW_MV_BY_EDGE_AS=5m,1h, 5M", "flow.views.edge_as", "[5m, 1h]"},
		{"LISTEN=:2055, :6343,:2055", "listen.addresses", `[:2055, :6343]`},
		{"LOG_LEVEL=WARNING", "log.level", "warn"},
		{"LOG_LEVEL=Critical", "log.level", "error"},
		{"HTTP_LISTEN=false", "http.listen", ""},
		{"LISTEN_TCP=none", "listen.tcp.addresses", "[]"},
		{"KAFKA_BOOTSTRAP_SERVERS=SASL_SSL://k1:9093,k2", "kafka.brokers", "[k1:9093, k2]"},
	} {
		c, problems := Load(Source{Environ: []string{test.variable}})
		if len(problems)+len(c.Warnings()) > 0 {
			t.Errorf("%s: %v, %v", test.variable, problems, c.Warnings())
		}
		for _, k := range keys(c) {
			if got := k.get(); k.path == test.path && strings.Trim(got.String(), `"`) != test.want {
				t.Errorf("%s is %s", test.variable, got)
			}
		}
	}
	for variable, want := range map[string]string{
		"LISTEN=2055":                         `did you mean ":2055"`,
		"CLICKHOUSE_HOST=a:1;b:1":             "several are separated by commas",
		"CLICKHOUSE_FLOW_TTL=30d":             `not an interval such as "30 DAY"`,
		"KAFKA_BOOTSTRAP_SERVERS=k1:1 k2:2":   "several are separated by commas",
		"KAFKA_BOOTSTRAP_SERVERS=http://k1:1": "is not host or host:port",
	} {
		_, problems := Load(Source{Environ: []string{variable, "KAFKA_OUTPUT_TOPIC=t"}})
		if len(problems) == 0 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%s: %v", variable, problems)
		}
	}
	twice := write(t, "base.env", "CLICKHOUSE_FLOW_TTL=30 DAY\nREDIS_DB=0\nREDIS_DB=0\nCLICKHOUSE_FLOW_TTL=7 DAY\n")
	c, _ := Load(Source{EnvFiles: []string{twice}})
	if w := c.Warnings(); len(w) != 1 || w[0].String() != twice+":4: CLICKHOUSE_FLOW_TTL: is set a second time, to "+
		"another value, which counts; the first is at "+twice+":1" {
		t.Errorf("a variable with two values: %v", w)
	}
}

// A secret is in no message, whatever is wrong with it.
func TestSecretsAreNotInProblems(t *testing.T) {
	c, problems := Load(Source{Environ: []string{"HTTP_HEADERS=hunter2"},
		File: write(t, "c.yml", "metadata: {scireg: {headers: hunter2}}")})
	if len(problems) != 1 || len(c.Warnings()) != 1 ||
		strings.Contains(lines(problems)+lines(c.Warnings()), "hunter2") {
		t.Errorf("problems %v, warnings %v", problems, c.Warnings())
	}
}

// Passwords that somebody wrote before a host are in no problem and no setting that is shown, and are known as secrets.
func TestPasswordsBeforeHostsAreHidden(t *testing.T) {
	for _, given := range []string{
		"CLICKHOUSE_HOST=http://default:s3cret@ch.example:8123", "CLICKHOUSE_HOST=default:s3cret@ch.example",
		"CLICKHOUSE_HOST=ch1,:s3cret@ch2", "KAFKA_BOOTSTRAP_SERVERS=b1:9092,u:s3cret@b2:9092",
		"FORWARD_TO=u:s3c@ret@h:1", "LISTEN=u:s3cret@:2055",
	} {
		c, problems := Load(Source{Environ: []string{given}})
		text := lines(problems) + lines(c.Warnings()) + lines(c.Notes())
		for _, s := range c.Settings() {
			text += s.Value + "\n"
		}
		if strings.Contains(text, "s3c") {
			t.Errorf("%s is shown:\n%s", given, text)
		}
		if all := strings.Join(c.Secrets(), " "); !strings.Contains(all, "s3c") {
			t.Errorf("%s: it is not known as a secret: %q", given, all)
		}
	}
	for _, plain := range []string{"192.0.2.1:2055", "[2001:db8::1]:4739", "user@host", "64805:lhcone, a: b@c",
		"2 DAY TO VOLUME 'cold'"} {
		if got := withoutPassword(plain); got != plain {
			t.Errorf("%q is shown as %q", plain, got)
		}
	}
}
