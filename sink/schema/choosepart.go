package schema

import (
	"cmp"
	"slices"
	"time"
)

// Part is a table with the ranges of start_time that it answers, each without its end.
type Part struct {
	Source
	Ranges [][2]time.Time
}

// Parts divides the range of a choice among the tables of its rollup, for one sum over the whole range: whole days from
// the table of days, what is left before and after from that of hours, and so on down to the chosen table. A table that
// does not have all rows of its part is left out. Without a range, and for data_flow, it is the choice itself.
func (c *Choice) Parts(sources []Source, now time.Time) []Part {
	parts := []Part{{c.Source, [][2]time.Time{{c.From, c.To}}}}
	if c.Step == 0 || c.From.IsZero() || c.To.IsZero() {
		return parts
	}
	from, to := c.From, c.To
	for _, wider := range c.wider(sources) {
		begin, end := from.Add(wider.Step-1).Truncate(wider.Step), to.Truncate(wider.Step)
		if !begin.Before(end) || wider.begin(now).After(begin) {
			continue
		}
		finer := &parts[len(parts)-1]
		finer.Ranges = nil
		for _, r := range [][2]time.Time{{from, begin}, {end, to}} {
			if r[0].Before(r[1]) {
				finer.Ranges = append(finer.Ranges, r)
			}
		}
		parts = append(parts, Part{wider, [][2]time.Time{{begin, end}}})
		from, to = begin, end
	}
	return slices.DeleteFunc(parts, func(p Part) bool { return len(p.Ranges) == 0 })
}

// wider returns the tables of the choice's rollup with wider steps, the finest first.
func (c *Choice) wider(sources []Source) []Source {
	var all []Source
	for _, s := range sources {
		if c.Set != "" && s.Set == c.Set && s.Step > c.Step {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Source) int { return cmp.Compare(a.Step, b.Step) })
	return all
}
