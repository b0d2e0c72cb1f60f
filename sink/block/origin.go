package block

import "github.com/metranova/flow-collector/enrich"

// origins are the columns that say where the data comes from. They are the same in all rows, but for exporters with a
// label of their own.
type origins struct {
	last *enrich.Origin // of the latest row; nil: the usual

	collectorID, policyOriginator, policyLevel steps
}

// usual sets the values of rows without an origin of their own.
func (o *origins) usual(l *Layout) {
	o.collectorID.usual, o.policyOriginator.usual, o.policyLevel.usual = l.CollectorID, l.PolicyOriginator,
		l.PolicyLevel
}

// change sets the values from a row on.
func (o *origins) change(row int, to *enrich.Origin) {
	o.last = to
	if to == nil {
		to = &enrich.Origin{CollectorID: o.collectorID.usual, PolicyOriginator: o.policyOriginator.usual,
			PolicyLevel: o.policyLevel.usual}
	}
	o.collectorID.change(row, to.CollectorID)
	o.policyOriginator.change(row, to.PolicyOriginator)
	o.policyLevel.change(row, to.PolicyLevel)
}

// steps is a LowCardinality(String) column whose value changes seldom: it keeps the changes, not the rows.
type steps struct {
	usual   string // of the rows before the first change
	keys    dictionary
	from    []int    // the rows from which another value holds
	indexes []uint32 // and the indexes of these values
	rows    []uint32 // the index of each row, for encode
}

func (c *steps) change(row int, value string) {
	if len(c.from) == 0 {
		c.keys.reset()
		if row > 0 {
			c.from, c.indexes = append(c.from, 0), append(c.indexes, c.keys.index(c.usual))
		}
	}
	c.from, c.indexes = append(c.from, row), append(c.indexes, c.keys.index(value))
}

func (c *steps) prefix(dst []byte) []byte { return constant("").prefix(dst) }

func (c *steps) encode(out *output, rows int) {
	if len(c.from) == 0 {
		constant(c.usual).encode(out, rows)
		return
	}
	c.rows = c.rows[:0]
	for i, index := range c.indexes {
		end := rows
		if i+1 < len(c.from) {
			end = c.from[i+1]
		}
		for len(c.rows) < end {
			c.rows = append(c.rows, index)
		}
	}
	c.keys.encode(out, c.rows, rows)
}

func (c *steps) reset() { c.from, c.indexes = c.from[:0], c.indexes[:0] }
