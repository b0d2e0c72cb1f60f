package setup

import (
	"cmp"
	"net/netip"
	"strings"
	"sync"

	"github.com/gaissmai/bart"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
)

// Labels returns what finds the label of an exporter; nil if no exporter has one. It is safe for concurrent use.
func Labels(cfg *config.Config) func(flow.Addr) *enrich.Label {
	p := &cfg.Policy
	x := &p.Exporters
	if len(x.CollectorID)+len(x.Originator)+len(x.Level)+len(x.Scopes)+len(p.Labels) == 0 {
		return nil
	}
	ids, originators, levels, scopes := table(x.CollectorID), table(x.Originator), table(x.Level), table(x.Scopes)
	rules, usual := p.Labels, enrich.Origin{
		CollectorID: cmp.Or(cfg.CollectorID, "unknown"), PolicyOriginator: p.Originator, PolicyLevel: p.Level,
	}
	type key struct {
		enrich.Origin
		scopes    string
		hasScopes bool
	}
	var mu sync.Mutex
	known := map[key]*enrich.Label{} // as many as the configuration has combinations
	return func(exporter flow.Addr) *enrich.Label {
		addr := exporter.Netip()
		k := key{Origin: usual}
		k.CollectorID = cmp.Or(longest(ids, addr), config.LabelOf(rules, addr), k.CollectorID)
		k.PolicyOriginator = cmp.Or(longest(originators, addr), k.PolicyOriginator)
		k.PolicyLevel = cmp.Or(longest(levels, addr), k.PolicyLevel)
		k.scopes, k.hasScopes = scopes.Lookup(addr)
		if k == (key{Origin: usual}) {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		l := known[k]
		if l == nil {
			l = &enrich.Label{Origin: k.Origin}
			if k.hasScopes {
				l.Scopes = append([]string{}, strings.FieldsFunc(k.scopes, func(r rune) bool {
					return r == ' ' || r == ','
				})...)
			}
			known[k] = l
		}
		return l
	}
}

func table(of map[netip.Prefix]string) *bart.Table[string] {
	t := new(bart.Table[string])
	for prefix, text := range of {
		t.Insert(prefix, text)
	}
	return t
}

func longest(t *bart.Table[string], a netip.Addr) string {
	text, _ := t.Lookup(a)
	return text
}

// Ports returns the ports that rows keep; nil: all.
func Ports(cfg *config.Config) *enrich.PortSet {
	if cfg.Flow.PortsFile == "" {
		return nil
	}
	set := new(enrich.PortSet)
	for _, port := range cfg.Flow.Ports {
		set.Add(port)
	}
	return set
}
