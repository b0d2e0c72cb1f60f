package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/metranova/flow-collector/collector/pmacct"
)

// RouteRules say which routes rows get, and how they are written.
type RouteRules struct {
	AgentsFile    string            // pmacct's bgp_agent_map
	RDs           map[string]string // EXPORTER or EXPORTER#VRF: route distinguisher
	RDsFile       string            // pmacct's flow_to_rd_map
	Fallback      []string
	FollowDefault int
	UnknownVRF    string // global or none
	IPNextHop     bool
	Confederation string // drop or keep
	WellKnown     bool
	Communities   Communities
}

// Communities are patterns of communities that are kept. None: all are.
type Communities struct{ Standard, Extended, Large []string }

// Neighbors say more of some of BGP.Neighbors, by address or prefix.
type Neighbors struct {
	File      string // pmacct's bgp_daemon_allow_file
	Names     map[string]string
	MaxRoutes map[string]string
}

func allowFileKey(r *Routing) key {
	return key{path: "routing.bgp.allow_file", isPath: true, field: text(&r.Neighbors.File),
		help: "Further routers that may connect: a file of addresses and prefixes, one a line, as pmacct's " +
			"bgp_daemon_allow_file."}
}

func neighborNamesKey(r *Routing) key {
	return key{path: "routing.bgp.neighbor_names", field: textMap(&r.Neighbors.Names),
		example: "neighbor_names: {198.51.100.1: core1}",
		help: "Names of routers, by their address: ADDRESS: NAME. Others have their BGP identifier as name. " +
			"Sessions with the same name are one router."}
}

func neighborMaxRoutesKey(r *Routing) key {
	return key{path: "routing.bgp.neighbor_max_routes", field: textMap(&r.Neighbors.MaxRoutes),
		example: "neighbor_max_routes: {198.51.100.0/24: 2000000}",
		help: "Routes that one neighbor may announce: ADDRESS: NUMBER or PREFIX: NUMBER, the longest prefix counts. " +
			"Beyond it routes are left out, which is counted; the session stays."}
}

// routeRuleKeys are what rows take from routes.
func routeRuleKeys(c *Config) []key {
	r := &c.Routing.Rules
	return []key{
		{path: "routing.agents_file", isPath: true, field: text(&r.AgentsFile),
			help: "Routers of exporters by address, interface and IP version: pmacct's bgp_agent_map as it is. " +
				"Entries of routing.agents come first. A change is noticed."},
		{path: "routing.rds", field: textMap(&r.RDs), example: "rds: {192.0.2.1: 0:64500:7, 192.0.2.1#5: 0:64500:8}",
			help: "VRFs of flows: EXPORTER: RD, or EXPORTER#VRF: RD for one VRF id (IE 234, 235) of the " +
				"exporter. 0:0:0 is the global table. It counts before what records and option records say."},
		{path: "routing.rds_file", isPath: true, field: text(&r.RDsFile),
			help: "VRFs of flows by address, interface, next hop, VRF id and label: pmacct's flow_to_rd_map as " +
				"it is. Entries of routing.rds come first. A change is noticed."},
		{path: "routing.fallback", field: texts(&r.Fallback),
			help: "Routers, by name or address, whose routes exporters without a router of their own get; the first " +
				"that has one counts."},
		{path: "routing.follow_default", def: "0", field: number(&r.FollowDefault, 0, 20),
			help: "How often a default route is followed to the routes of the router that is its next hop, as " +
				"pmacct's bgp_follow_default."},
		{path: "routing.unknown_vrf", def: "global", field: oneOf(&r.UnknownVRF, "global", "none"),
			help: "Routes of flows of a VRF that the router has no table of. \"global\": those of the global table. " +
				"\"none\": none, as with pmacct's BGP."},
		{path: "routing.use_ip_next_hop", def: "false", field: boolean(&r.IPNextHop),
			help: "Let the IP next hop (IE 15, 62) choose among several routes to a prefix where the record has " +
				"no BGP next hop, as pmacct's use_ip_next_hop."},
		{path: "routing.confederations", def: "drop", field: oneOf(&r.Confederation, "drop", "keep"),
			help: "AS numbers within a confederation (RFC 5065) in AS paths. \"keep\": they stay, and the first " +
				"is the peer AS, the last the origin, as pmacct has it."},
		{path: "routing.well_known_names", def: "true", field: boolean(&r.WellKnown),
			help: "Write well-known communities of routes by their names, as pmacct does without bgp_comms_num: " +
				"no-export, no-advertise, local-AS, internet. False: as numbers, 65535:65281."},
		{path: "routing.communities.standard", field: texts(&r.Communities.Standard),
			example: "standard: [\"64500:*\", \"65535:65281\"]",
			help: "Communities of routes that are kept: patterns of AS:VALUE, where . is any one character and * any " +
				"number of them. Without *, what begins with the pattern matches, as with pmacct's " +
				"bgp_stdcomm_pattern. Empty: all."},
		{path: "routing.communities.extended", field: texts(&r.Communities.Extended),
			help: "The same for extended communities, such as \"RT:64500:*\" (pmacct's bgp_extcomm_pattern)."},
		{path: "routing.communities.large", field: texts(&r.Communities.Large),
			help: "The same for large communities, such as \"64500:*\" (pmacct's bgp_lrgcomm_pattern)."},
	}
}

func (r *RouteRules) validate(add func(key, value, why string)) {
	if r.AgentsFile != "" {
		_, err := pmacct.ReadAgents(r.AgentsFile)
		problemLines("routing.agents_file", err, add)
	}
	if r.RDsFile != "" {
		_, err := pmacct.ReadVRFs(r.RDsFile)
		problemLines("routing.rds_file", err, add)
	}
	for where, rd := range r.RDs {
		address, vrf, found := strings.Cut(where, "#")
		if _, err := netip.ParseAddr(address); err != nil {
			add("routing.rds", where, "is neither an address nor ADDRESS#VRF")
		}
		if _, err := strconv.ParseUint(vrf, 10, 32); found && err != nil {
			add("routing.rds", where, "has a VRF id that is not a number")
		}
		if _, err := pmacct.ParseRD(rd); err != nil {
			add("routing.rds", where, err.Error())
		}
	}
}

// problemLines makes a problem of each line of a file's error.
func problemLines(key string, err error, add func(key, value, why string)) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		add(key, "", line)
	}
}

func (n *Neighbors) validate(add func(key, value, why string)) {
	if n.File != "" {
		_, err := pmacct.ReadAllowed(n.File)
		problemLines("routing.bgp.allow_file", err, add)
	}
	for address, name := range n.Names {
		if _, err := netip.ParseAddr(address); err != nil {
			add("routing.bgp.neighbor_names", address, "is not an address")
		}
		if strings.TrimSpace(name) == "" {
			add("routing.bgp.neighbor_names", address, "has no name")
		}
	}
	for prefix, most := range n.MaxRoutes {
		if _, err := parsePrefix(prefix); err != nil {
			add("routing.bgp.neighbor_max_routes", prefix, "is neither an address nor a prefix")
		}
		if n, err := strconv.ParseInt(most, 10, 64); err != nil || n < 1 {
			add("routing.bgp.neighbor_max_routes", most, "is not a number of routes")
		}
	}
}
