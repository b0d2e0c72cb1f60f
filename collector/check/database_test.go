package check

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

// Two collectors that get the same export count it twice: check says so. Others share a device's export.
func TestCountedTwice(t *testing.T) {
	cfg := testkit.Config(t)
	o := setup.ClickHouse(cfg)
	conn, err := clickhouse.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	warning := func() string {
		c := &checker{cfg: cfg}
		c.countedTwice(t.Context(), conn)
		if len(c.all) == 0 {
			return ""
		}
		return c.all[0].Text
	}
	if said := warning(); said != "" {
		t.Errorf("without tables: %s", said)
	}
	if err := setup.MakeTables(t.Context(), conn, setup.Tables(cfg, o), zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	write := func(device, collector string, flows, minutes int) {
		testkit.Ask(t, cfg, fmt.Sprintf("INSERT INTO data_flow (start_time, device_id, collector_id) SELECT "+
			"now() - INTERVAL %d MINUTE, '%s', '%s' FROM numbers(%d)", minutes, device, collector, flows))
	}
	write("shared", "a", 700, 1)
	write("shared", "b", 300, 1)
	write("before", "a", 500, 30)
	write("before", "b", 500, 1)
	write("alone", "a", 500, 1)
	if said := warning(); said != "" {
		t.Errorf("of what is not counted twice: %s", said)
	}
	write("twice", "b", 1000, 1)
	write("twice", "a", 990, 1)
	if said := warning(); !strings.Contains(said, "1 device, such as twice: collectors a and b wrote") {
		t.Errorf("said %q", said)
	}
}
