package pmacct

import "strings"

// flowKeys returns the keys about receiving flows.
func flowKeys() []Counterpart {
	return []Counterpart{
		taken("nfacctd_port sfacctd_port nfacctd_ip sfacctd_ip", "listen.addresses",
			"Every port takes every protocol. pmacct's default ports are 2100 and 6343.", (*conversion).listen),
		taken("nfacctd_pipe_size sfacctd_pipe_size", "listen.receive_buffer", "", func(c *conversion, s *Setting) {
			if n, ok := c.number(s); ok && n > 0 {
				c.set(s, "listen.receive_buffer", plainText(s.Value))
			}
		}),
		taken("nfacctd_allow_file sfacctd_allow_file", "listen.allowed_exporters",
			"The addresses of the file go into the setting. `collector check` suggests a list from what was heard.",
			func(c *conversion, s *Setting) { c.prefixes(s, "listen.allowed_exporters") }),
		ifTrue("nfacctd_ignore_exporter_address", "decoder.exporter_address", "source", "`source`"),
		taken("sampling_map", "decoder.sampling_rates", "Rules of an exporter, or of an exporter and an input "+
			"interface. Rules of prefixes and of output interfaces are named.", (*conversion).samplingMap),
		taken("tee_receivers", "forward.to",
			"Every receiver gets every datagram. Rules with tags or a balancing are named.",
			(*conversion).teeReceivers),
		ifTrue("tee_transparent", "forward.keep_source", "true", "It needs CAP_NET_RAW."),
		row("tee_source_ip tee_ipprec tee_max_receivers tee_max_receiver_pools tee_pipe_size tee_kafka_config_file",
			Missing,
			"", "Datagrams are forwarded from this host's address or from the exporter's."),
		row("nfacctd_renormalize sfacctd_renormalize", NotNeeded, "",
			"Bits and packets of rows are always multiplied by the sampling rate. The rate is a column."),
		row("nfacctd_ext_sampling_rate sfacctd_ext_sampling_rate", Missing, "",
			"One rate for all exporters: set `decoder.sampling_rates` by exporter."),
		row("nfacctd_templates_file", NotNeeded, "", "Templates are in the cache directory: `decoder.save_templates`."),
		row("nfacctd_templates_receiver nfacctd_templates_port", NotNeeded, "",
			"One process uses all cores, so that templates need not be passed on."),
		row("nfacctd_rp_ebpf_prog sfacctd_rp_ebpf_prog", NotNeeded, "", "One process uses all cores."),
		row("nfacctd_disable_checks sfacctd_disable_checks", NotNeeded, "",
			"Sequence numbers are counted for each exporter and are not logged per datagram."),
		row("nfacctd_disable_opt_scope_check", NotNeeded, "",
			"Option records of an unusual scope are read as they are."),
		row("nfacctd_account_options", NotNeeded, "",
			"Option records give sampling rates and the names of interfaces and VRFs, and no rows."),
		row("nfacctd_dtls_port dtls_path", Missing, "", "IPFIX is received over TLS: `listen.tls.addresses`."),
		row("nfacctd_mcast_groups sfacctd_mcast_groups", Missing, "", "No multicast group is joined."),
		row("nfacctd_interface sfacctd_interface nfacctd_ipv6_only sfacctd_ipv6_only", Missing, "",
			"Name an address in `listen.addresses`."),
		row("nfacctd_kafka_* sfacctd_kafka_* nfacctd_zmq_address sfacctd_zmq_address", Missing, "",
			"Datagrams are not read from Kafka or ZeroMQ."),
		row("pcap_savefile pcap_savefile_wait pcap_savefile_delay pcap_savefile_replay", NotNeeded, "",
			"`collector run --pcap FILE` replays captures."),
		row("pcap_filter", Missing, "", "It belongs to captures and to BMP alone."),
		row("sfacctd_counter_*", NotNeeded, "", "Interface counters of sFlow are rows of `data_interface_traffic`."),
	}
}

// fieldKeys returns the keys about the fields of flow records.
func fieldKeys() []Counterpart {
	return []Counterpart{
		taken("aggregate", "flow.extensions", "Rows have all fields and are not aggregated; sums over time are `flow."+
			"rollups`. `src_as_path` and the like add the extension `bgp_src`, `src_roa` and `dst_roa` add `rpki`, "+
			"nets of BGP add `bgp_meta`.", (*conversion).aggregate),
		row("aggregate_primitives", Missing, "",
			"Fields have fixed columns: see the columns of `data_flow`. Other elements are not kept."),
		row("nfacctd_time_new sfacctd_time_new", Missing, "",
			"Rows have the times of the flow. Times that are far off are replaced: `flow.max_ahead`, "+
				"`flow.max_behind`."),
		row("nfacctd_time_secs", Missing, "", "Uptimes of NetFlow v5 are milliseconds."),
		row("nfacctd_pro_rating nfacctd_stitching sfacctd_stitching", NotNeeded, "",
			"Each flow record is a row with its start and end."),
		row("*_history *_history_offset *_history_roundoff *_time_roundoff", NotNeeded, "",
			"Queries and rollups choose the interval."),
		row("timestamps_secs timestamps_rfc3339 timestamps_utc timestamps_since_epoch", NotNeeded, "",
			"Times of rows are UTC with milliseconds. Messages of `kafka.format: pmacct-json` have seconds since 1970 "+
				"with a fraction."),
		row("nfacctd_net sfacctd_net", NotNeeded, "",
			"Rows have the prefix of metadata, and with the extension `bgp_meta` "+
				"that of the route too. With BGP or BMP, the nets in `aggregate` add it."),
		row("tmp_asa_bi_flow", NotNeeded, "", "Flows of both directions are read as two."),
		row("tunnel_0", Missing, "", "`decoder.decapsulate` reads the flow inside a tunnel of sampled headers."),
		row("sampling_rate", Missing, "", "Flow records are not sampled again: every one is a row."),
		row("*_encode_as_array *_encode_as_string *_encode_as_dscp *_encode_as_map", Missing,
			"",
			"`kafka.format: pmacct-json` has texts, as pmacct's default. `kafka.format: json` has arrays."),
		row("networks_file networks_file_filter networks_file_no_lpm networks_no_mask_if_zero networks_mask "+
			"networks_cache_entries", Missing, "", "Prefixes with their AS are metadata: `meta_ip.yml` and "+
			"`custom_ip_additions.yml` in `metadata.dir`, or `metadata.geo.asn_files`."),
		taken("geoipv2_file", "metadata.geo.block_files", "", func(c *conversion, s *Setting) {
			c.add(s, "metadata.geo.block_files", s.Value)
		}),
		row("geoip_ipv4_file geoip_ipv6_file", Missing, "", "Use GeoIP2 or GeoLite2: `metadata.geo.block_files`."),
		row("classifier_*", Missing, "",
			"Packets are not classified. Applications are told by port: meta_application."),
	}
}

// listKeys returns the keys about labels and filters.
func listKeys() []Counterpart {
	return []Counterpart{
		copied("pre_tag_map", "policy.label_file", "`set_label` by exporter, and `jeq`. Rules that depend on the "+
			"flow are named by `collector check`. Tags have no column."),
		copied("ports_file", "flow.ports_file", ""),
		taken("sql_preprocess print_preprocess amqp_preprocess kafka_preprocess mongo_preprocess",
			"flow.min_packets flow.min_bytes", "`minp` and `minb`, of each flow record. Others are named.",
			(*conversion).preprocess),
		row("*_preprocess_type", NotNeeded, "", "Every condition of `minp` and `minb` must hold."),
		row("pre_tag_filter pre_tag2_filter pre_tag_label_filter post_tag post_tag2 "+
			"pre_tag_map_dont_recirculate", Missing, "", "Rows have one label, of the exporter, and no tags."),
		row("aggregate_filter", Missing, "",
			"All flows are rows. Filter in queries, or by `listen.allowed_exporters`."),
		row("protos_file tos_file aggregate_unknown_etype", Missing, "", "All values are kept."),
		row("maps_entries maps_row_len maps_refresh maps_index", NotNeeded, "",
			"Files of rules have no small limits, and changed ones are noticed."),
	}
}

// processKeys returns the keys about the daemon's process.
func processKeys() []Counterpart {
	return []Counterpart{
		ifTrue("debug", "log.level", "debug", "`debug`"),
		row("daemonize pidfile syslog logfile debug_* files_umask files_uid files_gid core_proc_name "+
			"nfacctd_proc_name sfacctd_proc_name proc_priority propagate_signals thread_stack nfacctd_nonroot "+
			"sfacctd_nonroot pmacctd_nonroot", NotNeeded, "",
			"The program logs to standard error and stays in the foreground; systemd or a container does the rest."),
		row("writer_id_string", NotNeeded, "", "`collector_id` names the collector in rows."),
		row("plugin_*", NotNeeded, "", "There are no plugins with queues between processes: `batch.queue_bytes`."),
		row("cluster_name cluster_id redis_host redis_db", Missing, "", "Collectors do not share state."),
	}
}

// otherKeys returns the keys of pmacct's other daemons, which a file can have too.
func otherKeys() []Counterpart {
	return []Counterpart{
		row("telemetry_* tmp_telemetry_*", Missing, "", "Streaming telemetry is not received."),
		row("isis_daemon* igp_daemon*", Missing, "", "Routes come from BGP, BMP and MRT files."),
		row("nfprobe_* sfprobe_*", Missing, "", "Flows are not exported: `forward.to` passes datagrams on."),
		row("pmacctd_* uacctd_* pcap_* snaplen promisc", Missing, "",
			"They belong to pmacctd and uacctd, which capture packets. Keep pmacctd and let it export here."),
	}
}

// aggregate adds the flow extensions that the fields of aggregate need.
func (c *conversion) aggregate(s *Setting) {
	for field := range strings.SplitSeq(s.Value, ",") {
		field = strings.ToLower(strings.TrimSpace(field))
		switch {
		case strings.HasPrefix(field, "src_") && strings.HasSuffix(field, "_comm"), field == "src_as_path",
			field == "src_local_pref", field == "src_med":
			c.extension(s, "bgp_src")
		case field == "src_roa" || field == "dst_roa":
			c.extension(s, "rpki")
		case strings.HasSuffix(field, "_net") || strings.HasSuffix(field, "_mask"):
			c.nets = s
		}
	}
}
