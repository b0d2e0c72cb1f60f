package record

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/sink/golden"
	"github.com/metranova/flow-collector/sink/schema"
)

// TestGoldenTables compares the model of every table with testdata: the order of tables and columns, kinds, references,
// and the columns that an insert names.
func TestGoldenTables(t *testing.T) {
	var b strings.Builder
	for _, table := range Tables() {
		key := make([]string, len(table.key))
		for i, k := range table.key {
			key[i] = table.Columns[k].Name
		}
		fmt.Fprintf(&b, "%s\n\tversioned %v, key %s, self-referring %v\n\tinsert %s\n", table.Name, table.Versioned,
			strings.Join(key, " "), table.SelfReferring(), strings.Join(table.ColumnNames(), " "))
		for _, c := range table.Columns {
			fmt.Fprintf(&b, "\t%s kind %d required %v", c.Name, c.Kind, c.Required)
			if c.Target != "" {
				fmt.Fprintf(&b, " of %s in %s", c.Of, c.Target)
			}
			b.WriteByte('\n')
		}
	}
	golden.File(t, "tables.txt", []byte(b.String()))
}

// TestKindOf has a type of each sort, and types that a record cannot fill.
func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		typ, of string
		want    Kind
		ok      bool
	}{
		{"LowCardinality(Nullable(String))", "", NullText, true},
		{"Array(LowCardinality(Nullable(String)))", "", NullTexts, true},
		{"Tuple(LowCardinality(String), LowCardinality(String))", "", Pair, true},
		{"Nullable(String)", "device_id", Reference, true},
		{"Array(Nullable(String))", "circuit_id", ReferenceList, true},
		{"String", "device_id", 0, false},
		{"Decimal(9, 2)", "", 0, false},
		{"Array(String", "", 0, false},
		{"", "", 0, false},
	} {
		got, ok := KindOf(&schema.MetadataColumn{Type: c.typ, Of: c.of})
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q of %q: %d, %v, want %d, %v", c.typ, c.of, got, ok, c.want, c.ok)
		}
	}
}
