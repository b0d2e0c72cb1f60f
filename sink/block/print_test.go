package block

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/native"
)

// What AppendJSON prints of a block is what the engine selects of it, and the engine takes it back.
func TestPrint_engine(t *testing.T) {
	e := needEngine(t)
	for _, l := range []Layout{testLayout(allExtensions(), []string{"scireg"}), testLayout(nil, nil)} {
		table := e.createFlowTable(t, l.Extensions, l.IPRefExtensions)
		b := New(l)
		data := encoded(l, mixedRows(60))
		e.insert(t, table, b.Columns(), data)
		const query = "SELECT * EXCEPT (insert_time) FROM "
		const order = " ORDER BY ALL SETTINGS output_format_json_quote_64bit_integers = 0"
		fromNative := e.selected(t, query+table+order)
		lines, err := native.AppendJSON(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		e.run(t, "Null", "TRUNCATE TABLE "+table)
		e.run(t, "Null", "INSERT INTO "+table+" SETTINGS deduplicate_insert='disable' FORMAT JSONEachRow "+string(lines))
		if diff := cmp.Diff(fromNative, e.selected(t, query+table+order)); diff != "" {
			t.Errorf("extensions %v: %s", l.Extensions, diff)
		}
	}
}

func TestPrint(t *testing.T) {
	lines, err := native.AppendJSON(nil, encoded(testLayout(allExtensions(), nil), []enrich.Row{emptyRow(), fullRow()}))
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(lines), "\n")
	for _, c := range []struct{ got, want string }{{first, emptyJSON}, {strings.TrimSuffix(second, "\n"), fullJSON}} {
		got, want := parse(t, c.got), parse(t, c.want)
		delete(got, "ext")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	if !strings.Contains(first, `"ext":{}`) || !strings.Contains(second, `"bgp_as_path_id":[64500,64501]`) {
		t.Errorf("ext of\n%s", lines)
	}
}

func FuzzPrint(f *testing.F) {
	for _, l := range []Layout{testLayout(allExtensions(), []string{"scireg"}), testLayout(nil, nil)} {
		f.Add(encoded(l, mixedRows(20)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines, err := native.AppendJSON(nil, data)
		if err != nil {
			return
		}
		for line := range strings.Lines(string(lines)) {
			if !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %q", line)
			}
		}
	})
}
