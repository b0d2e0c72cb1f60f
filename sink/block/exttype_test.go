package block

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/schema"
)

// Tables of earlier versions, of other settings and of operators: blocks are written with the table's own type, so that
// the server converts nothing, and rows read as in a table of the settings.
func TestExtTypeOfTheTable(t *testing.T) {
	e := needEngine(t)
	now := schema.FlowExtType(allExtensions(), []string{"scireg"})
	const texts, withDictionary = "Array(String)", "Array(LowCardinality(String))"
	for _, c := range []struct {
		name, typ string
		more      map[string]any // what ext has beside the row's paths
		without   []string
	}{
		{"of the settings", now, nil, nil},
		{"of an earlier version", strings.ReplaceAll(now, texts, withDictionary), nil, nil},
		{"texts without dictionaries", strings.ReplaceAll(now, withDictionary, texts), nil, nil},
		{"one path without a dictionary", strings.Replace(now, withDictionary, texts, 1), nil, nil},
		{"without types", "JSON", nil, nil},
		{"with fewer extensions", "JSON(bgp_community Array(String), vlan_id Nullable(UInt32))", nil, nil},
		{"with the operator's own paths", strings.TrimSuffix(now, ")") + ", own Int64, own_list Array(Array(UInt8)), " +
			"own_names Array(LowCardinality(Nullable(String))), own_note LowCardinality(Nullable(String)), " +
			"own_text String, own_time DateTime64(3), own_word LowCardinality(String), zone Nullable(DateTime('UTC')))",
			map[string]any{"own": "0", "own_text": "", "own_time": "1970-01-01 00:00:00.000", "own_word": "",
				"own_note": nil, "zone": nil}, nil},
		{"with limits", "JSON(max_dynamic_types=4, max_dynamic_paths=8, vlan_id Nullable(UInt32))", nil, nil},
		{"that skips a path", "JSON(max_dynamic_paths=8, vlan_in_id Nullable(UInt32), SKIP vlan_id)", nil,
			[]string{"vlan_id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := e.createFlowTable(t, nil, nil)
			e.run(t, "Null", "ALTER TABLE "+table+" MODIFY COLUMN ext "+c.typ)
			is := e.selected(t, "SELECT type FROM system.columns WHERE table = '"+table+
				"' AND name = 'ext'")[0]["type"].(string)
			l := testLayout([]string{"mpls", "vlan"}, []string{"scireg"})
			l.ExtType = is
			if err := CheckExtType(is, l.IPRefExtensions); err != nil {
				t.Fatal(err)
			}
			b := New(l)
			for _, column := range b.columns {
				if column.name == "ext" && column.typ != is {
					t.Errorf("the block has %s\nthe table %s", column.typ, is)
				}
			}
			rows := []enrich.Row{blocktest.EmptyRow(), blocktest.FullRow(), blocktest.EmptyRow()}
			whole := encodeRows(l, rows)
			// A refused block is cut into rows: they say the same.
			for i := range rows {
				one, err := native.Cut(whole, i, i+1)
				if err != nil {
					t.Fatal(err)
				}
				e.insert(t, table, b.Columns(), one)
			}
			e.insert(t, table, b.Columns(), whole)
			e.run(t, "Null", "OPTIMIZE TABLE "+table+" FINAL")
			got := e.selected(t, "SELECT ext FROM "+table+" WHERE bit_count > 0")
			if len(got) != 2 {
				t.Fatalf("%d rows, want 2", len(got))
			}
			want := parse(t, fullExtJSON)
			for key, value := range c.more {
				want[key] = value
			}
			for _, name := range c.without {
				delete(want, name)
			}
			for _, m := range got {
				row := m["ext"].(map[string]any)
				if v, ok := row["mpls_top_label_ip"].(string); ok {
					row["mpls_top_label_ip"] = "::ffff:" + strings.TrimPrefix(v, "::ffff:") // a string keeps its form
				}
				for _, m := range []map[string]any{row, want} {
					maps.DeleteFunc(m, func(_ string, v any) bool {
						a, is := v.([]any)
						return v == nil || is && len(a) == 0
					})
					for key, v := range m {
						m[key] = fmt.Sprint(v)
					}
				}
				if diff := cmp.Diff(want, row); diff != "" {
					t.Errorf("ext written (-) and read (+):\n%s", diff)
				}
			}
		})
	}
}

// What blocks cannot be written with is named; they have the type of the settings then, which the server converts.
func TestCheckExtType(t *testing.T) {
	for typ, want := range map[string]string{
		"JSON":                            "",
		"JSON(vlan_id Nullable(UInt32))":  "",
		"JSON(vlan_id UInt32)":            "path vlan_id of ext has the type UInt32",
		"JSON(src_ip_scireg_ref String)":  "path src_ip_scireg_ref of ext has the type String",
		"JSON(own Enum8('a' = 1))":        "path own of ext: the type Enum8('a' = 1)",
		"JSON(own Tuple(a UInt8))":        "path own of ext: the type Tuple(a UInt8)",
		"JSON(own LowCardinality(UInt8))": "path own of ext: the type LowCardinality(UInt8)",
		"JSON(own Decimal64(2))":          "path own of ext: the type Decimal64(2)",
		"JSON(own Int128)":                "path own of ext: the type Int128", // package native does not read it
		"JSON(own Array(Time64(3)))":      "path own of ext: the type Time64(3)",
		"JSON(SKIP REGEXP 'vlan.*')":      "only the server can apply",
		"JSON(SKIP a.b)":                  "only the server can apply",
		"String":                          "not JSON",
		"JSON(own " + strings.Repeat("Array(", 40) + "UInt8" + strings.Repeat(")", 40) + ")": "path own of ext",
	} {
		err := CheckExtType(typ, []string{"scireg"})
		if want == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", typ, err, want)
		}
		l := testLayout([]string{"vlan"}, []string{"scireg"})
		l.ExtType = typ
		if usual := schema.FlowExtType(l.Extensions, l.IPRefExtensions); err != nil && New(l).ext.typ != usual {
			t.Errorf("%s: blocks have %s, want %s", typ, New(l).ext.typ, usual)
		}
	}
}
