package schema

// MetadataTable describes a table of metadata records, such as meta_device. It is the only description of the table:
// the statements that make it come from here, and so do the types of the values that package metadata/record writes.
// The tables of the collector's own data model are in metadataModel. A metadata source that needs another table brings
// it in Settings.SourceTables.
//
// The columns id, ref, hash, insert_time, ext and tag come before the described ones in every table. A table with a Key
// has neither ref nor hash. A MetadataTable is not changed once it is in use, so copies share their slices.
type MetadataTable struct {
	Name    string // the standard name, "meta_device": sources and records name the table by it
	Label   string // names the table in messages: "device" gives "device table"
	IDType  string // the type of id; "" is String
	Columns []MetadataColumn
	// Key makes the table unversioned: a record replaces the one with the same values in these columns. Without a Key
	// every change of a record is a new version, a row with a new ref.
	Key []string

	called   func(*Tables) string  // the operator's name for the table; nil: Name
	extPaths func(*Settings) paths // the typed paths of ext; nil: none
	// idComment and timeComment replace the comments of id and insert_time.
	idComment, timeComment string
}

// MetadataColumn is a column of a MetadataTable that a record fills.
type MetadataColumn struct {
	// the type as system.columns spells it; record.KindOf lists the types that a record can fill
	Name, Type, Comment string
	Required            bool // a record without a value is left out
	// Of makes the column a reference: it gets the ref of the newest version of the record whose id is in the column
	// Of. Target is the standard name of that record's table, "" where no table has these ids: the reference is NULL
	// then.
	Of, Target string
}

// The standard names of the metadata tables.
const (
	OrganizationTable = "meta_organization"
	ASTable           = "meta_as"
	DeviceTable       = "meta_device"
	CircuitTable      = "meta_circuit"
	InterfaceTable    = "meta_interface"
	IPTable           = "meta_ip"
	SciRegTable       = "meta_ip_scireg"
	ApplicationTable  = "meta_application"
	ASPrefixTable     = "meta_as_prefix" // the ASN blocks; this collector's own table
	SourceTable       = "meta_source"    // which source has which record; this collector's own table, without records
)

// ExtensionTable is the standard name of the metadata table of an IP reference extension.
func ExtensionTable(extension string) string { return "meta_ip_" + extension }

// MetadataTables are the tables of metadata records under these settings: those of the data model, then the sources'
// own. A table comes after the tables that its records refer to.
func (s *Settings) MetadataTables() []MetadataTable {
	return append(metadataModel(), s.SourceTables...)
}

// MetadataModel are the tables of the data model, which are there whatever the settings say.
func MetadataModel() []MetadataTable { return metadataModel() }

// KnowsMetadataTable reports whether a standard name is that of a table of metadata records.
func (s *Settings) KnowsMetadataTable(standard string) bool {
	for _, t := range s.MetadataTables() {
		if t.Name == standard {
			return true
		}
	}
	return false
}

// TableName is the name in the database of the metadata table with a standard name. A table without a setting for its
// name, such as an extension's, has the standard one.
func (s *Settings) TableName(standard string) string {
	for _, t := range s.MetadataTables() {
		if t.Name == standard {
			return t.nameIn(s)
		}
	}
	return standard
}

func (t *MetadataTable) nameIn(s *Settings) string {
	if t.called == nil {
		return t.Name
	}
	return t.called(&s.Tables)
}

// metadataTables are the meta_* tables: those of records, and which source has which record.
func metadataTables(s *Settings) []table {
	var all []table
	for _, t := range s.MetadataTables() {
		all = append(all, t.table(s))
	}
	return append(all, sourceTable())
}

// table is the table as it is made.
func (t *MetadataTable) table(s *Settings) table {
	made := table{
		name: t.nameIn(s), engine: "MergeTree", orderBy: []string{"ref", "id", "insert_time"}, metadata: true,
		ttl: TTL{Interval: s.MetadataTTL, Column: "insert_time"},
	}
	id := column{name: "id", typ: orDefault(t.IDType, "String"),
		comment: orDefault(t.idComment, "Names the record; every version of it has the same.")}
	inserted := column{name: "insert_time", typ: "DateTime", defaults: "now()",
		comment: orDefault(t.timeComment, "From when the version holds.")}
	if t.Key != nil {
		made.engine, made.orderBy = "ReplacingMergeTree", t.Key
		made.columns = []column{id, inserted}
	} else {
		made.columns = []column{
			id,
			{name: "ref", typ: "String", comment: "Names this version (<id>__v<n>); rows refer to it."},
			{name: "hash", typ: "String", comment: "MD5 of the content: another content makes a version."},
			inserted,
		}
	}
	var ext paths
	if t.extPaths != nil {
		ext = t.extPaths(s)
	}
	made.columns = append(made.columns, extColumn(ext),
		column{name: "tag", typ: "Array(LowCardinality(String))", comment: "Tags."})
	for _, c := range t.Columns {
		made.columns = append(made.columns, column{name: c.Name, typ: c.Type, comment: c.Comment})
	}
	return made
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// sourceTable is meta_source. A row says whether a source has a record; the latest row holds.
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
		orderBy:  []string{"table_name", "source", "id"},
		metadata: true,
	}
}

// CreateExtensionTable renders the statement that creates the metadata table of an IP reference extension, with the
// columns that a snapshot reads.
func (s *Settings) CreateExtensionTable(extension string) string {
	t := MetadataTable{Name: ExtensionTable(extension), Columns: []MetadataColumn{SubnetsColumn()}}
	made := t.table(s)
	return made.create(s)
}

// Vanished renders a subquery of the sipHash128 hashes of the ids that some source had and none has any more. table is
// the standard name of a metadata table. The hashes keep the set small: there may be millions of ids.
func (s *Settings) Vanished(table string) string {
	of := " FROM " + s.qualified(SourceTable) + " WHERE table_name = " + literal(table)
	return "(SELECT h FROM (SELECT sipHash128(id) AS h, source, argMax(present, insert_time) AS has" + of +
		" AND h IN (SELECT sipHash128(id)" + of +
		" AND NOT present) GROUP BY h, source) GROUP BY h HAVING NOT max(has))"
}
