package pmacct

import "strings"

// sessionKeys returns the keys about BGP and BMP sessions.
func sessionKeys() []Counterpart {
	return []Counterpart{
		taken("bgp_daemon bgp_daemon_ip bgp_daemon_port", "routing.bgp.listen",
			"Port 179 needs CAP_NET_BIND_SERVICE: see collector/README.md.", (*conversion).daemon),
		taken("bmp_daemon bmp_daemon_ip bmp_daemon_port", "routing.bmp.listen", "", (*conversion).daemon),
		copied("bgp_daemon_id", "routing.bgp.router_id", ""),
		numbered("bgp_daemon_as", "routing.bgp.as", ""),
		copied("bgp_daemon_allow_file", "routing.bgp.allow_file", "Without the file pmacct lets every router in. Here "+
			"nobody may connect without `routing.bgp.neighbors`."),
		taken("bmp_daemon_allow_file", "routing.bmp.allowed", "The addresses of the file go into the setting.",
			func(c *conversion, s *Setting) { c.prefixes(s, "routing.bmp.allowed") }),
		copied("bgp_daemon_md5_file", "routing.bgp.md5_file", "Prefixes are possible."),
		row("bgp_daemon_max_peers bmp_daemon_max_peers", NotNeeded, "",
			"Routers are named. `routing.max_memory` and `routing.max_routes` bound what they take."),
		row("bgp_daemon_pipe_size bmp_daemon_pipe_size bgp_daemon_batch bgp_daemon_batch_interval bmp_daemon_batch "+
			"bmp_daemon_batch_interval bgp_daemon_rp_ebpf_prog bmp_daemon_rp_ebpf_prog tmp_bgp_daemon_route_refresh "+
			"bgp_daemon_ha bmp_daemon_ha", NotNeeded, "",
			"Sessions do not wait for each other, and routes outlive a restart."),
		row("bgp_disable_router_id_check tmp_bgp_lookup_compare_ports", NotNeeded, "",
			"Sessions with one BGP identifier are one router, such as those for IPv4 and for IPv6. Routers behind one "+
				"address are told apart by their identifiers."),
		row("bgp_table_peer_buckets bgp_table_per_peer_buckets bgp_table_attr_hash_buckets bgp_table_per_peer_hash "+
			"bmp_table_peer_buckets bmp_table_per_peer_buckets bmp_table_attr_hash_buckets bmp_table_per_peer_hash",
			NotNeeded, "", "Tables grow by themselves."),
		row("bgp_daemon_add_path_ignore", NotNeeded, "", "All paths are kept. The flow's next hop chooses among them."),
		row("bgp_daemon_interface bmp_daemon_interface bgp_daemon_ipv6_only bmp_daemon_ipv6_only bgp_daemon_ipprec "+
			"bmp_daemon_ipprec bgp_daemon_tag_map bmp_daemon_tag_map", Missing, "",
			"Name an address in `routing.bgp.listen` or `routing.bmp.listen`."),
		row("bgp_daemon_msglog_* bmp_daemon_msglog_*", Missing, "", "Messages of BGP and BMP are not logged."),
		row("bgp_table_dump_* bmp_dump_*", Missing, "", "Tables are not written at intervals. `collector "+
			"routes --mrt FILE` writes one."),
		row("bgp_neighbors_file", Missing, "", "`collector routes` and the page /routing list the sessions."),
		row("bgp_daemon_lg*", NotNeeded, "", "`collector routes ADDRESS` and the page /routing look routes up."),
		row("bgp_daemon_xconnect_map bmp_daemon_parse_proxy_header", Missing, "",
			"Sessions are not passed on by proxies."),
		row("tmp_bgp_daemon_origin_type_int", NotNeeded, "", "It belongs to logged messages alone."),
	}
}

// routeKeys returns the keys about what flows take from routes.
func routeKeys() []Counterpart {
	return []Counterpart{
		taken("nfacctd_as sfacctd_as nfacctd_as_new sfacctd_as_new", "routing.as",
			"`netflow` and `sflow` are `exporter`, "+
				"`bgp` and `bmp` are `bgp`, `longest` is `auto`. `file` has no counterpart.", (*conversion).asFrom),
		copied("bgp_agent_map bmp_agent_map", "routing.agents_file", "The file is read as it is, without `bgp_port`."),
		copied("flow_to_rd_map", "routing.rds_file", "The file is read as it is."),
		numbered("bgp_follow_default", "routing.follow_default", ""),
		ifTrue("use_ip_next_hop", "routing.use_ip_next_hop", "true", ""),
		ifTrue("bgp_comms_num", "routing.well_known_names", "false", "`false`"),
		patterns("bgp_stdcomm_pattern", "routing.communities.standard"),
		patterns("bgp_extcomm_pattern", "routing.communities.extended"),
		patterns("bgp_lrgcomm_pattern", "routing.communities.large"),
		taken("bgp_src_std_comm_type bgp_src_ext_comm_type bgp_src_lrg_comm_type bgp_src_as_path_type "+
			"bgp_src_local_pref_type bgp_src_med_type", "flow.extensions",
			"`bgp` adds `bgp_src`: the route to the source. `map` has no counterpart.", (*conversion).fromSource),
		taken("bgp_peer_src_as_type", "flow.extensions", "`bgp` adds `bgp_src`. `map` has no counterpart.",
			(*conversion).fromSource),
		taken("bgp_src_roa_type", "flow.extensions", "`rpki`",
			func(c *conversion, s *Setting) { c.extension(s, "rpki") }),
		taken("rpki_roas_file", "routing.rpki.file", "", func(c *conversion, s *Setting) {
			c.set(s, "routing.rpki.file", s.Value)
			c.extension(s, "rpki")
		}),
		taken("rpki_rtr_cache", "routing.rpki.caches", "Several are possible.", func(c *conversion, s *Setting) {
			c.add(s, "routing.rpki.caches", s.Value)
			c.extension(s, "rpki")
		}),
		row("rpki_rtr_cache_version rpki_rtr_cache_pipe_size rpki_rtr_cache_ipprec", NotNeeded, "",
			"Version 1 is tried first, then version 0."),
		row("bgp_peer_as_skip_subas", NotNeeded, "",
			"The peer AS is the first one outside the confederation. `routing.confederations: keep` has pmacct's "+
				"default, its member."),
		row("nfacctd_peer_as sfacctd_peer_as", NotNeeded, "", "The peer AS of records and of routes has columns."),
		row("bgp_peer_src_as_map bgp_src_local_pref_map bgp_src_med_map", Missing, "",
			"Name the neighbours of interfaces in meta_interface."),
		row("bgp_stdcomm_pattern_to_asn bgp_lrgcomm_pattern_to_asn", Missing, "",
			"Addresses with an empty AS path get the router's own AS, or that of meta_ip."),
		row("bgp_aspath_radius", Missing, "", "AS paths are whole. `arraySlice` cuts them in queries."),
		row("bgp_follow_nexthop bgp_follow_nexthop_external", Missing, "", "`peer_ip` is the next hop of the route."),
		row("bgp_blackhole_stdcomm_list", Missing, "", "Communities are in rows: filter by them in queries."),
	}
}

// daemon remembers a line that says whether or where pmacct listens for BGP or BMP.
func (c *conversion) daemon(s *Setting) {
	protocol, what, _ := strings.Cut(s.Key, "_daemon")
	d := c.daemons[protocol]
	if d == nil {
		d = &daemon{}
		c.daemons[protocol] = d
	}
	d.settings = append(d.settings, s)
	switch what {
	case "":
		d.on = c.yes(s)
	case "_ip":
		d.ip = s.Value
	case "_port":
		if _, ok := c.number(s); ok {
			d.port = s.Value
		}
	}
}

func (c *conversion) asFrom(s *Setting) {
	switch strings.ToLower(s.Value) {
	case "netflow", "sflow":
		c.set(s, "routing.as", plainText("exporter"))
	case "bgp", "bmp":
		c.set(s, "routing.as", plainText("bgp"))
		c.netsOfRoutes = true
	case "longest", "fallback":
		c.set(s, "routing.as", plainText("auto"))
		c.netsOfRoutes = true
	default:
		c.missing(s, "only netflow, sflow, bgp, bmp and longest have a counterpart")
	}
}

func (c *conversion) fromSource(s *Setting) {
	for method := range strings.SplitSeq(s.Value, ",") {
		switch strings.ToLower(strings.TrimSpace(method)) {
		case "bgp", "bmp":
			c.extension(s, "bgp_src")
		case "netflow", "sflow":
		default:
			c.missing(s, "only bgp has a counterpart: name the neighbours of interfaces in meta_interface")
		}
	}
}
