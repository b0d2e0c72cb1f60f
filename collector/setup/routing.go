package setup

import (
	"maps"
	"net/netip"
	"path/filepath"
	"slices"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/decoder/bmp"
	"github.com/metranova/flow-collector/decoder/flow"
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
		KeepStale: r.BGP.KeepStale, Log: log.Named("routing"),
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
	if r.BGP.RouterID != "" {
		o.RouterID = netip.MustParseAddr(r.BGP.RouterID) // as config.Load has checked
	}
	if r.BGP.MD5File != "" {
		keys, err := routing.ReadPasswords(r.BGP.MD5File)
		if err != nil {
			return routing.Options{}, err
		}
		o.Passwords = keys
	}
	return o, nil
}

// Routes are what rows take from a station, which may be nil.
func Routes(cfg *config.Config, s *routing.Station) enrich.RouteOptions {
	if s == nil {
		return enrich.RouteOptions{}
	}
	o := enrich.RouteOptions{RIB: s.RIB(), Agents: map[flow.Addr]flow.Addr{}}
	for exporter, router := range cfg.Routing.Agents {
		o.Agents[flow.AddrFrom(exporter)] = flow.AddrFrom(router)
	}
	switch cfg.Routing.AS {
	case "bgp":
		o.AS = enrich.ASRoute
	case "exporter":
		o.AS = enrich.ASRecord
	}
	return o
}
