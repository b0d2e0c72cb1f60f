package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/metranova/flow-collector/collector/testkit"
)

// image is a collector that runs in a container in the host's network.
type image struct {
	containers
	name        string
	page, flows string
}

// startImage starts IMAGE, which make test-image builds, as compose files and chart do: with a read-only root and
// without capabilities.
func startImage(t *testing.T, args ...string) *image {
	t.Helper()
	tag := os.Getenv("IMAGE")
	if tag == "" {
		t.Skip("IMAGE is not set: make test-image sets it")
	}
	i := &image{newContainers(t), fmt.Sprintf("flow-collector-test-%d-%s", os.Getpid(), strings.ToLower(t.Name())),
		testkit.FreePort(t), testkit.FreePort(t)}
	before, after := args, []string(nil)
	if n := slices.Index(args, "run"); n >= 0 {
		before, after = args[:n], args[n:]
	}
	i.start(i.name, slices.Concat([]string{"--network", "host", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges"}, before, []string{"--env", "LISTEN=" + i.flows,
		"--env", "HTTP_LISTEN=" + i.page, "--env", "STORE_LISTEN=" + testkit.FreePort(t), tag}, after)...)
	return i
}

// get returns the status and body of a path of the page; 0 where nobody answers.
func (i *image) get(path string) (int, string) {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get("http://" + i.page + path)
	if err != nil {
		return 0, ""
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

// answers reports whether a path of the page is 200.
func (i *image) answers(path string) bool {
	status, _ := i.get(path)
	return status == http.StatusOK
}

// waitUntilReady waits for the store, and for the device of meta_device.yml.
func (i *image) waitUntilReady() {
	i.t.Helper()
	testkit.WaitFor(i.t, "/readyz to be 200", func() bool { return i.answers("/readyz") })
	testkit.WaitFor(i.t, "the device", func() bool {
		_, metrics := i.get("/metrics")
		return strings.Contains(metrics, "flow_collector_metadata_records{kind=\"device\"} 1\n")
	})
}

// query asks within the container.
func (i *image) query(sql string) string {
	i.t.Helper()
	return i.must("exec", i.name, "collector", "query", "--format", "TSV", sql)
}

// stop sends SIGTERM. The collector ends before it is killed, with status 0, and says that nothing was lost.
func (i *image) stop() {
	i.t.Helper()
	started := time.Now()
	i.must("stop", "--time", "45", i.name)
	if took := time.Since(started); took > 40*time.Second {
		i.t.Errorf("it took %s to stop", took)
	}
	if got := i.must("inspect", "--format", "{{.State.ExitCode}}", i.name); got != "0" {
		i.t.Errorf("it ended with status %s", got)
	}
	if logs := i.logs(i.name); !strings.Contains(logs, "nothing lost") {
		i.t.Errorf("it does not say that nothing was lost:\n%s", logs)
	}
}

// writeFiles writes files, by their names within a directory.
func writeFiles(t *testing.T, dir string, files map[string]string, mode os.FileMode) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// writeFile writes a file into a directory and returns its path.
func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	writeFiles(t, dir, map[string]string{name: text}, 0o600)
	return filepath.Join(dir, name)
}

// writeConf writes files of the reference's conf, readable for the container's user.
func writeConf(t *testing.T, files map[string]string) string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "conf")
	writeFiles(t, conf, files, 0o644)
	for dir := conf; dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return conf
}

const (
	metaDevice = "table: meta_device\ndata:\n  - {id: router1, type: router, loopback_ip: [\"127.0.0.1\"]}\n"
	rowsOfV5   = 140 // of the capture softflowd-v5
)

// The image in the place of the reference's containers: on its conf, with its environment files as they are.
func TestImage(t *testing.T) {
	conf := writeConf(t, map[string]string{
		"meta_device.yml": metaDevice,
		"envs/data_flow.env": "PIPELINE_YAML=/app/pipelines/data_flow.yml\nCLICKHOUSE_FLOW_TTL=\n" +
			"CLICKHOUSE_FLOW_EXTENSIONS=bgp,ipv4,ipv6,mpls,vlan\nCLICKHOUSE_POLICY_ORIGINATOR=example\n",
		"envs/metadata_file_export.env": "FILE_CONSUMER_FILE_PATHS=/app/conf/meta_interface.yml," +
			"/app/conf/meta_device.yml\n",
	})
	volume := fmt.Sprintf("flow-collector-test-%d", os.Getpid())
	i := startImage(t, "--volume", conf+":/app/conf:ro", "--volume", volume+":/var/lib/flow-collector",
		"--env-file", filepath.Join(conf, "envs/data_flow.env"),
		"--env-file", filepath.Join(conf, "envs/metadata_file_export.env"),
		"--env", "METADATA_DIR=/app/conf", "--env", "CACHE_DIR=/var/lib/flow-collector/caches")
	t.Cleanup(func() { _, _ = i.run("volume", "rm", "--force", volume) })
	i.waitUntilReady()
	for _, path := range []string{"/collecting", "/healthz"} {
		if !i.answers(path) {
			t.Errorf("%s is not 200 though the collector is ready", path)
		}
	}
	for name, check := range healthChecks(t, i.page) {
		if _, err := i.run(append([]string{"exec", i.name}, check...)...); err != nil {
			t.Errorf("the health check of %s: %v", name, err)
		}
	}
	if got := i.must("exec", i.name, "id", "-u"); got != "10001" {
		t.Errorf("runs as user %s", got)
	}
	if _, err := i.run("exec", i.name, "touch", "/usr/bin/here"); err == nil {
		t.Error("the root can be written to")
	}
	testkit.Send(t, i.flows, testkit.Payloads(t, "softflowd-v5")...)
	want := fmt.Sprintf("%d\t1\trouter1\texample", rowsOfV5)
	testkit.WaitFor(t, "rows of the described device", func() bool {
		return want == i.query("SELECT count(), uniqExact(device_id), any(device_id), any(policy_originator) "+
			"FROM data_flow")
	})
	// Flows of the last moment are in the socket or in memory when SIGTERM comes.
	testkit.Send(t, i.flows, testkit.Payloads(t, "softflowd-v5")...)
	i.stop()
	i.must("start", i.name)
	i.waitUntilReady()
	if got := i.query("SELECT count() FROM data_flow"); got != fmt.Sprint(2*rowsOfV5) {
		t.Errorf("%s rows after the restart, want %d", got, 2*rowsOfV5)
	}
}

// healthChecks returns the commands of the compose files' health checks, for a page at another address.
func healthChecks(t *testing.T, page string) map[string][]string {
	t.Helper()
	checks := map[string][]string{}
	for _, name := range []string{"compose.yml", "reference.yml"} {
		data, err := os.ReadFile(filepath.Join("../conf.example/docker", name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Services map[string]struct {
				Image       string
				Healthcheck struct{ Test []string }
			}
		}
		if err := yaml.Unmarshal(data, &file); err != nil {
			t.Fatal(err)
		}
		for _, service := range file.Services {
			if command := service.Healthcheck.Test; service.Image == "flow-collector" && len(command) > 1 {
				for i := range command {
					command[i] = strings.ReplaceAll(command[i], "127.0.0.1/8080", strings.ReplaceAll(page, ":", "/"))
				}
				checks[name] = command[1:] // after CMD
			}
		}
		if checks[name] == nil {
			t.Errorf("%s has no health check of the collector", name)
		}
	}
	return checks
}

// The image as the chart's pod: with its variables, user, group of the volume and arguments.
func TestImage_asTheChartRunsIt(t *testing.T) {
	objects := render(t, `
dataFlow: {env: {clickhousePolicyOriginator: example}}
config:
  collectorYml: |
    policy:
      scopes: [site:north]
configFiles:
  metaDevice: |
`+"    "+strings.ReplaceAll(strings.TrimSpace(metaDevice), "\n", "\n    "))
	files := map[string]string{}
	for _, name := range []string{"files", "config"} {
		data, _ := objects["ConfigMap/flow-flow-collector-"+name].at("data").(map[string]any)
		for file, text := range data {
			files[name+"/"+file] = text.(string)
		}
	}
	conf := writeConf(t, files)
	state := filepath.Join(filepath.Dir(conf), "state")
	pod := objects[set].at("spec", "template", "spec", "securityContext").(map[string]any)
	group := int(pod["fsGroup"].(uint64))
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	// Kubernetes gives a volume to the group of the pod, and leaves it to root.
	if err := os.Chown(state, 0, group); err != nil {
		t.Skipf("a volume like those of Kubernetes cannot be made: %v", err)
	}
	if err := os.Chmod(state, os.ModeSetgid|0o775); err != nil {
		t.Fatal(err)
	}
	args := []string{"--user", fmt.Sprintf("%v:%v", pod["runAsUser"], pod["runAsGroup"]),
		"--volume", state + ":/var/lib/flow-collector", "--volume", filepath.Join(conf, "files") + ":/app/conf:ro",
		"--volume", filepath.Join(conf, "config") + ":/app/config:ro", "--env", "COLLECTOR_ID=flow-flow-collector-0"}
	env := environment(t, objects)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if name != "LISTEN" && name != "HTTP_LISTEN" { // the test has its own
			args = append(args, "--env", name+"="+env[name])
		}
	}
	for _, arg := range container(objects, "args").([]any) {
		args = append(args, arg.(string))
	}
	i := startImage(t, args...)
	for _, probe := range []string{"startupProbe", "livenessProbe", "readinessProbe"} {
		path := container(objects, probe, "httpGet", "path").(string)
		testkit.WaitFor(t, "the "+probe, func() bool { return i.answers(path) })
	}
	i.waitUntilReady()
	testkit.Send(t, i.flows, testkit.Payloads(t, "softflowd-v5")...)
	want := fmt.Sprintf("%d\trouter1\tflow-flow-collector-0\texample\t1", rowsOfV5)
	testkit.WaitFor(t, "rows with the chart's settings", func() bool {
		return want == i.query("SELECT count(), any(device_id), any(collector_id), any(policy_originator), "+
			"has(any(policy_scope), 'site:north') FROM metranova.data_flow")
	})
	i.stop()
}
