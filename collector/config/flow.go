package config

import (
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// Flow limits the times of flows. Times beyond are replaced by the receive time.
type Flow struct {
	MaxAhead  time.Duration // ahead of the receive time
	MaxBehind time.Duration // behind it; 0: the table's TTL
	// PortsFile lists the ports that rows keep, in the form of pmacct's ports_file, and Ports has them; "": all.
	PortsFile string
	Ports     []uint16
	// Records of fewer packets or bytes, multiplied by the sampling rate, give no row.
	MinPackets, MinBytes int
}

// flowKeys are the settings of data_flow and its rollups.
func flowKeys(c *Config) []key {
	return slices.Concat(flowColumnKeys(&c.Schema), flowRowKeys(c), flowRollupKeys(c))
}

// flowColumnKeys are those of the columns of data_flow.
func flowColumnKeys(s *schema.Settings) []key {
	all := []key{
		{path: "flow.extensions", env: []string{"CLICKHOUSE_FLOW_EXTENSIONS"}, def: "bgp, ipv4, ipv6, mpls, vlan",
			field: texts(&s.FlowExtensions),
			help: "Typed paths of ext: bgp, ipv4, ipv6, mpls, vlan. Everything that an exporter sends is " +
				"written, typed or not. What comes from routes besides is written only with its extension: " +
				"bgp_src (the route to the source), bgp_meta (router and prefixes), rpki (validation)."},
		{path: "flow.ip_ref_extensions", env: []string{"CLICKHOUSE_FLOW_IP_REF_EXTENSIONS"}, def: "scireg",
			field: texts(&s.IPRefExtensions),
			help:  "Registries whose prefixes give ext.src_ip_<name>_ref and ext.dst_ip_<name>_ref."},
	}
	all = append(all, columnKeys(s)...)
	return append(all, key{path: "flow.low_cardinality_refs", env: []string{"CLICKHOUSE_FLOW_LOW_CARDINALITY_REFS"},
		field: boolean(&s.LowCardinalityRefs),
		help: "data_flow is made with LowCardinality(Nullable(String)) for the refs of devices, interfaces and " +
			"addresses, in place of the reference's Nullable(String): values are the same and take less disk. An " +
			"existing table keeps its types until collector schema apply."})
}

// flowRowKeys are those of which flows are rows, with what, and for how long.
func flowRowKeys(c *Config) []key {
	s := &c.Schema
	return []key{
		{path: "flow.learned_names", env: []string{"CLICKHOUSE_FLOW_LEARNED_NAMES"}, def: "true",
			field: boolean(&c.LearnedNames),
			help: "Use names that exporters send in option records. An interface that is not in meta_interface " +
				"gets the id DEVICE::NAME and no ref (IE 82, 83). ext.vrf_name is the name of the flow's VRF (IE " +
				"236)."},
		{path: "flow.ttl", env: []string{"CLICKHOUSE_FLOW_TTL"}, field: interval(&s.FlowTTL.Interval),
			help: "How long flows are kept. A TTL of an existing table is never changed."},
		{path: "flow.ttl_column", env: []string{"CLICKHOUSE_FLOW_TTL_COLUMN"}, field: text(&s.FlowTTL.Column),
			help: "Column that the TTL counts from."},
		{path: "flow.max_ahead", env: []string{"CLICKHOUSE_FLOW_MAX_AHEAD"}, def: "24h", live: true,
			field: duration(&c.Flow.MaxAhead, time.Minute),
			help: "How far flow times may be ahead of the time of receipt. Beyond it, the exporter's clock is " +
				"wrong: the row gets the time of receipt, and ext.stated_start_ms and ext.stated_end_ms have the " +
				"stated times."},
		{path: "flow.max_behind", env: []string{"CLICKHOUSE_FLOW_MAX_BEHIND"}, live: true,
			field: duration(&c.Flow.MaxBehind, 0),
			help:  "How far flow times may be behind the time of receipt. 0: the TTL, or no bound without a TTL."},
		{path: "flow.ports_file", env: []string{"PORTS_FILE"}, live: true, isPath: true, field: text(&c.Flow.PortsFile),
			help: "A file with a port on each line, as pmacct's ports_file. Ports of flows that are not in it become " +
				"0. Empty: all ports are kept."},
		{path: "flow.min_packets", env: []string{"CLICKHOUSE_FLOW_MIN_PACKETS"}, live: true,
			field: number(&c.Flow.MinPackets, 0, 1<<40),
			help: "Flow records with fewer packets, multiplied by the sampling rate, give no row: pmacct's minp, but " +
				"of each record, not of the sum of some minutes. They are counted as below_minimum. 0: all are kept."},
		{path: "flow.min_bytes", env: []string{"CLICKHOUSE_FLOW_MIN_BYTES"}, live: true,
			field: number(&c.Flow.MinBytes, 0, 1<<40),
			help:  "The same for bytes: pmacct's minb. 0: all are kept."},
		{path: "flow.partition_by", env: []string{"CLICKHOUSE_FLOW_PARTITION_BY"}, field: text(&s.FlowPartitionBy),
			help: "Partition key of data_flow, when the table is created."},
	}
}

// flowRollupKeys are those of the rollups of data_flow.
func flowRollupKeys(c *Config) []key {
	return []key{
		{path: "flow.views.edge_as", env: []string{"CLICKHOUSE_FLOW_MV_BY_EDGE_AS"}, def: "5m",
			field: c.windows(schema.ByEdgeAS),
			help:  "Windows of the rollup by the AS beyond the edge."},
		{path: "flow.views.interface", env: []string{"CLICKHOUSE_FLOW_MV_BY_INTERFACE"}, def: "5m",
			field: c.windows(schema.ByInterface),
			help:  "Windows of the rollup by interface."},
		{path: "flow.views.ip_version", env: []string{"CLICKHOUSE_FLOW_MV_BY_IP_VERSION"}, def: "5m",
			field: c.windows(schema.ByIPVersion),
			help:  "Windows of the rollup by IP version."},
		{path: "flow.rollups", field: texts(&c.Schema.Rollups),
			example: "rollups: [traffic, application, interface, peer]",
			help: "Further rollups, exact, of 1 minute to 1 day: " + strings.Join(schema.RollupNames(), ", ") +
				"; all turns all on. What each has and costs is in sink/README.md. After turning one on: collector " +
				"schema rollups fill."},
		{path: "flow.rollup_ttl", field: c.rollupTTLs(),
			example: "rollup_ttl: {5m: 1 YEAR}",
			help: "How long rows of these rollups are kept, by step. Without: 1m 7 DAY, 5m 90 DAY, 1h and 6h 5 YEAR, " +
				"1d 10 YEAR."},
		{path: "flow.view_settings", field: c.eachView(),
			example: "view_settings: {edge_as_5m_ttl: 1 YEAR}",
			help: "Settings of one rollup, KIND_WINDOW_SETTING: table, ttl, ttl_column, partition_by, " +
				"policy_level, policy_scope, policy_override. The environment names are like " +
				"CLICKHOUSE_FLOW_MV_BY_EDGE_AS_5M_TTL."},
	}
}
