package native_test

import (
	"slices"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/block"
)

// encoded are the rows as a block.
func encoded(l block.Layout, rows []enrich.Row) []byte {
	b := block.New(l)
	for i := range rows {
		b.Append(&rows[i])
	}
	return b.Encode(nil)
}

func allExtensions() []string { return []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"} }

func layout(extensions, ipRefs []string) block.Layout {
	return block.Layout{
		CollectorID: "collector-1", PolicyOriginator: "example", PolicyLevel: "tlp:green",
		Extensions: extensions, IPRefExtensions: ipRefs,
	}
}

// layouts are those of every subset of the flow extensions, every other one with an IP reference extension.
func layouts() (list []block.Layout) {
	for bits := range 1 << len(allExtensions()) {
		extensions := slices.Clone(allExtensions())
		for i := len(extensions) - 1; i >= 0; i-- {
			if bits>>i&1 == 0 {
				extensions = slices.Delete(extensions, i, i+1)
			}
		}
		var ipRefs []string
		if len(extensions)%2 == 0 {
			ipRefs = []string{"scireg"}
		}
		list = append(list, layout(extensions, ipRefs))
	}
	return list
}
