// Package plan estimates how many collectors, shards, cores and disks a rate of flows needs, from costs that were
// measured on one machine.
package plan

import (
	"fmt"
	"math"
	"time"
)

// Figure is a measured or assumed number: what it is of, and where it comes from.
type Figure struct {
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Of    string  `json:"of"`
	From  string  `json:"from"`
}

// Costs are the costs of one flow, from which a plan is computed. Times are processor time. Each figure has its unit.
type Costs struct {
	Collect  Figure // time of the collector, from the datagram to the encoded block
	Insert   Figure // time of the server to insert a row, with the three rollups of the reference
	Merge    Figure // time of the server to merge a row once
	Merges   Figure // number of times that a row is merged
	Rollups  Figure // time of the server for all further rollups, inserting and merging
	Row      Figure // bytes on disk, merged
	Fresh    Figure // bytes on disk, not merged yet
	Summed   Figure // bytes on disk in rollups
	Datagram Figure // bytes on the wire
	Read     Figure // time of a query that reads two columns of a row
}

// Measured returns the figures of bench/README.md and sink/README.md, measured on two cores of an AMD EPYC that other
// work shared.
func Measured() Costs {
	return Costs{
		Collect: Figure{0.94, "µs", "a flow in the collector, NetFlow v9 of 20 fields, enriched and encoded",
			"bench compare --only store --rate 500000 --duration 60s"},
		Insert: Figure{1.73, "µs", "a row to insert, in data_flow and three rollups",
			"the same run: 2.67 µs less 0.94"},
		Merge:  Figure{4.0, "µs", "a row and merge", "bench store, by the processor time of the store"},
		Merges: Figure{2.5, "", "merges of a row in its life", "min_parts_to_merge_at_once = 32: two or three"},
		Rollups: Figure{20, "µs", "a row in all rollups of flow.rollups, inserted and merged",
			"sum of the table in sink/README.md; four of twelve are estimates"},
		Row:   Figure{22, "B", "a row of data_flow, merged", "bench store"},
		Fresh: Figure{40, "B", "a row of data_flow, not merged", "bench store"},
		Summed: Figure{10, "B", "rollups for each flow, all of them",
			"an assumption for 10,000 flows/s and more: one row of 30 bytes for three flows, over all steps and " +
				"sets; bench query at 37 flows/s: 45"},
		Datagram: Figure{69, "B", "a flow on the wire, with its share of the headers", "bench gen --protocol v9"},
		Read:     Figure{10, "ns", "a row and two columns in a query", "sink/README.md"},
	}
}

// Options say what to plan for. A zero value means the default.
type Options struct {
	Flows    float64 // flows per second, the mean of a day
	Peak     float64 // rate in the busiest minutes, as a multiple of the mean; 0: 2
	Days     float64 // how long rows are kept; 0: 30
	Replicas int     // replicas of each shard; 0: 1
	Cores    int     // cores of each machine; 0: 16
	DiskTB   float64 // disk of each machine, in units of 10^12 bytes; 0: 30
	Rollups  bool    // whether all rollups of flow.rollups are on
	Busy     float64 // share of the processors that may be used at the peak; 0: 0.6
	Costs    Costs
}

func (o Options) withDefaults() Options {
	set := func(to *float64, value float64) {
		if *to == 0 {
			*to = value
		}
	}
	set(&o.Peak, 2)
	set(&o.Days, 30)
	set(&o.DiskTB, 30)
	set(&o.Busy, 0.6)
	o.Replicas, o.Cores = max(o.Replicas, 1), max(o.Cores, 0)
	if o.Cores == 0 {
		o.Cores = 16
	}
	if o.Costs == (Costs{}) {
		o.Costs = Measured()
	}
	return o
}

// Plan is the estimate for a rate of flows.
type Plan struct {
	Flows          float64 `json:"flows"`
	CollectorCores float64 `json:"collector_cores"` // cores in use at the peak
	Collectors     int     `json:"collectors"`      // number of machines
	StoreCores     float64 `json:"store_cores"`     // mean number of cores in use, one replica of all shards
	Shards         int     `json:"shards"`
	Servers        int     `json:"servers"` // shards times replicas
	// Bound is what limits a shard, and so decides on the number of shards: "processors" or "disk".
	Bound string `json:"bound"`
	// DiskTB is the disk that is needed for all rows, with the free part that merging needs. DayTB is what the rows of
	// a day take. Both are for one replica of all shards, in units of 10^12 bytes.
	DiskTB      float64 `json:"disk_tb"`
	DayTB       float64 `json:"day_tb"`
	WriteMBps   float64 `json:"write_mb_per_second"` // what one server writes to its disk
	NetworkGbps float64 `json:"network_gbit_per_second"`
	// BatchRows is the value of batch.rows with which a shard receives four inserts a second.
	BatchRows int `json:"batch_rows"`
	// DayQuery is how long a query that reads all rows of a day takes, with all shards working in parallel.
	DayQuery time.Duration `json:"day_query_ns"`
	// Together says that the collector and the store fit on one machine.
	Together bool     `json:"one_machine"`
	Advice   []string `json:"advice,omitempty"`
}

const (
	million = 1e6
	daySecs = 86_400.0
	// insertsASecond is how many inserts a shard takes without getting too many parts: each makes one in every table.
	insertsASecond = 4
	leastBatch     = 50_000
	// diskFull is the share of a disk that rows may fill; merging needs the rest.
	diskFull = 0.8
	// spread is the number of shards from which on a collector should write to one shard only.
	spread = 4
)

// storeCost returns the processor time that one replica needs for a row, in µs.
func (o *Options) storeCost() float64 {
	c := o.Costs
	cost := c.Insert.Value + c.Merge.Value*c.Merges.Value
	if o.Rollups {
		cost += c.Rollups.Value
	}
	return cost
}

// For returns the plan. Inserting has to keep up with the peak. Merging may fall behind and catch up later.
func For(o Options) Plan {
	o = o.withDefaults()
	c := o.Costs
	p := Plan{Flows: o.Flows, NetworkGbps: o.Flows * o.Peak * c.Datagram.Value * 8 / 1e9}
	p.CollectorCores = o.Flows * o.Peak * c.Collect.Value / million
	p.StoreCores = o.Flows * o.storeCost() / million
	// The store needs cores for all its work at the mean rate, and for inserting alone at the peak.
	needed := max(p.StoreCores, o.Flows*o.Peak*c.Insert.Value/million) / o.Busy
	bytes := c.Row.Value
	if o.Rollups {
		bytes += c.Summed.Value
	}
	p.DayTB = o.Flows * daySecs * bytes / 1e12
	p.DiskTB = p.DayTB * o.Days / diskFull
	cores := float64(o.Cores)
	if collectors := p.CollectorCores / o.Busy; collectors+needed <= cores && p.DiskTB <= o.DiskTB {
		p.Together, p.Collectors, p.Shards, p.Servers, p.Bound = true, 1, 1, o.Replicas, "processors"
	} else {
		p.Collectors = int(math.Ceil(collectors / cores))
		byCores, byDisk := int(math.Ceil(needed/cores)), int(math.Ceil(p.DiskTB/o.DiskTB))
		p.Shards, p.Bound = byCores, "processors"
		if byDisk > byCores {
			p.Shards, p.Bound = byDisk, "disk"
		}
		p.Servers = p.Shards * o.Replicas
	}
	shard := o.Flows / float64(p.Shards)
	p.WriteMBps = shard * (c.Fresh.Value + c.Row.Value*(c.Merges.Value-1)) / 1e6
	p.BatchRows = max(leastBatch, int(math.Ceil(shard*o.Peak/insertsASecond/10_000))*10_000)
	p.DayQuery = time.Duration(o.Flows * daySecs * c.Read.Value / (cores * float64(p.Shards)))
	p.Advice = o.advice(&p)
	return p
}

func (o *Options) advice(p *Plan) []string {
	var all []string
	if p.Collectors > 1 {
		all = append(all,
			fmt.Sprintf("divide the exporters among %d collectors: all flows of one exporter go to one of "+
				"them", p.Collectors))
	}
	if p.Shards >= spread {
		all = append(all,
			"have each collector write to one shard (clickhouse.host is a server of that shard) and read "+
				"through a Distributed table: a block that is spread over all shards is a part of a few rows on each")
	}
	if p.DayQuery > 10*time.Second && !o.Rollups {
		all = append(all, "turn rollups on: a query of all rows of a day takes too long to wait for")
	}
	if p.Servers > 50 {
		all = append(all,
			"sample more: ten times fewer flows take a tenth of all this, and sums stay what they are, with a "+
				"wider error")
	}
	return all
}

// Assumptions returns what the estimate assumes in addition to the figures, one sentence each.
func (o Options) Assumptions() []string {
	o = o.withDefaults()
	return []string{
		"a collector takes twice as many flows with twice as many cores: 1.96 times was measured with two workers",
		"a server of ClickHouse does, too; shards share nothing",
		"each replica does all the inserting and merging: a replica that fetches merged parts does less",
		fmt.Sprintf("the busiest minutes have %g times the mean; at them processors are busy to %.0f %%", o.Peak,
			100*o.Busy),
		"merging may lag at the peak and is done in the hours after it",
		fmt.Sprintf("disks are filled to %.0f %%", 100*diskFull),
	}
}

// List returns all figures.
func (c Costs) List() []Figure {
	return []Figure{c.Collect, c.Insert, c.Merge, c.Merges, c.Rollups, c.Row, c.Fresh, c.Summed, c.Datagram, c.Read}
}
