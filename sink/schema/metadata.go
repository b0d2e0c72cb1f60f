package schema

import (
	"maps"
	"slices"
)

// asExtensionPaths are the typed paths that each AS extension gives ext of meta_as.
var asExtensionPaths = map[string]paths{
	"peeringdb": {
		"peeringdb_ipv6":      "Nullable(Bool)",
		"peeringdb_prefixes4": "Nullable(UInt32)",
		"peeringdb_prefixes6": "Nullable(UInt32)",
		"peeringdb_ratio":     "Nullable(String)",
		"peeringdb_scope":     "Nullable(String)",
		"peeringdb_traffic":   "Nullable(String)",
		"peeringdb_type":      "Array(String)",
	},
}

func (s *Settings) asPaths() paths {
	all := paths{}
	for _, e := range s.ASExtensions {
		maps.Copy(all, asExtensionPaths[e])
	}
	return all
}

// metadataTables are the meta_* tables, in the order in which records refer to each other.
func metadataTables(s *Settings) []table {
	all := []table{
		organizationTable(s), asTable(s), deviceTable(s), circuitTable(s), interfaceTable(s),
		ipTable(s), sciRegTable(s), applicationTable(s), asPrefixTable(s), sourceTable(),
	}
	for i := range all {
		all[i].metadata = true
	}
	return all
}

// versionedTable is a metadata table that keeps every version of a record: id names the record, ref the version.
func versionedTable(s *Settings, name, idType string, ext paths, columns ...column) table {
	return table{
		name:   name,
		engine: "MergeTree",
		columns: append([]column{
			{name: "id", typ: idType},
			{name: "ref", typ: "String"},
			{name: "hash", typ: "String"},
			{name: "insert_time", typ: "DateTime", defaults: "now()"},
			jsonColumn("ext", ext),
			{name: "tag", typ: "Array(LowCardinality(String))"},
		}, columns...),
		orderBy: []string{"ref", "id", "insert_time"},
		ttl:     s.metadataTTL(),
	}
}

func (s *Settings) metadataTTL() TTL { return TTL{Interval: s.MetadataTTL, Column: "insert_time"} }

// placeColumns are where a thing is; several tables have them in this order.
func placeColumns() []column {
	return []column{
		{name: "city_name", typ: "LowCardinality(Nullable(String))"},
		{name: "continent_name", typ: "LowCardinality(Nullable(String))"},
		{name: "country_name", typ: "LowCardinality(Nullable(String))"},
		{name: "country_code", typ: "LowCardinality(Nullable(String))"},
		{name: "country_sub_name", typ: "LowCardinality(Nullable(String))"},
		{name: "country_sub_code", typ: "LowCardinality(Nullable(String))"},
		{name: "latitude", typ: "Nullable(Float64)"},
		{name: "longitude", typ: "Nullable(Float64)"},
	}
}

func organizationTable(s *Settings) table {
	return versionedTable(s, s.Tables.Organization, "String", nil, slices.Concat([]column{
		{name: "name", typ: "LowCardinality(String)"},
		{name: "type", typ: "Array(LowCardinality(String))"},
	}, placeColumns())...)
}

func asTable(s *Settings) table {
	return versionedTable(s, s.Tables.AS, "UInt32", s.asPaths(),
		column{name: "name", typ: "LowCardinality(String)"},
		column{name: "organization_id", typ: "String"},
		column{name: "organization_ref", typ: "Nullable(String)"},
	)
}

func deviceTable(s *Settings) table {
	return versionedTable(s, s.Tables.Device, "String", nil, slices.Concat([]column{
		{name: "type", typ: "LowCardinality(String)"},
		{name: "loopback_ip", typ: "Array(IPv6)"},
		{name: "management_ip", typ: "Array(IPv6)"},
		{name: "hostname", typ: "LowCardinality(Nullable(String))"},
		{name: "location_name", typ: "LowCardinality(Nullable(String))"},
		{name: "location_type", typ: "Array(LowCardinality(Nullable(String)))"},
	}, placeColumns(), []column{
		{name: "manufacturer", typ: "LowCardinality(Nullable(String))"},
		{name: "model", typ: "LowCardinality(Nullable(String))"},
		{name: "network", typ: "LowCardinality(Nullable(String))"},
		{name: "os", typ: "LowCardinality(Nullable(String))"},
		{name: "role", typ: "LowCardinality(Nullable(String))"},
		{name: "state", typ: "LowCardinality(Nullable(String))"},
	})...)
}

func circuitTable(s *Settings) table {
	return versionedTable(s, s.Tables.Circuit, "String", nil,
		column{name: "type", typ: "LowCardinality(Nullable(String))"},
		column{name: "description", typ: "Nullable(String)"},
		column{name: "state", typ: "LowCardinality(Nullable(String))"},
		column{name: "endpoint_type", typ: "Tuple(LowCardinality(String), LowCardinality(String))"},
		column{name: "endpoint_id", typ: "Tuple(String, String)"},
		column{name: "parent_circuit_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "parent_circuit_ref", typ: "Nullable(String)"},
	)
}

func interfaceTable(s *Settings) table {
	return versionedTable(s, s.Tables.Interface, "String", nil,
		column{name: "type", typ: "LowCardinality(String)"},
		column{name: "description", typ: "Nullable(String)"},
		column{name: "device_id", typ: "String"},
		column{name: "device_ref", typ: "Nullable(String)"},
		column{name: "edge", typ: "Bool"},
		column{name: "flow_index", typ: "Nullable(UInt32)"},
		column{name: "ipv4", typ: "Nullable(IPv4)"},
		column{name: "ipv6", typ: "Nullable(IPv6)"},
		column{name: "name", typ: "String"},
		column{name: "speed", typ: "Nullable(UInt64)"},
		column{name: "circuit_id", typ: "Array(String)"},
		column{name: "circuit_ref", typ: "Array(Nullable(String))"},
		column{name: "peer_as_id", typ: "Nullable(UInt32)"},
		column{name: "peer_as_ref", typ: "Nullable(String)"},
		column{name: "peer_interface_ipv4", typ: "Nullable(IPv4)"},
		column{name: "peer_interface_ipv6", typ: "Nullable(IPv6)"},
		column{name: "lag_member_interface_id", typ: "Array(LowCardinality(String))"},
		column{name: "lag_member_interface_ref", typ: "Array(Nullable(String))"},
		column{name: "port_interface_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "port_interface_ref", typ: "Nullable(String)"},
		column{name: "remote_interface_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "remote_interface_ref", typ: "Nullable(String)"},
		column{name: "remote_organization_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "remote_organization_ref", typ: "Nullable(String)"},
	)
}

func ipTable(s *Settings) table {
	return versionedTable(s, s.Tables.IP, "String", nil, slices.Concat([]column{
		{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))"},
	}, placeColumns(), []column{
		{name: "as_id", typ: "Nullable(UInt32)"},
		{name: "as_ref", typ: "Nullable(String)"},
	})...)
}

// sciRegTable holds the Science Registry's prefixes.
func sciRegTable(s *Settings) table {
	return versionedTable(s, s.Tables.SciReg, "String", nil,
		column{name: "scireg_update_time", typ: "Date"},
		column{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))"},
		column{name: "organization_name", typ: "Nullable(String)"},
		column{name: "organization_id", typ: "LowCardinality(Nullable(String))"},
		column{name: "organization_ref", typ: "Nullable(String)"},
		column{name: "discipline", typ: "Nullable(String)"},
		column{name: "latitude", typ: "Nullable(Float64)"},
		column{name: "longitude", typ: "Nullable(Float64)"},
		column{name: "resource_name", typ: "Nullable(String)"},
		column{name: "project_name", typ: "Nullable(String)"},
		column{name: "contact_email", typ: "Nullable(String)"},
	)
}

// applicationTable is not versioned: a record is replaced by the next one with its key.
func applicationTable(s *Settings) table {
	return table{
		name:   s.Tables.Application,
		engine: "ReplacingMergeTree",
		columns: []column{
			{name: "id", typ: "String"},
			{name: "insert_time", typ: "DateTime", defaults: "now()"},
			jsonColumn("ext", nil),
			{name: "tag", typ: "Array(LowCardinality(String))"},
			{name: "protocol", typ: "LowCardinality(String)"},
			{name: "port_range_min", typ: "UInt16"},
			{name: "port_range_max", typ: "UInt16"},
		},
		orderBy: []string{"protocol", "id", "port_range_min", "port_range_max"},
		ttl:     s.metadataTTL(),
	}
}

// ASPrefixTable has the ASN blocks and SourceTable says which source has which metadata record. Both are this collector's own;
// package metadata owns what they mean.
const (
	ASPrefixTable = "meta_as_prefix"
	SourceTable   = "meta_source"
)

func asPrefixTable(s *Settings) table {
	return versionedTable(s, ASPrefixTable, "String", nil,
		column{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))"},
		column{name: "as_id", typ: "UInt32"},
	)
}

func sourceTable() table {
	return table{
		name:       SourceTable,
		engine:     "ReplacingMergeTree",
		engineArgs: "insert_time",
		columns: []column{
			{name: "table_name", typ: "LowCardinality(String)"},
			{name: "source", typ: "LowCardinality(String)"},
			{name: "id", typ: "String"},
			{name: "present", typ: "Bool"},
			{name: "insert_time", typ: "DateTime64(6)", defaults: "now64(6)"},
		},
		orderBy: []string{"table_name", "source", "id"},
	}
}

// CreateExtensionTable renders the statement that creates the metadata table of an IP reference extension, meta_ip_<name>, with
// the columns that a snapshot reads.
func (s *Settings) CreateExtensionTable(name string) string {
	t := versionedTable(s, "meta_ip_"+name, "String", nil, column{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))"})
	t.metadata = true
	return t.create(s)
}

// Vanished renders a subquery of the sipHash128 hashes of the ids that some source had and none has any more. table is the
// standard name of a metadata table. The hashes keep the set small: there may be millions of ids.
func (s *Settings) Vanished(table string) string {
	of := " FROM " + s.qualified(SourceTable) + " WHERE table_name = " + literal(table)
	return "(SELECT h FROM (SELECT sipHash128(id) AS h, source, argMax(present, insert_time) AS has" + of +
		" AND h IN (SELECT sipHash128(id)" + of + " AND NOT present) GROUP BY h, source) GROUP BY h HAVING NOT max(has))"
}
