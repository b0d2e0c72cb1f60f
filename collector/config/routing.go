package config

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/metranova/flow-collector/collector/pmacct"
)

// Routing says where routes come from and what rows take from them. Without an address to listen on there are none.
type Routing struct {
	BGP       BGP
	BMP       BMP
	MRT       MRT
	Agents    map[netip.Addr]netip.Addr // by exporter: the address of its router
	AS        string                    // auto, bgp or exporter
	MaxMemory int                       // bytes of routes
	MaxRoutes int
	Persist   time.Duration // how often routes are saved; 0: never
	RPKI      RPKI
	Rules     RouteRules
	Neighbors Neighbors
}

// BGP is what routers connect to.
type BGP struct {
	Listen    []string // host:port
	Neighbors []netip.Prefix
	AS        int    // ours; 0: that of each neighbour
	RouterID  string // ours, an IPv4 address
	MD5File   string // keys of TCP-MD5
	MinTTL    int    // of what routers send; 0: any
	HoldTime  time.Duration
	KeepStale time.Duration // how long routes stay after a session
}

// BMP is what routers report their routes to.
type BMP struct {
	Listen    []string // host:port
	Connect   []string // host:port of routers
	Allowed   []netip.Prefix
	RIB       string        // auto, loc, post, pre or out
	KeepStale time.Duration // how long routes stay after a session
}

// MRT is files of routes, by name.
type MRT struct {
	Files map[string]string
	Peers map[string]string // whose routes are taken
}

// On reports whether there are routes.
func (r *Routing) On() bool {
	return len(r.BGP.Listen)+len(r.BMP.Listen)+len(r.BMP.Connect)+len(r.MRT.Files) > 0
}

// The least memory for routes: that of rib.MinMemory.
const minRoutingMemory = 128 << 20

// routingKeys are where routes come from.
func routingKeys(c *Config) []key {
	r := &c.Routing
	return []key{
		{path: "routing.bgp.listen", env: []string{"BGP_LISTEN"}, field: addressesOrOff(&r.BGP.Listen),
			help: "Addresses on which routers connect for BGP, such as \":179\", or \":1179\" without " +
				"CAP_NET_BIND_SERVICE. Rows then get AS path, communities, local preference, MED, AS numbers and the " +
				"next hop from the routes of their exporter. Nothing is announced. Empty or off: no BGP."},
		{path: "routing.bgp.neighbors", env: []string{"BGP_NEIGHBORS"}, field: prefixes(&r.BGP.Neighbors),
			help: "Routers that may connect: addresses and prefixes. All others are refused. Empty: nobody may."},
		{path: "routing.bgp.as", env: []string{"BGP_AS"}, field: number(&r.BGP.AS, 0, 1<<32-1),
			help: "Our AS number. 0: the AS of each neighbour, so that every session is iBGP."},
		{path: "routing.bgp.router_id", env: []string{"BGP_ROUTER_ID"}, field: text(&r.BGP.RouterID),
			help: "Our BGP identifier, an IPv4 address. Empty: the address that the router connects to."},
		{path: "routing.bgp.md5_file", env: []string{"BGP_MD5_FILE"}, isPath: true, field: text(&r.BGP.MD5File),
			help: "TCP-MD5 keys (RFC 2385): lines of ADDRESS, KEY or PREFIX, KEY, as in pmacct's " +
				"bgp_daemon_md5_file. These neighbours need their key; the others need none."},
		allowFileKey(r), neighborNamesKey(r), neighborMaxRoutesKey(r),
		{path: "routing.bgp.min_ttl", env: []string{"BGP_MIN_TTL"}, field: number(&r.BGP.MinTTL, 0, 255),
			help: "Minimum TTL, or hop limit, of what routers send (RFC 5082): 255 for routers on the same link, " +
				"255 - n for n routers between. The kernel drops the rest. Set the same at the router " +
				"(ttl-security): what it sends must start at 255. 0: any."},
		{path: "routing.bgp.hold_time", def: "90s", field: duration(&r.BGP.HoldTime, 0),
			help: "Hold time that is proposed to routers; the smaller one counts. 0: sessions never time out."},
		{path: "routing.bgp.keep_stale", def: "10m", field: duration(&r.BGP.KeepStale, 0),
			help: "How long the routes of a session are used after it ended, if it does not come back. A longer " +
				"restart time of the router (RFC 4724) counts instead."},
		{path: "routing.bmp.listen", env: []string{"BMP_LISTEN"}, field: addressesOrOff(&r.BMP.Listen),
			help: "Addresses on which routers connect for BMP (RFC 7854), such as \":1790\": they report the routes " +
				"of " +
				"their BGP peers and the ones that they use, which fill rows as those of a BGP session do. Empty or " +
				"off: " +
				"no router connects."},
		{path: "routing.bmp.allowed", env: []string{"BMP_ALLOWED"}, field: prefixes(&r.BMP.Allowed),
			help: "Routers that may connect: addresses and prefixes. All others are refused. Empty: nobody may."},
		{path: "routing.bmp.connect", env: []string{"BMP_CONNECT"}, field: addressesOrOff(&r.BMP.Connect),
			help: "Routers that listen for BMP themselves, HOST:PORT: the collector connects to them, and again when " +
				"the connection ends."},
		{path: "routing.bmp.rib", env: []string{"BMP_RIB"}, def: "auto",
			field: oneOf(&r.BMP.RIB, "auto", "loc", "post", "pre", "out"),
			help: "Which of a router's tables is used. \"auto\": the first one that it reports of Loc-RIB, " +
				"Adj-RIB-In " +
				"post-policy, pre-policy, Adj-RIB-Out. \"loc\", \"post\", \"pre\" or \"out\": that one alone; the " +
				"others take no memory then."},
		{path: "routing.bmp.keep_stale", def: "10m", field: duration(&r.BMP.KeepStale, 0),
			help: "How long the routes of a BMP session are used after it ended, if it does not come back."},
		{path: "routing.mrt.files", env: []string{"MRT_FILES"}, field: textMap(&r.MRT.Files),
			example: "files: {rrc00: /var/lib/mrt/bview.gz}",
			help: "MRT files (RFC 6396) with routes, as NAME: FILE: dumps of tables, and messages. They may be " +
				"compressed " +
				"with gzip, bzip2 or zstd, and are loaded again when they change. The router's name is mrt:NAME. A " +
				"NAME that " +
				"is an address is the router's, by which exporters and routing.agents find it."},
		{path: "routing.mrt.peers", env: []string{"MRT_PEERS"}, field: textMap(&r.MRT.Peers),
			example: "peers: {rrc00: 192.0.2.1}",
			help: "Of a file the routes of this peer alone, as NAME: ADDRESS. Else those of all peers, the best one " +
				"of " +
				"each prefix."},
		{path: "routing.agents", env: []string{"ROUTING_AGENTS"}, field: addressMap(&r.Agents),
			example: "agents: {192.0.2.1: 198.51.100.1}",
			help: "Routers of exporters: EXPORTER: ROUTER, where ROUTER is the address of a session or a BGP " +
				"identifier. Exporters with such an address themselves need no entry."},
		{path: "routing.as", env: []string{"ROUTING_AS"}, def: "auto", field: oneOf(&r.AS, "auto", "bgp", "exporter"),
			help: "Where AS numbers of rows come from. \"auto\": from the route if its prefix is at least as long as " +
				"the mask in the flow record, as pmacct's \"longest\". \"bgp\": from the route always, for sFlow AS " +
				"path " +
				"and communities too. \"exporter\": from the flow record."},
		{path: "routing.persist", def: "15m", field: duration(&r.Persist, 0),
			help: "How often routes are saved to the cache directory, and at a stop. After a restart they are used " +
				"until " +
				"their router connects again, at most for keep_stale. 0: they are not saved."},
		{path: "routing.max_memory", def: "2GiB", live: true, field: size(&r.MaxMemory, minRoutingMemory),
			help: "Memory for routes. A full Internet table takes about 200 MiB, that of each further router 5 MiB " +
				"to 32 MiB. Beyond it routes are left out, which is counted. When it is raised, their routers are " +
				"asked for them again."},
		{path: "routing.max_routes", def: "100000000", live: true, field: number(&r.MaxRoutes, 1, 1<<40),
			help: "Routes of all routers together. Beyond it routes are left out."},
	}
}

func (r *Routing) validate(add func(key, value, why string)) {
	r.RPKI.validate(add)
	r.Rules.validate(add)
	r.Neighbors.validate(add)
	if r.BGP.MD5File != "" {
		_, err := pmacct.ReadKeys(r.BGP.MD5File)
		problemLines("routing.bgp.md5_file", err, add)
	}
	for name, peer := range r.MRT.Peers {
		if _, err := netip.ParseAddr(peer); err != nil {
			add("routing.mrt.peers", peer, "is not an address")
		}
		if r.MRT.Files[name] == "" {
			add("routing.mrt.peers", name, "is no name of routing.mrt.files")
		}
	}
	if id := r.BGP.RouterID; id != "" {
		if a, err := netip.ParseAddr(id); err != nil || !a.Is4() || a.IsUnspecified() {
			add("routing.bgp.router_id", id, "is not an IPv4 address")
		}
	}
	if h := r.BGP.HoldTime; h != 0 && (h < 3*time.Second || h > 65535*time.Second) {
		add("routing.bgp.hold_time", DurationText(h), "is neither 0 nor between 3s and 65535s")
	}
	if len(r.BMP.Listen) > 0 && len(r.BMP.Allowed) == 0 {
		add("routing.bmp.listen", cmp.Or(r.BMP.Listen...), "no router may connect: set routing.bmp.allowed")
	}
	if len(r.BGP.Listen) > 0 && len(r.BGP.Neighbors) == 0 && r.Neighbors.File == "" {
		add("routing.bgp.listen", cmp.Or(r.BGP.Listen...), "no router may connect: set routing.bgp.neighbors")
	}
}
