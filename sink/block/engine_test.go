package block

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// engine is a store of its own for one test, spoken to as any ClickHouse server over HTTP.
type engine struct{ store *store.Supervisor }

// needEngine returns the engine, or skips the test.
func needEngine(t testing.TB) engine {
	t.Helper()
	return engine{storetest.Supervise(t, store.Options{})}
}

// post sends a query whose text or data goes in the body and returns the answer.
func (e engine) post(parameters url.Values, body []byte) (string, error) {
	res, err := http.Post(e.store.URL()+"/?"+parameters.Encode(), "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("engine: %s: %s", res.Status, answer)
	}
	return string(answer), err
}

// run runs one query and returns its result.
func (e engine) run(t testing.TB, format, query string) string {
	t.Helper()
	answer, err := e.post(url.Values{"default_format": {format}}, []byte(query))
	if err != nil {
		t.Fatalf("%.300s: %v", query, err)
	}
	return answer
}

// insert inserts an encoded block, also if the table has had the same rows before.
func (e engine) insert(t testing.TB, table string, columns []string, data []byte) {
	t.Helper()
	query := fmt.Sprintf("INSERT INTO %s (%s) FORMAT Native", table, strings.Join(columns, ", "))
	if _, err := e.post(url.Values{"query": {query}, "deduplicate_insert": {"disable"}}, data); err != nil {
		t.Fatal(err)
	}
}

// cpuTime is the user and system time that the engine's process has taken.
func (e engine) cpuTime(t testing.TB) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.store.PID()))
	if err != nil {
		t.Fatal(err)
	}
	// proc(5): utime and stime are fields 14 and 15, in ticks of 10 ms; the name in field 2 may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// createFlowTable makes data_flow anew, as the product does.
func (e engine) createFlowTable(t testing.TB, extensions, ipRefs []string) string {
	t.Helper()
	s := schema.Default()
	s.FlowExtensions, s.IPRefExtensions = extensions, ipRefs
	statements, err := schema.Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	e.run(t, "Null", "DROP TABLE IF EXISTS "+s.Tables.Flow)
	for _, statement := range statements {
		e.run(t, "Null", statement)
	}
	return s.Tables.Flow
}
