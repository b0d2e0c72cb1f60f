package schema

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// flowExtensions are the flow extensions, each with the typed paths that it gives ext of data_flow.
func flowExtensions() map[string]paths {
	all := map[string]paths{}
	for _, p := range ExtPaths() {
		if p.Extension == "" {
			continue
		}
		if all[p.Extension] == nil {
			all[p.Extension] = paths{}
		}
		all[p.Extension][p.Name] = p.Type
	}
	return all
}

// FlowExtPaths returns the typed paths of ext of data_flow and their types under these settings; the caller may
// change the map. An insert that types the same paths is stored without conversion.
func FlowExtPaths(extensions, ipRefExtensions []string) map[string]string {
	all, byExtension := map[string]string{}, flowExtensions()
	for _, e := range extensions {
		maps.Copy(all, byExtension[e])
	}
	for _, e := range ipRefExtensions {
		all["src_ip_"+e+"_ref"] = typeRef
		all["dst_ip_"+e+"_ref"] = typeRef
	}
	return all
}

// FlowExtType returns the type of ext of data_flow under these settings.
func FlowExtType(extensions, ipRefExtensions []string) string {
	return jsonType(FlowExtPaths(extensions, ipRefExtensions))
}

func (s *Settings) flowPaths() paths { return FlowExtPaths(s.FlowExtensions, s.IPRefExtensions) }

// definition is the column as a table is made with it.
func (c *Column) definition() column {
	return column{
		name: c.Name, typ: c.Type, defaults: c.Default, codec: cmp.Or(c.Codec, codecPlain), comment: c.Comment,
		optional: c.Optional, later: c.Later,
	}
}

// flowTable is data_flow: one row a flow record.
func flowTable(s *Settings) table {
	var columns []column
	for _, c := range FlowColumns() {
		if c.MessageOnly || c.Optional && slices.Contains(s.WithoutColumns, c.Name) {
			continue
		}
		made := c.definition()
		if c.Type == typeRef && !strings.HasSuffix(c.Name, "_as_ref") {
			made.typ, made.also = s.refTypes()
		}
		if c.Name == "ext" {
			made.paths = s.flowPaths()
			made.typ = jsonType(made.paths)
		}
		columns = append(columns, made)
	}
	return table{
		name:        s.Tables.Flow,
		engine:      "MergeTree",
		columns:     columns,
		partitionBy: s.FlowPartitionBy,
		orderBy:     append(FlowKey(), startTime),
		largest:     []string{"bit_count", "packet_count"},
		ttl:         s.FlowTTL,
	}
}

// FlowKey are the columns by which data_flow finds rows, before their time.
func FlowKey() []string { return []string{"src_as_id", "dst_as_id", "src_ip", "dst_ip"} }

// refTypes are the type of the refs of data_flow, and the other one that they may have in a table that exists. Those of
// AS are not among them: rows are in the order of AS numbers, by which a dictionary makes these columns longer (1.8
// bytes a row instead of 1.4).
func (s *Settings) refTypes() (typ, also string) {
	if s.LowCardinalityRefs {
		return typeTextNull, typeRef
	}
	return typeRef, typeTextNull
}

// dataColumns are the columns that every data_* table has after its times: those of data_flow.
func dataColumns() []column {
	var columns []column
	for _, c := range FlowColumns() {
		switch c.Name {
		case "insert_time", "collector_id", "policy_originator", "policy_level", "policy_scope":
			columns = append(columns, c.definition())
		}
	}
	return append(columns, extColumn(nil))
}

// interfaceTrafficTable is data_interface_traffic: what the counters of an interface grew by in one interval.
func interfaceTrafficTable(s *Settings) table {
	columns := []column{
		{name: "start_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD", comment: "Start of the interval."},
		{name: "end_time", typ: "DateTime('UTC')", codec: "Delta, ZSTD", comment: "End of the interval."},
	}
	columns = append(columns, dataColumns()...)
	columns = append(columns,
		column{name: "interface_id", typ: "String", comment: "The interface: its id in meta_interface."},
		column{name: "interface_ref", typ: typeRef, comment: "Version of the meta_interface record that held then."},
		column{name: "admin_status", typ: typeTextNull, comment: "up or down, as configured."},
		column{name: "oper_status", typ: typeTextNull, comment: "up or down, as it is."},
	)
	for _, direction := range []struct{ prefix, what string }{{"in_", "Inbound"}, {"out_", "Outbound"}} {
		for _, counter := range []struct{ name, what string }{
			{"bit_count", "bits"}, {"discard_packet_count", "packets discarded"},
			{"error_packet_count", "packets with errors"},
			{"bcast_packet_count", "broadcast packets"}, {"ucast_packet_count", "unicast packets"},
			{"mcast_packet_count", "multicast packets"},
		} {
			columns = append(columns, column{
				name: direction.prefix + counter.name, typ: "Nullable(UInt64)", codec: "Delta, ZSTD",
				comment: direction.what + " " + counter.what +
					" in the interval; NULL if the device does not count them.",
			})
		}
	}
	return table{
		name:        s.Tables.InterfaceTraffic,
		engine:      "CoalescingMergeTree",
		columns:     columns,
		partitionBy: s.InterfaceTrafficPartitionBy,
		orderBy: []string{"interface_id", "policy_level", "policy_scope", "policy_originator", "collector_id",
			"start_time"},
		ttl: s.InterfaceTrafficTTL,
	}
}
