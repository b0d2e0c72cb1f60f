package schema

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Names and numbers are each there once.
func TestFlowColumns(t *testing.T) {
	names, numbers := map[string]bool{}, map[int]string{}
	for _, c := range FlowColumns() {
		if names[c.Name] {
			t.Errorf("there are two columns %s", c.Name)
		}
		names[c.Name] = true
		if c.Default != "" {
			continue
		}
		if other := numbers[c.Number]; other != "" || c.Number == 0 {
			t.Errorf("%s has number %d, as %q", c.Name, c.Number, other)
		}
		numbers[c.Number] = c.Name
	}
}

// Numbers of flow.proto are for good: messages are kept, and readers are built elsewhere.
func TestFieldNumbersStay(t *testing.T) {
	want := strings.Fields(`start_time end_time src_ip dst_ip src_port dst_port protocol bit_count packet_count ` +
		`device_id
		src_as_id dst_as_id in_interface_id out_interface_id ip_version protocol_number exporter_ip flow_type ` +
		`application_port
		sampling_rate sampling_source in_interface_edge out_interface_edge device_ref src_as_ref dst_as_ref src_ip_ref
		dst_ip_ref in_interface_ref out_interface_ref peer_ip peer_as_id peer_ip_ref peer_as_ref collector_id
		policy_originator policy_level policy_scope ext in_if_index out_if_index tcp_flags forwarding_status next_hop
		icmp_type icmp_code src_country dst_country`)
	got := make([]string, 1000)
	for _, c := range FlowColumns() {
		if c.Number > 0 {
			got[c.Number-1] = c.Name
		}
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("fields of Flow by number (-want +got):\n%s", diff)
	}
	want = strings.Fields(`bgp_as_path_id bgp_as_path_padding bgp_community bgp_local_pref bgp_med ipv4_tos ipv4_dscp
		ipv6_flow_label mpls_label mpls_exp mpls_bottom_label mpls_pw mpls_top_label_ip mpls_top_label_type mpls_vpn_rd
		vlan_id vlan_in_id vlan_out_id vlan_in_inner_id vlan_out_inner_id src_ip_ref dst_ip_ref
		stated_start_ms stated_end_ms vrf_name`)
	got = make([]string, 1000)
	for _, p := range ExtPaths() {
		if p.Number > 0 {
			got[p.Number-1] = p.Name
		}
	}
	if diff := cmp.Diff(want, got[:len(want)]); diff != "" {
		t.Errorf("fields of Ext by number (-want +got):\n%s", diff)
	}
}

// Without the optional columns the table is the reference's.
func TestWithoutColumns(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.WithoutColumns = OptionalColumns()
	apply(t, conn, s)
	if got := ask(t, conn,
		"SELECT name FROM system.columns WHERE table = 'data_flow' ORDER BY position DESC LIMIT "+
			"1"); got != "packet_count" {
		t.Errorf("the last column is %s", got)
	}
	s.WithoutColumns = []string{"tcp_flags"}
	// The view by country reads the columns of countries, or looks them up; that of sampling has nothing without them.
	const view, sampling = "view sums_country: query changed", "view sums_sampling: query changed"
	changes := apply(t, conn, s)
	if want := len(OptionalColumns()) - 1 + 2; len(changes) != want || !slices.Contains(changes, view) ||
		!slices.Contains(changes, sampling) {
		t.Errorf("%d changes, want %d: %q", len(changes), want, changes)
	}
	s.WithoutColumns = OptionalColumns()
	if changes := apply(t, conn, s); len(changes) != 2 || !slices.Contains(changes, view) ||
		!slices.Contains(changes, sampling) {
		t.Errorf("columns that are there are not wanted any more: %q", changes)
	}
	s.WithoutColumns = []string{"bit_count"}
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), `column "bit_count" cannot be left out`) {
		t.Errorf("leaving out bit_count: %v", err)
	}
}

// withoutAlter is a connection of a user who may not alter tables.
type withoutAlter struct{ driver.Conn }

func (c withoutAlter) Exec(ctx context.Context, query string, args ...any) error {
	if strings.HasPrefix(query, "ALTER ") {
		return &clickhouse.Exception{Code: 497, Name: "ACCESS_DENIED", Message: "not enough privileges"}
	}
	return c.Conn.Exec(ctx, query, args...)
}

// A user who may not add columns is told, once for each, and goes on; a column that rows cannot do without is an error.
func TestApplyWithoutTheRightToAlter(t *testing.T) {
	conn := engine(t)
	s := goldenSettings()
	s.WithoutColumns = OptionalColumns()
	s.DeduplicationWindow, s.FlowExtensions = 0, []string{"ipv4"}
	s.FlowTTL.Interval = ""
	apply(t, conn, s)
	if err := insertFlows(conn, "a", 0, 10); err != nil {
		t.Fatal(err)
	}
	s.WithoutColumns, s.DeduplicationWindow, s.FlowExtensions = []string{"icmp_code"}, 100, []string{"ipv4", "vlan"}
	done, err := Apply(context.Background(), withoutAlter{conn}, s)
	if err != nil {
		t.Fatal(err)
	}
	const sampling = "view sums_sampling: query changed" // it has the columns where these are added later
	var changes []string
	for _, change := range done {
		changes = append(changes, change.Line)
		if !change.Warning && change.Line != sampling {
			t.Errorf("no warning: %s", change.Line)
		}
	}
	for _, want := range []string{
		"table data_flow: column tcp_flags Nullable(UInt16) added: ALTER TABLE", "non_replicated_deduplication_window",
		"vlan_id",
	} {
		if !strings.Contains(strings.Join(changes, "\n"), want) {
			t.Errorf("no line says %q: %q", want, changes)
		}
	}
	for _, line := range changes {
		if !strings.HasPrefix(line, "not done, as this user may not") && !strings.Contains(line, "have no countries") &&
			line != sampling {
			t.Errorf("%s", line)
		}
	}
	run(t, conn, "ALTER TABLE golden.data_flow DROP COLUMN dst_port")
	_, err = Apply(context.Background(), withoutAlter{conn}, s)
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) || !strings.Contains(err.Error(), "dst_port") {
		t.Errorf("a table without dst_port: %v", err)
	}
}

// The comment of sampling_source has every value of the column.
func TestSamplingSourceHasEveryValue(t *testing.T) {
	values := strings.Split(strings.TrimSuffix(flowColumn("sampling_source").Comment, "."), ": ")[1]
	n := 0
	for source := flow.SamplingAssumed; source <= flow.SamplingAmbiguous; source++ {
		if n++; !slices.Contains(strings.Split(values, ", "), source.String()) {
			t.Errorf("%s is missing in %q", source, values)
		}
	}
	if got := len(strings.Split(values, ", ")); got != n {
		t.Errorf("%d values, want %d", got, n)
	}
}
