package tally

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Counter builds the tally of the current block in memory that it reuses. The zero value is empty. It belongs to one
// goroutine.
type Counter struct {
	streams []flow.StreamKey
	runs    []Run
	index   map[flow.StreamKey]uint32 // index in streams
	latest  flow.StreamKey
	view    Tally
}

// Add counts the next row. Rows of one datagram are consecutive, so mostly it costs one comparison.
func (c *Counter) Add(key flow.StreamKey) {
	if n := len(c.runs); n > 0 && key == c.latest {
		c.runs[n-1].Rows++
		return
	}
	c.begin(key)
}

// begin begins a run.
func (c *Counter) begin(key flow.StreamKey) {
	at, found := c.index[key]
	if !found {
		if c.index == nil {
			c.index = map[flow.StreamKey]uint32{}
		}
		at = uint32(len(c.streams))
		c.streams = append(c.streams, key)
		c.index[key] = at
	}
	c.runs = append(c.runs, Run{at, 1})
	c.latest = key
}

// Take returns the tally in memory of its own, and resets the counter.
func (c *Counter) Take() *Tally {
	t := &Tally{Streams: slices.Clone(c.streams), Runs: slices.Clone(c.runs)}
	c.Reset()
	return t
}

// View returns the tally in the Counter's memory: it is valid until Reset.
func (c *Counter) View() *Tally {
	c.view = Tally{Streams: c.streams, Runs: c.runs}
	return &c.view
}

// Reset empties the counter.
func (c *Counter) Reset() {
	c.streams, c.runs = c.streams[:0], c.runs[:0]
	clear(c.index)
}
