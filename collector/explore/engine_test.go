package explore

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

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
	return questionAt(t, address, noon)
}

func questionAt(t *testing.T, address string, now time.Time) Question {
	t.Helper()
	values, err := url.ParseQuery(address)
	if err != nil {
		t.Fatal(err)
	}
	q, err := Parse(values, now)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return q
}

func ask(t *testing.T, e *Explorer, address string) *Answer {
	t.Helper()
	a, err := e.Ask(t.Context(), questionAt(t, address, e.Now()))
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return a
}

// after returns an explorer to which it is so much later.
func after(e *Explorer, d time.Duration) *Explorer {
	later := *e
	later.Now = func() time.Time { return e.Now().Add(d) }
	return &later
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
