package message

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// engine is a store of its own for one test, spoken to as any ClickHouse server over HTTP.
type engine struct{ url string }

// post sends a query whose text or data goes in the body and returns the answer.
func (e engine) post(parameters url.Values, body []byte) (string, error) {
	res, err := http.Post(e.url+"/?"+parameters.Encode(), "application/octet-stream", bytes.NewReader(body))
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

func (e engine) run(t testing.TB, query string) string {
	t.Helper()
	answer, err := e.post(url.Values{"default_format": {"JSONEachRow"}}, []byte(query))
	if err != nil {
		t.Fatalf("%.300s: %v", query, err)
	}
	return answer
}

func (e engine) insert(t testing.TB, query string, data []byte) {
	t.Helper()
	if _, err := e.post(url.Values{"query": {query}}, data); err != nil {
		t.Fatalf("%.300s: %v", query, err)
	}
}

// createTables makes data_flow as the product does.
func (e engine) createTables(t testing.TB, extensions, ipRefs []string) {
	t.Helper()
	s := schema.Default()
	s.FlowExtensions, s.IPRefExtensions = extensions, ipRefs
	s.FlowTTL = schema.TTL{}
	statements, err := schema.Statements(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		e.run(t, statement)
	}
}

// engineRows are rows of every kind that sink/block and a message of format JSON must store alike.
func engineRows() []enrich.Row {
	return append(traffic(200), fullRow(), blocktest.EmptyRow(), sflowRow(), hostileRow())
}

// insertNative inserts rows as the ClickHouse sink does.
func (e engine) insertNative(t testing.TB, extensions, ipRefs []string, rows []enrich.Row) {
	t.Helper()
	b := block.New(block.Layout{
		CollectorID: testLayout.CollectorID, PolicyOriginator: testLayout.PolicyOriginator,
		PolicyLevel: testLayout.PolicyLevel,
		Extensions:  extensions, IPRefExtensions: ipRefs,
	})
	for i := range rows {
		b.Append(&rows[i])
	}
	e.insert(t, "INSERT INTO data_flow ("+strings.Join(b.Columns(), ", ")+") FORMAT Native", b.Encode(nil))
}

// messages are the rows' messages, one behind the other as JSON allows.
func messages(f Format, rows []enrich.Row) []byte {
	e := NewEncoder(f, NoKey, testLayout)
	var b Batch
	for i := range rows {
		e.Append(&b, &rows[i])
	}
	return b.Data
}

// stored returns all rows of data_flow in a fixed order, and empties it.
func (e engine) stored(t testing.TB) []string {
	t.Helper()
	rows := e.run(t, "SELECT * EXCEPT insert_time FROM data_flow ORDER BY ALL")
	e.run(t, "TRUNCATE TABLE data_flow")
	return strings.Split(strings.TrimSuffix(rows, "\n"), "\n")
}

// compareStored reports the first rows that differ.
func compareStored(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	differences := 0
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] && differences < 3 {
			differences++
			t.Errorf("want %s\ngot  %s", want[i], got[i])
		}
	}
}

// A message of format json gives the row that a block gives, whichever paths of ext the table has.
func TestJSONIsTheBlocksRow(t *testing.T) {
	for name, test := range map[string]struct{ extensions, ipRefs []string }{
		"all extensions": {[]string{"bgp", "bgp_meta", "bgp_src", "ipv4", "ipv6", "mpls", "rpki", "vlan"},
			[]string{"scireg"}},
		"none": {nil, []string{"scireg"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := engine{storetest.Start(t)}
			e.createTables(t, test.extensions, test.ipRefs)
			rows := engineRows()
			e.insertNative(t, test.extensions, test.ipRefs, rows)
			want := e.stored(t)
			e.insert(t, "INSERT INTO data_flow FORMAT JSONEachRow", messages(JSON, rows))
			got := e.stored(t)
			if len(want) != len(rows) {
				t.Fatalf("%d rows of %d", len(want), len(rows))
			}
			compareStored(t, want, got)
		})
	}
}
