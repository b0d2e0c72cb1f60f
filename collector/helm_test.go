package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/metranova/flow-collector/collector/config"
)

const chart = "../conf.example/helm"

// Every variable that the chart's templates write is one of our settings, so no value is without effect.
func TestHelmChart_variables(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(chart, "templates", "configmap.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^ +"?([A-Z][A-Z0-9_]+)(?:: |" [.$])`).
		FindAllStringSubmatch(string(data), -1) {
		env[m[1]] = ""
	}
	if len(env) < 40 {
		t.Fatalf("the config map has only %d variables", len(env))
	}
	loadVariables(t, env)
}

// loadVariables reads the settings from variables, and reports those that have no effect.
func loadVariables(t *testing.T, env map[string]string) (*config.Config, []config.Problem) {
	t.Helper()
	return load(t, "", env)
}

// load reads the settings from a file ("" for none) and variables.
func load(t *testing.T, file string, env map[string]string) (*config.Config, []config.Problem) {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "%s='%s'\n", name, env[name])
	}
	path := writeFile(t, t.TempDir(), "chart.env", b.String())
	cfg, problems := config.Load(config.Source{File: file, EnvFiles: []string{path}})
	for _, u := range cfg.Unused() {
		t.Errorf("%s", u.Problem)
	}
	return cfg, problems
}

// settings are those of a rendered chart, which must be without a fault.
func settings(t *testing.T, objects map[string]object) *config.Config {
	t.Helper()
	cfg, problems := loadVariables(t, environment(t, objects))
	for _, p := range problems {
		if p.Why != "no such file or directory" { // the mounted files
			t.Errorf("%v", p)
		}
	}
	return cfg
}

// object is one of the rendered ones.
type object map[string]any

// at returns what a path of keys and indexes leads to; nil where there is nothing.
func (o object) at(path ...any) any {
	var value any = map[string]any(o)
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, _ := value.(map[string]any)
			value = m[s]
		case int:
			list, _ := value.([]any)
			if s >= len(list) {
				return nil
			}
			value = list[s]
		}
	}
	return value
}

// helm runs a command of helm; the test is skipped where it is not given.
func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	command := strings.Fields(os.Getenv("HELM"))
	if len(command) == 0 {
		t.Skip("HELM is not set: make lint-deploy sets it")
	}
	cmd := exec.Command(command[0], append(command[1:], args...)...)
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("helm %s: %w\n%s%s", strings.Join(args, " "), err, out, wrong.Bytes())
	}
	return out, err
}

// render returns the objects of the chart with values, by kind and name.
func render(t *testing.T, values string) map[string]object {
	t.Helper()
	file := writeFile(t, t.TempDir(), "values.yaml", values)
	if _, err := helm(t, "lint", "--strict", chart, "--values", file); err != nil {
		t.Fatal(err)
	}
	out, err := helm(t, "template", "flow", chart, "--namespace", "flows", "--values", file)
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]object{}
	for decoder := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var o map[string]any
		if err := decoder.Decode(&o); err == io.EOF {
			return objects
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		if o != nil {
			objects[fmt.Sprintf("%v/%v", o["kind"], object(o).at("metadata", "name"))] = o
		}
	}
}

// environment returns the variables of the pod whose values are known.
func environment(t *testing.T, objects map[string]object) map[string]string {
	t.Helper()
	env := map[string]string{}
	data, _ := objects["ConfigMap/flow-flow-collector-env"].at("data").(map[string]any)
	for name, value := range data {
		text, ok := value.(string)
		if !ok {
			t.Errorf("%s is %v, which is no text: Kubernetes refuses it", name, value)
		}
		env[name] = text
	}
	return env
}

const set = "StatefulSet/flow-flow-collector"

// container returns a part of the container.
func container(objects map[string]object, path ...any) any {
	return objects[set].at(append([]any{"spec", "template", "spec", "containers", 0}, path...)...)
}

func TestHelmChart_default(t *testing.T) {
	objects := render(t, "")
	cfg := settings(t, objects)
	if !cfg.UsesLocalStore() || cfg.Kafka.Topic != "" || cfg.Metadata.CacheDir != "/var/lib/flow-collector/caches" {
		t.Errorf("%+v", cfg)
	}
	// What the chart sets by itself cannot be set in config.collectorYml.
	own := []string{"CACHE_DIR", "CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL", "CLICKHOUSE_AS_METADATA_EXTENSIONS",
		"CLICKHOUSE_DATABASE", "HTTP_LISTEN", "LISTEN", "METADATA_DIR", "SCIREG_HTTP_CONSUMER_UPDATE_INTERVAL",
		"SCIREG_HTTP_CONSUMER_URLS"}
	if got := slices.Sorted(maps.Keys(environment(t, objects))); !slices.Equal(got, own) {
		t.Errorf("the chart alone sets %q, want %q", got, own)
	}
	if want := []string{":2055", ":6343", ":4739"}; !slices.Equal(cfg.Listen.Addresses, want) {
		t.Errorf("listens on %v", cfg.Listen.Addresses)
	}
	for _, of := range [][]any{{"startupProbe"}, {"livenessProbe"}, {"readinessProbe"}} {
		path := container(objects, append(of, "httpGet", "path")...)
		if want := map[string]string{"startupProbe": "/healthz", "livenessProbe": "/healthz",
			"readinessProbe": "/collecting"}[of[0].(string)]; path != want {
			t.Errorf("%s asks %v, want %s", of[0], path, want)
		}
	}
	pod := objects[set].at("spec", "template", "spec", "securityContext")
	for what, got := range map[string]any{
		"runAsNonRoot":             object(pod.(map[string]any)).at("runAsNonRoot"),
		"readOnlyRootFilesystem":   container(objects, "securityContext", "readOnlyRootFilesystem"),
		"capabilities are dropped": container(objects, "securityContext", "capabilities", "drop", 0) == "ALL",
		"no token is mounted": objects[set].at("spec", "template", "spec",
			"automountServiceAccountToken") == false,
		"no variables of services": objects[set].at("spec", "template", "spec", "enableServiceLinks") == false,
	} {
		if got != true {
			t.Errorf("%s: %v", what, got)
		}
	}
	service := objects["Service/flow-flow-collector"]
	for i, want := range cfg.Listen.Addresses {
		port := fmt.Sprintf(":%v", service.at("spec", "ports", i, "port"))
		if port != want || service.at("spec", "ports", i, "targetPort") != container(objects, "ports", i, "name") {
			t.Errorf("port %d of the service is %s, want %s", i, port, want)
		}
	}
	if service.at("spec", "externalTrafficPolicy") != "Local" {
		t.Error("the addresses of exporters are lost on the way")
	}
	if objects[set].at("spec", "volumeClaimTemplates", 0, "metadata", "name") != "state" {
		t.Error("there is no volume for spool and caches")
	}
}

// A values file of the reference's charts means the same.
func TestHelmChart_valuesOfTheReference(t *testing.T) {
	objects := render(t, `
image: {repository: registry.example/flow-collector, tag: v1}
global: {storageClassName: fast}
dataFlow:
  enabled: true
  replicaCount: 5
  env:
    pipelineYaml: /app/pipelines/data_flow.yml
    kafkaTopic: metranova_flow
    clickhouseFlowTtl: "90 DAY"
    clickhouseCacherTables: "meta_as,meta_device:@loopback_ip"
    clickhouseFlowPolicyCommunityScope: "64805:lhcone,64806:lsst"
    clickhouseFlowMvByEdgeAs: "5m,1h"
    clickhousePolicyOriginator: example
  mvSettings:
    edgeAs: {1h: {ttl: 1 YEAR, partitionBy: "toYYYYMM(start_time)", policyOverride: "true"}}
metadataIpGeo:
  env: {ipGeoCsvConsumerMaxMindAccountId: "123", ipGeoCsvConsumerMaxMindLicenseKey: "secret key"}
metadataCric: {enabled: false}
cacheIpTrie: {enabled: true, replicaCount: 1}
config:
  debug: "false"
  kafka: {consumerGroup: metranova_pipeline}
  clickhouse:
    serviceName: clickhouse-ch-cluster
    username: admin
    passwordSecret: {name: clickhouse-users, key: admin-password}
    batchSize: "10000"
    batchTimeout: "5"
    clusterName: ch-cluster
    replication: "true"
    tables: {ip: meta_ip_2}
certificates: {existingSecret: pipeline-user}
caches: {storageSize: 5Gi}
configFiles:
  argocdReplaceLargeConfigMaps: true
  metaDevice: |
    table: meta_device
    data:
      - {id: router1, type: router, loopback_ip: ["192.0.2.1"]}
  caidaCustomAsAdditions: |
    data: []
  ipgeoCustomIpFile: |
    data: []
`)
	cfg, env := settings(t, objects), environment(t, objects)
	if cfg.Server.Host != "clickhouse-ch-cluster" || cfg.Schema.Database != "metranova" ||
		cfg.Schema.Tables.IP != "meta_ip_2" ||
		!cfg.Schema.Replication.Enabled || cfg.Policy.CommunityScopes["64805"] != "lhcone" || cfg.Kafka.Topic != "" ||
		cfg.Schema.FlowTTL.Interval != "90 DAY" || cfg.Metadata.Geo.CustomIP != "/app/conf/custom_ip_additions.yml" {
		t.Errorf("%v", env)
	}
	if len(cfg.Schema.Views) != 4 { // edge_as twice, and the two others by default
		t.Errorf("%d rollups: %+v", len(cfg.Schema.Views), cfg.Schema.Views)
	}
	text := fmt.Sprint(objects["ConfigMap/flow-flow-collector-env"])
	if strings.Contains(text, "secret key") {
		t.Error("the licence key is in a config map")
	}
	if objects["Secret/flow-flow-collector-maxmind"].at("stringData", "license-key") != "secret key" {
		t.Error("the licence key is in no secret")
	}
	env0 := fmt.Sprint(container(objects, "env"))
	for _, want := range []string{"clickhouse-users", "admin-password", "IP_GEO_CSV_CONSUMER_MAXMIND_LICENSE_KEY"} {
		if !strings.Contains(env0, want) {
			t.Errorf("the container's variables have no %s: %s", want, env0)
		}
	}
	if file := objects["ConfigMap/flow-flow-collector-files"].at("data", "meta_device.yml"); file == nil ||
		!strings.Contains(file.(string), "router1") {
		t.Errorf("meta_device.yml is %v", file)
	}
	if got := objects[set].at("spec", "volumeClaimTemplates", 0, "spec", "storageClassName"); got != "fast" {
		t.Errorf("the storage class is %v", got)
	}
}

func TestHelmChart_everythingElse(t *testing.T) {
	objects := render(t, `
hostNetwork: true
sfacctd: {port: 2055}
ipfix: {enabled: false}
http: {serviceMonitor: {enabled: true, labels: {release: prometheus}}}
config:
  collectorYml: |
    policy: {level: "tlp:green", originator: example, auto_scopes: true}
    tables: {ip: meta_ip_3}
    dictionaries: {as: {lifetime_min: 60}}
  extraEnv: {COLLECTOR_ID: here, CLICKHOUSE_FLOW_MIN_PACKETS: 2}
  clickhouse: {batchSize: 500000, batchTimeout: 5}
  kafka: {outputTopic: flows, bootstrapServers: "kafka:9093", ssl: {keyPassword: x}}
certificates: {kafka: {ca: "CA\nPEM", cert: CERT, key: KEY}}
caches: {existingPvc: mine}
configFiles: {existingConfigMap: ours}
serviceAccount: {create: false}
dataFlow: {env: {clickhouseFlowPolicyAutoScopes: false, clickhouseCacherRefreshInterval: 0}}
metadataScireg: {enabled: false}
metadataCaidaOrgAs: {enabled: false}
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
nodeSelector: {flows: "yes"}
`)
	cfg := settings(t, objects)
	// The file holds where no value of the chart is set; a value that is false or 0 is set.
	file, _ := objects["ConfigMap/flow-flow-collector-config"].at("data", "collector.yml").(string)
	path := writeFile(t, t.TempDir(), "collector.yml", file)
	both, _ := load(t, path, environment(t, objects))
	if both.Policy.Level != "tlp:green" || both.Policy.Originator != "example" ||
		both.Schema.Tables.IP != "meta_ip_3" ||
		both.Policy.AutoScopes || both.Metadata.Refresh != 0 || both.Batch.Rows != 500000 {
		t.Errorf("with the file: %+v, %+v, %+v", both.Policy, both.Batch, both.Metadata)
	}
	if cfg.CollectorID != "here" || cfg.Flow.MinPackets != 2 || cfg.Kafka.Topic != "flows" ||
		!slices.Equal(cfg.Listen.Addresses, []string{":2055"}) {
		t.Errorf("%+v", cfg)
	}
	if objects["Service/flow-flow-collector"] != nil {
		t.Error("a service for a pod in the network of its node")
	}
	if objects["ServiceMonitor/flow-flow-collector"] == nil || objects["Secret/flow-flow-collector-kafka"] == nil {
		t.Errorf("%v", slices.Sorted(maps.Keys(objects)))
	}
	volumes := fmt.Sprint(objects[set].at("spec", "template", "spec", "volumes"))
	for _, want := range []string{"claimName:mine", "name:ours", "secretName:flow-flow-collector-kafka"} {
		if !strings.Contains(volumes, want) {
			t.Errorf("volumes have no %s: %s", want, volumes)
		}
	}
	if got := fmt.Sprint(container(objects, "args")); got != "[run --config /app/config/collector.yml]" {
		t.Errorf("runs %s", got)
	}
	if objects[set].at("spec", "volumeClaimTemplates") != nil {
		t.Error("a second volume beside caches.existingPvc")
	}
}
