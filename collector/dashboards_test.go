package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/grafana"
	"github.com/metranova/flow-collector/collector/service"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/golden"
)

const plugin = "grafana-clickhouse-datasource"

// compared are the dashboards whose graphs all have the time before too.
var compared = []string{"flow-as", "flow-geography", "flow-policy", "flow-routes", "flow-scireg"}

func TestDashboards_style(t *testing.T) {
	uids := map[string]string{}
	for _, d := range dashboards(t) {
		t.Run(d.File, func(t *testing.T) {
			if d.UID == "" || d.UID != "flow-"+strings.TrimSuffix(d.File, ".json") {
				t.Errorf("uid %q, want flow- and the file's name", d.UID)
			}
			if other := uids[d.UID]; other != "" {
				t.Errorf("uid %q is that of %s too", d.UID, other)
			}
			uids[d.UID] = d.File
			if d.Title == "" || d.Description == "" || len(d.Panels) == 0 {
				t.Error("a dashboard needs a title, a description and panels")
			}
			if v := d.Templating.List; len(v) == 0 || v[0].Type != "datasource" || v[0].Query != plugin {
				t.Errorf("the first variable is not the data source")
			}
			for _, v := range d.Templating.List {
				checkVariable(t, v)
			}
			ids, titles := map[int]bool{}, map[string]bool{}
			for _, p := range d.Panels {
				if ids[p.ID] || titles[p.Title] {
					t.Errorf("panel %d %q: the id or the title is not its own", p.ID, p.Title)
				}
				ids[p.ID], titles[p.Title] = true, true
				if slices.Contains(compared, d.UID) && p.Type == "timeseries" && len(p.Targets) != 2 {
					t.Errorf("panel %q: no query of the time before", p.Title)
				}
				checkPanel(t, p)
			}
			checkGrid(t, d.Panels)
			for _, l := range d.Links {
				if !l.KeepsVariables || !l.KeepsTime {
					t.Error("a link to the other dashboards forgets the variables or the time")
				}
			}
			if len(d.Annotations.List) == 0 {
				t.Error("losses are not annotated")
			}
		})
	}
}

// A link of a value leads to a dashboard that there is, sets a variable that it has, and keeps time and data source.
func TestDashboards_links(t *testing.T) {
	variables := map[string]map[string]bool{}
	for _, d := range dashboards(t) {
		variables[d.UID] = map[string]bool{}
		for _, v := range d.Templating.List {
			variables[d.UID][v.Name] = true
		}
	}
	uses := regexp.MustCompile(`\$\{(\w+):queryparam\}`)
	target := regexp.MustCompile(
		`^/d/([\w-]+)\?var-(\w+)=\$\{__(?:value\.raw|field\.labels\.(\w+)):percentencode\}&`)
	for _, d := range dashboards(t) {
		linked := 0
		for _, p := range d.Panels {
			links, err := p.Links()
			if err != nil {
				t.Fatal(err)
			}
			for column, list := range links {
				for _, l := range list {
					linked++
					m := target.FindStringSubmatch(l.URL)
					if m == nil || !variables[m[1]][m[2]] || l.Title == "" ||
						!strings.HasSuffix(l.URL, "&${datasource:queryparam}&${__url_time_range}") {
						t.Errorf("%s, panel %q: %+v", d.File, p.Title, l)
					}
					if m != nil && m[3] != "" && !strings.Contains(p.Targets[0].RawSQL, " AS "+m[3]+",") {
						t.Errorf("%s, panel %q: no label %s to link from", d.File, p.Title, m[3])
					}
					for _, use := range uses.FindAllStringSubmatch(l.URL, -1) {
						if !variables[d.UID][use[1]] {
							t.Errorf("%s, panel %q: no variable %s for %s", d.File, p.Title, use[1], l.URL)
						}
					}
					if column != "" && !strings.Contains(p.Targets[0].RawSQL, column) {
						t.Errorf("%s, panel %q: no column %s to link from", d.File, p.Title, column)
					}
				}
			}
		}
		if d.UID == "flow-as" {
			for _, p := range d.Panels {
				if links, err := p.Links(); err != nil || p.Type == "timeseries" && len(links[""]) == 0 {
					t.Errorf("%s, panel %q: its series lead nowhere, error %v", d.File, p.Title, err)
				}
			}
		}
		if linked == 0 && d.UID != "flow-sankey" {
			t.Errorf("%s: no value leads anywhere", d.File)
		}
	}
}

func checkVariable(t *testing.T, v grafana.Variable) {
	if v.Type == "query" && (v.Source != grafana.Source{Type: plugin, UID: "${datasource}"} || v.Refresh != 2 ||
		!v.All) {
		t.Errorf("variable %s: a query is of the chosen data source, for the time range, with All", v.Name)
	}
	if v.Name == "interval" && v.Query != "5m,15m,1h,6h,1d" {
		t.Errorf("variable interval: %q, want multiples of the aggregates' 5m only, else rates are wrong", v.Query)
	}
}

// summed are the aggregates, in which rows of one key may not be added up yet.
var summed = regexp.MustCompile(`data_flow_by_\w+`)

func checkPanel(t *testing.T, p grafana.Panel) {
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("panel %q: "+format, append([]any{p.Title}, args...)...)
	}
	if p.Title == "" || p.FieldConfig.Defaults.Unit == "" || p.FieldConfig.Defaults.NoValue == "" {
		wrong("no title, no unit, or no text for when there is nothing")
	}
	if p.Type == "timeseries" && !slices.Contains(p.Options.Legend.Calcs, "p95") {
		wrong("its legend has no percentile")
	}
	// What it counts, in a sentence at least.
	if len(p.Description) < 40 || !strings.HasSuffix(p.Description, ".") {
		wrong("its description %q does not say what it counts", p.Description)
	}
	chosen := grafana.Source{Type: plugin, UID: "${datasource}"}
	if p.Source != chosen {
		wrong("data source %+v is not that of the variable", p.Source)
	}
	if len(p.Targets) == 0 {
		wrong("no query")
	}
	for _, query := range p.Targets {
		// The query of the time before has the same range, so much earlier.
		sql := strings.ReplaceAll(query.RawSQL, "Time - INTERVAL ${earlier})", "Time)")
		series := p.Type == "timeseries"
		switch {
		case query.Source != chosen:
			wrong("its query's data source %+v is not that of the variable", query.Source)
		case series != (query.QueryType == "timeseries") || series != (query.Format == 0):
			wrong("a %s with queryType %s and format %d", p.Type, query.QueryType, query.Format)
		case !strings.Contains(sql, "$__timeFilter(start_time") && !strings.Contains(sql, sumsRange):
			wrong("its query ignores the time range")
		case series && (p.Interval != "$interval" || !strings.Contains(sql, "$__timeInterval(") ||
			!strings.HasSuffix(sql, "ORDER BY time")):
			wrong("a time series is by $__timeInterval, at least $interval, in order of time")
		case strings.Contains(strings.ReplaceAll(sql, "ANY LEFT JOIN", ""), " JOIN (") ||
			strings.Contains(strings.ReplaceAll(sql, "ANY LEFT JOIN", ""), "LEFT JOIN"):
			wrong("a join that is not ANY LEFT counts a flow again for every copy of a record")
		case flowReads(sql) > 1 && !strings.Contains(sql, "meta_ip WHERE ref IN") || flowReads(sql) > 3:
			wrong("its query reads data_flow %d times; a second time is for the refs of prefixes", flowReads(sql))
		case !viewsFit(sql, series):
			wrong("a view of sums has not the range and the step of the panel")
		case summed.MatchString(sql) && (!strings.Contains(sql, "sum") || strings.Contains(sql, "count()")):
			wrong("rows of an aggregate are summed up: sum(flow_count) instead of count()")
		}
	}
}

// viewsFit reports whether all views of sums have the range and the step of the panel. What finds the largest for a
// graph is one sum over all its time.
func viewsFit(sql string, series bool) bool {
	reads := viewRead.FindAllStringSubmatch(sql, -1)
	for _, read := range reads {
		top, times, step := read[1] != "", read[2], read[3]
		if times != sumsRange || step != "$__interval_s" && (step != "0" && step != "300" || series && !top) ||
			step == "$__interval_s" && !series {
			return false
		}
	}
	return len(reads) == len(viewName.FindAllString(sql, -1))
}

var (
	viewRead = regexp.MustCompile(`(WITH top AS \(\n[^\n]*)?\bFROM (?:sums|edge|known|largest)_(?:\w|\$\{side\})+` +
		`([^\n]*?), step = (\S+), rows = (?:0\)|if\()`)
	viewName  = regexp.MustCompile(`\bFROM (?:sums|edge|known|largest)_`)
	flowRead  = regexp.MustCompile(`\bFROM data_flow\b`)
	tableRead = regexp.MustCompile(`\b(?:FROM|JOIN|IN) (\w+)`)
	tableName = regexp.MustCompile(`(?:WITH|,)\s+(\w+) AS \(`)
)

// sumsRange is how panels name the range of a view of sums, which selects rows itself.
const sumsRange = "(from = toUnixTimestamp($__fromTime), to = toUnixTimestamp($__toTime)"

// flowReads counts how often a query reads data_flow. A common table expression is read again wherever its name stands.
func flowReads(sql string) int {
	bodies := map[string]string{}
	main := sql
	for _, at := range tableName.FindAllStringSubmatchIndex(sql, -1) {
		end, depth := at[1], 1
		for ; depth > 0 && end < len(sql); end++ {
			switch sql[end] {
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		bodies[sql[at[2]:at[3]]] = sql[at[1]:end]
		main = strings.Replace(main, sql[at[1]:end], "", 1)
	}
	var count func(text string) int
	count = func(text string) int {
		n := len(flowRead.FindAllString(text, -1))
		for _, read := range tableRead.FindAllStringSubmatch(text, -1) {
			if body, known := bodies[read[1]]; known {
				n += count(body)
			}
		}
		return n
	}
	return count(main)
}

func TestFlowReads(t *testing.T) {
	for sql, want := range map[string]int{
		"SELECT 1 FROM data_flow":                                  1,
		"SELECT 1 FROM data_flow_by_edge_as_5m":                    0,
		"WITH f AS (SELECT 1 FROM data_flow) SELECT max(x) FROM f": 1,
		"WITH f AS (\n SELECT max(a) FROM data_flow\n), top AS (\n SELECT 2 FROM f\n)\nSELECT if(a IN top, 1, 0) " +
			"FROM f " +
			"ANY LEFT JOIN (SELECT 3 FROM m WHERE ref IN (SELECT ref FROM f)) AS p": 3,
	} {
		if got := flowReads(sql); got != want {
			t.Errorf("%d reads, want %d: %s", got, want, sql)
		}
	}
}

// checkGrid finds panels that overlap or stick out of Grafana's 24 columns.
func checkGrid(t *testing.T, panels []grafana.Panel) {
	taken := map[[2]int]string{}
	for _, p := range panels {
		g := p.Grid
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("panel %q: grid position %+v", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Every panel's query runs on the real engine over our captures, and has a result.
func TestDashboards_queries(t *testing.T) {
	testdata := filepath.Join(golden.Repository(t), "bench", "testdata")
	cfg := testkit.Config(t, "METADATA_DIR="+filepath.Join(testdata, "metadata"),
		"SCIREG_HTTP_CONSUMER_URLS="+filepath.Join(testdata, "metadata", "scireg.json"),
		"CLICKHOUSE_POLICY_ORIGINATOR=example", "CLICKHOUSE_POLICY_SCOPE=comm:re", "COLLECTOR_ID=test")
	captures, err := filepath.Glob(filepath.Join(testdata, "*.pcap"))
	if err != nil || len(captures) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	v9 := testkit.OwnCapture(t, "softflowd-v9")
	captures[slices.Index(captures, v9)] = lossyCapture(t, v9)
	var out bytes.Buffer
	o := service.ReplayOptions{Once: true, ShiftToNow: true}
	if err := service.Replay(cfg, zap.NewNop(), make(chan os.Signal), captures, o,
		&out); err != nil {
		t.Fatal(err)
	}
	// What no capture makes: drops of the kernel, rows lost at a sink, and two samples of a device's counters.
	for _, sql := range []string{
		`INSERT INTO collector_loss (start_time, end_time, collector_id, stage, unit, missing, count) VALUES (now() ` +
			`- 60, now(), 'test', 'kernel', 'datagrams', true, 9)`,
		`INSERT INTO collector_loss (start_time, end_time, collector_id, exporter, device_id, flow_type, protocol, ` +
			`stage, sink, what, reason, unit, missing, count)
			VALUES (now() - 60, now(), 'test', '198.51.100.11', 'probe1', 'netflow', 'netflow5', 'sink', ` +
			`'clickhouse', 'lost', 'spool_full', 'rows', true, 9)`,
		`INSERT INTO data_interface_traffic (start_time, end_time, collector_id, interface_id, oper_status, ` +
			`in_bit_count, out_bit_count, in_error_packet_count,
			out_error_packet_count, in_discard_packet_count, out_discard_packet_count) VALUES (now() - 60, now() - ` +
			`30, 'test', 'campus1::uplink', 'up', 8000, 4000, 1, 2, 3, 4)`,
		// What routes say: AS 64500 is one of the metadata's, the other is none.
		`INSERT INTO data_flow (start_time, end_time, collector_id, device_id, out_interface_id, src_as_id, ` +
			`dst_as_id, src_ip, dst_ip, peer_ip, peer_as_id, bit_count, packet_count, ext) SELECT now() - 60, ` +
			`now() - 50, 'test', 'probe1', 'campus1::uplink', 64500, if(number = 0, 64500, 64501), ` +
			`'::ffff:192.0.2.1', '::ffff:198.51.100.1', '::ffff:192.0.2.9', 64500, 8000, 9, ` +
			`'{"bgp_as_path_id":[64500,64501],` +
			`"bgp_community":["64500:1","no-export"],"rpki_dst":"invalid","rpki_src":"valid","bgp_router":"core1",` +
			`"bgp_source":"bgp","bgp_dst_prefix":"198.51.100.0/24"}' FROM numbers(2)`,
	} {
		testkit.Ask(t, cfg, sql)
	}
	now := time.Now()
	for _, d := range dashboards(t) {
		g := grafana.View{
			From: now.Add(-time.Hour), To: now.Add(time.Minute), Interval: 5 * time.Minute,
			All: map[string]bool{}, Values: map[string][]string{"side": {"src"}, "interval": {"5m"},
				"earlier": {"1 DAY"},
				"address": {""}, "country": {""}, "discipline": {""}, "scope": {""}, "begins": {""}},
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				g.All[v.Name] = true
			}
		}
		t.Run(d.File, func(t *testing.T) {
			for _, v := range d.Templating.List {
				if v.Type == "query" {
					g.Values[v.Name] = options(t, cfg, expand(t, &g, v.Query))
				}
			}
			for _, a := range d.Annotations.List {
				hasResult(t, cfg, "annotation "+a.Name, expand(t, &g, a.Target.RawSQL))
			}
			for _, p := range d.Panels {
				for _, side := range []string{"src", "dst"} {
					g.Values["side"] = []string{side}
					for _, query := range p.Targets {
						if query.RefID == "B" {
							checkEarlier(t, cfg, g, p)
							continue
						}
						hasResult(t, cfg, p.Title, expand(t, &g, query.RawSQL))
					}
				}
				// With the first option of every variable there may be nothing, but no error.
				some := g
				some.All, some.Values = map[string]bool{}, maps.Clone(g.Values)
				some.Values["address"], some.Values["country"] = []string{"198.51.100."}, []string{"o'"}
				some.Values["discipline"], some.Values["scope"] = []string{"Phys"}, []string{"comm:"}
				some.Values["begins"] = []string{"198.51."}
				for name := range g.All {
					some.Values[name] = g.Values[name][:1]
				}
				for _, query := range p.Targets {
					runJSON(t, cfg, p.Title, expand(t, &some, query.RawSQL))
				}
			}
		})
	}
}

// checkEarlier runs a panel's query B, which is of the time before. There are no captures of then, so it has no rows.
// With no time in between it sums up to what the panel's own query does.
func checkEarlier(t *testing.T, cfg *config.Config, g grafana.View, p grafana.Panel) {
	t.Helper()
	own, before := p.Targets[0].RawSQL, p.Targets[1].RawSQL
	if r := runJSON(t, cfg, p.Title, expand(t, &g, before)); len(r.Data) > 0 {
		t.Errorf("panel %q: %d rows of a time without flows", p.Title, len(r.Data))
	}
	g.Values = maps.Clone(g.Values)
	g.Values["earlier"] = []string{"0 DAY"}
	if now, then := sumOf(runJSON(t, cfg, p.Title, expand(t, &g, own))),
		sumOf(runJSON(t, cfg, p.Title, expand(t, &g, before))); then == 0 || math.Abs(now/then-1) > 1e-9 {
		t.Errorf("panel %q: %v in all, by the query of the time before %v:\n%s", p.Title, now, then, before)
	}
}

// sumOf is the sum of all numbers of a result but its times.
func sumOf(r result) float64 {
	sum := 0.0
	for _, row := range r.Data {
		for i, value := range row {
			if number, ok := value.(float64); ok && r.Meta[i].Name != "time" {
				sum += number
			}
		}
	}
	return sum
}

// lossyCapture copies a capture of NetFlow v9 in Ethernet and IPv4, without two datagrams in its middle, with garbage
// in place of a third and a damaged set in a fourth.
func lossyCapture(t *testing.T, path string) string {
	t.Helper()
	const headers = 14 + 20 + 8
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(t.TempDir(), "lossy.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, err := pcapgo.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgo.NewWriter(out)
	if err := w.WriteFileHeader(r.Snaplen(), r.LinkType()); err != nil {
		t.Fatal(err)
	}
	for n := 0; ; n++ {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return out.Name()
		}
		if err != nil {
			t.Fatal(err)
		}
		switch n {
		case 4, 5:
			continue
		case 7:
			copy(data[headers:], "garbage")
		case 8:
			data[headers+20+2] = 0xff // the first set's length (RFC 3954, section 5.2) is beyond the datagram
		}
		if err := w.WritePacket(info, data); err != nil {
			t.Fatal(err)
		}
	}
}

// result is ClickHouse's FORMAT JSONCompact.
type result struct {
	Meta []struct{ Name, Type string } `json:"meta"`
	Data [][]any                       `json:"data"`
}

func runJSON(t *testing.T, cfg *config.Config, title, sql string) result {
	t.Helper()
	var out bytes.Buffer
	if err := setup.Query(t.Context(), cfg, sql, "JSONCompact", &out); err != nil {
		t.Errorf("panel %q: %v in:\n%s", title, err, sql)
		return result{}
	}
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("panel %q: %v", title, err)
	}
	return r
}

// options are a variable's; its query returns values, or values and labels.
func options(t *testing.T, cfg *config.Config, sql string) []string {
	t.Helper()
	var values []string
	for _, row := range runJSON(t, cfg, "variable", sql).Data {
		text, isText := row[0].(string)
		if !isText {
			number, _ := json.Marshal(row[0])
			text = string(number)
		}
		values = append(values, text)
	}
	if len(values) == 0 {
		t.Fatalf("a variable without options:\n%s", sql)
	}
	return values
}

// hasResult runs a query and wants something in every column: a join that finds nothing leaves its columns empty.
func hasResult(t *testing.T, cfg *config.Config, title, sql string) {
	t.Helper()
	r := runJSON(t, cfg, title, sql)
	if len(r.Data) == 0 {
		t.Errorf("panel %q: no rows from:\n%s", title, sql)
	}
	for i, column := range r.Meta {
		something := slices.ContainsFunc(r.Data, func(row []any) bool {
			switch row[i] {
			case nil, "", "0", 0.0, "unknown", "not said":
				return false
			}
			return true
		})
		if !something && len(r.Data) > 0 {
			t.Errorf("panel %q: column %s has nothing in it in %d rows of:\n%s", title, column.Name, len(r.Data), sql)
		}
	}
}
