package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/testkit"
)

// documented says how a command of the documents' code blocks is run. One of the fields after command is set.
type documented struct {
	command string // a regular expression for its beginning
	here    bool   // by TestDocumentCommandsRun, as it stands
	read    bool   // a collector that would go on: TestDocumentCommandsRun reads its settings
	test    string // by a test, as folder:name
	by      string // by a script or a target, as file:words of it
	none    string // by nothing, and why
}

// howDocumented has the commands. The first that fits counts.
var howDocumented = []documented{
	{command: `collector metadata load (caida|geo|scireg)`, test: "metadata:TestSourcesOverHTTP"},
	{command: `collector routes`, test: "collector:TestRoutes"},
	{command: `collector compare`, test: "collector:TestCompare_command"},
	{command: `collector (convert-pmacct|check --config collector.yml$)`, test: "collector:TestConvertPmacct"},
	{command: `collector (export|import) `, test: "collector:TestExportAndImport"},
	{command: `collector quarantine (show|insert)`, test: "collector:TestQuarantineInsert"},
	{command: `collector explore (views (save|import|export)|--saved)`, test: "collector:TestExploreViews"},
	{command: `FILES=|collector run \$FILES`, test: "collector/config:TestStockFiles"},
	{command: `collector (check|decode|explore|metadata|quarantine|query|schema)\b`, here: true},
	{command: `([A-Z_]+=\S+ )+collector run|D=\$\(mktemp -d\); `, read: true},
	{command: `make (test|run)\b`, by: "Makefile:test: engine"},
	{command: `make demo`, by: "Makefile:bench/demo.sh"},
	{command: `make deb`, by: "conf.example/lint.sh:lintian"},
	{command: `go run ./bench replay`, test: "bench/replay:TestRun_asItIs"},
	{command: `cp conf.example/grafana|mkdir -p /usr/share/flow-collector`, test: "collector:TestDashboards_queries"},
	{command: `mkdir -p conf && cp conf.example/meta_`, test: "metadata/files:TestExamples"},
	{command: `curl 'http://127.0.0.1:8123/`, test: "sink/store:TestRequests"},
	{command: `curl -s http://127.0.0.1:8080/exporters.json`, test: "collector/web:TestExporters_pageOrJSON"},
	{command: `cd conf.example/docker|cp env.example|docker compose`, by: "conf.example/lint.sh:composeFile"},
	{command: `docker build`, by: "conf.example/lint.sh:hadolint"},
	{command: `helm install`, test: "collector:TestHelmChart_everythingElse"},
	{command: `cd /usr/share/doc/flow-collector/examples/systemd|install -D`,
		by: "conf.example/lint.sh:flow-collector.service.d"},
	{command: `(apt-get|editor|export|go install|grafana-cli|journalctl|systemctl|tcpdump)\b`,
		none: "a program of others, or of the shell"},
}

// blockCommands are the commands of the code blocks of a text. A command goes on over indented lines, and to the end of
// what is quoted.
func blockCommands(text string) (all []string) {
	first := regexp.MustCompile(`^([A-Z_]+=\S+ )*(collector|[a-z][a-z-]*) [^ ]|^[A-Z]+=`)
	for _, block := range fence.FindAllStringSubmatch(text, -1) {
		goesOn := false
		for line := range strings.SplitSeq(block[1], "\n") {
			line = strings.TrimPrefix(line, "$ ")
			if goesOn = goesOn && (strings.HasPrefix(line, " ") || strings.Count(all[len(all)-1], `"`)%2 == 1); goesOn {
				all[len(all)-1] += "\n" + line
				continue
			}
			line, _, _ = strings.Cut(line, " # ")
			line = strings.TrimRight(line, " ")
			if goesOn = first.MatchString(line) && !isOutput.MatchString(line); goesOn {
				all = append(all, line)
			}
		}
	}
	return all
}

// isOutput is for lines of code blocks that look like commands and are tables, filters or keys of files.
var isOutput = regexp.MustCompile(`^(collector  |operator = |nfcapd |src\.as = |org = |app in |aggregate|` +
	`data:|table:|policy:)`)

func TestBlockCommands(t *testing.T) {
	text := "x\n```\n$ collector query \"SELECT 1\n FROM t\"   # a comment\n│ 1 │\nmake run\nnot\n\n" +
		"A=1 B=2 collector run\nhelm install x \\\n  --set y\n```\n"
	want := []string{"collector query \"SELECT 1\n FROM t\"   # a comment", "make run", "A=1 B=2 collector run",
		"helm install x \\\n  --set y"}
	if got := blockCommands(text); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Every command of the documents' code blocks is run: here, by another test, or by a script of the project.
func TestDocumentCommandsRun(t *testing.T) {
	cfg := testkit.Config(t)
	capture := testkit.OwnCapture(t, "softflowd-v9")
	o := service.ReplayOptions{Once: true, ShiftToNow: true}
	if err := service.Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{capture}, o,
		&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	dir := documentDir(t, capture)
	used := map[string]bool{}
	for path, text := range documents(t) {
		for _, command := range blockCommands(text) {
			n := slices.IndexFunc(howDocumented, func(d documented) bool {
				return regexp.MustCompile(`^(?:` + d.command + `)`).MatchString(command)
			})
			if n < 0 {
				t.Errorf("%s: howDocumented does not say how this is run: %s", path, command)
				continue
			}
			d := &howDocumented[n]
			used[d.command] = true
			if d.here || d.read {
				runDocumented(t, cfg, dir, path, command, d.read)
			}
		}
	}
	for _, d := range howDocumented {
		if !used[d.command] {
			t.Errorf("no document has %s", d.command)
		}
		if folder, name, ok := strings.Cut(d.test, ":"); ok {
			if !slices.Contains(names(t, filepath.Join("..", folder, "*_test.go"),
				regexp.MustCompile(`(?m)^func (Test\w+)\(`)), name) {
				t.Errorf("%s: there is no test %s", d.command, d.test)
			}
		}
		if file, words, ok := strings.Cut(d.by, ":"); ok {
			script, err := os.ReadFile(filepath.Join("..", file))
			if err != nil || !strings.Contains(string(script), words) {
				t.Errorf("%s: %s has no %q: %v", d.command, file, words, err)
			}
		}
	}
}

// documentDir is a directory to run commands in: with the program, and with files that they name.
func documentDir(t *testing.T, capture string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	// Arguments may have spaces and line breaks. A collector that would go on says its settings.
	shim := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != run ] || set -- config\nIFS=$(printf '\\037')\n%s=\"$*\" exec %s\n",
		runEnv, program)
	for name, content := range map[string][]byte{"router.pcap": data, "collector": []byte(shim), "ca.pem": nil,
		"cert.pem": nil, "key.pem": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runDocumented runs a command. Without read it has the settings of cfg.
func runDocumented(t *testing.T, cfg *config.Config, dir, path, command string, read bool) {
	t.Helper()
	command = strings.ReplaceAll(command, "/etc/flow-collector/", dir+"/")
	sh := exec.CommandContext(t.Context(), "sh", "-c", command)
	sh.Dir = dir
	sh.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if !read {
		sh.Env = append(sh.Env, fmt.Sprintf("CLICKHOUSE_HOST=%s", cfg.Server.Host),
			fmt.Sprintf("CLICKHOUSE_PORT=%d", cfg.Server.Port), "CACHE_DIR="+cfg.Metadata.CacheDir,
			"METADATA_DIR="+cfg.Metadata.Dir, "SPOOL_PATH="+filepath.Join(dir, "spool"),
			"QUARANTINE_PATH="+filepath.Join(dir, "quarantine"), "HTTP_LISTEN=off",
			"LISTEN="+testkit.FreePort(t))
	}
	if out, err := sh.CombinedOutput(); err != nil {
		t.Errorf("%s: %s: %v\n%s", path, command, err, out)
	}
}
