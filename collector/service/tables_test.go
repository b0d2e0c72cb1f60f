package service

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/collector/check"
	"github.com/metranova/flow-collector/collector/testkit"
)

// limitedServer is in front of the store of a configuration, and answers statements that denied matches as ClickHouse
// answers a user without the right. It returns the settings that lead to it.
func limitedServer(t *testing.T, host string, denied *regexp.Regexp) []string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("query") == "" {
			body, _ := io.ReadAll(r.Body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			if denied.Match(body) {
				w.Header().Set("X-ClickHouse-Exception-Code", "497")
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, "Code: 497. DB::Exception: joe: Not enough privileges. (ACCESS_DENIED)")
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return []string{"CLICKHOUSE_HOST=" + strings.TrimPrefix(server.URL, "http://")}
}

// A user who may insert and select, and nothing else, gets rows in where a DBA has made all tables (operations F18).
func TestUserWithoutRights(t *testing.T) {
	for name, denied := range map[string]string{
		"may not create or alter": `(?i)^\s*(CREATE|ALTER|DROP|SYSTEM)\b`,
		"may not read system tables " +
			"either": `(?i)^\s*(CREATE|ALTER|DROP|SYSTEM)\b|\bsystem\.(tables|columns|databases|merge_tree_settings)`,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=")
			play := func() string {
				t.Helper()
				var out bytes.Buffer
				if err := Replay(cfg, zap.NewNop(), make(chan os.Signal),
					[]string{testkit.OwnCapture(t, "softflowd-v9")},
					ReplayOptions{Once: true}, &out); err != nil {
					t.Fatal(err)
				}
				return out.String()
			}
			play() // as the DBA
			before := testkit.Ask(t, cfg, "SELECT count() FROM data_flow")
			host := fmt.Sprintf("%s:%d", cfg.Server.Host, cfg.Server.Port)
			cfg.Server.Host = strings.TrimPrefix(limitedServer(t, host, regexp.MustCompile(denied))[0],
				"CLICKHOUSE_HOST=")
			said := play()
			if got := testkit.Ask(t, cfg, "SELECT count() = 2 * "+before+" FROM data_flow"); got != "1" &&
				got != "true" {
				t.Errorf("not twice %s rows (%s); said\n%s", before, got, said)
			}
		})
	}
}

// The TTL is the table's: in the losses that are told, in the warning, and in `check` (operations F31).
func TestTTLOfTheTable(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=100 YEAR")
	play := func() string {
		t.Helper()
		var out bytes.Buffer
		if err := Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{testkit.OwnCapture(t, "softflowd-v9")},
			ReplayOptions{Once: true}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if said := play(); strings.Contains(said, "TTL") {
		t.Errorf("said of a TTL of 100 years:\n%s", said)
	}
	cfg.Schema.FlowTTL.Interval = "1 SECOND" // and the table's stays
	if said := play(); strings.Contains(said, "TTL") {
		t.Errorf("the table keeps its rows, but said:\n%s", said)
	}
	core, logs := observer.New(zap.WarnLevel)
	s, err := newService(cfg, "test", zap.New(core), newOutputs(cfg), &intake{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.finish(t.Context()) })
	if _, err := s.database.makeTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	const statement = "ALTER TABLE `default`.`data_flow` MODIFY TTL `start_time` + INTERVAL 1 SECOND"
	if text := fmt.Sprint(logs.All()); !strings.Contains(text, statement) {
		t.Errorf("no warning with %q: %s", statement, text)
	}
	var out bytes.Buffer
	_ = check.Run(t.Context(), cfg, nil, check.Options{User: check.Self()}, &out)
	if !regexp.MustCompile(`(?m)^warning +tables +table data_flow: its TTL is .*` +
		regexp.QuoteMeta(statement)).MatchString(out.String()) {
		t.Errorf("check says:\n%s", &out)
	}
	testkit.Ask(t, cfg, "ALTER TABLE data_flow MODIFY TTL start_time + INTERVAL 1 SECOND")
	cfg.Schema.FlowTTL.Interval = "100 YEAR"
	if said := play(); !strings.Contains(said, "rows older than the TTL of data_flow (1 SECOND)") {
		t.Errorf("the table drops its rows, but said:\n%s", said)
	}
}

// New rollups wait while inserts are in doubt, also if others are by the time the rollups could be made.
func TestRollupsWaitForInsertsInDoubt(t *testing.T) {
	cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=")
	if err := Replay(cfg, zap.NewNop(), make(chan os.Signal), []string{testkit.OwnCapture(t, "softflowd-v9")},
		ReplayOptions{Once: true}, io.Discard); err != nil {
		t.Fatal(err)
	}
	cfg.Schema.Rollups = []string{"traffic"}
	s, err := newService(cfg, "test", zap.NewNop(), newOutputs(cfg), &intake{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.finish(t.Context()) })
	asked := 0
	s.database.inDoubt = func() int { // when the tables are made, when that is waited for, and when they are made again
		asked++
		return []int{3, 0, 1, 0, 0}[min(asked, 5)-1]
	}
	if later, err := s.database.makeTables(t.Context()); err != nil || !later {
		t.Fatalf("later: %t, %v", later, err)
	}
	const made = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'rollup_traffic_1m'"
	if got := testkit.Ask(t, cfg, made); got != "0" {
		t.Errorf("%s tables of rollups while inserts are in doubt", got)
	}
	s.database.makeLaterRollups(t.Context())
	if got := testkit.Ask(t, cfg, made); got != "1" {
		t.Errorf("%s tables of the rollup when none is in doubt", got)
	}
}
