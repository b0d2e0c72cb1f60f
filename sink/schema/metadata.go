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
			{name: "id", typ: idType, comment: "Names the record; every version of it has the same."},
			{name: "ref", typ: "String", comment: "Names this version (<id>__v<n>); rows refer to it."},
			{name: "hash", typ: "String", comment: "MD5 of the content: another content makes a version."},
			{name: "insert_time", typ: "DateTime", defaults: "now()", comment: "From when the version holds."},
			extColumn(ext),
			{name: "tag", typ: "Array(LowCardinality(String))", comment: "Tags."},
		}, columns...),
		orderBy: []string{"ref", "id", "insert_time"},
		ttl:     s.metadataTTL(),
	}
}

func (s *Settings) metadataTTL() TTL { return TTL{Interval: s.MetadataTTL, Column: "insert_time"} }

// placeColumns are where a thing is; several tables have them in this order.
func placeColumns() []column {
	return []column{
		{name: "city_name", typ: "LowCardinality(Nullable(String))", comment: "City."},
		{name: "continent_name", typ: "LowCardinality(Nullable(String))", comment: "Continent."},
		{name: "country_name", typ: "LowCardinality(Nullable(String))", comment: "Country."},
		{name: "country_code", typ: "LowCardinality(Nullable(String))", comment: "Country, ISO 3166-1 alpha-2."},
		{name: "country_sub_name", typ: "LowCardinality(Nullable(String))", comment: "State or province."},
		{name: "country_sub_code", typ: "LowCardinality(Nullable(String))", comment: "State or province, ISO 3166-2."},
		{name: "latitude", typ: "Nullable(Float64)", comment: "Degrees north."},
		{name: "longitude", typ: "Nullable(Float64)", comment: "Degrees east."},
	}
}

func organizationTable(s *Settings) table {
	return versionedTable(s, s.Tables.Organization, "String", nil, slices.Concat([]column{
		{name: "name", typ: "LowCardinality(String)", comment: "Name."},
		{name: "type", typ: "Array(LowCardinality(String))", comment: "What kinds of organization it is."},
	}, placeColumns())...)
}

func asTable(s *Settings) table {
	return versionedTable(s, s.Tables.AS, "UInt32", s.asPaths(),
		column{name: "name", typ: "LowCardinality(String)", comment: "Name of the AS."},
		column{name: "organization_id", typ: "String", comment: "Whose AS it is: id in meta_organization."},
		column{name: "organization_ref", typ: "Nullable(String)", comment: "Version of that meta_organization record."},
	)
}

func deviceTable(s *Settings) table {
	return versionedTable(s, s.Tables.Device, "String", nil, slices.Concat([]column{
		{name: "type", typ: "LowCardinality(String)", comment: "Kind of device, such as router."},
		{name: "loopback_ip", typ: "Array(IPv6)",
			comment: "Addresses that it exports flows from; rows find their device by them."},
		{name: "management_ip", typ: "Array(IPv6)", comment: "Addresses to manage it by."},
		{name: "hostname", typ: "LowCardinality(Nullable(String))", comment: "Host name."},
		{name: "location_name", typ: "LowCardinality(Nullable(String))", comment: "Where it stands."},
		{name: "location_type", typ: "Array(LowCardinality(Nullable(String)))",
			comment: "What kinds of place that is."},
	}, placeColumns(), []column{
		{name: "manufacturer", typ: "LowCardinality(Nullable(String))", comment: "Manufacturer."},
		{name: "model", typ: "LowCardinality(Nullable(String))", comment: "Model."},
		{name: "network", typ: "LowCardinality(Nullable(String))", comment: "Network that it belongs to."},
		{name: "os", typ: "LowCardinality(Nullable(String))", comment: "Operating system."},
		{name: "role", typ: "LowCardinality(Nullable(String))", comment: "What it is for."},
		{name: "state", typ: "LowCardinality(Nullable(String))", comment: "State of operation."},
	})...)
}

func circuitTable(s *Settings) table {
	return versionedTable(s, s.Tables.Circuit, "String", nil,
		column{name: "type", typ: "LowCardinality(Nullable(String))", comment: "Kind of circuit."},
		column{name: "description", typ: "Nullable(String)", comment: "Description."},
		column{name: "state", typ: "LowCardinality(Nullable(String))", comment: "State of operation."},
		column{name: "endpoint_type", typ: "Tuple(LowCardinality(String), LowCardinality(String))",
			comment: "What its two ends are, such as interface."},
		column{name: "endpoint_id", typ: "Tuple(String, String)", comment: "Ids of its two ends."},
		column{name: "parent_circuit_id", typ: "LowCardinality(Nullable(String))",
			comment: "Circuit that it is part of."},
		column{name: "parent_circuit_ref", typ: "Nullable(String)", comment: "Version of that meta_circuit record."},
	)
}

func interfaceTable(s *Settings) table {
	return versionedTable(s, s.Tables.Interface, "String", nil,
		column{name: "type", typ: "LowCardinality(String)", comment: "Kind of interface."},
		column{name: "description", typ: "Nullable(String)", comment: "Description."},
		column{name: "device_id", typ: "String", comment: "Device that it is of: id in meta_device."},
		column{name: "device_ref", typ: "Nullable(String)", comment: "Version of that meta_device record."},
		column{name: "edge", typ: "Bool", comment: "At the edge of the network."},
		column{name: "flow_index", typ: "Nullable(UInt32)",
			comment: "ifIndex that flow records name it by; 0x3fffffff is the device itself."},
		column{name: "ipv4", typ: "Nullable(IPv4)", comment: "Its IPv4 address."},
		column{name: "ipv6", typ: "Nullable(IPv6)", comment: "Its IPv6 address."},
		column{name: "name", typ: "String", comment: "Name on the device."},
		column{name: "speed", typ: "Nullable(UInt64)", comment: "Bits a second."},
		column{name: "circuit_id", typ: "Array(String)", comment: "Circuits that it is an end of."},
		column{name: "circuit_ref", typ: "Array(Nullable(String))", comment: "Versions of those meta_circuit records."},
		column{name: "peer_as_id", typ: "Nullable(UInt32)", comment: "AS number at the other end."},
		column{name: "peer_as_ref", typ: "Nullable(String)", comment: "Version of that meta_as record."},
		column{name: "peer_interface_ipv4", typ: "Nullable(IPv4)", comment: "IPv4 address of the other end."},
		column{name: "peer_interface_ipv6", typ: "Nullable(IPv6)", comment: "IPv6 address of the other end."},
		column{name: "lag_member_interface_id", typ: "Array(LowCardinality(String))",
			comment: "Members of the link aggregation."},
		column{name: "lag_member_interface_ref", typ: "Array(Nullable(String))",
			comment: "Versions of those meta_interface records."},
		column{name: "port_interface_id", typ: "LowCardinality(Nullable(String))",
			comment: "Port that it is a subinterface of."},
		column{name: "port_interface_ref", typ: "Nullable(String)", comment: "Version of that meta_interface record."},
		column{name: "remote_interface_id", typ: "LowCardinality(Nullable(String))",
			comment: "Interface at the other end."},
		column{name: "remote_interface_ref", typ: "Nullable(String)",
			comment: "Version of that meta_interface record."},
		column{name: "remote_organization_id", typ: "LowCardinality(Nullable(String))",
			comment: "Organization at the other end."},
		column{name: "remote_organization_ref", typ: "Nullable(String)",
			comment: "Version of that meta_organization record."},
	)
}

func ipTable(s *Settings) table {
	return versionedTable(s, s.Tables.IP, "String", nil, slices.Concat([]column{
		{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))",
			comment: "Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4."},
	}, placeColumns(), []column{
		{name: "as_id", typ: "Nullable(UInt32)",
			comment: "AS number of the prefixes; rows whose exporter sends none have it."},
		{name: "as_ref", typ: "Nullable(String)", comment: "Version of that meta_as record."},
	})...)
}

// sciRegTable holds the Science Registry's prefixes.
func sciRegTable(s *Settings) table {
	return versionedTable(s, s.Tables.SciReg, "String", nil,
		column{name: "scireg_update_time", typ: "Date", comment: "When the Science Registry last changed the entry."},
		column{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))",
			comment: "Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4."},
		column{name: "organization_name", typ: "Nullable(String)", comment: "Organization."},
		column{name: "organization_id", typ: "LowCardinality(Nullable(String))",
			comment: "Organization: id in meta_organization."},
		column{name: "organization_ref", typ: "Nullable(String)", comment: "Version of that meta_organization record."},
		column{name: "discipline", typ: "Nullable(String)", comment: "Field of science."},
		column{name: "latitude", typ: "Nullable(Float64)", comment: "Degrees north."},
		column{name: "longitude", typ: "Nullable(Float64)", comment: "Degrees east."},
		column{name: "resource_name", typ: "Nullable(String)", comment: "What the prefixes are used for."},
		column{name: "project_name", typ: "Nullable(String)", comment: "Project."},
		column{name: "contact_email", typ: "Nullable(String)", comment: "Whom to ask."},
	)
}

// applicationTable is not versioned: a record is replaced by the next one with its key.
func applicationTable(s *Settings) table {
	return table{
		name:   s.Tables.Application,
		engine: "ReplacingMergeTree",
		columns: []column{
			{name: "id", typ: "String", comment: "Name of the application."},
			{name: "insert_time", typ: "DateTime", defaults: "now()", comment: "When the record was inserted."},
			extColumn(nil),
			{name: "tag", typ: "Array(LowCardinality(String))", comment: "Tags."},
			{name: "protocol", typ: "LowCardinality(String)", comment: "IP protocol by its name (tcp)."},
			{name: "port_range_min", typ: "UInt16", comment: "First port of the range."},
			{name: "port_range_max", typ: "UInt16", comment: "Last port of the range."},
		},
		orderBy: []string{"protocol", "id", "port_range_min", "port_range_max"},
		ttl:     s.metadataTTL(),
	}
}

// ASPrefixTable has the ASN blocks and SourceTable says which source has which metadata record. Both are this
// collector's own; package metadata owns what they mean.
const (
	ASPrefixTable = "meta_as_prefix"
	SourceTable   = "meta_source"
)

func asPrefixTable(s *Settings) table {
	return versionedTable(s, ASPrefixTable, "String", nil,
		column{name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))",
			comment: "Prefixes of the block; IPv4 as ::ffff:a.b.c.d with the length of IPv4."},
		column{name: "as_id", typ: "UInt32", comment: "AS number of the block."},
	)
}

func sourceTable() table {
	return table{
		name:       SourceTable,
		engine:     "ReplacingMergeTree",
		engineArgs: "insert_time",
		columns: []column{
			{name: "table_name", typ: typeText, comment: "Table of the record."},
			{name: "source", typ: typeText, comment: "Which source has it."},
			{name: "id", typ: "String", comment: "Id of the record."},
			{name: "present", typ: "Bool", comment: "The source has the record; false once it vanished from it."},
			{name: "insert_time", typ: "DateTime64(6)", defaults: "now64(6)",
				comment: "When that was noted; the latest row holds."},
		},
		orderBy: []string{"table_name", "source", "id"},
	}
}

// CreateExtensionTable renders the statement that creates the metadata table of an IP reference extension,
// meta_ip_<name>, with the columns that a snapshot reads.
func (s *Settings) CreateExtensionTable(name string) string {
	t := versionedTable(s, "meta_ip_"+name, "String", nil, column{
		name: "ip_subnet", typ: "Array(Tuple(IPv6, UInt8))",
		comment: "Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4.",
	})
	t.metadata = true
	return t.create(s)
}

// Vanished renders a subquery of the sipHash128 hashes of the ids that some source had and none has any more. table is
// the standard name of a metadata table. The hashes keep the set small: there may be millions of ids.
func (s *Settings) Vanished(table string) string {
	of := " FROM " + s.qualified(SourceTable) + " WHERE table_name = " + literal(table)
	return "(SELECT h FROM (SELECT sipHash128(id) AS h, source, argMax(present, insert_time) AS has" + of +
		" AND h IN (SELECT sipHash128(id)" + of +
		" AND NOT present) GROUP BY h, source) GROUP BY h HAVING NOT max(has))"
}
