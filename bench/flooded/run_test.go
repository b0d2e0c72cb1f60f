package flooded

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/sink/store/storetest"
)

// A short form of `bench hostile --collector`: beside floods of streams, templates, held data, rows and days, every
// flow of a router is a row, and the counters balance. Nothing is timed: a busy machine only takes longer.
func TestRun(t *testing.T) {
	engine := storetest.Engine()
	if engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "collector")
	if out, err := exec.Command("go", "build", "-o", program, "../../collector").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var kinds []hostile.Kind
	for _, name := range []string{"sources", "templates-wide", "held", "redefinitions", "names", "rows-36", "days-past",
		"paths-long", "renames"} {
		k, ok := hostile.Named(name)
		if !ok {
			t.Fatalf("%s is no kind of flood", name)
		}
		kinds = append(kinds, k)
	}
	cost, err := Run(t.Context(), kinds, Options{
		Collector: program, Engine: engine, Dir: filepath.Join(dir, "run"), For: time.Second, Rate: 100,
		Quiet: time.Second, Settle: 2 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(cost)
	t.Logf("%s", text)
	if cost.Unbalanced != "" {
		t.Error(cost.Unbalanced)
	}
	// What the kernel dropped, on a machine that gave the collector no core, no collector can have.
	if cost.RouterRows > cost.RouterSent || cost.RouterRows+cost.KernelDrops*flowsAtOnce < cost.RouterSent {
		t.Errorf("%d of the router's %d flows are rows; the kernel dropped %d datagrams", cost.RouterRows,
			cost.RouterSent, cost.KernelDrops)
	}
	if cost.Sent == 0 || cost.Rows == 0 {
		t.Errorf("%d datagrams gave %d rows: that was no flood", cost.Sent, cost.Rows)
	}
}
