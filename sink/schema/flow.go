package schema

import "maps"

// flowExtensionPaths are the typed paths that each flow extension gives ext of data_flow.
var flowExtensionPaths = map[string]paths{
	"bgp": {
		"bgp_as_path_id":      "Array(UInt32)",
		"bgp_as_path_padding": "Array(UInt16)",
		"bgp_community":       "Array(LowCardinality(String))",
		"bgp_ext_community":   "Array(LowCardinality(String))",
		"bgp_large_community": "Array(LowCardinality(String))",
		"bgp_local_pref":      "Nullable(UInt32)",
		"bgp_med":             "Nullable(UInt32)",
	},
	"ipv4": {
		"ipv4_dscp": "Nullable(UInt8)",
		"ipv4_tos":  "Nullable(UInt8)",
	},
	"ipv6": {
		"ipv6_flow_label": "Nullable(UInt32)",
	},
	"mpls": {
		"mpls_bottom_label":   "Nullable(UInt32)",
		"mpls_exp":            "Array(UInt8)",
		"mpls_label":          "Array(UInt32)",
		"mpls_pw":             "Nullable(UInt32)",
		"mpls_top_label_ip":   "Nullable(IPv6)",
		"mpls_top_label_type": "Nullable(UInt32)",
		"mpls_vpn_rd":         "LowCardinality(Nullable(String))",
	},
	"vlan": {
		"vlan_id":           "Nullable(UInt32)",
		"vlan_in_id":        "Nullable(UInt32)",
		"vlan_in_inner_id":  "Nullable(UInt32)",
		"vlan_out_id":       "Nullable(UInt32)",
		"vlan_out_inner_id": "Nullable(UInt32)",
	},
}

// FlowExtPaths returns the typed paths of ext of data_flow and their types under these settings; the caller may
// change the map. An insert that types the same paths is stored without conversion.
func FlowExtPaths(flowExtensions, ipRefExtensions []string) map[string]string {
	all := map[string]string{}
	for _, e := range flowExtensions {
		maps.Copy(all, flowExtensionPaths[e])
	}
	for _, e := range ipRefExtensions {
		all["src_ip_"+e+"_ref"] = "Nullable(String)"
		all["dst_ip_"+e+"_ref"] = "Nullable(String)"
	}
	return all
}

func (s *Settings) flowPaths() paths { return FlowExtPaths(s.FlowExtensions, s.IPRefExtensions) }

// dataColumns are the columns that every data_* table has after its times.
func dataColumns(ext paths) []column {
	return []column{
		{name: "insert_time", typ: "DateTime64(3, 'UTC')", defaults: "now64()", codec: "Delta, ZSTD"},
		{name: "collector_id", typ: "LowCardinality(String)"},
		{name: "policy_originator", typ: "LowCardinality(String)"},
		{name: "policy_level", typ: "LowCardinality(String)"},
		{name: "policy_scope", typ: "Array(LowCardinality(String))"},
		jsonColumn("ext", ext),
	}
}

// flowTable is data_flow: one row a flow record.
func flowTable(s *Settings) table {
	columns := []column{
		{name: "start_time", typ: "DateTime64(3, 'UTC')"},
		{name: "end_time", typ: "DateTime64(3, 'UTC')"},
	}
	columns = append(columns, dataColumns(s.flowPaths())...)
	columns = append(columns,
		column{name: "flow_type", typ: "LowCardinality(String)"},
		column{name: "device_id", typ: "LowCardinality(String)"},
		column{name: "device_ref", typ: "Nullable(String)"},
		column{name: "src_as_id", typ: "UInt32"},
		column{name: "src_as_ref", typ: "Nullable(String)"},
		column{name: "src_ip", typ: "IPv6"},
		column{name: "src_ip_ref", typ: "Nullable(String)"},
		column{name: "src_port", typ: "UInt16"},
		column{name: "dst_as_id", typ: "UInt32"},
		column{name: "dst_as_ref", typ: "Nullable(String)"},
		column{name: "dst_ip", typ: "IPv6"},
		column{name: "dst_ip_ref", typ: "Nullable(String)"},
		column{name: "dst_port", typ: "UInt16"},
		column{name: "protocol", typ: "LowCardinality(String)"},
		column{name: "in_interface_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "in_interface_ref", typ: "Nullable(String)"},
		column{name: "in_interface_edge", typ: "Bool"},
		column{name: "out_interface_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "out_interface_ref", typ: "Nullable(String)"},
		column{name: "out_interface_edge", typ: "Bool"},
		column{name: "peer_as_id", typ: "Nullable(UInt32)"},
		column{name: "peer_as_ref", typ: "Nullable(String)"},
		column{name: "peer_ip", typ: "Nullable(IPv6)"},
		column{name: "peer_ip_ref", typ: "Nullable(String)"},
		column{name: "ip_version", typ: "UInt8"},
		column{name: "application_port", typ: "UInt16"},
		column{name: "bit_count", typ: "UInt64"},
		column{name: "packet_count", typ: "UInt64"},
		// Ours, after the columns that existing dashboards know.
		column{name: "sampling_rate", typ: "UInt32"},
		column{name: "sampling_source", typ: "LowCardinality(String)"},
	)
	return table{
		name:        s.Tables.Flow,
		engine:      "MergeTree",
		columns:     columns,
		partitionBy: s.FlowPartitionBy,
		orderBy:     []string{"src_as_id", "dst_as_id", "src_ip", "dst_ip", "start_time"},
		ttl:         s.FlowTTL,
	}
}

// interfaceTrafficTable is data_interface_traffic: what the counters of an interface grew by in one interval.
func interfaceTrafficTable(s *Settings) table {
	columns := []column{
		{name: "start_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD"},
		{name: "end_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD"},
	}
	columns = append(columns, dataColumns(nil)...)
	columns = append(columns,
		column{name: "interface_id", typ: "String"},
		column{name: "interface_ref", typ: "Nullable(String)"},
		column{name: "admin_status", typ: "LowCardinality(Nullable(String))"},
		column{name: "oper_status", typ: "LowCardinality(Nullable(String))"},
	)
	for _, direction := range []string{"in_", "out_"} {
		for _, counter := range []string{
			"bit_count", "discard_packet_count", "error_packet_count",
			"bcast_packet_count", "ucast_packet_count", "mcast_packet_count",
		} {
			columns = append(columns, column{name: direction + counter, typ: "Nullable(UInt64)", codec: "Delta, ZSTD"})
		}
	}
	return table{
		name:        s.Tables.InterfaceTraffic,
		engine:      "CoalescingMergeTree",
		columns:     columns,
		partitionBy: s.InterfaceTrafficPartitionBy,
		orderBy:     []string{"interface_id", "policy_level", "policy_scope", "policy_originator", "collector_id", "start_time"},
		ttl:         s.InterfaceTrafficTTL,
	}
}
