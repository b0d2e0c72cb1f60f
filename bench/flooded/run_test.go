package flooded

import (
	"encoding/json"
	"os"
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
	kinds := named(t, "sources", "templates-wide", "held", "redefinitions", "names", "rows-36", "days-past",
		"paths-long", "renames")
	cost := runs(t, kinds, Options{For: time.Second, Rate: 100, Quiet: time.Second, Settle: 2 * time.Minute})
	// What the kernel dropped, on a machine that gave the collector no core, no collector can have.
	if cost.RouterRows > cost.RouterSent || cost.RouterRows+cost.KernelDrops*flowsAtOnce < cost.RouterSent {
		t.Errorf("%d of the router's %d flows are rows; the kernel dropped %d datagrams", cost.RouterRows,
			cost.RouterSent, cost.KernelDrops)
	}
	if cost.Sent == 0 || cost.Rows == 0 {
		t.Errorf("%d datagrams gave %d rows: that was no flood", cost.Sent, cost.Rows)
	}
}

// While the store stands still, memory and disk for rows become full under a flood. The counters balance, and what is
// lost is the flood's: of the router at most what waited before rows were set apart.
func TestRun_nothingGetsAway(t *testing.T) {
	config := filepath.Join(t.TempDir(), "collector.yml")
	text := "batch: {queue_bytes: 16MiB}\nspool: {max_bytes: 128MiB}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cost := runs(t, named(t, "rows-36"), Options{
		For: 20 * time.Second, StoreAway: 25 * time.Second, Quiet: time.Second, Settle: 2 * time.Minute, Config: config,
	})
	if cost.LostRows == 0 {
		t.Error("no row was lost: there was room for all")
	}
	missing := cost.RouterSent - min(cost.RouterRows+cost.KernelDrops*flowsAtOnce, cost.RouterSent)
	if cost.RouterRows > cost.RouterSent || missing > cost.RouterSent/4 || cost.Rows == 0 {
		t.Errorf("%d of the router's %d flows are rows, and %d of the flood", cost.RouterRows, cost.RouterSent,
			cost.Rows)
	}
}

func named(t *testing.T, names ...string) (kinds []hostile.Kind) {
	t.Helper()
	for _, name := range names {
		k, ok := hostile.Named(name)
		if !ok {
			t.Fatalf("%s is no kind of flood", name)
		}
		kinds = append(kinds, k)
	}
	return kinds
}

// runs floods a collector that is built for it. Its counters balance.
func runs(t *testing.T, kinds []hostile.Kind, o Options) *Cost {
	t.Helper()
	if o.Engine = storetest.Engine(); o.Engine == "" {
		t.Skip("no ClickHouse engine: run `make engine`, or set STORE_ENGINE to a libchdb.so")
	}
	dir := t.TempDir()
	o.Collector, o.Dir = filepath.Join(dir, "collector"), filepath.Join(dir, "run")
	if out, err := exec.Command("go", "build", "-o", o.Collector, "../../collector").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cost, err := Run(t.Context(), kinds, o)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(cost)
	t.Logf("%s", text)
	if cost.Unbalanced != "" {
		t.Error(cost.Unbalanced)
	}
	return cost
}
