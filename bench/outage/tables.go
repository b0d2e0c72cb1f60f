package outage

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/collector/web"
)

const edgeInterface, coreInterface = 11, 12

// writeMetadata writes devices with an interface at the edge and one that is not, so that every view has every row.
func writeMetadata(dir string) error {
	var devices, interfaces strings.Builder
	devices.WriteString("table: meta_device\ndata:\n")
	interfaces.WriteString("table: meta_interface\ndata:\n")
	for n := range exporters {
		fmt.Fprintf(&devices, "  - {id: r%d, type: router, loopback_ip: [%q]}\n", n, exporterAddress(n))
		for index, edge := range map[int]bool{edgeInterface: true, coreInterface: false} {
			fmt.Fprintf(&interfaces,
				"  - {id: \"r%d::%d\", type: physical, device_id: r%d, name: \"%d\", flow_index: %d, edge: %v}\n", n,
				index, n, index, index, edge)
		}
	}
	for name, text := range map[string]string{"meta_device.yml": devices.String(),
		"meta_interface.yml": interfaces.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// awaitTables waits until the tables are made and the collector enriches flows with the metadata. Views would lack
// flows that come before: theirs are of interfaces at the edge.
func (r *run) awaitTables(ctx context.Context) error {
	loaded := fmt.Sprintf("metadata_records{kind=\"interface\"} %d\n", 2*exporters)
	for deadline := time.Now().Add(3 * time.Minute); ; {
		n, err := r.tables.Numbers(ctx, "SELECT count() FROM meta_interface")
		if err == nil && n[0] >= 2*exporters {
			text, err := web.Get(ctx, "http://"+r.page, "/metrics")
			if err == nil && strings.Contains(string(text), loaded) {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the tables or the metadata are not there: see %s",
				filepath.Join(r.o.Dir, "collector.log"))
		}
		if err := measure.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// settle waits until no row has come for so long, or all are there, in the views too: one of them may have failed.
func (r *run) settle(ctx context.Context, quiet time.Duration) error {
	views, err := r.views(ctx)
	if err != nil {
		return err
	}
	last, changed := uint64(0), time.Now()
	for time.Since(changed) < quiet {
		rows, err := r.tables.Numbers(ctx, "SELECT count() FROM data_flow")
		if err != nil {
			return err
		}
		least, sum := rows[0], rows[0]
		for _, view := range views {
			flows, err := r.tables.Numbers(ctx, "SELECT sum(flow_count) FROM "+view)
			if err != nil {
				return err
			}
			least, sum = min(least, flows[0]), sum+flows[0]
		}
		if least >= r.sender.sent()-flowsPerDatagram*r.drops {
			return measure.Pause(ctx, 3*time.Second) // what comes twice would come now
		}
		if sum != last {
			last, changed = sum, time.Now()
		}
		r.peak = max(r.peak, measure.Resident(r.collector.PID()))
		if err := measure.Pause(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// views are the names of the views' tables; there is one at least. Those by community are left out: they count a flow
// at each of its communities, and the flows have none.
func (r *run) views(ctx context.Context) ([]string, error) {
	lines, err := r.tables.Ask(ctx,
		"SELECT name FROM system.tables WHERE database = currentDatabase() AND (name LIKE 'data_flow_by_%' OR name "+
			"LIKE 'rollup_%') AND name NOT LIKE 'rollup_community_%' AND engine LIKE '%MergeTree' ORDER BY name")
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("no view was found")
	}
	names := make([]string, len(lines))
	for i, line := range lines {
		names[i] = line[0]
	}
	return names, err
}

// count reads off the tables what arrived.
func (r *run) count(ctx context.Context, result *Result) error {
	result.Sent, result.KernelDrops = r.sender.sent(), r.drops
	result.Cuts, result.PeakBytes = r.proxy.cuts.Load(), r.peak
	rows, err := r.tables.Numbers(ctx,
		"SELECT count(), sum(bit_count), sum(packet_count), count() - uniqExact(bit_count) FROM data_flow")
	if err != nil {
		return err
	}
	result.Rows, result.Twice = Sums{rows[0], rows[1], rows[2]}, rows[3]
	result.Views = map[string]Sums{}
	views, err := r.views(ctx)
	if err != nil {
		return err
	}
	for _, view := range views {
		sums, err := r.tables.Numbers(ctx, "SELECT sum(flow_count), sum(bit_count), sum(packet_count) FROM "+view)
		if err != nil {
			return err
		}
		result.Views[view] = Sums{sums[0], sums[1], sums[2]}
	}
	return nil
}
