// Package record is the model of a metadata record: the columns of each meta_* table; how values from a source become
// column values; the canonical JSON text and the md5 hash that distinguish two versions of a record; and the RowBinary
// form in which rows are sent to ClickHouse. The columns come from the tables' descriptions in package schema, the only
// package of ours that it imports besides sqltext. It does no I/O.
package record

// Raw is a record from a source: values as a YAML or JSON decoder returns them, by column name. Unknown keys are
// ignored.
type Raw = map[string]any

// Set is everything that one source has for one table.
type Set struct {
	Table string // by its standard name, such as "meta_device"
	// Source is the source's permanent name, such as "file:conf/meta_device.yml" or "geo". When a record of the source
	// is no longer in its set, the record has vanished.
	Source string
	// Each calls yield with every record and its place (file and line, if known) until yield fails. The record may be
	// reused for the next call. Problems that cost at most a record go to report. If Each itself returns an error, the
	// source is broken and the set incomplete.
	Each func(yield func(r Raw, place string) error, report func(Problem)) error
	// MayBeEmpty allows a set without records. Otherwise an empty set means that the source is broken, and its records
	// stay in force.
	MayBeEmpty bool
}

// Problem is something that cost a record or a part of one: a line for the operator.
type Problem struct {
	Place  string // file, and line if known
	ID     string // of the record; "" if unknown
	Reason string
}

// String returns the problem as one line.
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
