package compare

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
)

// Row is a collector at a rate: medians of its runs.
type Row struct {
	Name     string  `json:"name"`
	Includes string  `json:"includes"`
	Asked    float64 `json:"rate"` // flows a second
	Median   Run     `json:"median"`
	Runs     []Run   `json:"runs"`
	Failed   string  `json:"failed,omitempty"` // why there is no run
}

// All runs every contender that reads the protocol. They take turns, so that other load of this host affects all of
// them. A failure is in the contender's row.
func All(ctx context.Context, contenders []Contender, o Options) ([]Row, error) {
	if err := measure.Stay(o.SenderCore); err != nil {
		return nil, err
	}
	var rows []Row
	for _, rate := range o.Rates {
		for range contenders {
			rows = append(rows, Row{Asked: rate})
		}
	}
	for n := range o.Runs {
		for i := range rows {
			row, c := &rows[i], &contenders[i%len(contenders)]
			row.Name, row.Includes = c.Name, c.Includes
			if row.Failed != "" {
				continue
			}
			o.say(fmt.Sprintf("run %d of %d, %.0f flows/s: %s", n+1, o.Runs, row.Asked, c.Name))
			r, err := o.run(ctx, c, row.Asked)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				row.Failed = err.Error()
				continue
			}
			row.Runs = append(row.Runs, r)
		}
	}
	for i := range rows {
		rows[i].median()
	}
	return rows, nil
}

func (o *Options) say(what string) {
	if o.Log != nil {
		o.Log(what)
	}
}

// Taking returns the contenders that read the protocol and are installed, and why each other one is left out.
func Taking(all []Contender, o Options) (list []Contender, missing []string) {
	for i := range all {
		c := &all[i]
		if !c.takes(o.Protocol) {
			continue
		}
		if why := c.Missing(); why != "" {
			if why = c.Name + ": " + why; !slices.Contains(missing, why) {
				missing = append(missing, why)
			}
			continue
		}
		list = append(list, *c)
	}
	return list, missing
}

func (r *Row) median() {
	if len(r.Runs) == 0 {
		return
	}
	r.Median = Run{
		Sent:      medianOf(r.Runs, func(r Run) int { return r.Sent }),
		Flows:     medianOf(r.Runs, func(r Run) int { return r.Flows }),
		Drops:     medianOf(r.Runs, func(r Run) uint64 { return r.Drops }),
		CPU:       medianOf(r.Runs, func(r Run) time.Duration { return r.CPU }),
		Peak:      medianOf(r.Runs, func(r Run) int64 { return r.Peak }),
		Records:   medianOf(r.Runs, func(r Run) uint64 { return r.Records }),
		Rate:      medianOf(r.Runs, func(r Run) float64 { return r.Rate }),
		PerFlow:   medianOf(r.Runs, func(r Run) float64 { return r.PerFlow }),
		LostShare: medianOf(r.Runs, func(r Run) float64 { return r.LostShare }),
		Merging:   medianOf(r.Runs, func(r Run) time.Duration { return r.Merging }),
		First:     medianOf(r.Runs, func(r Run) time.Duration { return r.First }),
		PeakFirst: medianOf(r.Runs, func(r Run) int64 { return r.PeakFirst }),
	}
}

func medianOf[T cmp.Ordered](runs []Run, value func(Run) T) T {
	values := make([]T, len(runs))
	for i := range runs {
		values[i] = value(runs[i])
	}
	slices.Sort(values)
	return values[len(values)/2]
}
