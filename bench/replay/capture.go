// Package replay sends the datagrams of a capture to a collector: at a rate or flat out, from the address of each
// exporter, once or over and over as if the exporters had never stopped.
package replay

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/decoder/exporter"
)

// Capture is the datagrams of capture files, in memory.
type Capture struct {
	datagrams []datagram
	sources   []netip.AddrPort // of the exporters, by datagram.source
	known     map[netip.AddrPort]int
	parser    parser
	flows     int
	bytes     int
	skipped   int
	began     *int64 // seconds by which a rewritten replay moves it; nil: it was not replayed
}

// datagram is one of a capture, and what rewriting it needs.
type datagram struct {
	payload []byte
	source  int
	at      int64 // Unix milliseconds, of the capture
	flows   int   // flow records, or flow samples of sFlow
	numbering
}

// NewCapture returns a capture without datagrams.
func NewCapture() *Capture {
	return &Capture{known: map[netip.AddrPort]int{}, parser: newParser()}
}

// Load reads capture files, one after the other. The error names the file.
func Load(paths ...string) (*Capture, error) {
	c := NewCapture()
	for _, path := range paths {
		r, err := capture.Open(path)
		if err != nil {
			return nil, err
		}
		err = c.read(r)
		if err = errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
	}
	if len(c.datagrams) == 0 {
		return nil, fmt.Errorf("no datagrams of NetFlow, IPFIX or sFlow in %v", paths)
	}
	return c, nil
}

func (c *Capture) read(r *capture.Reader) error {
	for {
		d, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		c.Add(d)
	}
}

// Add appends a datagram, whose payload is copied. One of no export protocol is left out.
func (c *Capture) Add(d exporter.Datagram) {
	source, found := c.known[d.Source]
	if !found {
		source = len(c.sources)
	}
	numbering, flows, ok := c.parser.parse(d.Payload, d.Source.Addr())
	if !ok || d.Truncated {
		c.skipped++
		return
	}
	if !found {
		c.sources, c.known[d.Source] = append(c.sources, d.Source), source
	}
	c.datagrams = append(c.datagrams, datagram{
		payload: append([]byte(nil), d.Payload...), source: source, at: d.Received / 1e6, flows: flows,
		numbering: numbering,
	})
	c.flows += flows
	c.bytes += len(d.Payload)
}

// Datagrams returns how many there are.
func (c *Capture) Datagrams() int { return len(c.datagrams) }

// Flows returns how many flow records, or flow samples of sFlow, they hold; those without a template are not counted.
func (c *Capture) Flows() int { return c.flows }

// Exporters returns how many addresses and ports they come from.
func (c *Capture) Exporters() int { return len(c.sources) }

// Skipped returns how many datagrams were of no export protocol, or not whole.
func (c *Capture) Skipped() int { return c.skipped }

// Each hands every datagram to use, as a listener would have received it. Payloads stay valid until the capture is
// replayed.
func (c *Capture) Each(use func(exporter.Datagram)) {
	for i := range c.datagrams {
		d := &c.datagrams[i]
		use(exporter.Datagram{Payload: d.payload, Source: c.sources[d.source], Received: d.at * 1e6})
	}
}
