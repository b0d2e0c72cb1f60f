// Package record is the model of a metadata record: which columns each meta_* table has, how the values that a source
// gives become column values, the canonical JSON text and the md5 hash that tell two versions of a record apart, and
// the RowBinary form in which rows go to ClickHouse. The columns come from the tables' descriptions in package schema,
// the only package of ours that it imports. It reads no file and talks to nobody.
package record

// Raw is a record as a source has it: values as a YAML or JSON decoder makes them, by column name. Keys that the table
// does not have are ignored.
type Raw = map[string]any

// Set is everything that one source has for one table.
type Set struct {
	Table string // by its standard name, such as "meta_device"
	// Source names the source for good, such as "file:conf/meta_device.yml" or "geo": when a record that the source had
	// is no longer in its set, the record has vanished.
	Source string
	// Each calls yield with every record and its place (file and line, where known) until yield fails; the record may
	// be reused for the next call. What costs no more than a record goes to report. An error of its own means that the
	// source is broken and the set not complete.
	Each func(yield func(r Raw, place string) error, report func(Problem)) error
	// MayBeEmpty says that a source without one record of this table is as good as any; otherwise it is taken for a
	// broken one if it had records, and they stay.
	MayBeEmpty bool
}

// Problem is something that cost a record or part of one: a line for the operator.
type Problem struct {
	Place  string // file, and line where known
	ID     string // of the record; "" where unknown
	Reason string
}

// String is the problem in one line.
func (p Problem) String() string {
	s := p.Place
	if p.ID != "" {
		if s != "" {
			s += ": "
		}
		s += p.ID
	}
	if s != "" {
		s += ": "
	}
	return s + p.Reason
}
