package outage

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/metranova/flow-collector/bench/scratch"
)

// startStore runs the store on its directory.
func (r *run) startStore() error {
	cmd := exec.Command(r.o.Collector, "store", "-path", r.storeDir, "-listen", r.storeAddr, "-engine", r.o.Engine)
	store, err := scratch.Start("store", filepath.Join(r.o.Dir, "store.log"), cmd)
	if err != nil {
		return err
	}
	r.store = store
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if conn, err := net.DialTimeout("tcp", r.storeAddr, time.Second); err == nil {
			return conn.Close()
		}
		select {
		case <-store.Ended():
			return fmt.Errorf("the store ended at once: see %s", filepath.Join(r.o.Dir, "store.log"))
		default:
		}
	}
	return fmt.Errorf("the store does not answer at %s", r.storeAddr)
}

// startCollector runs the collector and waits until it listens.
func (r *run) startCollector(ctx context.Context) error {
	host, port, err := net.SplitHostPort(r.proxy.addr)
	if err != nil {
		return err
	}
	file := filepath.Join(r.o.Dir, "collector.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "flow: {rollups: [%s]}\n", strings.Join(r.o.Rollups, ", ")),
		0o600); err != nil {
		return err
	}
	cmd := exec.Command(r.o.Collector, "run", "--config", file)
	cmd.Env = append(os.Environ(),
		"CLICKHOUSE_HOST="+host, "CLICKHOUSE_PORT="+port, "LISTEN="+r.listen.String(), "HTTP_LISTEN="+r.page,
		"METADATA_DIR="+filepath.Join(r.o.Dir, "conf"), "CACHE_DIR="+filepath.Join(r.o.Dir, "caches"),
		"SPOOL_PATH="+filepath.Join(r.o.Dir, "spool"), "QUARANTINE_PATH="+filepath.Join(r.o.Dir, "quarantine"),
		"COLLECTOR_ID=outage")
	if r.collector, err = scratch.Start("collector", filepath.Join(r.o.Dir, "collector.log"), cmd); err != nil {
		return err
	}
	return r.collector.Await(ctx, "listening", time.Minute)
}
