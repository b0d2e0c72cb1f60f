package config

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/sink/golden"
)

// TestReferenceNames has every variable of the reference stack: its documentation, its code and its environment files.
// The table says which setting each one sets, or why it sets none; -update writes it, to be read before it is
// committed.
func TestReferenceNames(t *testing.T) {
	const path = "testdata/reference-names.tsv"
	table, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	taken := 0
	for line := range strings.Lines(string(table)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		effect := effectOf(t, name)
		if !strings.HasPrefix(effect, "not used: ") {
			taken++
		}
		got.WriteString(name + "\t" + effect + "\n")
	}
	golden.Compare(t, path, []byte(got.String()))
	if lines := strings.Count(got.String(), "\n"); lines < 221 || taken < 110 {
		t.Errorf("%d names, %d of them taken", lines, taken)
	}
}

// effectOf is the setting that a variable sets, or why it sets none.
func effectOf(t *testing.T, name string) string {
	t.Helper()
	for _, k := range keys(Default()) {
		if slices.Contains(k.env, name) {
			return k.path
		}
	}
	c, _ := Load(Source{EnvFiles: []string{write(t, "one.env", name+"=\n")}})
	unused := c.Unused()
	if len(unused) == 0 {
		return "flow.view_settings"
	}
	if !unused[0].Known {
		t.Error(unused[0])
	}
	return unused[0].Why
}

func TestUnused(t *testing.T) {
	path := write(t, "base.env",
		"CLICKHOUSE_PROT=8123\nCLICKHOUSE_FLOW_TLL=3 DAY\nREDIS_HOST=redis\nREDIS_DB=0\nWEATHER=fine\n"+
			"SITE=x\nCOLLECTOR_ID=${SITE}\nCLICKHOUSE_HOST=h # used\nKAFKA_CONSUMER_GROUP=g\nexport LISTN=':2055'\n"+
			"clickhouse_batch_size=5\nCLICKHOUSE_FLOW_POLICY_LEVEL=tlp:green\n")
	// Of the process's own environment only what looks like a typo is reported.
	c, _ := Load(Source{EnvFiles: []string{path}, Environ: []string{"COLECTOR_ID=3", "LISTN=x", "LINES=40",
		"LANGUAGE=en", "HTTPS_PROXY=x", "PATH=/bin", "SHELL=/bin/sh", "KAFKA_TOPIC=t", "CLICKHOUSE_FLOW_TYPE=x",
		"CLICKHOUSE_PORTS=1"}})
	var got []string
	for _, p := range c.Unused() {
		got = append(got, strings.TrimPrefix(p.String(), path+": "))
	}
	want := []string{
		"CLICKHOUSE_PROT: not used: did you mean CLICKHOUSE_PORT?",
		"CLICKHOUSE_FLOW_TLL: not used: did you mean CLICKHOUSE_FLOW_TTL?",
		"REDIS_HOST, REDIS_DB: not used: the redis pipelines are not replaced: keep them running if something reads " +
			"redis",
		"WEATHER: not used: the collector knows no such variable",
		"KAFKA_CONSUMER_GROUP: not used: flows come by UDP, and nothing is read from Kafka",
		"LISTN: not used: did you mean LISTEN?",
		"clickhouse_batch_size: not used: did you mean CLICKHOUSE_BATCH_SIZE?",
		"CLICKHOUSE_FLOW_POLICY_LEVEL: not used: did you mean CLICKHOUSE_POLICY_LEVEL?",
		"environment: COLECTOR_ID: not used: did you mean COLLECTOR_ID?",
		"environment: LISTN: not used: did you mean LISTEN?",
		"environment: CLICKHOUSE_PORTS: not used: did you mean CLICKHOUSE_PORT?",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
