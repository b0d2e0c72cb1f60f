package native_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/native"
)

func TestPrint(t *testing.T) {
	lines, err := native.AppendJSON(nil, encoded(layout(allExtensions(), nil),
		[]enrich.Row{blocktest.EmptyRow(), blocktest.FullRow()}))
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(lines), "\n")
	for _, c := range []struct{ got, want string }{{first, blocktest.EmptyJSON},
		{strings.TrimSuffix(second, "\n"), blocktest.FullJSON}} {
		got, want := parsed(t, c.got), parsed(t, c.want)
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
	for _, l := range []block.Layout{layout(allExtensions(), []string{"scireg"}), layout(nil, nil)} {
		f.Add(encoded(l, blocktest.Mixed(20)))
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

// parsed reads JSON with its numbers as they stand.
func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}
