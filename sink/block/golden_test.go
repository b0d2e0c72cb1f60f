package block

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden guards the bytes where there is no engine; TestRoundTrip shows that the engine reads them as meant.
func TestGolden(t *testing.T) {
	rows := []enrich.Row{blocktest.EmptyRow(), blocktest.FullRow(), blocktest.EmptyRow()}
	for name, l := range map[string]Layout{
		"typed":   testLayout(allExtensions(), []string{"scireg"}),
		"untyped": testLayout(nil, nil),
	} {
		t.Run(name, func(t *testing.T) {
			got := hex.Dump(encodeRows(l, rows))
			path := filepath.Join("testdata", name+".native.hex")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("encoded block, golden (-) and now (+):\n%s", diff)
			}
		})
	}
}
