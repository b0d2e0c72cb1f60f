package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/metranova/flow-collector/collector/testkit"
)

// Two collectors that get the same export count it twice: check says so. Others share a device's export.
func TestCountedTwice(t *testing.T) {
	cfg := testkit.Config(t)
	conn := testkit.Connect(t, cfg)
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
	testkit.MakeTables(t, cfg, conn)
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
