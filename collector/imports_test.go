package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// module is the path of the module, and of all its packages before their folder.
const module = "github.com/metranova/flow-collector/"

// importLayers are the folders in the order of a datagram's way and of what stands on it. A package imports only from
// its own folder and from those before it. Folders within collector come before collector, which is the command line
// alone.
var importLayers = []string{
	"decoder", "enrich", "sink", "metadata",
	"collector/logging", "collector/commandline", "collector/diskfile", "collector/capture", "collector/pmacct",
	"collector/config", "collector/forward", "collector/grafana",
	"collector/listen", "collector/stream", "collector/routing", "collector/rpki", "collector/compare",
	"collector/explore/filter", "collector/tap", "collector/pipeline", "collector/ledger",
	"collector/verdict", "collector/status", "collector/web", "collector/explore", "collector/metrics",
	"collector/report",
	"collector/top", "collector/lookingglass",
	"collector/print", "collector/draft", "collector/bugreport",
	"collector/setup", "collector/check", "collector/service", "collector/testkit", "collector",
	"bench",
}

// within is the layer of a package; -1 for none.
func within(path string) int {
	best := -1
	for i, layer := range importLayers {
		if path == layer || strings.HasPrefix(path, layer+"/") && (best < 0 || len(layer) > len(importLayers[best])) {
			best = i
		}
	}
	return best
}

// Imports go one way: what is nearer to the wire knows nothing of what stands on it.
func TestImportDirections(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := strings.TrimPrefix(p.ImportPath, module)
		layer := within(from)
		if layer < 0 {
			t.Errorf("%s is in no layer of this test: add it", from)
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if ours && within(to) > layer {
				t.Errorf("%s imports %s: %s may not import %s", from, to, importLayers[layer], importLayers[within(to)])
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d packages, which cannot be all", seen)
	}
}
