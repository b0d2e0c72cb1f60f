package page

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/web/access"
	"github.com/metranova/flow-collector/collector/web/webtest"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// browserRows are two days of traffic up to now, a flow of every source every ten seconds, and metadata for it.
var browserRows = []string{
	`INSERT INTO meta_as (id, ref, hash, name, organization_id) VALUES (64496, '64496__v1', '', 'UNI-A', 'uni-a'),
		(64497, '64497__v1', '', 'LAB-B', 'lab-b'), (64498, '64498__v1', '', 'CDN-C', 'cdn-c')`,
	`INSERT INTO meta_organization (id, ref, hash, name) VALUES ('uni-a', 'uni-a__v1', '', 'University A'),
		('lab-b', 'lab-b__v1', '', 'Laboratory B'), ('cdn-c', 'cdn-c__v1', '', 'Content C')`,
	`INSERT INTO meta_ip (id, ref, hash, ip_subnet, country_name, country_code) VALUES
		('a', 'a__v1', '', [('::ffff:198.51.100.0', 24)], 'Switzerland', 'CH'), ('b', 'b__v1', '', ` +
		`[('::ffff:203.0.113.0', 24)], 'France', 'FR')`,
	`INSERT INTO meta_ip_scireg (id, ref, hash, ip_subnet, discipline, project_name, organization_name) VALUES
		('s', 's__v1', '', [('::ffff:198.51.100.0', 24)], 'High Energy Physics', 'CMS', 'University A')`,
	`INSERT INTO meta_device (id, ref, hash, type, location_name) VALUES ('core1', 'core1__v1', '', 'router', 'PoP ` +
		`One')`,
	`INSERT INTO meta_interface (id, ref, hash, type, device_id, name, speed, circuit_id) VALUES
		('core1::up', 'core1::up__v1', '', 'physical', 'core1', 'up', 1, ['circuit-1']),
		('core1::down', 'core1::down__v1', '', 'physical', 'core1', 'down', 1, [])`,
	`INSERT INTO data_flow (start_time, end_time, policy_scope, ext, flow_type, device_id, src_as_id, src_ip, ` +
		`src_ip_ref,
		dst_as_id, dst_ip, dst_ip_ref, dst_port, protocol, in_interface_id, out_interface_id, ip_version, ` +
		`application_port, bit_count, packet_count, src_country)
	SELECT now64(3, 'UTC') - 10 * intDiv(number, 3) - 1 AS t, t, if(number % 3 = 0, ['comm:lhcone'], []),
		if(number % 3 = 0, '{"src_ip_scireg_ref":"s__v1"}', '{}'), 'netflow', 'core1',
		64496 + number % 3, toIPv6(concat(['198.51.100.', '203.0.113.', '192.0.2.'][number % 3 + 1], toString(number ` +
		`% 30))),
		[` + "'a__v1', 'b__v1', NULL" + `][number % 3 + 1], 64496 + (number + 1) % 3, toIPv6('192.0.2.200'), NULL, ` +
		`443, 'tcp',
		'core1::down', 'core1::up', 4, 443, if(t < now() - 86400, 1, 2) * 800000 * (3 - number % 3), 100,
		['CH', 'FR', ''][number % 3 + 1]
	FROM numbers(51840)`,
	`INSERT INTO collector_loss (start_time, end_time, exporter, device_id, stage, what, reason, unit, ` +
		`missing, count) VALUES
		(now() - 600, now() - 540, '192.0.2.1', 'core1', 'kernel', 'dropped', 'receive buffer', 'datagrams', true, 77)`,
	// Names that would change the page, if they could.
	`INSERT INTO data_flow (start_time, end_time, flow_type, device_id, protocol, bit_count, packet_count)
	SELECT now64(3, 'UTC') - 3600 AS t, t, 'netflow',
		arrayJoin(['<b>bold</b>&"\'', 'مرحبا بالعالم', '👩‍🚀 emoji', ` +
		`concat(char(0xe2, 0x80, 0xae), 'reversed'), repeat('a-very-long-name-', 60), ` +
		`repeat('W', 300), 'a\nb\tc']), 'tcp', 1, 1`,
}

// Ten questions that people ask are answered by two clicks at most, and the figures are those of SQL.
func TestExplore_inABrowser(t *testing.T) {
	browser := webtest.Browser(t)
	address := storetest.Start(t)
	conn, err := clickhouse.Open(t.Context(),
		clickhouse.Options{Addrs: []string{strings.TrimPrefix(address, "http://")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := schema.Default()
	s.IPRefExtensions = []string{"scireg"}
	if _, err := schema.Apply(t.Context(), conn, s); err != nil {
		t.Fatal(err)
	}
	for _, sql := range browserRows {
		if err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	server := webtest.Serve(t)
	p := &Pages{Log: zap.NewNop(), Viewers: access.Viewers{LocalOnly: true}, Views: views.In(t.TempDir()),
		Explorer: &explore.Explorer{Conn: conn, Planner: explore.NewPlanner(&s), Now: time.Now}}
	p.Mount(server)
	webtest.Run(t, "testdata/explore.mjs", server.URL(), browser, address)
}
