package page

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// speedMetadata is as much metadata as an operator with all feeds has: 100,000 AS and 500,000 prefixes of 200
// countries.
var speedMetadata = []string{
	`INSERT INTO meta_as (id, ref, hash, name, organization_id)
		SELECT number, concat(toString(number), '__v1'), '', concat('NET-', toString(number)), concat('org-', ` +
		`toString(number % 80000)) FROM numbers(1, 100000)`,
	`INSERT INTO meta_organization (id, ref, hash, name)
		SELECT concat('org-', toString(number)) AS o, concat(o, '__v1'), '', concat('Organization ', ` +
		`toString(number)) FROM numbers(80000)`,
	`INSERT INTO meta_ip (id, ref, hash, ip_subnet, country_name, country_code, city_name)
		SELECT concat('p', toString(number)) AS p, concat(p, '__v1'), '', [(toIPv6(concat('::ffff:', ` +
		`IPv4NumToString(toUInt32(number * 256)))), 24)],
			concat('Country ', toString(number % 200)), upper(hex(toUInt8(number % 200))), ` +
		`concat('City ', toString(number % 30000))
		FROM numbers(500000)`,
	`INSERT INTO meta_ip_scireg (id, ref, hash, ip_subnet, discipline, project_name, organization_name)
		SELECT concat('s', toString(number)) AS p, concat(p, '__v1'), '', [(toIPv6('::ffff:192.0.2.0'), 24)], ` +
		`concat('Discipline ', toString(number % 30)),
			concat('Project ', toString(number % 300)), concat('Organization ', toString(number % 100)) FROM ` +
		`numbers(1000)`,
	`INSERT INTO meta_device (id, ref, hash, type, location_name)
		SELECT concat('r', toString(number)) AS d, concat(d, '__v1'), '', 'router', concat('Site ', toString(number ` +
		`% 10)) FROM numbers(20)`,
	`INSERT INTO meta_interface (id, ref, hash, type, device_id, name, speed, circuit_id)
		SELECT concat('r', toString(number % 20), '::if', toString(number)) AS i, concat(i, '__v1'), '', 'port', ` +
		`concat('r', toString(number % 20)), toString(number), 100000,
			if(number % 4 = 0, [concat('circuit-', toString(number))], []) FROM numbers(1000)`,
}

// speedRows inserts a part of the flows of 30 days: %[1]d rows from number %[2]d on, of %[3]d. Most are of few sources,
// as in a real network: the squares of evenly spread numbers are mostly small.
const speedRows = `INSERT INTO data_flow (start_time, end_time, policy_scope, ext, flow_type, device_id, src_as_id, ` +
	`src_ip, src_ip_ref, src_port,
	dst_as_id, dst_ip, dst_ip_ref, dst_port, protocol, in_interface_id, out_interface_id, ip_version, ` +
	`application_port, bit_count, packet_count, sampling_rate, src_country, dst_country)
SELECT now64(3, 'UTC') - 2592000 * (1 - number / %[3]d) AS t, t + 30, if(a < 0.2, ['comm:lhcone'], []), if(a < 0.1, ` +
	`concat('{"src_ip_scireg_ref":"s', toString(h %% 1000), '__v1"}'), '{}'),
	'netflow', concat('r', toString(h %% 20)) AS device, 1 + toUInt32(a * a * a * 99999) AS source, ` +
	`IPv4ToIPv6(toUInt32(a * a * 128000000)),
	concat('p', toString(toUInt32(a * a * 500000)), '__v1'), h %% 60000, 1 + toUInt32(b * b * b * 99999), ` +
	`IPv4ToIPv6(toUInt32(b * b * 128000000)),
	concat('p', toString(toUInt32(b * b * 500000)), '__v1'), [443, 80, 53, 22, 8443, 1094][1 + h %% 6] AS port, ` +
	`if(port = 53, 'udp', 'tcp'),
	concat(device, '::if', toString(toUInt32(a * 1000))), concat(device, '::if', toString(toUInt32(b * 1000))), 4, ` +
	`port, 8 * (100 + h %% 1000000), 1 + h %% 1000, 1000, hex(toUInt8(toUInt32(a * a * 500000) %% 200)),
	hex(toUInt8(toUInt32(b * b * 500000) %% 200))
FROM (SELECT number, cityHash64(number) AS h, (h %% 1000003) / 1000003 AS a, (intDiv(h, 1000003) %% 1000003) / ` +
	`1000003 AS b FROM numbers(%[2]d, %[1]d))`

// TestSpeed prints how long every preset takes over 24 hours and 30 days: EXPLORE_SPEED=100000000 has it make so many
// flows of 30 days. EXPLORE_ROLLUPS=1 has rollups too.
func TestSpeed(t *testing.T) {
	total, err := strconv.Atoi(os.Getenv("EXPLORE_SPEED"))
	if err != nil || total < 1 {
		t.Skip("makes millions of rows: EXPLORE_SPEED=10000000")
	}
	conn, err := clickhouse.Open(t.Context(),
		clickhouse.Options{Addrs: []string{strings.TrimPrefix(storetest.Start(t), "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := schema.Default()
	s.IPRefExtensions, s.FlowTTL.Interval = []string{"scireg"}, "5 YEAR"
	if os.Getenv("EXPLORE_ROLLUPS") != "" {
		s.Rollups = []string{"interface", "application", "src_as", "as_pair", "src_prefix", "country", "scireg",
			"scope"}
	}
	if _, err := schema.Apply(t.Context(), conn, s); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string) {
		t.Helper()
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	for _, sql := range speedMetadata {
		exec(sql)
	}
	const part = 1_000_000
	started := time.Now()
	for at := 0; at < total; at += part {
		exec(fmt.Sprintf(speedRows, min(part, total-at), at, total))
	}
	t.Logf("%d rows in %s", total, time.Since(started).Round(time.Second))
	server, err := web.Listen(web.Options{Address: "127.0.0.1:0", Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	p := &Pages{Log: zap.NewNop(), Explorer: &explore.Explorer{Conn: conn, Planner: explore.NewPlanner(&s),
		Now: time.Now}}
	if err := p.Explorer.ReadSources(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Mount(server)
	printSpeed(t, p)
}

func printSpeed(t *testing.T, p *Pages) {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "preset\ttime\tmedian\tof the query\trows read\ttable\tpage")
	for _, preset := range p.Explorer.Planner.Presets() {
		for _, last := range []time.Duration{24 * time.Hour, 30 * 24 * time.Hour} {
			q := preset.Question
			q.Last = last
			var took []time.Duration
			size, read, table, query := 0, uint64(0), "", time.Duration(0)
			for range 5 {
				p.cache = newCache[*explore.Answer]()
				r := httptest.NewRequest("GET", "/explore?"+q.Values().Encode(), nil)
				r = r.WithContext(context.WithValue(t.Context(), viewerKey{}, &access.Viewer{}))
				w := httptest.NewRecorder()
				started := time.Now()
				p.page(w, r)
				took = append(took, time.Since(started))
				a, _ := p.cache.get(cacheKey(q))
				if w.Code != 200 || a == nil {
					t.Errorf("%s over %s: %d", preset.Name, last, w.Code)
					continue
				}
				size, read, table, query = w.Body.Len(), a.Read, a.Table(), a.Took
			}
			slices.Sort(took)
			fmt.Fprintf(out, "%s\t%s\t%d ms\t%d ms\t%d\t%s\t%d B\n", preset.Name, last, took[2].Milliseconds(),
				query.Milliseconds(), read, table, size)
		}
	}
	_ = out.Flush()
	t.Logf("\n%s", text.String())
}
