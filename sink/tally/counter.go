package tally

import (
	"slices"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Counter makes the tally of the block in hand, in memory that it reuses. The zero value is empty. It belongs to one
// goroutine.
type Counter struct {
	streams []flow.StreamKey
	runs    []Run
	places  map[flow.StreamKey]uint32 // in streams
	latest  flow.StreamKey
	view    Tally
}

// Add counts the next row. Rows of one datagram come together, so it is a comparison mostly.
func (c *Counter) Add(key flow.StreamKey) {
	if n := len(c.runs); n > 0 && key == c.latest {
		c.runs[n-1].Rows++
		return
	}
	c.begin(key)
}

// begin begins a run.
func (c *Counter) begin(key flow.StreamKey) {
	place, found := c.places[key]
	if !found {
		if c.places == nil {
			c.places = map[flow.StreamKey]uint32{}
		}
		place = uint32(len(c.streams))
		c.streams = append(c.streams, key)
		c.places[key] = place
	}
	c.runs = append(c.runs, Run{place, 1})
	c.latest = key
}

// Take returns the tally of what was counted, in memory of its own, and begins anew.
func (c *Counter) Take() *Tally {
	t := &Tally{Streams: slices.Clone(c.streams), Runs: slices.Clone(c.runs)}
	c.Reset()
	return t
}

// View returns the tally of what was counted, in the Counter's own memory: it is valid until Reset.
func (c *Counter) View() *Tally {
	c.view = Tally{Streams: c.streams, Runs: c.runs}
	return &c.view
}

// Reset begins anew.
func (c *Counter) Reset() {
	c.streams, c.runs = c.streams[:0], c.runs[:0]
	clear(c.places)
}
