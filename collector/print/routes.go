package print

import (
	"strconv"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
)

// Find calls use with the routes of a record.
type Find func(r *flow.Record, use func(*enrich.Found))

// appendRoutes adds to a record's line what its routes say: of the destination without a prefix, where the exporter has
// not said it itself, of the source with "src_".
func appendRoutes(line []byte, r *flow.Record, f *enrich.Found) []byte {
	o := object{line[:len(line)-len("}\n")]}
	if f.HasDst {
		o.route("", &f.Dst, r.Sent(flow.ASPath|flow.Communities))
		o.text("dst_prefix", f.Dst.Prefix().String())
		o.text("route_router", f.Dst.Table().Router.Name)
	}
	if f.HasSrc {
		o.route("src_", &f.Src, false)
		o.text("src_prefix", f.Src.Prefix().String())
	}
	return append(o.b, '}', '\n')
}

func (o *object) route(prefix string, x *rib.Route, sent bool) {
	number := func(b []byte, n uint32) []byte { return strconv.AppendUint(b, uint64(n), 10) }
	if !sent {
		as, runs := x.Path()
		var path []uint32
		for i, n := range as {
			for range runs[i] {
				path = append(path, n)
			}
		}
		standard, _, _ := x.Communities()
		o.key(prefix + "as_path")
		o.b = appendList(o.b, path, number)
		o.key(prefix + "communities")
		o.b = appendList(o.b, standard, func(b []byte, c uint32) []byte {
			return append(route.AppendCommunity(append(b, '"'), c), '"')
		})
		if n, has := x.LocalPref(); has {
			o.number(prefix+"local_pref", uint64(n))
		}
		if n, has := x.MED(); has {
			o.number(prefix+"med", uint64(n))
		}
	}
	_, extended, large := x.Communities()
	if len(extended) > 0 {
		o.key(prefix + "ext_communities")
		o.b = appendList(o.b, extended, func(b []byte, c uint64) []byte {
			return append(route.AppendExtended(append(b, '"'), c), '"')
		})
	}
	if len(large) > 0 {
		o.key(prefix + "large_communities")
		o.b = appendList(o.b, large, func(b []byte, c route.Large) []byte {
			return append(route.AppendLarge(append(b, '"'), c), '"')
		})
	}
	if next := x.NextHop(); !next.IsUnspecified() {
		o.addr(prefix+"route_next_hop", next)
	}
}
