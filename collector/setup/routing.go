package setup

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/pmacct"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/route"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/enrich/rib"
)

// views are those of a value of routing.bmp.rib; none: all.
func views(of string) []bmp.View {
	switch of {
	case "loc":
		return []bmp.View{bmp.LocRIB}
	case "post":
		return []bmp.View{bmp.InPost}
	case "pre":
		return []bmp.View{bmp.InPre}
	case "out":
		return []bmp.View{bmp.OutPost, bmp.OutPre}
	}
	return nil
}

// Routing opens the sessions with routers; nil where that is off.
func Routing(cfg *config.Config, log *zap.Logger) (*routing.Station, error) {
	if !cfg.Routing.On() {
		return nil, nil
	}
	o, err := routingOptions(cfg, log)
	if err != nil {
		return nil, err
	}
	return routing.Open(o)
}

// RecordedRouting takes the sessions of captures in place of those with routers.
func RecordedRouting(cfg *config.Config, log *zap.Logger) (*routing.Recorded, error) {
	o, err := routingOptions(cfg, log)
	if err != nil {
		return nil, err
	}
	return routing.OpenRecorded(o)
}

func routingOptions(cfg *config.Config, log *zap.Logger) (routing.Options, error) {
	r := &cfg.Routing
	o := routing.Options{
		Listen: r.BGP.Listen, Neighbors: r.BGP.Neighbors, AS: uint32(r.BGP.AS), HoldTime: r.BGP.HoldTime,
		MinTTL: r.BGP.MinTTL, KeepStale: r.BGP.KeepStale, Log: log.Named("routing"),
		BMP: routing.BMPOptions{Listen: r.BMP.Listen, Connect: r.BMP.Connect, Allowed: r.BMP.Allowed,
			Views: views(r.BMP.RIB), KeepStale: r.BMP.KeepStale},
		RIB: rib.Options{MaxMemory: int64(r.MaxMemory), MaxRoutes: int64(r.MaxRoutes)},
	}
	for _, name := range slices.Sorted(maps.Keys(r.MRT.Files)) {
		f := routing.MRTFile{Name: name, File: r.MRT.Files[name]}
		if peer := r.MRT.Peers[name]; peer != "" {
			f.Peer = netip.MustParseAddr(peer) // as config.Load has checked
		}
		o.MRT = append(o.MRT, f)
	}
	if r.Persist > 0 {
		o.File, o.SaveEvery = filepath.Join(cfg.Metadata.CacheDir, "rib", "routes"), r.Persist
	}
	if keep := communities(&r.Rules.Communities); keep.Filters() {
		o.RIB.Keep = keep.Keep
	}
	o.Names, o.MaxRoutes = map[netip.Addr]string{}, map[netip.Prefix]int64{}
	for address, name := range r.Neighbors.Names {
		o.Names[netip.MustParseAddr(address).Unmap()] = name
	}
	for where, most := range r.Neighbors.MaxRoutes {
		prefix, err := netip.ParsePrefix(where)
		if err != nil {
			address := netip.MustParseAddr(where).Unmap()
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		o.MaxRoutes[prefix.Masked()], _ = strconv.ParseInt(most, 10, 64) // as config.Load has checked
	}
	if r.BGP.RouterID != "" {
		o.RouterID = netip.MustParseAddr(r.BGP.RouterID) // as config.Load has checked
	}
	if r.Neighbors.File != "" {
		allowed, err := pmacct.ReadAllowed(r.Neighbors.File)
		if err != nil {
			return routing.Options{}, err
		}
		o.Neighbors = append(slices.Clone(o.Neighbors), allowed...)
	}
	if r.BGP.MD5File != "" {
		keys, err := pmacct.ReadKeys(r.BGP.MD5File)
		if err != nil {
			return routing.Options{}, err
		}
		o.Passwords = keys
	}
	return o, nil
}

func communities(c *config.Communities) *route.Filter {
	return route.NewFilter(c.Standard, c.Extended, c.Large)
}

// Maps reads the maps of routers and VRFs, and keeps them as the files are.
func Maps(cfg *config.Config, log *zap.Logger) (*pmacct.Maps, error) {
	r := &cfg.Routing
	fixed, err := fixedMaps(r)
	if err != nil {
		return nil, err
	}
	return pmacct.OpenMaps(pmacct.MapOptions{Fixed: fixed, AgentsFile: r.Rules.AgentsFile, VRFsFile: r.Rules.RDsFile,
		Log: log.Named("routing")})
}

// fixedMaps are the maps that the configuration itself has.
func fixedMaps(r *config.Routing) (m enrich.RouteMaps, err error) {
	for exporter, router := range r.Agents {
		m.Agents = append(m.Agents, enrich.AgentRule{Match: enrich.Match{
			Exporter: netip.PrefixFrom(exporter, exporter.BitLen())}, Router: flow.AddrFrom(router)})
	}
	for _, where := range slices.Sorted(maps.Keys(r.Rules.RDs)) {
		text, vrf, hasVRF := strings.Cut(where, "#")
		exporter, err := netip.ParseAddr(text)
		if err != nil {
			return m, fmt.Errorf("routing.rds: %q is not an address, or ADDRESS#VRF", where)
		}
		rule := enrich.VRFRule{Match: enrich.Match{Exporter: netip.PrefixFrom(exporter, exporter.BitLen())}}
		if rule.RD, err = pmacct.ParseRD(r.Rules.RDs[where]); err != nil {
			return m, fmt.Errorf("routing.rds: %s: %w", where, err)
		}
		if !hasVRF {
			m.VRFs = append(m.VRFs, rule)
			continue
		}
		id, err := strconv.ParseUint(vrf, 10, 32)
		if err != nil {
			return m, fmt.Errorf("routing.rds: %s: %q is not a VRF id", where, vrf)
		}
		n := uint32(id)
		rule.VRF = &n
		m.VRFs = slices.Insert(m.VRFs, 0, rule) // before the rule of all VRFs of the exporter
	}
	return m, nil
}

// Routes are what rows take from a station, which may be nil.
func Routes(cfg *config.Config, s *routing.Station, m *pmacct.Maps) enrich.RouteOptions {
	if s == nil {
		return enrich.RouteOptions{}
	}
	r := &cfg.Routing.Rules
	o := enrich.RouteOptions{RIB: s.RIB(), Maps: m.Current(), Fallback: r.Fallback, FollowDefault: r.FollowDefault,
		StrictVRF: r.UnknownVRF == "none", IPNextHop: r.IPNextHop, Confederations: r.Confederation == "keep",
		CommunityNames: r.WellKnown,
		Source:         slices.Contains(cfg.Schema.FlowExtensions, "bgp_src"),
		Meta:           slices.Contains(cfg.Schema.FlowExtensions, "bgp_meta")}
	switch cfg.Routing.AS {
	case "bgp":
		o.AS = enrich.ASRoute
	case "exporter":
		o.AS = enrich.ASRecord
	}
	return o
}
