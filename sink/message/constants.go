package message

import "github.com/metranova/flow-collector/enrich"

// constants is the part of a message that says where the data comes from. It is the same in all messages, but for
// exporters with a label of their own.
type constants struct {
	layout Layout
	encode func([]byte, *Layout) []byte
	origin *enrich.Origin // the one that text is of
	text   []byte
}

func newConstants(l Layout, encode func([]byte, *Layout) []byte) constants {
	return constants{layout: l, encode: encode, text: encode(nil, &l)}
}

// of returns the part for a row. It is valid until the next call.
func (c *constants) of(r *enrich.Row) []byte {
	if r.Origin != c.origin {
		c.change(r.Origin)
	}
	return c.text
}

func (c *constants) change(o *enrich.Origin) {
	l := c.layout
	if o != nil {
		l.CollectorID, l.PolicyOriginator, l.PolicyLevel = o.CollectorID, o.PolicyOriginator, o.PolicyLevel
	}
	c.origin, c.text = o, c.encode(c.text[:0], &l)
}
