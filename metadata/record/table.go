package record

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// Kind is the type of a column: it decides how values are coerced, hashed and written.
type Kind uint8

// The kinds of columns, with the Go type of their values in a Row. NULL is nil.
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
	Reference                 // Nullable(String): the ref of the record whose id is in column Of; string or nil
	ReferenceList             // Array(Nullable(String)): the same for a list of ids; []any of string or nil
)

// kinds maps ClickHouse types to kinds, for columns that are not references.
var kinds = map[string]Kind{
	"String":                    Text,
	"Nullable(String)":          NullText,
	"Nullable(Float64)":         Float,
	"UInt16":                    Uint16,
	"UInt32":                    Uint32,
	"Nullable(UInt32)":          NullUint32,
	"Nullable(UInt64)":          NullUint64,
	"Bool":                      Bool,
	"Array(String)":             Texts,
	"Array(Nullable(String))":   NullTexts,
	"Tuple(String, String)":     Pair,
	"Array(IPv6)":               Addresses,
	"Nullable(IPv4)":            NullIPv4,
	"Nullable(IPv6)":            NullIPv6,
	"Array(Tuple(IPv6, UInt8))": Subnets,
	"Date":                      Date,
}

// KindOf returns the kind of a described column. LowCardinality makes no difference, as RowBinary does not show it.
// false: a record cannot fill a column of this type.
func KindOf(c *schema.MetadataColumn) (Kind, bool) {
	kind, ok := kinds[withoutLowCardinality(c.Type)]
	switch {
	case c.Of == "":
		return kind, ok
	case kind == NullText && ok:
		return Reference, true
	case kind == NullTexts:
		return ReferenceList, true
	}
	return kind, false
}

// withoutLowCardinality returns a type as RowBinary writes it. A text that is not a type is returned unchanged.
func withoutLowCardinality(text string) string {
	t, err := sqltext.ParseType(text)
	if err != nil || len(t.Args) == 0 {
		return text
	}
	for i, argument := range t.Args {
		t.Args[i] = withoutLowCardinality(argument)
	}
	arguments := strings.Join(t.Args, ", ")
	if t.Name == "LowCardinality" {
		return arguments
	}
	return t.Name + "(" + arguments + ")"
}

// Column is a column that a source can fill, or a reference that is looked up.
type Column struct {
	Name     string
	Kind     Kind
	Required bool
	Of       string // Reference and ReferenceList: the column that has the ids
	Target   string // Reference and ReferenceList: the standard name of the table that the ids belong to; "": none
}

// Table is the model of a metadata table's records.
type Table struct {
	Name      string // the standard name; the name in the database may differ
	Versioned bool   // rows have ref and hash, and a changed record becomes a new row
	Columns   []Column

	key    []int // the columns that identify a record
	sorted []int // all columns sorted by name, for the canonical text
	byName map[string]int
	self   bool
}

// The standard names of the tables.
const (
	Organization = schema.OrganizationTable
	AS           = schema.ASTable
	Device       = schema.DeviceTable
	Circuit      = schema.CircuitTable
	Interface    = schema.InterfaceTable
	IP           = schema.IPTable
	SciReg       = schema.SciRegTable
	Application  = schema.ApplicationTable
	ASPrefix     = schema.ASPrefixTable
)

// Tables returns the model of every table of the data model, then of the sources' own tables. A table comes after those
// it refers to, so that references are found in the first load.
func Tables(own ...schema.MetadataTable) []*Table {
	var all []*Table
	for _, described := range append(schema.MetadataModel(), own...) {
		all = append(all, newTable(&described))
	}
	return all
}

// newTable makes the model of a described table. It panics if a record cannot fill one of the types: then the
// description is wrong.
func newTable(described *schema.MetadataTable) *Table {
	id := schema.MetadataColumn{Name: "id", Type: described.IDType, Required: true}
	if id.Type == "" {
		id.Type = "String"
	}
	t := &Table{Name: described.Name, Versioned: described.Key == nil, byName: map[string]int{}}
	t.add(described, &id)
	t.Columns = append(t.Columns, Column{Name: "ext", Kind: JSON}, Column{Name: "tag", Kind: Texts})
	for i := range described.Columns {
		t.add(described, &described.Columns[i])
	}
	for i, c := range t.Columns {
		t.byName[c.Name] = i
		t.sorted = append(t.sorted, i)
		t.self = t.self || c.Target == t.Name
	}
	slices.SortFunc(t.sorted, func(a, b int) int { return strings.Compare(t.Columns[a].Name, t.Columns[b].Name) })
	key := described.Key
	if key == nil {
		key = []string{"id"}
	}
	for _, name := range key {
		t.key = append(t.key, t.Index(name))
	}
	return t
}

func (t *Table) add(described *schema.MetadataTable, c *schema.MetadataColumn) {
	kind, ok := KindOf(c)
	if !ok {
		panic(fmt.Sprintf("metadata table %s: a record cannot fill column %s of type %s", described.Name, c.Name,
			c.Type))
	}
	t.Columns = append(t.Columns, Column{Name: c.Name, Kind: kind, Required: c.Required, Of: c.Of, Target: c.Target})
}

// SelfReferring reports whether records of the table refer to each other.
func (t *Table) SelfReferring() bool { return t.self }

// Index returns the position of a column in a Row. It panics if the table has no such column.
func (t *Table) Index(column string) int {
	i, ok := t.byName[column]
	if !ok {
		panic(fmt.Sprintf("table %s has no column %s", t.Name, column))
	}
	return i
}

// ColumnNames returns the names of the columns that AppendRowBinary writes, in its order.
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
