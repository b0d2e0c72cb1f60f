package metadata

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// TestForbiddenSettings loads metadata as a user whose profile forbids a setting: what inserts can do without is left
// to the profile, and the rest is named with what to do.
func TestForbiddenSettings(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"async_insert", "distributed_foreground_insert", "insert_deduplicate", "insert_deduplication_token",
		"input_format_binary_read_json_as_string",
	} {
		t.Run(name, func(t *testing.T) {
			target, err := url.Parse(storetest.Start(t))
			if err != nil {
				t.Fatal(err)
			}
			forward := httputil.NewSingleHostReverseProxy(target)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				query := r.URL.Query()
				if strings.HasPrefix(query.Get("query"), "INSERT") && query.Has(name) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("X-ClickHouse-Exception-Code", "452")
					w.WriteHeader(http.StatusInternalServerError)
					fmt.Fprintf(w,
						"Code: 452. DB::Exception: Setting %s should not be changed. (SETTING_CONSTRAINT_VIOLATION)",
						name)
					return
				}
				forward.ServeHTTP(w, r)
			}))
			defer server.Close()
			conn, err := clickhouse.Open(t.Context(),
				clickhouse.Options{Addrs: []string{strings.TrimPrefix(server.URL, "http://")}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			settings := testSettings()
			if _, err := schema.Apply(t.Context(), conn, settings); err != nil {
				t.Fatal(err)
			}
			_, err = NewLoader(conn, settings).Load(t.Context(), setOf(record.Device, "s", device("one", "192.0.2.1")))
			switch optional := !strings.Contains(name, "token") && !strings.HasPrefix(name, "input"); {
			case optional && err != nil:
				t.Error(err)
			case optional && !hasDevice(mustBuild(t, conn, settings), "192.0.2.1"):
				t.Error("the device is not there")
			case !optional && (err == nil || !strings.Contains(err.Error(), "SETTINGS "+name+" WRITABLE")):
				t.Errorf("error %v does not say what to do", err)
			}
		})
	}
}
