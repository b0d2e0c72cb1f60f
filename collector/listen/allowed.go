package listen

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/sflow"
)

// allowed says who may send. It is immutable.
type allowed struct {
	sources, agents *bart.Lite // nil: all
}

func tableOf(prefixes []netip.Prefix) *bart.Lite {
	if len(prefixes) == 0 {
		return nil
	}
	table := new(bart.Lite)
	for _, prefix := range prefixes {
		table.Insert(prefix)
	}
	return table
}

// refuses reports whether a datagram is not taken, and for whose sake: its source, or the sFlow agent that it states.
func (a *allowed) refuses(d *exporter.Datagram) (who netip.Addr, no bool) {
	source := d.Source.Addr()
	if a.sources != nil && !a.sources.Contains(source) {
		return source, true
	}
	if a.agents == nil {
		return source, false
	}
	agent, ok := sflow.AgentOf(d.Payload)
	if !ok || agent == source || a.agents.Contains(agent) {
		return source, false
	}
	return agent, true
}
