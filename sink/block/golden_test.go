package block

import (
	"encoding/hex"
	"testing"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block/blocktest"
	"github.com/metranova/flow-collector/sink/golden"
)

// TestGolden guards the bytes where there is no engine; TestRoundTrip shows that the engine reads them as meant.
func TestGolden(t *testing.T) {
	rows := []enrich.Row{blocktest.EmptyRow(), blocktest.FullRow(), blocktest.EmptyRow()}
	for name, l := range map[string]Layout{
		"typed":   testLayout(allExtensions(), []string{"scireg"}),
		"untyped": testLayout(nil, nil),
	} {
		t.Run(name, func(t *testing.T) {
			got := hex.Dump(encodeRows(l, rows))
			golden.File(t, name+".native.hex", []byte(got))
		})
	}
}
