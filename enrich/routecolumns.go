package enrich

import (
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich/rib"
)

// RouteColumns are what rows say of routes besides the columns that flow records can fill too: the groups bgp_src and
// bgp_meta. Slices are valid until the Enricher's End. The zero value has nothing.
type RouteColumns struct {
	// Of the route to the source.
	HasSrc          bool
	SrcNames        bool // as Row.CommunityNames
	HasSrcLocalPref bool
	HasSrcMED       bool
	SrcLocalPref    uint32
	SrcMED          uint32
	Src             *rib.Route
	SrcPath         []uint32 // without repetitions
	SrcPadding      []uint16 // how often each AS of SrcPath stands in a row
	SrcCommunities  []uint32
	SrcExtended     []uint64
	SrcLarge        []route.Large
	// PeerAS is the AS from which the flow came: the record's, else the first AS of the route's path.
	PeerAS uint32

	Source   string // exporter, bgp, bmp, mrt, stale or fallback; "": nothing is known of BGP
	Router   string // name
	From, To route.Prefix
	HasFrom  bool
	HasTo    bool
	// SrcNet and DstNet are the prefixes of both ends as pmacct has them: those of the routes, or for ASAuto those of
	// the record's masks where these are longer, or for ASRecord always. The zero value: not known.
	SrcNet, DstNet route.Prefix
}

// The values of RouteColumns.Source.
const (
	sourceExporter = "exporter"
	sourceBGP      = "bgp"
	sourceBMP      = "bmp"
	sourceMRT      = "mrt"
	sourceStale    = "stale"
	sourceFallback = "fallback"
)

// The ranks of sources in the routing table: 0 is a BGP session, then come the views of BMP, then files.
const firstView, firstFile = 1, 6

func sourceOfRank(rank uint8) string {
	switch {
	case rank >= firstFile:
		return sourceMRT
	case rank >= firstView:
		return sourceBMP
	}
	return sourceBGP
}

// columns fills in the groups that are wanted.
func (x *routes) columns(r *flow.Record, c *RouteColumns) {
	if !x.Source && !x.Meta {
		return
	}
	*c = RouteColumns{}
	if x.Source {
		x.sourceColumns(r, c)
	}
	if x.Meta {
		x.metaColumns(r, c)
	}
}

func (x *routes) sourceColumns(r *flow.Record, c *RouteColumns) {
	c.PeerAS = r.PeerSrcAS
	if !x.srcFound {
		return
	}
	s := &x.src
	c.Src, c.HasSrc, c.SrcNames = s, true, x.CommunityNames
	c.SrcPath, c.SrcPadding = s.Path()
	c.SrcCommunities, c.SrcExtended, c.SrcLarge = s.Communities()
	c.SrcLocalPref, c.HasSrcLocalPref = s.LocalPref()
	c.SrcMED, c.HasSrcMED = s.MED()
	if c.PeerAS == 0 {
		c.PeerAS = x.peerAS(s)
	}
}

func (x *routes) metaColumns(r *flow.Record, c *RouteColumns) {
	var router *rib.Router
	if x.srcFound {
		c.From, c.HasFrom, router = x.src.Prefix(), true, x.src.Table().Router
	}
	if x.dstFound {
		c.To, c.HasTo, router = x.dst.Prefix(), true, x.dst.Table().Router
	}
	if router != nil {
		c.Router = router.Name
	}
	c.SrcNet, c.DstNet = x.net(&r.SrcAddr, r.SrcMask, c.From), x.net(&r.DstAddr, r.DstMask, c.To)
	switch {
	case x.fromRoute && x.usedFallback:
		c.Source = sourceFallback
	case x.fromRoute && router.Stale():
		c.Source = sourceStale
	case x.fromRoute:
		c.Source = sourceOfRank(x.dst.Rank())
	case r.Has&(flow.ASPath|flow.Communities|flow.BGPNextHop) != 0:
		c.Source = sourceExporter
	}
}

// net is the prefix of an address that the record has a mask for and whose route has a prefix.
func (x *routes) net(a *flow.Addr, mask uint8, of route.Prefix) route.Prefix {
	if x.AS == ASRoute || mask == 0 || x.AS == ASAuto && of.Bits >= mask {
		return of
	}
	return prefixOf(a, mask)
}
