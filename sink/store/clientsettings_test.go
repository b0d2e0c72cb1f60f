package store_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// Settings by which a client would write to the log of the store, to the engine's own tables for each query or sample,
// or have a higher priority than all else on the host.
func TestSettingsThatClientsDoNotChoose(t *testing.T) {
	base := storetest.Start(t)
	for name, value := range map[string]string{
		"send_logs_level": "trace", "send_logs_source_regexp": ".", "log_queries": "0", "log_query_threads": "1",
		"log_query_views":         "0",
		"log_processors_profiles": "0", "log_profile_events": "0", "log_queries_cut_to_length": "100000000",
		"query_profiler_real_time_period_ns": "1000", "query_profiler_cpu_time_period_ns": "1000",
		"memory_profiler_step":               "1",
		"memory_profiler_sample_probability": "1", "trace_profile_events": "1",
		"opentelemetry_start_trace_probability": "1",
		"opentelemetry_trace_processors":        "1",
		"os_thread_priority":                    "-20", "os_threads_nice_value_query": "-20",
		"os_threads_nice_value_materialized_view": "-20",
	} {
		for where, r := range map[string]reply{
			"in the address":   send(t, http.MethodPost, base+"/?"+name+"="+url.QueryEscape(value), "SELECT 1"),
			"in the statement": send(t, http.MethodPost, base, fmt.Sprintf("SELECT 1 SETTINGS %s = '%s'", name, value)),
			"by GET":           send(t, http.MethodGet, base+"/?query=SELECT+1&"+name+"="+url.QueryEscape(value), ""),
		} {
			if r.status == http.StatusOK {
				t.Errorf("%s %s: status 200: %q", name, where, r.body)
			}
		}
	}
	if got := run(t, base+"/?max_threads=1&max_memory_usage=100000000&max_execution_time=9", "SELECT 1"); got != "1\n" {
		t.Errorf("the settings of a client's own query give %q", got)
	}
}

// A request with two lengths, as one that hides another has, is refused, or read by its chunks alone, and the
// connection is closed after its answer (RFC 9112, section 6.3): what follows is not read.
func TestRequestWithTwoLengths(t *testing.T) {
	base := storetest.StartWith(t, store.Options{User: "noc", Password: "secret"})
	host := strings.TrimPrefix(base, "http://")
	for name, head := range map[string]string{
		"length and chunks":       "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
		"chunks and length":       "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
		"two lengths":             "Content-Length: 6\r\nContent-Length: 60\r\n",
		"chunks in another form":  "Transfer-Encoding: chunked, identity\r\nContent-Length: 6\r\n",
		"chunks with white space": "Transfer-Encoding : chunked\r\nContent-Length: 6\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", host)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(60*time.Second)))
			_, err = fmt.Fprintf(conn,
				"POST / HTTP/1.1\r\nHost: %s\r\nX-ClickHouse-User: noc\r\nX-ClickHouse-Key: secret\r\n%s\r\n0\r\n\r\n"+
					"POST /?query=CREATE+TABLE+smuggled+(a+Int8)+ENGINE=Memory HTTP/1.1\r\n"+
					"Host: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", host, head, host)
			must(t, err)
			in := bufio.NewReader(conn)
			r, err := http.ReadResponse(in, nil)
			must(t, err)
			io.Copy(io.Discard, r.Body)
			r.Body.Close()
			if r.StatusCode == http.StatusOK || !r.Close {
				t.Errorf("status %d, close %t", r.StatusCode, r.Close)
			}
			if second, err := http.ReadResponse(in, nil); err == nil {
				t.Errorf("a second answer: %s", second.Status)
			}
		})
	}
	if got := run(t, base, "EXISTS TABLE smuggled", "X-ClickHouse-User", "noc", "X-ClickHouse-Key",
		"secret"); got != "0\n" {
		t.Error("the request in the body was run")
	}
}
