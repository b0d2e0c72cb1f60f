package schema

import (
	"maps"
	"slices"
	"strings"
)

// metadataModel are the metadata tables of the data model, each after the tables that its records refer to.
func metadataModel() []MetadataTable {
	return []MetadataTable{
		organizations(), autonomousSystems(), devices(), circuits(), interfaces(), ips(), scienceRegistry(),
		applications(),
		asPrefixes(),
	}
}

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

// interfaceExtensionPaths are the typed paths that each interface extension gives ext of meta_interface.
var interfaceExtensionPaths = map[string]paths{
	"sap": {"sap_name": "Nullable(String)"},
	"vrtr": {
		"vrtr_id":   "LowCardinality(Nullable(String))",
		"vrtr_name": "LowCardinality(Nullable(String))",
	},
	"vrtr_interface": {
		"vrtr_interface_encap":        "Nullable(UInt32)",
		"vrtr_interface_global_index": "Nullable(UInt32)",
		"vrtr_interface_index":        "Nullable(String)",
	},
}

func (s *Settings) asPaths() paths { return pathsOf(s.ASExtensions, asExtensionPaths) }

func (s *Settings) interfacePaths() paths {
	return pathsOf(s.InterfaceExtensions, interfaceExtensionPaths)
}

func pathsOf(extensions []string, of map[string]paths) paths {
	all := paths{}
	for _, e := range extensions {
		maps.Copy(all, of[e])
	}
	return all
}

// Types of columns that many tables have.
const (
	typeNames     = "Array(LowCardinality(String))"
	typeFloatNull = "Nullable(Float64)"
)

// text is a column of texts that are often the same; it may be NULL.
func text(name, comment string) MetadataColumn {
	return MetadataColumn{Name: name, Type: typeTextNull, Comment: comment}
}

// ReferenceColumn is the column of the version that the id in another column stands for: device_ref for device_id.
func ReferenceColumn(of, target string) MetadataColumn {
	return MetadataColumn{
		Name: strings.TrimSuffix(of, "_id") + "_ref", Type: typeRef, Of: of, Target: target,
		Comment: "Version of that " + target + " record.",
	}
}

// ReferencesColumn is ReferenceColumn for a column with a list of ids.
func ReferencesColumn(of, target string) MetadataColumn {
	c := ReferenceColumn(of, target)
	c.Type, c.Comment = "Array(Nullable(String))", "Versions of those "+target+" records."
	return c
}

// SubnetsColumn is the column ip_subnet, the prefixes that a record is for.
func SubnetsColumn() MetadataColumn {
	return MetadataColumn{
		Name: "ip_subnet", Type: "Array(Tuple(IPv6, UInt8))", Required: true,
		Comment: "Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4.",
	}
}

// location is where a thing is; several tables have these columns in this order.
func location() []MetadataColumn {
	return append([]MetadataColumn{
		text("city_name", "City."),
		text("continent_name", "Continent."),
		text("country_name", "Country."),
		text("country_code", "Country, ISO 3166-1 alpha-2."),
		text("country_sub_name", "State or province."),
		text("country_sub_code", "State or province, ISO 3166-2."),
	}, coordinates()...)
}

func coordinates() []MetadataColumn {
	return []MetadataColumn{
		{Name: "latitude", Type: typeFloatNull, Comment: "Degrees north."},
		{Name: "longitude", Type: typeFloatNull, Comment: "Degrees east."},
	}
}

func organizations() MetadataTable {
	return MetadataTable{
		Name: OrganizationTable, Label: "organization", called: func(t *Tables) string { return t.Organization },
		Columns: slices.Concat([]MetadataColumn{
			{Name: "name", Type: typeText, Required: true, Comment: "Name."},
			{Name: "type", Type: typeNames, Comment: "What kinds of organization it is."},
		}, location()),
	}
}

func autonomousSystems() MetadataTable {
	return MetadataTable{
		Name: ASTable, Label: "AS", called: func(t *Tables) string { return t.AS },
		IDType: "UInt32", extPaths: (*Settings).asPaths,
		Columns: []MetadataColumn{
			{Name: "name", Type: typeText, Required: true, Comment: "Name of the AS."},
			{Name: "organization_id", Type: "String", Required: true,
				Comment: "Whose AS it is: id in meta_organization."},
			ReferenceColumn("organization_id", OrganizationTable),
		},
	}
}

func devices() MetadataTable {
	return MetadataTable{
		Name: DeviceTable, Label: "device", called: func(t *Tables) string { return t.Device },
		Columns: slices.Concat([]MetadataColumn{
			{Name: "type", Type: typeText, Required: true, Comment: "Kind of device, such as router."},
			{Name: "loopback_ip", Type: "Array(IPv6)",
				Comment: "Addresses that it exports flows from; rows find their device by them."},
			{Name: "management_ip", Type: "Array(IPv6)", Comment: "Addresses to manage it by."},
			text("hostname", "Host name."),
			text("location_name", "Where it stands."),
			{Name: "location_type", Type: "Array(LowCardinality(Nullable(String)))",
				Comment: "What kinds of place that is."},
		}, location(), []MetadataColumn{
			text("manufacturer", "Manufacturer."),
			text("model", "Model."),
			text("network", "Network that it belongs to."),
			text("os", "Operating system."),
			text("role", "What it is for."),
			text("state", "State of operation."),
		}),
	}
}

func circuits() MetadataTable {
	return MetadataTable{
		Name: CircuitTable, Label: "circuit", called: func(t *Tables) string { return t.Circuit },
		Columns: []MetadataColumn{
			text("type", "Kind of circuit."),
			{Name: "description", Type: "Nullable(String)", Comment: "Description."},
			text("state", "State of operation."),
			{Name: "endpoint_type", Type: "Tuple(LowCardinality(String), LowCardinality(String))", Required: true,
				Comment: "What its two ends are, such as interface."},
			{Name: "endpoint_id", Type: "Tuple(String, String)", Required: true, Comment: "Ids of its two ends."},
			text("parent_circuit_id", "Circuit that it is part of."),
			ReferenceColumn("parent_circuit_id", CircuitTable),
		},
	}
}

func interfaces() MetadataTable {
	return MetadataTable{
		Name: InterfaceTable, Label: "interface", called: func(t *Tables) string { return t.Interface },
		extPaths: (*Settings).interfacePaths,
		Columns: []MetadataColumn{
			{Name: "type", Type: typeText, Required: true, Comment: "Kind of interface."},
			{Name: "description", Type: "Nullable(String)", Comment: "Description."},
			{Name: "device_id", Type: "String", Required: true, Comment: "Device that it is of: id in meta_device."},
			ReferenceColumn("device_id", DeviceTable),
			{Name: "edge", Type: "Bool", Comment: "At the edge of the network."},
			{Name: "flow_index", Type: "Nullable(UInt32)",
				Comment: "ifIndex that flow records name it by; 0x3fffffff is the device itself."},
			{Name: "ipv4", Type: "Nullable(IPv4)", Comment: "Its IPv4 address."},
			{Name: "ipv6", Type: "Nullable(IPv6)", Comment: "Its IPv6 address."},
			{Name: "name", Type: "String", Required: true, Comment: "Name on the device."},
			{Name: "speed", Type: "Nullable(UInt64)", Comment: "Megabits a second."},
			{Name: "circuit_id", Type: "Array(String)", Comment: "Circuits that it is an end of."},
			ReferencesColumn("circuit_id", CircuitTable),
			{Name: "peer_as_id", Type: "Nullable(UInt32)", Comment: "AS number at the other end."},
			ReferenceColumn("peer_as_id", ASTable),
			{Name: "peer_interface_ipv4", Type: "Nullable(IPv4)", Comment: "IPv4 address of the other end."},
			{Name: "peer_interface_ipv6", Type: "Nullable(IPv6)", Comment: "IPv6 address of the other end."},
			{Name: "lag_member_interface_id", Type: typeNames, Comment: "Members of the link aggregation."},
			ReferencesColumn("lag_member_interface_id", InterfaceTable),
			text("port_interface_id", "Port that it is a subinterface of."),
			ReferenceColumn("port_interface_id", InterfaceTable),
			text("remote_interface_id", "Interface at the other end."),
			ReferenceColumn("remote_interface_id", InterfaceTable),
			text("remote_organization_id", "Organization at the other end."),
			ReferenceColumn("remote_organization_id", OrganizationTable),
		},
	}
}

func ips() MetadataTable {
	return MetadataTable{
		Name: IPTable, Label: "IP", called: func(t *Tables) string { return t.IP },
		Columns: slices.Concat([]MetadataColumn{SubnetsColumn()}, location(), []MetadataColumn{
			{Name: "as_id", Type: "Nullable(UInt32)",
				Comment: "AS number of the prefixes; rows whose exporter sends none have it."},
			ReferenceColumn("as_id", ASTable),
		}),
	}
}

// scienceRegistry has the prefixes of the Science Registry. The registry names its organizations by no id of
// meta_organization, so organization_ref has nothing to refer to.
func scienceRegistry() MetadataTable {
	organization := ReferenceColumn("organization_id", OrganizationTable)
	organization.Target = ""
	return MetadataTable{
		Name: SciRegTable, Label: "SciReg", called: func(t *Tables) string { return t.SciReg },
		Columns: slices.Concat([]MetadataColumn{
			{Name: "scireg_update_time", Type: "Date", Comment: "When the Science Registry last changed the entry."},
			SubnetsColumn(),
			{Name: "organization_name", Type: "Nullable(String)", Comment: "Organization."},
			text("organization_id", "Organization: id in meta_organization."),
			organization,
			{Name: "discipline", Type: "Nullable(String)", Comment: "Field of science."},
		}, coordinates(), []MetadataColumn{
			{Name: "resource_name", Type: "Nullable(String)", Comment: "What the prefixes are used for."},
			{Name: "project_name", Type: "Nullable(String)", Comment: "Project."},
			{Name: "contact_email", Type: "Nullable(String)", Comment: "Whom to ask."},
		}),
	}
}

func applications() MetadataTable {
	return MetadataTable{
		Name: ApplicationTable, Label: "application", called: func(t *Tables) string { return t.Application },
		Key:       []string{"protocol", "id", "port_range_min", "port_range_max"},
		idComment: "Name of the application.", timeComment: "When the record was inserted.",
		Columns: []MetadataColumn{
			{Name: "protocol", Type: typeText, Required: true, Comment: "IP protocol by its name (tcp)."},
			{Name: "port_range_min", Type: "UInt16", Required: true, Comment: "First port of the range."},
			{Name: "port_range_max", Type: "UInt16", Required: true, Comment: "Last port of the range."},
		},
	}
}

func asPrefixes() MetadataTable {
	subnets := SubnetsColumn()
	subnets.Comment = "Prefixes of the block; IPv4 as ::ffff:a.b.c.d with the length of IPv4."
	return MetadataTable{
		Name: ASPrefixTable, Label: "AS prefix",
		Columns: []MetadataColumn{subnets, {Name: "as_id", Type: "UInt32", Required: true,
			Comment: "AS number of the block."}},
	}
}
