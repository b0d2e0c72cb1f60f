package service

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// noAnswers are answers of 200 that say nothing of an insert: those of proxies, and of servers whose connection was
// cut.
var noAnswers = map[string]http.HandlerFunc{
	"an exception in a header": func(w http.ResponseWriter,
		_ *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "209")
	},
	"an exception as text": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-ClickHouse-Query-Id", "1")
		_, _ = io.WriteString(w, "Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS)")
	},
	"a proxy's page": func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = io.WriteString(w, "<html>maintenance</html>")
	},
	"an empty answer": func(http.ResponseWriter, *http.Request) {},
	"a redirect to such": func(w http.ResponseWriter,
		r *http.Request) {
		http.Redirect(w, r, "/ping", http.StatusFound)
	},
}

// TestServe_balancesOverOutageAndDamage runs the collector behind a proxy that answers inserts with 200 or a redirect
// and stores nothing, stops it in the middle of that, damages a byte of one entry in the spool, and runs it once more
// with the server in reach. Each row is delivered or told as lost, and "nothing lost" is not printed by the last run.
func TestServe_balancesOverOutageAndDamage(t *testing.T) {
	for name, answer := range noAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testkit.Config(t, "CLICKHOUSE_FLOW_TTL=", "LISTEN="+testkit.FreePort(t))
			direct := *cfg
			proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http",
				Host: fmt.Sprintf("%s:%d", cfg.Server.Host, cfg.Server.Port)})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Query().Get("query"), "INSERT") || r.URL.Query().Get("query") == "" {
					proxy.ServeHTTP(w, r)
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				answer(w, r)
			}))
			defer server.Close()
			cfg.Server.Host = strings.TrimPrefix(server.URL, "http://")

			var files []string
			for n, capture := range []string{"softflowd-v9", "softflowd-v5", "softflowd-ipfix"} {
				r := startConfigured(t, cfg, testkit.Patience)
				testkit.Send(t, r.address, testkit.Payloads(t, capture)...)
				r.stop(t)
				want := []string{", 230 wait", ", 370 wait", ", 600 wait"}[n]
				if said := r.summary.String(); !strings.Contains(said, want) ||
					!strings.Contains(said, "0 rows written") {
					t.Fatalf("run %d: want %q in\n%s", n, want, said)
				}
				if n == 0 {
					files = spoolFiles(t, cfg.Spool.Path)
				}
			}
			if n := testkit.Ask(t, &direct, "SELECT count() FROM data_flow"); n != "0" {
				t.Fatalf("%s rows are stored, want none", n)
			}
			if len(files) != 1 {
				t.Fatalf("%v after the first run, want one file with its rows", files)
			}
			damage(t, files[0])

			last := startConfigured(t, &direct, testkit.Patience)
			testkit.WaitFor(t, "the rows that are not damaged",
				func() bool { return testkit.Ask(t, &direct, "SELECT count() FROM data_flow") == "370" })
			testkit.WaitFor(t, "the answer to the last of them",
				func() bool { return len(spoolFiles(t, cfg.Spool.Path)) == 0 })
			last.stop(t)
			said := last.summary.String()
			if strings.Contains(said, "nothing lost") || !strings.Contains(said, "230 ") {
				t.Errorf("230 rows were damaged, but said\n%s", said)
			}
			lost := testkit.Ask(t, &direct,
				"SELECT what, reason, sum(count) FROM collector_loss WHERE unit = 'rows' AND what IN ('lost', "+
					"'delivered') GROUP BY ALL ORDER BY ALL")
			if lost != "delivered\t\t370\nlost\tspool_damaged\t230" {
				t.Errorf("collector_loss has\n%s", lost)
			}
		})
	}
}

// spoolFiles are the files of a spool with entries.
func spoolFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 4096 {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// damage turns one bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		data[len(data)/2] ^= 1
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
