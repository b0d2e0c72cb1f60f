package explore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// noon is the time of all tests here.
var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)

func testSettings() schema.Settings {
	s := schema.Default()
	s.Database = "explored"
	s.FlowExtensions = []string{"bgp", "ipv4", "vlan"}
	s.IPRefExtensions = []string{"scireg"}
	s.Rollups = []string{schema.AllRollups}
	s.RollupTTLs = map[string]string{"1m": "50 YEAR", "5m": "50 YEAR", "1h": "50 YEAR", "1d": "50 YEAR"}
	s.FlowTTL.Interval, s.MetadataTTL, s.LossTTL.Interval = "", "", "" // the rows are of a time that is over
	return s
}

// rows are what the tests ask about: an hour of three sources and two destinations, a flow of each in every minute,
// and metadata for some of them.
var rows = []string{
	`INSERT INTO explored.meta_as (id, ref, hash, name, organization_id) VALUES
		(64500, '64500__v1', '', 'OLD NAME', 'uni'), (64501, '64501__v1', '', 'LAB', 'lab')`,
	`INSERT INTO explored.meta_as (id, ref, hash, insert_time, name, organization_id) VALUES
		(64500, '64500__v2', '', now() + 60, 'UNI-A', 'uni')`,
	`INSERT INTO explored.meta_organization (id, ref, hash, name) VALUES ('uni', 'uni__v1', '', 'Université de ` +
		`Genève')`,
	`INSERT INTO explored.meta_ip (id, ref, hash, ip_subnet, country_name, country_code, city_name) VALUES
		('campus', 'campus__v1', '', [('::ffff:192.0.2.0', 24)], 'Switzerland', 'CH', 'Geneva'),
		('lab', 'lab__v1', '', [('2001:db8::', 32)], 'Switzerland', 'CH', 'Zurich')`,
	`INSERT INTO explored.meta_ip_scireg (id, ref, hash, ip_subnet, discipline, project_name, organization_name) VALUES
		('x', 'x__v1', '', [('::ffff:192.0.2.0', 24)], 'Physics', 'CMS', 'CERN')`,
	`INSERT INTO explored.meta_device (id, ref, hash, type, location_name, network, hostname, loopback_ip) VALUES
		('r1', 'r1__v1', '', 'router', 'PoP 1', 'core', 'r1.example.net', ['::ffff:192.0.2.250', '2001:db8::250'])`,
	`INSERT INTO explored.meta_interface (id, ref, hash, type, description, device_id, name, speed, circuit_id) VALUES
		('r1::up', 'r1::up__v1', '', 'physical', 'to the world', 'r1', 'up', 10000, ['c1', 'c2']),
		('r1::down', 'r1::down__v1', '', 'physical', NULL, 'r1', 'down', NULL, [])`,
	`INSERT INTO explored.meta_application (id, protocol, port_range_min, port_range_max) VALUES
		('https', 'tcp', 443, 443), ('system', 'tcp', 0, 1023), ('dns', 'udp', 53, 53)`,
	`INSERT INTO explored.data_flow (start_time, end_time, collector_id, policy_originator, policy_level, ` +
		`policy_scope, ext,
		flow_type, device_id, src_as_id, src_ip, src_ip_ref, src_port, dst_as_id, dst_ip, dst_port, protocol,
		in_interface_id, out_interface_id, peer_as_id, peer_ip, ip_version, application_port, bit_count, packet_count,
		sampling_rate, src_country)
	SELECT toDateTime64('2026-03-05 11:00:00', 3, 'UTC') + 60 * intDiv(number, 3) AS t, t, 'c', 'o', 'tlp:green',
		if(number % 3 = 0, ['comm:lhcone', 'as:64500'], []),
		if(number % 3 = 0, '{"bgp_as_path_id":[64500,64510],"bgp_community":["64500:1","64500:2"],` +
		`"src_ip_scireg_ref":"x__v1","vlan_id":7,"ipv4_dscp":46,"vrf_name":"blue"}', '{}'),
		'netflow', 'r1', [64500, 64501, 0][number % 3 + 1] AS asn, 
		toIPv6(['192.0.2.7', '2001:db8::ffff:7', '198.51.100.9'][number % 3 + 1]),
		['campus__v1', 'lab__v1', NULL][number % 3 + 1], 50000,
		64510 + intDiv(number, 3) % 2, toIPv6(concat(if(number % 3 = 1, '2001:db8:1::', '203.0.113.'), ` +
		`toString(intDiv(number, 3) % 2))), [443, 53, 0][number % 3 + 1],
		['tcp', 'udp', 'icmp'][number % 3 + 1], 'r1::up', if(number % 3 = 2, NULL, 'r1::down'),
		if(number % 3 = 2, NULL, 64510), if(number % 3 = 2, NULL, toIPv6('192.0.2.254')),
		if(number % 3 = 1, 6, 4), [443, 53, 0][number % 3 + 1], 8000 * (3 - number % 3), 10 * (3 - number % 3), 100,
		['CH', 'CH', ''][number % 3 + 1]
	FROM numbers(180)`,
	`INSERT INTO explored.collector_loss (start_time, end_time, collector_id, exporter, stage, what, reason, unit, ` +
		`missing, count) VALUES
		('2026-03-05 11:10:00', '2026-03-05 11:11:00', 'c', '192.0.2.1', 'kernel', 'dropped', 'receive buffer', ` +
		`'datagrams', true, 7),
		('2026-03-05 10:10:00', '2026-03-05 10:11:00', 'c', '192.0.2.1', 'kernel', 'dropped', 'receive buffer', ` +
		`'datagrams', true, 9),
		('2026-03-05 11:10:00', '2026-03-05 11:11:00', 'c', '192.0.2.1', 'received', 'datagrams', '', 'datagrams', ` +
		`false, 100)`,
}

// explorer asks a real engine that has the rows above.
func explorer(t *testing.T) *Explorer {
	t.Helper()
	conn, err := clickhouse.Open(t.Context(),
		clickhouse.Options{Addrs: []string{strings.TrimPrefix(storetest.Start(t), "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := testSettings()
	if _, err := schema.Apply(t.Context(), conn, s); err != nil {
		t.Fatal(err)
	}
	for _, sql := range rows {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	e := &Explorer{Conn: conn, Planner: NewPlanner(&s), Now: func() time.Time { return noon },
		MaxTime: 10 * time.Minute}
	if err := e.ReadSources(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

// question reads an address.
func question(t *testing.T, address string) Question {
	t.Helper()
	values, err := url.ParseQuery(address)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Parse(values, noon)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return q
}

func ask(t *testing.T, e *Explorer, address string) *Answer {
	t.Helper()
	a, err := e.Ask(t.Context(), question(t, address))
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return a
}

// lines are the answer's lines with their sums in units of what one flow of the smallest source has.
func lines(a *Answer, unit float64) string {
	var all []string
	for _, s := range a.Series {
		all = append(all, fmt.Sprintf("%s %g", s.Label(), s.Total/unit))
	}
	return strings.Join(all, ", ")
}

// One store for all tests: it takes a second to start.
func TestEngine(t *testing.T) {
	e := explorer(t)
	t.Run("dimensions", func(t *testing.T) { testDimensions(t, e) })
	t.Run("filters", func(t *testing.T) { testFilters(t, e) })
	t.Run("series", func(t *testing.T) { testSeries(t, e) })
	t.Run("both", func(t *testing.T) { testBoth(t, e) })
	t.Run("gone", func(t *testing.T) { testGone(t, e) })
	t.Run("earlier unknown", func(t *testing.T) { testEarlierUnknown(t, e) })
	t.Run("step", func(t *testing.T) { testStep(t, e) })
	t.Run("rollups", func(t *testing.T) { testRollups(t, e) })
	t.Run("countries", func(t *testing.T) { testCountries(t, e) })
	t.Run("links", func(t *testing.T) { testLinks(t, e) })
	t.Run("scopes", func(t *testing.T) { testScopes(t, e) })
	t.Run("map", func(t *testing.T) { testMap(t, e) })
	t.Run("subjects", func(t *testing.T) { testSubjects(t, e) })
	t.Run("hours", func(t *testing.T) { testHours(t, e) })
	t.Run("suggest", func(t *testing.T) { testSuggest(t, e) })
	t.Run("volume", func(t *testing.T) { testVolume(t, e) })
	t.Run("flows", func(t *testing.T) { testFlows(t, e) })
	t.Run("lost", func(t *testing.T) { testLost(t, e) })
	t.Run("nothing", func(t *testing.T) { testNothing(t, e) })
	t.Run("odd", func(t *testing.T) { testOdd(t, e) })
	t.Run("others", func(t *testing.T) { testOthers(t, e) })
	t.Run("progress", func(t *testing.T) { testProgress(t, e) })
	t.Run("writes", func(t *testing.T) { testOnlyReads(t, e) })
	t.Run("injection", func(t *testing.T) { testInjection(t, e) })
	t.Run("SQL", func(t *testing.T) { testSQL(t, e) })
	t.Run("statements", func(t *testing.T) { testStatements(t, e) })
	t.Run("earlier points", func(t *testing.T) { testEarlierPoints(t, e) })
	t.Run("fullness", func(t *testing.T) { testFullness(t, e) })
}

// Who may see some scopes alone sees no flow of another one, whatever is asked for.
func testScopes(t *testing.T, e *Explorer) {
	q := Question{Unit: Packets, View: Table, Top: 8, Only: []string{"comm:lhcone", "comm:'"},
		From: noon.Add(-time.Hour), To: noon}
	for filter, want := range map[string]float64{"": 1800, "scope = unknown or proto = udp": 0,
		"not scope = comm:lhcone": 0} {
		q.Filter = filter
		a, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if total := a.Sum().Total; total != want {
			t.Errorf("%q: %g packets, want %g", filter, total, want)
		}
	}
	q.Filter = ""
	for _, d := range e.Planner.list {
		if d.Only {
			continue
		}
		q.By = []string{d.Name}
		a, err := e.Ask(t.Context(), q)
		if err != nil {
			t.Errorf("by %s: %v", d.Name, err)
			continue
		}
		for _, s := range a.Series {
			if s.Total > 1800 {
				t.Errorf("by %s: %s has %g packets of 1800", d.Name, s.Label(), s.Total)
			}
		}
	}
	if _, last, err := e.Seen(t.Context(), "proto = udp", []string{"comm:lhcone"}, 7); err != nil || !last.IsZero() {
		t.Errorf("a flow of another scope was seen at %s, %v", last, err)
	}
	for filter, want := range map[string]string{"proto = ": "tcp", "src.ip = ": "192.0.2.7"} {
		all, err := e.Suggest(t.Context(), filter, len(filter), []string{"comm:lhcone"})
		if err != nil || len(all) != 1 || all[0].Text != want {
			t.Errorf("%s: %+v, %v", filter, all, err)
		}
	}
}

// Countries of a map have their codes; a map of anything else is refused.
func testMap(t *testing.T, e *Explorer) {
	for _, by := range []string{"src.country", "country"} {
		a := ask(t, e, "view=map&top=1&from=2026-03-05T11:00&to=2026-03-05T12:00&by="+by)
		codes := map[string]string{}
		for _, line := range a.Series {
			codes[line.Label()] = line.Code
		}
		if len(codes) != 2 || codes["Switzerland"] != "CH" || codes["unknown"] != "" {
			t.Errorf("by %s: %v", by, codes)
		}
	}
	for _, by := range [][]string{{"src.as"}, nil, {"src.country", "dst.country"}} {
		q := Question{By: by, View: Map, Last: time.Hour, Unit: Bits, Top: 8}
		if _, err := e.Ask(t.Context(), q); err == nil || !strings.Contains(err.Error(), "a map needs a country") {
			t.Errorf("by %v: %v", by, err)
		}
	}
}

// Every dimension has its values, and the filter of each line takes just the line's flows.
func testDimensions(t *testing.T, e *Explorer) {
	want := map[string]string{
		"src.as":         "AS64500 UNI-A 180, AS64501 LAB 120, unknown 60",
		"dst.as":         "AS64510 180, AS64511 180",
		"src.org":        "Université de Genève 180, lab 120, unknown 60",
		"src.net":        "campus 180, lab 120, unknown 60",
		"src.ip":         "192.0.2.7 180, 2001:db8::ffff:7 120, 198.51.100.9 60",
		"src.prefix":     "192.0.2.0/24 180, 2001:db8::/48 120, 198.51.100.0/24 60",
		"dst.port":       "443 180, 53 120, 0 60",
		"src.country":    "Switzerland 300, unknown 60",
		"src.city":       "Geneva 180, Zurich 120, unknown 60",
		"src.sci.org":    "unknown 180, CERN 180",
		"sci.discipline": "unknown 360, Physics 180",
		"as":             "AS64500 UNI-A 180, AS64510 180, AS64511 180, AS64501 LAB 120, unknown 60",
		"country":        "unknown 360, Switzerland 300",
		"device":         "r1 360",
		"site":           "PoP 1 360",
		"in.if":          "r1::up to the world 360",
		"out.if":         "r1::down 300, unknown 60",
		"if":             "r1::up to the world 360, r1::down 300, unknown 60",
		"circuit":        "c1 360, c2 360",
		"out.circuit":    "unknown 360",
		"next.as":        "AS64510 300, unknown 60",
		"next.hop":       "192.0.2.254 300, :: 60",
		"vrf":            "unknown 180, blue 180",
		"as.path":        "unknown 180, 64500 64510 180",
		"community":      "unknown 180, 64500:1 180, 64500:2 180",
		"vlan":           "0 180, 7 180",
		"app":            "tcp/443 https 180, udp/53 dns 120, icmp/0 60",
		"proto":          "tcp 180, udp 120, icmp 60",
		"version":        "IPv4 240, IPv6 120",
		"scope":          "unknown 180, comm:lhcone 180",
		"dscp":           "0 180, 46 180",
		"sampling":       "100 360",
	}
	for _, d := range e.Planner.list {
		if d.Only {
			continue
		}
		a := ask(t, e, "view=table&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&by="+d.Name)
		got := lines(a, 10)
		if w, ok := want[d.Name]; ok && got != w {
			t.Errorf("by %s: %s, want %s", d.Name, got, w)
		}
		delete(want, d.Name)
		for _, line := range a.Series {
			one := a.Question.With(line.Filter)
			one.By = nil
			b, err := e.Ask(t.Context(), one)
			if err != nil {
				t.Errorf("%s: %v", line.Filter, err)
			} else if len(b.Series) != 1 || b.Series[0].Total != line.Total {
				t.Errorf("%s has %s, and its line %g", line.Filter, lines(b, 10), line.Total/10)
			}
		}
	}
	for name := range want {
		t.Errorf("there is no dimension %s", name)
	}
}

func testFilters(t *testing.T, e *Explorer) {
	for text, want := range map[string]float64{
		"":                                      360,
		"src.as = 64500":                        180,
		"SRC_AS = AS64500 and not proto = icmp": 180,
		"src.as = 0.64500":                      180,
		"as = 64510":                            180,
		"not as = 64510":                        180,
		"as != 64510":                           180,
		"as in (64501, 64511)":                  240,
		`src.as = "uni-a"`:                      180,
		`src.as = "old name"`:                   0,
		"src.as ~ uni":                          180,
		"src.as = uni*":                         180,
		`src.org = "université de genève"`:      180,
		"src.org = UNI":                         180,
		"src.org ~ GEN":                         180,
		"src.org = unknown":                     60,
		"src.country = ch":                      300,
		"not src.country = CH":                  60,
		"src in 192.0.2.0/24":                   180,
		"src = 192.0.2.7":                       180,
		"src in 0.0.0.0/0":                      240,
		"src in ::/0":                           120,
		"ip in (2001:db8::/32, 203.0.113.1)":    240,
		"dst not in 203.0.113.0/25":             120,
		"dst.port = 443 or dst.port = 53":       300,
		"dst.port < 443":                        180,
		"app = https":                           180,
		"app = 53":                              120,
		"app = tcp/443":                         180,
		"scope = comm:lhcone":                   180,
		"scope ~ lhc":                           180,
		"scope = as:64500":                      180,
		"scope in (AS:64500, comm:x)":           180,
		"scope ~ 64500":                         0,
		"scope = unknown":                       180,
		"community = 64500:1":                   180,
		"if = r1::down":                         300,
		`if ~ "the world"`:                      360,
		"circuit = c1":                          360,
		"circuit = nothing":                     0,
		"discipline = physics":                  180,
		"bytes >= 3k":                           180,
		"bytes > 3000":                          0,
		"bytes < 0.002M":                        60,
		"proto in (TCP, udp)":                   300,
		"vrf = blue and vlan = 7 and dscp = 46": 180,
		"tcp port 443":                          180,
		"proto 6":                               180,
		"src net 192.0.2/24":                    180,
		"dst.port between 50 and 60":            120,
		"dst port 50-60,443":                    300,
		"as 64510-64511 and not src.as > 64500": 240,
		"src.as between AS64500 and AS64501":    300,
		"src_country is null":                   60,
		"src_country is not null":               300,
		"src.org not like '%gen%'":              180,
		"DstAddr << 203.0.113.0/24 and ip4":     240,
		"src 192.0.2.1-192.0.2.9":               180,
		"router ip 192.0.2.250":                 360,
		"device in (r1.example.net)":            360,
		"exporter = 2001:db8::250":              360,
		"in if up":                              360,
		"flags = none":                          360,
		"flags ~ syn":                           0,
		"dscp ef":                               180,
		`as = "AS64500 UNI-A"`:                  180,
		"app 443/tcp":                           180,
	} {
		a := ask(t, e, url.Values{"view": {"table"}, "unit": {"packets"}, "from": {"2026-03-05T11:00"},
			"to":     {"2026-03-05T12:00"},
			"filter": {text}}.Encode())
		got := 0.0
		for _, s := range a.Series {
			got += s.Total / 10
		}
		if got != want {
			t.Errorf("%s: %g, want %g", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"src.sa = 1":      "src.sa is no field: did you mean src.as?",
		"src.ip = 1.2.3":  "1.2.3 is neither an address nor a prefix, such as 192.0.2.0/24 or 2001:db8::/32",
		"src.ip ~ 1":      "src.ip is an address: use = or in",
		"proto > tcp":     "proto has no order: use =, in or ~",
		"as > unknown":    "unknown is no AS number",
		"flags ~ 1-2":     "flags is a number or names of flags, such as SYN+ACK",
		"dst.port = http": "dst.port is a number, such as 443 or 8000-8100; names are those of app: app = https",
		"bytes > 3X":      "bytes is a number, such as 1500, 10k or 2.5M",
		"proto =":         "here the filter ends; expected a value",
	} {
		_, err := e.Ask(t.Context(), Question{Filter: text, Unit: Bits, View: Table, Top: 5, Last: time.Hour})
		var bad *filter.Error
		if !errors.As(err, &bad) || bad.Text != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func testSeries(t *testing.T, e *Explorer) {
	a := ask(t, e, "by=src.as,proto&top=2&last=2h&before=period&filter=dst.as+%3D+64510")
	if len(a.Series) != 3 || a.Series[0].Label() != "AS64500 UNI-A → tcp" || a.Series[2].Label() != "others" {
		t.Fatalf("the lines are %s", lines(a, 1))
	}
	if a.Step != time.Minute || len(a.Series[0].Points) != 120 || !a.From.Equal(noon.Add(-2*time.Hour)) || a.Partial {
		t.Errorf("%d steps of %s from %s, partial %t", len(a.Series[0].Points), a.Step, a.From, a.Partial)
	}
	// 24,000 bits in every other minute of the last 60.
	first := a.Series[0].Points
	if first[0] != 0 || first[60] != 400 || first[61] != 0 || first[62] != 400 {
		t.Errorf("points are %v", first)
	}
	want := Stats{Min: 0, Mean: 100, P95: 400, Max: 400, Last: 0, Total: 30 * 24000, Share: 0.5}
	if got := a.Series[0].Stats; math.Abs(got.Mean-want.Mean) > 1e-9 {
		t.Errorf("the mean is %g", got.Mean)
	} else if got.Mean = want.Mean; got != want {
		t.Errorf("statistics are %+v, want %+v", got, want)
	}
	if read := e.Estimate(t.Context(), a.Query); read < 180 || read > 10000 {
		t.Errorf("%d rows are read", read)
	}
	l, err := e.Losses(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Missing) != 1 || l.Missing[0].Count != 16 || l.Missing[0].Points[10] != 9 ||
		l.Missing[0].Points[70] != 7 ||
		math.Abs(l.Missing[0].Share-16.0/116) > 1e-9 {
		t.Errorf("missing: %+v", l.Missing)
	}
	if len(l.Sampled) != 1 || l.Sampled[0] != (Sampled{100, 1}) || !l.SampledFrom.Equal(noon.Add(-time.Hour)) {
		t.Errorf("sampled: %+v since %s", l.Sampled, l.SampledFrom)
	}
	for _, v := range a.Before {
		if v != 0 {
			t.Error("there is traffic before there was any")
		}
	}
	// The hour before now, asked an hour later.
	b := ask(t, e, "from=2026-03-05T12:00&to=2026-03-05T13:00&before=period")
	if len(b.Series) != 0 || b.Before[0] != 800 || !b.Partial {
		t.Errorf("lines are %s, before %v, partial %t", lines(b, 1), b.Before[0], b.Partial)
	}
	// Each line has its mean of the time before, and interfaces their speed.
	b = ask(t, e, "by=in.if&from=2026-03-05T11:30&to=2026-03-05T12:00&before=period")
	if line := b.Series[0]; math.Abs(line.Mean-800)+math.Abs(line.Earlier-800) > 1e-9 || line.Speed != 10e9 {
		t.Errorf("mean %g, before %g, speed %g", line.Mean, line.Earlier, line.Speed)
	}
	b = ask(t, e, "by=circuit&from=2026-03-05T11:00&to=2026-03-05T12:00")
	if b.Series[0].Speed != 10e9 {
		t.Errorf("the speed of a circuit is %g", b.Series[0].Speed)
	}
	// A step that is not over counts in the total, and in no rate.
	b = ask(t, e, "from=2026-03-05T10:30&to=2026-03-05T11:30")
	if b.Partial || b.Series[0].Total != 30*48000 {
		t.Errorf("%g in all", b.Series[0].Total)
	}
}

// The other direction has sources and destinations exchanged, in the filter too, and the same lines.
func testBoth(t *testing.T, e *Explorer) {
	a := ask(t, e,
		"view=both&by=src.as&top=2&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=in.if+%3D+r1::up")
	if got := lines(a, 10); got != "AS64500 UNI-A 180, AS64501 LAB 120, others 60" {
		t.Errorf("lines are %s", got)
	}
	// What goes out by r1::up: nothing.
	if len(a.Back) != 3 || a.Back[0].Total+a.Back[1].Total+a.Back[2].Total != 0 {
		t.Errorf("back: %+v", a.Back)
	}
	a = ask(t, e, "view=both&by=src.as&top=4&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00")
	// A destination that is no source gets a line while there is room; the others stand last.
	got := ""
	for i, s := range a.Series {
		got += fmt.Sprintf("%s %g/%g, ", s.Label(), s.Total/10, a.Back[i].Total/10)
	}
	if want := "AS64500 UNI-A 180/0, AS64501 LAB 120/0, unknown 60/0, AS64510 0/180, others 0/180, "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	a = ask(t, e, "view=both&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=dst.as+%3D+64510")
	if len(a.Back) != 1 || a.Series[0].Total != 1800 || a.Back[0].Total != 0 {
		t.Errorf("all: %s of %+v", lines(a, 10), a.Back)
	}
	a = ask(t, e, "view=both&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00&filter=src.as+%3D+64510")
	if len(a.Back) != 1 || a.Series[0].Total != 0 || a.Back[0].Total != 1800 {
		t.Errorf("all: %s of %+v", lines(a, 10), a.Back)
	}
}

// What a rollup answers is what the rows say, for every dimension that one has.
func testRollups(t *testing.T, e *Explorer) {
	s := testSettings()
	s.Rollups = nil
	rows := &Explorer{Conn: e.Conn, Planner: NewPlanner(&s), Now: e.Now}
	answered := map[string]bool{}
	for _, d := range e.Planner.list {
		for _, rest := range []string{"", "&zone=Asia/Kolkata&filter=device+%3D+r1"} {
			if d.Only {
				continue
			}
			address := "unit=flows&top=50&from=2026-02-20&to=2026-03-06&by=" + d.Name + rest
			a, b := ask(t, e, address), ask(t, rows, address)
			answered[a.Table()] = true
			if got, want := lines(a, 1), lines(b, 1); got != want || !reflect.DeepEqual(a.Days, b.Days) {
				t.Errorf("%s: %s says %s, the rows %s", address, a.Query.Source.Line(), got, want)
			}
			for i := range a.Series {
				if !slices.Equal(a.Series[i].Points, b.Series[i].Points) {
					t.Errorf("%s: points of %s differ in %s", address, a.Series[i].Label(), a.Query.Source.Line())
				}
			}
		}
	}
	for _, rest := range []string{"view=hours", "by=app&filter=device+%3D+r1+and+proto+%3D+tcp", "by=in.if&view=both",
		"by=src.as,device&view=sankey", "by=device&filter=scope+%3D+comm:lhcone", "by=level&filter=scope+!%3D+unknown",
		"by=device&filter=scope+%3D+as:64500", "by=src.country,dst.country&view=sankey",
		"filter=src.country+%3D+switz*&by=country", "filter=country+%3D+unknown&by=dst.country"} {
		a, b := ask(t, e, "unit=flows&from=2026-02-20&to=2026-03-06&"+rest),
			ask(t, rows, "unit=flows&from=2026-02-20&to=2026-03-06&"+rest)
		if lines(a, 1) != lines(b, 1) || !reflect.DeepEqual(a.Days, b.Days) || !reflect.DeepEqual(a.Links, b.Links) ||
			!reflect.DeepEqual(a.Back, b.Back) {
			t.Errorf("%s: %s differs from the rows", rest, a.Query.Source.Line())
		}
	}
	for _, want := range []string{"data_flow", "rollup_edge_src_as_1h", "rollup_interface_ref_1h",
		"rollup_edge_application_1h", "rollup_scireg_1h", "rollup_named_scope_1h", "rollup_country_1h",
		"rollup_traffic_1h"} {
		if !answered[want] {
			t.Errorf("%s answers nothing; the tables are %v", want, answered)
		}
	}
}

// Countries are the same from the columns of rows, and by prefix where rows may not have these columns.
func testCountries(t *testing.T, e *Explorer) {
	s := testSettings()
	s.WithoutColumns = []string{"src_country", "dst_country"}
	joined := &Explorer{Conn: e.Conn, Planner: NewPlanner(&s), Now: e.Now}
	for _, rest := range []string{"by=src.country", "by=dst.country", "by=country", "by=country,src.as&view=table",
		"by=src.country,dst.country&view=sankey", "by=src.country&view=map", "by=proto&filter=country+%3D+CH",
		"by=proto&filter=not+src.country+%3D+switzerland", "by=country&filter=src.country+%3D+unknown"} {
		address := "unit=flows&from=2026-03-05T11:00&to=2026-03-05T12:00&" + rest
		a, b := ask(t, e, address), ask(t, joined, address)
		if lines(a, 1) != lines(b, 1) || !reflect.DeepEqual(a.Links, b.Links) {
			t.Errorf("%s: %s, by prefix %s", rest, lines(a, 1), lines(b, 1))
		}
		if sql := a.Query.SQL(); strings.Contains(sql, "ip_ref") || !strings.Contains(b.Query.SQL(), "ip_ref") {
			t.Errorf("%s: the columns are not read: %s", rest, sql)
		}
	}
	later := e.Planner.settings.Sources()[:1]
	later[0].Later = []string{"src_country"}
	p := NewPlanner(e.Planner.settings)
	p.SetSources(later)
	if p.dimension("src.country").few || !p.dimension("dst.country").few {
		t.Error("the column is read though rows may not have it, or not where they have")
	}
}

func testLinks(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=sankey&by=src.as,in.if,dst.as&top=2&unit=packets&from=2026-03-05T11:00&to=2026-03-05T12:00")
	var all []string
	for _, link := range a.Links {
		var nodes []string
		for _, n := range link.Nodes {
			nodes = append(nodes, n.Label())
		}
		all = append(all, fmt.Sprintf("%s %g", strings.Join(nodes, ">"), link.Total/10))
	}
	slices.Sort(all)
	want := "AS64500 UNI-A>r1::up to the world>AS64510 90; AS64500 UNI-A>r1::up to the world>AS64511 90; " +
		"AS64501 LAB>r1::up to the world>AS64510 60; AS64501 LAB>r1::up to the world>AS64511 60; " +
		"others>r1::up to the world>AS64510 30; others>r1::up to the world>AS64511 30"
	if got := strings.Join(all, "; "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	q, _ := Parse(url.Values{"view": {"sankey"}, "by": {"src.as"}}, noon)
	if _, err := e.Ask(t.Context(), q); err == nil {
		t.Error("a sankey of one dimension is drawn")
	}
}

// Each subject has its facts, and each of its questions an answer.
func testSubjects(t *testing.T, e *Explorer) {
	for _, test := range []struct{ kind, id, ref, facts string }{
		{"as", "AS64500", "", "id=64500 name=UNI-A organization_id=uni organization=Université de Genève"},
		{"as", "64999", "", ""},
		{"ip", "192.0.2.7", "campus__v1",
			"id=campus ip_subnet=192.0.2.0/24 city_name=Geneva country_name=Switzerland country_code=CH"},
		{"ip", "::ffff:198.51.100.9", "", ""},
		{"if", "r1::up", "",
			"id=r1::up type=physical description=to the world device_id=r1 name=up speed=10000 Mbit/s " +
				"circuit_id=c1, c2"},
		{"circuit", "c1", "", ""},
		{"device", "r1", "", "id=r1 type=router loopback_ip=192.0.2.250, 2001:db8::250 hostname=r1.example.net " +
			"location_name=PoP 1 network=core"},
		{"org", "Université de Genève", "", "id=uni name=Université de Genève"},
	} {
		s, err := ParseSubject(test.kind, test.id)
		if err != nil {
			t.Error(err)
			continue
		}
		facts, err := e.Facts(t.Context(), s, test.ref)
		if err != nil {
			t.Errorf("%v: %v", s, err)
		}
		var got []string
		for _, f := range facts {
			if f.Name != "insert_time" {
				got = append(got, f.Name+"="+f.Value)
			}
		}
		if text := strings.Join(got, " "); text != test.facts {
			t.Errorf("%v: %s, want %s", s, text, test.facts)
		}
		for _, x := range s.Questions() {
			if _, err := e.Ask(t.Context(), x.Question); err != nil {
				t.Errorf("%v: %s: %v", s, x.Title, err)
			}
		}
	}
	first, last, err := e.Seen(t.Context(), "ip = 192.0.2.7", nil, 7)
	if err != nil || !first.Equal(noon.Add(-time.Hour)) || !last.Equal(noon.Add(-time.Minute)) {
		t.Errorf("seen from %s to %s, %v", first, last, err)
	}
	if first, _, err := e.Seen(t.Context(), "ip = 192.0.2.99", nil, 7); err != nil || !first.IsZero() {
		t.Errorf("what was never seen: %s, %v", first, err)
	}
	for _, bad := range [][2]string{{"as", "x"}, {"ip", "1.2.3"}, {"ip", "fe80::1%eth0"}, {"if", ""}, {"dog", "x"}} {
		if s, err := ParseSubject(bad[0], bad[1]); err == nil {
			t.Errorf("%v is a subject", s)
		}
	}
	for _, test := range [][3]string{{"src.as", "AS64500", "AS64500"}, {"next.as", "AS1", "AS1"},
		{"dst.ip", "192.0.2.7", "192.0.2.7"},
		{"in.if", "r1::up", "r1::up"}, {"circuit", "c1", "c1"}, {"proto", "tcp", ""}, {"src.as", "", ""}} {
		s, ok := e.Planner.SubjectOf(test[0], test[1])
		if ok != (test[2] != "") || ok && s.Label() != test[2] {
			t.Errorf("%v is of %+v", test, s)
		}
	}
}

func testHours(t *testing.T, e *Explorer) {
	a := ask(t, e, "view=hours&unit=flows&last=2d&zone=Asia/Kolkata")
	// 11:00 to 12:00 UTC is 16:30 to 17:30 there: 90 flows in each of two hours.
	if len(a.Days) != 1 || a.Days[0].Date != "2026-03-05" || a.Days[0].Hours[16] != 90.0/3600 ||
		a.Days[0].Hours[17] != 90.0/3600 {
		t.Errorf("days are %+v", a.Days)
	}
}

// What is printed as SQL runs as it is and has the same answer.
func testSQL(t *testing.T, e *Explorer) {
	a := ask(t, e, url.Values{"by": {"src.org,dst.prefix"},
		"filter": {`src.org ~ "gen" and dst in 203.0.113.0/24 and not proto = "x'y\\"`},
		"from":   {"2026-03-05T11:00"}, "to": {"2026-03-05T12:00"}}.Encode())
	result, err := e.Conn.QueryFormat(context.Background(), "TSV", a.Query.SQL())
	if err != nil {
		t.Fatalf("%s: %v", a.Query.SQL(), err)
	}
	defer result.Close()
	var text strings.Builder
	buffer := make([]byte, 1<<16)
	for {
		n, err := result.Read(buffer)
		text.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if n := strings.Count(text.String(), "\n"); n != 60 {
		t.Errorf("%d lines:\n%s\nof %s", n, text.String(), a.Query.SQL())
	}
}
