package schema

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/sink/golden"
)

// reports are the queries that the golden files hold the answers of.
var reports = map[string]string{
	"columns.tsv": "SELECT table, position, name, type, default_kind, default_expression, compression_codec AS " +
		"codec, comment " +
		"FROM system.columns WHERE database = 'golden' ORDER BY table, position",
	"tables.tsv": "SELECT name AS table, engine, partition_key, sorting_key, primary_key, engine_full " +
		"FROM system.tables WHERE database = 'golden' ORDER BY name",
	"dictionaries.tsv": "SELECT name, `key.names` AS keys, `attribute.names` AS attributes, `attribute.types` AS " +
		"attribute_types " +
		"FROM system.dictionaries WHERE database = 'golden' ORDER BY name",
}

func TestGoldenSchema(t *testing.T) {
	conn := engine(t)
	apply(t, conn, goldenSettings())
	for file, query := range reports {
		got := askAs(t, conn, "TSVWithNames", query)
		t.Run(file, func(t *testing.T) {
			golden.File(t, file, []byte(got))
			compareWithReference(t, file, got)
		})
	}
}

// compareWithReference compares with what the chain that we replace creates. What we have over it is: whole tables
// and views of ours, columns after its columns, codecs, and the deduplication window and how parts are written and
// merged in engine_full.
func compareWithReference(t *testing.T, file, got string) {
	want := referenceFile(t, file)
	rows := readTSV(t, strings.NewReader(got))
	tables := map[string]bool{}
	for _, row := range want {
		tables[row["table"]] = true
	}
	const window = ", non_replicated_deduplication_window = 20000"
	byKey := map[string]map[string]string{}
	for _, row := range rows {
		if full, ok := row["engine_full"]; ok {
			if strings.HasSuffix(row["engine"], "MergeTree") && !strings.Contains(full, window) {
				t.Errorf("table %s has no deduplication window: %s", row["table"], full)
			}
			full = strings.Replace(full, window, "", 1)
			for _, ours := range slices.Concat(mergeSettings, jsonSettings, []costSetting{wideSetting}) {
				full = strings.Replace(full, ", "+shown(ours), "", 1)
			}
			row["engine_full"] = full
		}
		byKey[rowKey(row)] = row
	}
	for _, row := range want {
		key := rowKey(row)
		have, ok := byKey[key]
		if !ok {
			t.Errorf("missing: %s", key)
			continue
		}
		for column, text := range row {
			if column == "layout" || column == "source" {
				continue // what a dictionary that is not loaded yet shows: nothing
			}
			if column == "type" && row["name"] == "flow_count" && strings.HasSuffix(row["table"], "_mv") {
				continue // its views have 1, of a byte; ours a count. The table that they fill is the same
			}
			if column == "codec" && strings.HasPrefix(row["table"], "data_") {
				continue // ours are smaller; what is read is the same
			}
			if have[column] != text {
				t.Errorf("%s: %s is %s, want %s", key, column, have[column], text)
			}
		}
		delete(byKey, key)
	}
	ours := map[string]bool{}
	for i, name := range OptionalColumns() {
		ours[fmt.Sprintf("data_flow/%d %s", 37+i, name)] = true // all of them after the reference's
	}
	ourTables := map[string]bool{"data_interface_traffic": true, "collector_loss": true, ASPrefixTable: true,
		SourceTable: true}
	for key, row := range byKey {
		table := row["table"]
		isView := slices.ContainsFunc([]string{sumsPrefix, edgePrefix, knownPrefix, largestPrefix},
			func(prefix string) bool { return strings.HasPrefix(table, prefix) })
		if !ours[key] && !ourTables[table] && !isView {
			t.Errorf("the reference does not have %s", key)
		}
	}
}

// rowKey names a row of a report: what it is about.
func rowKey(row map[string]string) string {
	if row["position"] != "" {
		return row["table"] + "/" + row["position"] + " " + row["name"]
	}
	return row["table"] + row["name"]
}

// reference is the path of a file of the reference stack's data; without it the test is skipped.
func reference(t *testing.T, path ...string) string {
	t.Helper()
	return golden.Reference(t, append([]string{"golden"}, path...)...)
}

// referenceFile reads golden/schema/file.
func referenceFile(t *testing.T, file string) []map[string]string {
	t.Helper()
	f, err := os.Open(reference(t, "schema", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return readTSV(t, f)
}

// readTSV reads rows under their header; the escapes of ClickHouse's TSV stay as they are.
func readTSV(t *testing.T, r io.Reader) []map[string]string {
	t.Helper()
	reader := csv.NewReader(r)
	reader.Comma, reader.LazyQuotes = '\t', true
	records, err := reader.ReadAll()
	if err != nil || len(records) < 2 {
		t.Fatalf("%d rows, %v", len(records), err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, text := range record {
			row[records[0][i]] = text
		}
		rows = append(rows, row)
	}
	return rows
}

// A database as the chain that we replace left it gets what we have over it, and nothing else is touched.
func TestApplyOverTheReferencesTables(t *testing.T) {
	columns := map[string][]string{}
	unescape := strings.NewReplacer(`\'`, `'`, `\\`, `\`)
	for _, c := range referenceFile(t, "columns.tsv") {
		definition := ident(c["name"]) + " " + c["type"]
		if c["default_expression"] != "" {
			definition += " DEFAULT " + c["default_expression"]
		}
		columns[c["table"]] = append(columns[c["table"]], unescape.Replace(definition+" "+c["codec"]))
	}
	conn := engine(t)
	run(t, conn, "CREATE DATABASE golden")
	want := map[string]bool{
		"table data_interface_traffic: created": true,
		"table collector_loss: created":         true,
		"table meta_as_prefix: created":         true,
		"table meta_source: created":            true,
		"function inPrefix: created":            true,
		"function plainIP: created":             true,
	}
	for _, c := range FlowColumns() {
		if c.Optional {
			want[fmt.Sprintf("table data_flow: column %s %s added", c.Name, c.Type)] = true
		}
	}
	for _, table := range referenceFile(t, "tables.tsv") {
		name := table["table"]
		switch {
		case table["engine"] == "Dictionary":
			want[fmt.Sprintf("dictionary %s: created", name)] = true
		case table["engine"] == "MaterializedView":
			want[fmt.Sprintf("view %s: created", name)] = true
		default:
			run(t, conn, fmt.Sprintf("CREATE TABLE golden.%s (%s) ENGINE = %s",
				name, strings.Join(columns[name], ", "), unescape.Replace(table["engine_full"])))
			want[fmt.Sprintf("table %s: non_replicated_deduplication_window set to 20000", name)] = true
		}
	}
	settings := goldenSettings()
	for _, v := range settings.sumsViews() {
		want[fmt.Sprintf("view %s: created", v.name)] = true
	}
	got := map[string]bool{}
	for _, line := range apply(t, conn, settings) {
		got[line] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// insertJSON inserts the JSON lines of a file.
func insertJSON(t *testing.T, conn driver.Conn, table, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ctx := chgo.Context(context.Background(), chgo.WithSettings(chgo.Settings{"input_format_import_nested_json": 1}))
	if err := conn.InsertFormat(ctx, "JSONEachRow", "INSERT INTO golden."+table, f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// applicationOfTheReference is what the reference calls an application of ours (row-semantics Q17): of overlapping
// ranges it takes the one that starts first, where we take the last, and reversed and upper-case ones it never finds.
var applicationOfTheReference = map[any]any{
	"https": "system-ports", "imaps": "system-ports", "iperf3": "perfsonar", "reversed": nil, "upper": nil,
}

// Our views make of the reference's rows what its views made of them, but for applications that it gets wrong.
func TestViewsOfTheReferencesRows(t *testing.T) {
	captures, err := filepath.Glob(reference(t, "*.ch.jsonl"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("%d captures, %v", len(captures), err)
	}
	conn := engine(t)
	s := goldenSettings()
	s.FlowTTL.Interval = "" // the rows are of a year ago
	for i := range s.Views {
		s.Views[i].TTL.Interval = ""
	}
	apply(t, conn, s)
	insertJSON(t, conn, "meta_application", reference(t, "metadata", "expected", "meta_application.jsonl"))
	run(t, conn, "SYSTEM RELOAD DICTIONARY golden.meta_application_dict")
	for _, capture := range captures {
		name := strings.TrimSuffix(filepath.Base(capture), ".ch.jsonl")
		t.Run(name, func(t *testing.T) {
			run(t, conn, "TRUNCATE TABLE golden.data_flow")
			for _, v := range s.Views {
				run(t, conn, "TRUNCATE TABLE golden."+v.Table)
			}
			insertJSON(t, conn, "data_flow", capture)
			want := readViews(t, reference(t, name+".mv.json"))
			for i := range s.Views {
				v := &s.Views[i]
				got := viewRows(t, conn, v)
				if name == "messages" { // has a protocol in capitals, whose application the reference does not find
					dropApplication(want[v.Table])
					dropApplication(got)
				}
				if diff := cmp.Diff(sortedRows(want[v.Table]), sortedRows(got)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", v.Table, diff)
				}
			}
		})
	}
}

func dropApplication(rows []map[string]any) {
	for _, row := range rows {
		delete(row, "application_id")
	}
}

func readViews(t *testing.T, path string) map[string][]map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var views map[string][]map[string]any
	if err := json.Unmarshal(text, &views); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return views
}

// viewRows reads the target of a view, summed.
func viewRows(t *testing.T, conn driver.Conn, v *View) []map[string]any {
	t.Helper()
	text := askAs(t, conn, "JSONEachRow", "SELECT * FROM golden."+v.Table+
		" FINAL SETTINGS output_format_json_quote_64bit_integers = 0")
	var rows []map[string]any
	decoder := json.NewDecoder(strings.NewReader(text))
	for decoder.More() {
		var row map[string]any
		if err := decoder.Decode(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

// sortedRows renders rows, one a line, in a fixed order, with the counts of equal keys summed and the reference's names
// of applications.
func sortedRows(rows []map[string]any) []string {
	sums := map[string][3]float64{}
	for _, row := range rows {
		counts := [3]float64{row["flow_count"].(float64), row["bit_count"].(float64), row["packet_count"].(float64)}
		for _, name := range []string{"flow_count", "bit_count", "packet_count"} {
			delete(row, name)
		}
		if theirs, ok := applicationOfTheReference[row["application_id"]]; ok {
			row["application_id"] = theirs
		}
		key, err := json.Marshal(row)
		if err != nil {
			panic(err)
		}
		sum := sums[string(key)]
		for i := range sum {
			sum[i] += counts[i]
		}
		sums[string(key)] = sum
	}
	lines := make([]string, 0, len(sums))
	for key, sum := range sums {
		lines = append(lines, fmt.Sprintf("%s flows, bits, packets %.0f", key, sum))
	}
	slices.Sort(lines)
	return lines
}

// shown is a setting as the tab-separated answer has it.
func shown(c costSetting) string { return strings.ReplaceAll(c.String(), "'", `\'`) }
