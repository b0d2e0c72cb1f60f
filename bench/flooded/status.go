package flooded

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/web"
)

// status is what the collector's page says of it.
type status struct {
	Datagrams     uint64 `json:"datagrams"`
	Records       uint64 `json:"records"`
	Written       uint64 `json:"rows_written"`
	Waiting       uint64 `json:"rows_waiting"`
	Spooled       uint64 `json:"rows_spooled"`
	Lost          uint64 `json:"rows_lost"`
	KernelDrops   uint64 `json:"kernel_drops"`
	OverloadDrops uint64 `json:"overload_drops"`

	unreadable uint64 // datagrams of no protocol, which only the metrics have
}

// taken is how many datagrams were looked at.
func (s *status) taken() uint64 { return s.Datagrams + s.unreadable }

// report reads the page and the metrics. It returns the zero value if they do not answer.
func (r *run) report(ctx context.Context) status {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var all struct {
		Collector status `json:"collector"`
	}
	page, err := web.Get(ctx, "http://"+r.page, "/exporters.json")
	if err != nil || json.Unmarshal(page, &all) != nil {
		return status{}
	}
	metrics, err := web.Get(ctx, "http://"+r.page, "/metrics")
	if err != nil {
		return status{}
	}
	for line := range strings.Lines(string(metrics)) {
		if name, value, _ := strings.Cut(line, " "); strings.HasPrefix(name,
			"flow_collector_unattributed_datagrams_total") {
			n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
			all.Collector.unreadable += uint64(n)
		}
	}
	return all.Collector
}
