package record

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is the type of a column, as values are coerced, hashed and written.
type Kind uint8

// The kinds of columns and the Go type of their values in a Row. Where NULL is allowed, it is nil.
const (
	Text          Kind = iota // String: string
	NullText                  // Nullable(String): string or nil
	Float                     // Nullable(Float64): float64 or nil
	Uint16                    // UInt16: uint64
	Uint32                    // UInt32: uint64
	NullUint32                // Nullable(UInt32): uint64 or nil
	NullUint64                // Nullable(UInt64): uint64 or nil
	Bool                      // Bool: bool
	Texts                     // Array(String): []string
	NullTexts                 // Array(Nullable(String)): []string
	Pair                      // Tuple(String, String): []string of two
	Addresses                 // Array(IPv6): []string, as the source writes them
	NullIPv4                  // Nullable(IPv4): string or nil
	NullIPv6                  // Nullable(IPv6): string or nil
	Subnets                   // Array(Tuple(IPv6, UInt8)): []Subnet
	Date                      // Date: string "YYYY-MM-DD"
	JSON                      // JSON: string, an object's text with sorted keys
	Reference                 // Nullable(String): the ref of the record whose id column Of has; string or nil
	ReferenceList             // Array(Nullable(String)): the same for a list of ids; []any of string or nil
)

// Column is a column that a source can fill, or a reference that is looked up.
type Column struct {
	Name     string
	Kind     Kind
	Required bool
	Of       string // Reference and ReferenceList: the column of the ids
	Target   string // Reference and ReferenceList: the standard name of the table that the ids are of
}

// Table is a metadata table.
type Table struct {
	Name      string // the standard name; the one in the database can be another
	Versioned bool   // rows have ref and hash, and a changed record becomes a new row
	Columns   []Column

	key    []int // the columns that tell records apart
	sorted []int // all columns in the order of their names, for the canonical text
	byName map[string]int
	self   bool
}

// The standard names of the tables.
const (
	Organization = "meta_organization"
	AS           = "meta_as"
	Device       = "meta_device"
	Circuit      = "meta_circuit"
	Interface    = "meta_interface"
	IP           = "meta_ip"
	SciReg       = "meta_ip_scireg"
	Application  = "meta_application"
	ASPrefix     = "meta_as_prefix" // our own: prefixes and the AS that originates them
)

// Tables returns the model of every table in dependency order: a table comes after those that it refers to, so that
// references are found in the first load.
func Tables() []*Table {
	place := []Column{
		{Name: "city_name", Kind: NullText}, {Name: "continent_name", Kind: NullText},
		{Name: "country_name", Kind: NullText}, {Name: "country_code", Kind: NullText},
		{Name: "country_sub_name", Kind: NullText}, {Name: "country_sub_code", Kind: NullText},
		{Name: "latitude", Kind: Float}, {Name: "longitude", Kind: Float},
	}
	return []*Table{
		versioned(Organization, Text, slices.Concat([]Column{
			{Name: "name", Kind: Text, Required: true},
			{Name: "type", Kind: Texts},
		}, place)...),
		versioned(AS, Uint32,
			Column{Name: "name", Kind: Text, Required: true},
			Column{Name: "organization_id", Kind: Text, Required: true},
			Column{Name: "organization_ref", Kind: Reference, Of: "organization_id", Target: Organization}),
		versioned(Device, Text, slices.Concat([]Column{
			{Name: "type", Kind: Text, Required: true},
			{Name: "loopback_ip", Kind: Addresses},
			{Name: "management_ip", Kind: Addresses},
			{Name: "hostname", Kind: NullText},
			{Name: "location_name", Kind: NullText},
			{Name: "location_type", Kind: NullTexts},
		}, place, []Column{
			{Name: "manufacturer", Kind: NullText}, {Name: "model", Kind: NullText}, {Name: "network", Kind: NullText},
			{Name: "os", Kind: NullText}, {Name: "role", Kind: NullText}, {Name: "state", Kind: NullText},
		})...),
		versioned(Circuit, Text,
			Column{Name: "type", Kind: NullText},
			Column{Name: "description", Kind: NullText},
			Column{Name: "state", Kind: NullText},
			Column{Name: "endpoint_type", Kind: Pair, Required: true},
			Column{Name: "endpoint_id", Kind: Pair, Required: true},
			Column{Name: "parent_circuit_id", Kind: NullText},
			Column{Name: "parent_circuit_ref", Kind: Reference, Of: "parent_circuit_id", Target: Circuit}),
		versioned(Interface, Text,
			Column{Name: "type", Kind: Text, Required: true},
			Column{Name: "description", Kind: NullText},
			Column{Name: "device_id", Kind: Text, Required: true},
			Column{Name: "device_ref", Kind: Reference, Of: "device_id", Target: Device},
			Column{Name: "edge", Kind: Bool},
			Column{Name: "flow_index", Kind: NullUint32},
			Column{Name: "ipv4", Kind: NullIPv4},
			Column{Name: "ipv6", Kind: NullIPv6},
			Column{Name: "name", Kind: Text, Required: true},
			Column{Name: "speed", Kind: NullUint64},
			Column{Name: "circuit_id", Kind: Texts},
			Column{Name: "circuit_ref", Kind: ReferenceList, Of: "circuit_id", Target: Circuit},
			Column{Name: "peer_as_id", Kind: NullUint32},
			Column{Name: "peer_as_ref", Kind: Reference, Of: "peer_as_id", Target: AS},
			Column{Name: "peer_interface_ipv4", Kind: NullIPv4},
			Column{Name: "peer_interface_ipv6", Kind: NullIPv6},
			Column{Name: "lag_member_interface_id", Kind: Texts},
			Column{Name: "lag_member_interface_ref", Kind: ReferenceList, Of: "lag_member_interface_id",
				Target: Interface},
			Column{Name: "port_interface_id", Kind: NullText},
			Column{Name: "port_interface_ref", Kind: Reference, Of: "port_interface_id", Target: Interface},
			Column{Name: "remote_interface_id", Kind: NullText},
			Column{Name: "remote_interface_ref", Kind: Reference, Of: "remote_interface_id", Target: Interface},
			Column{Name: "remote_organization_id", Kind: NullText},
			Column{Name: "remote_organization_ref", Kind: Reference, Of: "remote_organization_id",
				Target: Organization}),
		versioned(IP, Text, slices.Concat([]Column{
			{Name: "ip_subnet", Kind: Subnets, Required: true},
		}, place, []Column{
			{Name: "as_id", Kind: NullUint32},
			{Name: "as_ref", Kind: Reference, Of: "as_id", Target: AS},
		})...),
		versioned(ASPrefix, Text,
			Column{Name: "ip_subnet", Kind: Subnets, Required: true},
			Column{Name: "as_id", Kind: Uint32, Required: true}),
		versioned(SciReg, Text,
			Column{Name: "scireg_update_time", Kind: Date},
			Column{Name: "ip_subnet", Kind: Subnets, Required: true},
			Column{Name: "organization_name", Kind: NullText},
			Column{Name: "organization_id", Kind: NullText},
			// The registry names its organizations by no id of meta_organization, so there is nothing to refer to.
			Column{Name: "organization_ref", Kind: Reference},
			Column{Name: "discipline", Kind: NullText},
			Column{Name: "latitude", Kind: Float}, Column{Name: "longitude", Kind: Float},
			Column{Name: "resource_name", Kind: NullText},
			Column{Name: "project_name", Kind: NullText},
			Column{Name: "contact_email", Kind: NullText}),
		newTable(Application, false, []string{"protocol", "id", "port_range_min", "port_range_max"},
			Column{Name: "id", Kind: Text, Required: true},
			Column{Name: "ext", Kind: JSON}, Column{Name: "tag", Kind: Texts},
			Column{Name: "protocol", Kind: Text, Required: true},
			Column{Name: "port_range_min", Kind: Uint16, Required: true},
			Column{Name: "port_range_max", Kind: Uint16, Required: true}),
	}
}

func versioned(name string, id Kind, columns ...Column) *Table {
	head := []Column{{Name: "id", Kind: id, Required: true}, {Name: "ext", Kind: JSON}, {Name: "tag", Kind: Texts}}
	return newTable(name, true, []string{"id"}, append(head, columns...)...)
}

func newTable(name string, isVersioned bool, key []string, columns ...Column) *Table {
	t := &Table{Name: name, Versioned: isVersioned, Columns: columns, byName: map[string]int{}}
	for i, c := range columns {
		t.byName[c.Name] = i
		t.sorted = append(t.sorted, i)
		t.self = t.self || c.Target == name
	}
	slices.SortFunc(t.sorted, func(a, b int) int { return strings.Compare(columns[a].Name, columns[b].Name) })
	for _, k := range key {
		t.key = append(t.key, t.byName[k])
	}
	return t
}

// SelfReferring reports whether records of the table refer to each other.
func (t *Table) SelfReferring() bool { return t.self }

// Index is the position of a column in a Row; it panics on a name that the table does not have.
func (t *Table) Index(column string) int {
	i, ok := t.byName[column]
	if !ok {
		panic(fmt.Sprintf("table %s has no column %s", t.Name, column))
	}
	return i
}

// ColumnNames are the names of the columns that AppendRowBinary writes, in its order.
func (t *Table) ColumnNames() []string {
	var names []string
	if t.Versioned {
		names = append(names, "ref", "hash")
	}
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return names
}
