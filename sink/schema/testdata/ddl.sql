CREATE DATABASE IF NOT EXISTS `golden`;

CREATE TABLE IF NOT EXISTS `golden`.`data_flow`
(
    `start_time` DateTime64(3, 'UTC') COMMENT 'First packet of the flow. sFlow: when the collector received the sample.' CODEC(T64, ZSTD(1)),
    `end_time` DateTime64(3, 'UTC') COMMENT 'Last packet of the flow; as start_time if the exporter sends no end.' CODEC(T64, ZSTD(1)),
    `insert_time` DateTime64(3, 'UTC') DEFAULT now64() COMMENT 'When the row was inserted.' CODEC(GCD, T64, ZSTD(1)),
    `collector_id` LowCardinality(String) COMMENT 'Which collector made the row (collector_id of its settings).' CODEC(ZSTD(1)),
    `policy_originator` LowCardinality(String) COMMENT 'Who the data belongs to (policy.originator).' CODEC(ZSTD(1)),
    `policy_level` LowCardinality(String) COMMENT 'How far the row may be shared (policy.level), a TLP level.' CODEC(ZSTD(1)),
    `policy_scope` Array(LowCardinality(String)) COMMENT 'Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>.' CODEC(ZSTD(3)),
    `ext` JSON(bgp_as_path_id Array(UInt32), bgp_as_path_padding Array(UInt16), bgp_community Array(LowCardinality(String)), bgp_ext_community Array(LowCardinality(String)), bgp_large_community Array(LowCardinality(String)), bgp_local_pref Nullable(UInt32), bgp_med Nullable(UInt32), dst_ip_scireg_ref Nullable(String), ipv4_dscp Nullable(UInt8), ipv4_tos Nullable(UInt8), ipv6_flow_label Nullable(UInt32), mpls_bottom_label Nullable(UInt32), mpls_exp Array(UInt8), mpls_label Array(UInt32), mpls_pw Nullable(UInt32), mpls_top_label_ip Nullable(IPv6), mpls_top_label_type Nullable(UInt32), mpls_vpn_rd LowCardinality(Nullable(String)), src_ip_scireg_ref Nullable(String), vlan_id Nullable(UInt32), vlan_in_id Nullable(UInt32), vlan_in_inner_id Nullable(UInt32), vlan_out_id Nullable(UInt32), vlan_out_inner_id Nullable(UInt32)) COMMENT 'What only some exporters send: BGP, DSCP, flow label, MPLS, VLAN, refs of further prefix tables.' CODEC(ZSTD(1)),
    `flow_type` LowCardinality(String) COMMENT 'Family of the export protocol: netflow (v5, v9, IPFIX) or sflow.' CODEC(ZSTD(1)),
    `device_id` LowCardinality(String) COMMENT 'The exporter: its id in meta_device, else its address as text, else unknown.' CODEC(ZSTD(1)),
    `device_ref` Nullable(String) COMMENT 'Version of the meta_device record that held when the flow was received.' CODEC(ZSTD(3)),
    `src_as_id` UInt32 COMMENT 'AS number of the source: the exporter\'s, else that of the prefix in meta_ip; 0 is not known.' CODEC(ZSTD(1)),
    `src_as_ref` Nullable(String) COMMENT 'Version of the source\'s meta_as record.' CODEC(ZSTD(3)),
    `src_ip` IPv6 COMMENT 'Source address; IPv4 as ::ffff:a.b.c.d.' CODEC(ZSTD(1)),
    `src_ip_ref` Nullable(String) COMMENT 'Version of the meta_ip record with the longest prefix that holds the source.' CODEC(ZSTD(3)),
    `src_port` UInt16 COMMENT 'Source port; 0 where the protocol has none.' CODEC(ZSTD(1)),
    `dst_as_id` UInt32 COMMENT 'AS number of the destination, as src_as_id.' CODEC(ZSTD(1)),
    `dst_as_ref` Nullable(String) COMMENT 'Version of the destination\'s meta_as record.' CODEC(ZSTD(3)),
    `dst_ip` IPv6 COMMENT 'Destination address; IPv4 as ::ffff:a.b.c.d.' CODEC(ZSTD(1)),
    `dst_ip_ref` Nullable(String) COMMENT 'Version of the meta_ip record with the longest prefix that holds the destination.' CODEC(ZSTD(3)),
    `dst_port` UInt16 COMMENT 'Destination port; 0 where the protocol has none. ICMP in NetFlow: type * 256 + code.' CODEC(ZSTD(1)),
    `protocol` LowCardinality(String) COMMENT 'IP protocol by its name (tcp, ipv6-icmp), else its decimal number.' CODEC(ZSTD(1)),
    `in_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow came in by: its id in meta_interface, else <device_id>::<name> as the exporter names it, without a ref.' CODEC(ZSTD(1)),
    `in_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `in_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `out_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow went out by, as in_interface_id.' CODEC(ZSTD(1)),
    `out_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `out_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `peer_as_id` Nullable(UInt32) COMMENT 'AS number of the BGP next hop; 0 is not known.' CODEC(ZSTD(1)),
    `peer_as_ref` Nullable(String) COMMENT 'Version of the next hop\'s meta_as record.' CODEC(ZSTD(3)),
    `peer_ip` Nullable(IPv6) COMMENT 'BGP next hop, or in its place the address of the top MPLS label. Without one all peer columns are NULL.' CODEC(ZSTD(1)),
    `peer_ip_ref` Nullable(String) COMMENT 'Version of the meta_ip record with the longest prefix that holds the next hop.' CODEC(ZSTD(3)),
    `ip_version` UInt8 COMMENT '4 or 6.' CODEC(ZSTD(1)),
    `application_port` UInt16 COMMENT 'The port that meta_application knows, the smaller one of two; 0 if it knows none.' CODEC(ZSTD(1)),
    `bit_count` UInt64 COMMENT 'Bytes on the wire * 8 * sampling rate.' CODEC(GCD, T64, ZSTD(1)),
    `packet_count` UInt64 COMMENT 'Packets * sampling rate.' CODEC(GCD, T64, ZSTD(1)),
    `sampling_rate` UInt32 COMMENT 'One packet in so many was sampled; 0 if the exporter said 0.' CODEC(ZSTD(1)),
    `sampling_source` LowCardinality(String) COMMENT 'Where the rate comes from: override, record, byte_swapped, selector, exporter, interface, part, domain, inferred, ambiguous, header, header_16_bit, assumed.' CODEC(ZSTD(1)),
    `in_if_index` UInt32 COMMENT 'ifIndex that the flow came in by, whether metadata knows it or not; 0 is not known. sFlow: 0x3fffffff the device itself, 0x40000000 + reason dropped, 0x80000000 + n sent to n interfaces.' CODEC(ZSTD(1)),
    `out_if_index` UInt32 COMMENT 'ifIndex that the flow went out by, as in_if_index.' CODEC(ZSTD(1)),
    `tcp_flags` Nullable(UInt16) COMMENT 'TCP flags of all packets of the flow: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32; NULL is not sent.' CODEC(ZSTD(1)),
    `forwarding_status` Nullable(UInt8) COMMENT 'IE 89: from 64 on forwarded, from 128 on dropped, from 192 on consumed; NULL is not sent.' CODEC(ZSTD(1)),
    `next_hop` Nullable(IPv6) COMMENT 'IP next hop (IE 15, 62); IPv4 as ::ffff:a.b.c.d; NULL is not sent. The BGP next hop is peer_ip.' CODEC(ZSTD(1)),
    `icmp_type` Nullable(UInt8) COMMENT 'ICMP type, of ICMP or ICMPv6 as protocol says; NULL for other protocols.' CODEC(ZSTD(1)),
    `icmp_code` Nullable(UInt8) COMMENT 'ICMP code, as icmp_type.' CODEC(ZSTD(1)),
    `src_country` LowCardinality(String) COMMENT 'Country of the source: country_code of its meta_ip record, or country_name if that has no code; empty is not known, ? is of a version that did not write it.' CODEC(ZSTD(1)),
    `dst_country` LowCardinality(String) COMMENT 'Country of the destination, as src_country.' CODEC(ZSTD(1)),
    INDEX bit_count_largest `bit_count` TYPE minmax GRANULARITY 1,
    INDEX packet_count_largest `packet_count` TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree()
PARTITION BY toYYYYMMDD(start_time)
ORDER BY (`src_as_id`, `dst_as_id`, `src_ip`, `dst_ip`, `start_time`)
TTL `start_time` + INTERVAL 30 DAY
SETTINGS index_granularity = 8192, min_bytes_for_wide_part = 104857600, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `golden`.`data_interface_traffic`
(
    `start_time` DateTime('UTC') COMMENT 'Start of the interval.' CODEC(Delta, ZSTD),
    `end_time` DateTime('UTC') COMMENT 'End of the interval.' CODEC(Delta, ZSTD),
    `insert_time` DateTime64(3, 'UTC') DEFAULT now64() COMMENT 'When the row was inserted.' CODEC(GCD, T64, ZSTD(1)),
    `collector_id` LowCardinality(String) COMMENT 'Which collector made the row (collector_id of its settings).' CODEC(ZSTD(1)),
    `policy_originator` LowCardinality(String) COMMENT 'Who the data belongs to (policy.originator).' CODEC(ZSTD(1)),
    `policy_level` LowCardinality(String) COMMENT 'How far the row may be shared (policy.level), a TLP level.' CODEC(ZSTD(1)),
    `policy_scope` Array(LowCardinality(String)) COMMENT 'Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>.' CODEC(ZSTD(3)),
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `interface_id` String COMMENT 'The interface: its id in meta_interface.',
    `interface_ref` Nullable(String) COMMENT 'Version of the meta_interface record that held then.',
    `admin_status` LowCardinality(Nullable(String)) COMMENT 'up or down, as configured.',
    `oper_status` LowCardinality(Nullable(String)) COMMENT 'up or down, as it is.',
    `in_bit_count` Nullable(UInt64) COMMENT 'Inbound bits in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `in_discard_packet_count` Nullable(UInt64) COMMENT 'Inbound packets discarded in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `in_error_packet_count` Nullable(UInt64) COMMENT 'Inbound packets with errors in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `in_bcast_packet_count` Nullable(UInt64) COMMENT 'Inbound broadcast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `in_ucast_packet_count` Nullable(UInt64) COMMENT 'Inbound unicast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `in_mcast_packet_count` Nullable(UInt64) COMMENT 'Inbound multicast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_bit_count` Nullable(UInt64) COMMENT 'Outbound bits in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_discard_packet_count` Nullable(UInt64) COMMENT 'Outbound packets discarded in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_error_packet_count` Nullable(UInt64) COMMENT 'Outbound packets with errors in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_bcast_packet_count` Nullable(UInt64) COMMENT 'Outbound broadcast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_ucast_packet_count` Nullable(UInt64) COMMENT 'Outbound unicast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD),
    `out_mcast_packet_count` Nullable(UInt64) COMMENT 'Outbound multicast packets in the interval; NULL if the device does not count them.' CODEC(Delta, ZSTD)
)
ENGINE = CoalescingMergeTree()
PARTITION BY toYYYYMMDD(start_time)
ORDER BY (`interface_id`, `policy_level`, `policy_scope`, `policy_originator`, `collector_id`, `start_time`)
TTL `start_time` + INTERVAL 180 DAY
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `golden`.`collector_loss`
(
    `start_time` DateTime('UTC') COMMENT 'Start of the minute.' CODEC(Delta, ZSTD),
    `end_time` DateTime('UTC') COMMENT 'End of the minute.' CODEC(Delta, ZSTD),
    `insert_time` DateTime64(3, 'UTC') DEFAULT now64() COMMENT 'When the row was inserted.' CODEC(Delta, ZSTD),
    `collector_id` LowCardinality(String) COMMENT 'Which collector counted.',
    `exporter` LowCardinality(String) COMMENT 'The UDP source, or the sFlow agent; other: many together; empty: not known.',
    `device_id` LowCardinality(String) COMMENT 'As in data_flow.',
    `flow_type` LowCardinality(String) COMMENT 'As in data_flow.',
    `protocol` LowCardinality(String) COMMENT 'Export protocol: netflow5, netflow9, ipfix, sflow5.',
    `domain` UInt32 COMMENT 'Observation domain, source id or sub-agent of the exporter.',
    `stage` LowCardinality(String) COMMENT 'Where it was counted: received, upstream, kernel, filter, connection, overload, decode, hold, sink.',
    `sink` LowCardinality(String) COMMENT 'Which sink, for stage sink.',
    `what` LowCardinality(String) COMMENT 'What was counted; for stage sink what became of the rows.',
    `reason` LowCardinality(String) COMMENT 'Why.',
    `unit` LowCardinality(String) COMMENT 'The unit of count: such as datagrams, records or rows.',
    `missing` Bool COMMENT 'It is missing from the tables.',
    `count` UInt64 COMMENT 'How many in the minute.'
)
ENGINE = MergeTree()
PARTITION BY toYYYYMMDD(start_time)
ORDER BY (`stage`, `exporter`, `protocol`, `domain`, `start_time`)
TTL `start_time` + INTERVAL 180 DAY
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `golden`.`meta_organization`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `name` LowCardinality(String) COMMENT 'Name.',
    `type` Array(LowCardinality(String)) COMMENT 'What kinds of organization it is.',
    `city_name` LowCardinality(Nullable(String)) COMMENT 'City.',
    `continent_name` LowCardinality(Nullable(String)) COMMENT 'Continent.',
    `country_name` LowCardinality(Nullable(String)) COMMENT 'Country.',
    `country_code` LowCardinality(Nullable(String)) COMMENT 'Country, ISO 3166-1 alpha-2.',
    `country_sub_name` LowCardinality(Nullable(String)) COMMENT 'State or province.',
    `country_sub_code` LowCardinality(Nullable(String)) COMMENT 'State or province, ISO 3166-2.',
    `latitude` Nullable(Float64) COMMENT 'Degrees north.',
    `longitude` Nullable(Float64) COMMENT 'Degrees east.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_as`
(
    `id` UInt32 COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON(peeringdb_ipv6 Nullable(Bool), peeringdb_prefixes4 Nullable(UInt32), peeringdb_prefixes6 Nullable(UInt32), peeringdb_ratio Nullable(String), peeringdb_scope Nullable(String), peeringdb_traffic Nullable(String), peeringdb_type Array(String)) COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `name` LowCardinality(String) COMMENT 'Name of the AS.',
    `organization_id` String COMMENT 'Whose AS it is: id in meta_organization.',
    `organization_ref` Nullable(String) COMMENT 'Version of that meta_organization record.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_device`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `type` LowCardinality(String) COMMENT 'Kind of device, such as router.',
    `loopback_ip` Array(IPv6) COMMENT 'Addresses that it exports flows from; rows find their device by them.',
    `management_ip` Array(IPv6) COMMENT 'Addresses to manage it by.',
    `hostname` LowCardinality(Nullable(String)) COMMENT 'Host name.',
    `location_name` LowCardinality(Nullable(String)) COMMENT 'Where it stands.',
    `location_type` Array(LowCardinality(Nullable(String))) COMMENT 'What kinds of place that is.',
    `city_name` LowCardinality(Nullable(String)) COMMENT 'City.',
    `continent_name` LowCardinality(Nullable(String)) COMMENT 'Continent.',
    `country_name` LowCardinality(Nullable(String)) COMMENT 'Country.',
    `country_code` LowCardinality(Nullable(String)) COMMENT 'Country, ISO 3166-1 alpha-2.',
    `country_sub_name` LowCardinality(Nullable(String)) COMMENT 'State or province.',
    `country_sub_code` LowCardinality(Nullable(String)) COMMENT 'State or province, ISO 3166-2.',
    `latitude` Nullable(Float64) COMMENT 'Degrees north.',
    `longitude` Nullable(Float64) COMMENT 'Degrees east.',
    `manufacturer` LowCardinality(Nullable(String)) COMMENT 'Manufacturer.',
    `model` LowCardinality(Nullable(String)) COMMENT 'Model.',
    `network` LowCardinality(Nullable(String)) COMMENT 'Network that it belongs to.',
    `os` LowCardinality(Nullable(String)) COMMENT 'Operating system.',
    `role` LowCardinality(Nullable(String)) COMMENT 'What it is for.',
    `state` LowCardinality(Nullable(String)) COMMENT 'State of operation.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_circuit`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `type` LowCardinality(Nullable(String)) COMMENT 'Kind of circuit.',
    `description` Nullable(String) COMMENT 'Description.',
    `state` LowCardinality(Nullable(String)) COMMENT 'State of operation.',
    `endpoint_type` Tuple(LowCardinality(String), LowCardinality(String)) COMMENT 'What its two ends are, such as interface.',
    `endpoint_id` Tuple(String, String) COMMENT 'Ids of its two ends.',
    `parent_circuit_id` LowCardinality(Nullable(String)) COMMENT 'Circuit that it is part of.',
    `parent_circuit_ref` Nullable(String) COMMENT 'Version of that meta_circuit record.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_interface`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `type` LowCardinality(String) COMMENT 'Kind of interface.',
    `description` Nullable(String) COMMENT 'Description.',
    `device_id` String COMMENT 'Device that it is of: id in meta_device.',
    `device_ref` Nullable(String) COMMENT 'Version of that meta_device record.',
    `edge` Bool COMMENT 'At the edge of the network.',
    `flow_index` Nullable(UInt32) COMMENT 'ifIndex that flow records name it by; 0x3fffffff is the device itself.',
    `ipv4` Nullable(IPv4) COMMENT 'Its IPv4 address.',
    `ipv6` Nullable(IPv6) COMMENT 'Its IPv6 address.',
    `name` String COMMENT 'Name on the device.',
    `speed` Nullable(UInt64) COMMENT 'Megabits a second.',
    `circuit_id` Array(String) COMMENT 'Circuits that it is an end of.',
    `circuit_ref` Array(Nullable(String)) COMMENT 'Versions of those meta_circuit records.',
    `peer_as_id` Nullable(UInt32) COMMENT 'AS number at the other end.',
    `peer_as_ref` Nullable(String) COMMENT 'Version of that meta_as record.',
    `peer_interface_ipv4` Nullable(IPv4) COMMENT 'IPv4 address of the other end.',
    `peer_interface_ipv6` Nullable(IPv6) COMMENT 'IPv6 address of the other end.',
    `lag_member_interface_id` Array(LowCardinality(String)) COMMENT 'Members of the link aggregation.',
    `lag_member_interface_ref` Array(Nullable(String)) COMMENT 'Versions of those meta_interface records.',
    `port_interface_id` LowCardinality(Nullable(String)) COMMENT 'Port that it is a subinterface of.',
    `port_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.',
    `remote_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface at the other end.',
    `remote_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.',
    `remote_organization_id` LowCardinality(Nullable(String)) COMMENT 'Organization at the other end.',
    `remote_organization_ref` Nullable(String) COMMENT 'Version of that meta_organization record.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_ip`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `ip_subnet` Array(Tuple(IPv6, UInt8)) COMMENT 'Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4.',
    `city_name` LowCardinality(Nullable(String)) COMMENT 'City.',
    `continent_name` LowCardinality(Nullable(String)) COMMENT 'Continent.',
    `country_name` LowCardinality(Nullable(String)) COMMENT 'Country.',
    `country_code` LowCardinality(Nullable(String)) COMMENT 'Country, ISO 3166-1 alpha-2.',
    `country_sub_name` LowCardinality(Nullable(String)) COMMENT 'State or province.',
    `country_sub_code` LowCardinality(Nullable(String)) COMMENT 'State or province, ISO 3166-2.',
    `latitude` Nullable(Float64) COMMENT 'Degrees north.',
    `longitude` Nullable(Float64) COMMENT 'Degrees east.',
    `as_id` Nullable(UInt32) COMMENT 'AS number of the prefixes; rows whose exporter sends none have it.',
    `as_ref` Nullable(String) COMMENT 'Version of that meta_as record.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_ip_scireg`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `scireg_update_time` Date COMMENT 'When the Science Registry last changed the entry.',
    `ip_subnet` Array(Tuple(IPv6, UInt8)) COMMENT 'Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4.',
    `organization_name` Nullable(String) COMMENT 'Organization.',
    `organization_id` LowCardinality(Nullable(String)) COMMENT 'Organization: id in meta_organization.',
    `organization_ref` Nullable(String) COMMENT 'Version of that meta_organization record.',
    `discipline` Nullable(String) COMMENT 'Field of science.',
    `latitude` Nullable(Float64) COMMENT 'Degrees north.',
    `longitude` Nullable(Float64) COMMENT 'Degrees east.',
    `resource_name` Nullable(String) COMMENT 'What the prefixes are used for.',
    `project_name` Nullable(String) COMMENT 'Project.',
    `contact_email` Nullable(String) COMMENT 'Whom to ask.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_application`
(
    `id` String COMMENT 'Name of the application.',
    `insert_time` DateTime DEFAULT now() COMMENT 'When the record was inserted.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `protocol` LowCardinality(String) COMMENT 'IP protocol by its name (tcp).',
    `port_range_min` UInt16 COMMENT 'First port of the range.',
    `port_range_max` UInt16 COMMENT 'Last port of the range.'
)
ENGINE = ReplacingMergeTree()
ORDER BY (`protocol`, `id`, `port_range_min`, `port_range_max`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_as_prefix`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `ip_subnet` Array(Tuple(IPv6, UInt8)) COMMENT 'Prefixes of the block; IPv4 as ::ffff:a.b.c.d with the length of IPv4.',
    `as_id` UInt32 COMMENT 'AS number of the block.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`meta_source`
(
    `table_name` LowCardinality(String) COMMENT 'Table of the record.',
    `source` LowCardinality(String) COMMENT 'Which source has it.',
    `id` String COMMENT 'Id of the record.',
    `present` Bool COMMENT 'The source has the record; false once it vanished from it.',
    `insert_time` DateTime64(6) DEFAULT now64(6) COMMENT 'When that was noted; the latest row holds.'
)
ENGINE = ReplacingMergeTree(insert_time)
ORDER BY (`table_name`, `source`, `id`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;

CREATE TABLE IF NOT EXISTS `golden`.`data_flow_by_edge_as_5m`
(
    `start_time` DateTime COMMENT 'Start of the window.' CODEC(T64, ZSTD(1)),
    `policy_originator` LowCardinality(Nullable(String)) COMMENT 'Who the data belongs to (policy.originator).' CODEC(ZSTD(1)),
    `policy_level` LowCardinality(Nullable(String)) COMMENT 'How far the row may be shared (policy.level), a TLP level.' CODEC(ZSTD(1)),
    `policy_scope` Array(LowCardinality(String)) COMMENT 'Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>.' CODEC(ZSTD(3)),
    `ext` JSON(bgp_as_path_id Array(UInt32)) COMMENT 'bgp_as_path_id: AS path without repetitions, nearest first.' CODEC(ZSTD(1)),
    `src_as_id` UInt32 COMMENT 'AS number of the source: the exporter\'s, else that of the prefix in meta_ip; 0 is not known.' CODEC(ZSTD(1)),
    `src_as_ref` Nullable(String) COMMENT 'Version of the source\'s meta_as record.' CODEC(ZSTD(3)),
    `dst_as_id` UInt32 COMMENT 'AS number of the destination, as src_as_id.' CODEC(ZSTD(1)),
    `dst_as_ref` Nullable(String) COMMENT 'Version of the destination\'s meta_as record.' CODEC(ZSTD(3)),
    `device_id` LowCardinality(String) COMMENT 'The exporter: its id in meta_device, else its address as text, else unknown.' CODEC(ZSTD(1)),
    `device_ref` Nullable(String) COMMENT 'Version of the meta_device record that held when the flow was received.' CODEC(ZSTD(3)),
    `application_id` LowCardinality(Nullable(String)) COMMENT 'The application: id in meta_application.' CODEC(ZSTD(1)),
    `in_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow came in by: its id in meta_interface, else <device_id>::<name> as the exporter names it, without a ref.' CODEC(ZSTD(1)),
    `in_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `in_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `out_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow went out by, as in_interface_id.' CODEC(ZSTD(1)),
    `out_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `out_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `ip_version` UInt8 COMMENT '4 or 6.' CODEC(ZSTD(1)),
    `flow_count` UInt64 COMMENT 'How many flows; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `bit_count` UInt64 COMMENT 'Bytes on the wire * 8 * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `packet_count` UInt64 COMMENT 'Packets * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1))
)
ENGINE = SummingMergeTree((flow_count, bit_count, packet_count))
PARTITION BY toYYYYMMDD(start_time)
PRIMARY KEY (`src_as_id`, `dst_as_id`, `start_time`)
ORDER BY (`src_as_id`, `dst_as_id`, `start_time`, `policy_originator`, `policy_level`, `policy_scope`, `ext.bgp_as_path_id`, `src_as_ref`, `dst_as_ref`, `device_id`, `device_ref`, `application_id`, `in_interface_id`, `in_interface_ref`, `in_interface_edge`, `out_interface_id`, `out_interface_ref`, `out_interface_edge`, `ip_version`)
TTL `start_time` + INTERVAL 5 YEAR
SETTINGS allow_nullable_key = 1, index_granularity = 8192, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `golden`.`data_flow_by_interface_5m`
(
    `start_time` DateTime COMMENT 'Start of the window.' CODEC(T64, ZSTD(1)),
    `policy_originator` LowCardinality(Nullable(String)) COMMENT 'Who the data belongs to (policy.originator).' CODEC(ZSTD(1)),
    `policy_level` LowCardinality(Nullable(String)) COMMENT 'How far the row may be shared (policy.level), a TLP level.' CODEC(ZSTD(1)),
    `policy_scope` Array(LowCardinality(String)) COMMENT 'Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>.' CODEC(ZSTD(3)),
    `device_id` LowCardinality(String) COMMENT 'The exporter: its id in meta_device, else its address as text, else unknown.' CODEC(ZSTD(1)),
    `device_ref` Nullable(String) COMMENT 'Version of the meta_device record that held when the flow was received.' CODEC(ZSTD(3)),
    `in_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow came in by: its id in meta_interface, else <device_id>::<name> as the exporter names it, without a ref.' CODEC(ZSTD(1)),
    `in_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `in_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `out_interface_id` LowCardinality(Nullable(String)) COMMENT 'Interface that the flow went out by, as in_interface_id.' CODEC(ZSTD(1)),
    `out_interface_ref` Nullable(String) COMMENT 'Version of that meta_interface record.' CODEC(ZSTD(3)),
    `out_interface_edge` Bool COMMENT 'The interface is at the edge of the network (edge of meta_interface).' CODEC(ZSTD(1)),
    `flow_count` UInt64 COMMENT 'How many flows; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `bit_count` UInt64 COMMENT 'Bytes on the wire * 8 * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `packet_count` UInt64 COMMENT 'Packets * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1))
)
ENGINE = SummingMergeTree((flow_count, bit_count, packet_count))
PARTITION BY toYYYYMMDD(start_time)
PRIMARY KEY (`in_interface_id`, `out_interface_id`, `start_time`)
ORDER BY (`in_interface_id`, `out_interface_id`, `start_time`, `in_interface_ref`, `in_interface_edge`, `out_interface_ref`, `out_interface_edge`, `policy_originator`, `policy_level`, `policy_scope`, `device_id`, `device_ref`)
TTL `start_time` + INTERVAL 5 YEAR
SETTINGS allow_nullable_key = 1, index_granularity = 8192, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS `golden`.`data_flow_by_ip_version_5m`
(
    `start_time` DateTime COMMENT 'Start of the window.' CODEC(T64, ZSTD(1)),
    `policy_originator` LowCardinality(Nullable(String)) COMMENT 'Who the data belongs to (policy.originator).' CODEC(ZSTD(1)),
    `policy_level` LowCardinality(Nullable(String)) COMMENT 'How far the row may be shared (policy.level), a TLP level.' CODEC(ZSTD(1)),
    `policy_scope` Array(LowCardinality(String)) COMMENT 'Who may see the row: the configured scopes, as:<AS> of both ends, comm:<community>.' CODEC(ZSTD(3)),
    `ip_version` UInt8 COMMENT '4 or 6.' CODEC(ZSTD(1)),
    `flow_count` UInt64 COMMENT 'How many flows; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `bit_count` UInt64 COMMENT 'Bytes on the wire * 8 * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1)),
    `packet_count` UInt64 COMMENT 'Packets * sampling rate; sum it.' CODEC(GCD, T64, ZSTD(1))
)
ENGINE = SummingMergeTree((flow_count, bit_count, packet_count))
PARTITION BY toYYYYMMDD(start_time)
PRIMARY KEY (`ip_version`, `start_time`)
ORDER BY (`ip_version`, `start_time`, `policy_originator`, `policy_level`, `policy_scope`)
TTL `start_time` + INTERVAL 5 YEAR
SETTINGS allow_nullable_key = 1, index_granularity = 8192, non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1;

CREATE DICTIONARY IF NOT EXISTS `golden`.`meta_application_dict`
(
    `id` String,
    `protocol` String,
    `port_range_min` UInt16,
    `port_range_max` UInt16
)
PRIMARY KEY `protocol`
SOURCE(CLICKHOUSE(HOST '127.0.0.1' DB 'golden' QUERY 'SELECT lower(source.protocol) AS protocol, least(source.port_range_min, source.port_range_max) AS port_range_min, greatest(source.port_range_min, source.port_range_max) AS port_range_max, source.id AS id FROM `golden`.`meta_application` AS source FINAL WHERE sipHash128(concat(source.protocol, \' \', source.id, \' \', toString(source.port_range_min), \' \', toString(source.port_range_max))) NOT IN (SELECT h FROM (SELECT sipHash128(id) AS h, source, argMax(present, insert_time) AS has FROM `golden`.`meta_source` WHERE table_name = \'meta_application\' AND h IN (SELECT sipHash128(id) FROM `golden`.`meta_source` WHERE table_name = \'meta_application\' AND NOT present) GROUP BY h, source) GROUP BY h HAVING NOT max(has))'))
LIFETIME(MIN 600 MAX 3600)
LAYOUT(COMPLEX_KEY_RANGE_HASHED(range_lookup_strategy 'max'))
RANGE(MIN port_range_min MAX port_range_max);

CREATE DICTIONARY IF NOT EXISTS `golden`.`meta_as_dict`
(
    `id` UInt32,
    `name` String
)
PRIMARY KEY `id`
SOURCE(CLICKHOUSE(HOST '127.0.0.1' DB 'golden' QUERY 'SELECT id, argMax(name, (insert_time, length(ref), ref)) AS name FROM `golden`.`meta_as` WHERE sipHash128(toString(id)) NOT IN (SELECT h FROM (SELECT sipHash128(id) AS h, source, argMax(present, insert_time) AS has FROM `golden`.`meta_source` WHERE table_name = \'meta_as\' AND h IN (SELECT sipHash128(id) FROM `golden`.`meta_source` WHERE table_name = \'meta_as\' AND NOT present) GROUP BY h, source) GROUP BY h HAVING NOT max(has)) GROUP BY id'))
LIFETIME(MIN 600 MAX 3600)
LAYOUT(HASHED());

CREATE MATERIALIZED VIEW IF NOT EXISTS `golden`.`data_flow_by_edge_as_5m_mv` TO `golden`.`data_flow_by_edge_as_5m`
AS SELECT
    window_start AS start_time,
    policy_originator,
    'tlp:green' AS policy_level,
    ['comm:re'] AS policy_scope,
    toJSONString(map('bgp_as_path_id', as_path)) AS ext,
    src_as_id,
    src_as_ref,
    dst_as_id,
    dst_as_ref,
    device_id,
    device_ref,
    application_id,
    in_interface_id,
    in_interface_ref,
    in_interface_edge,
    out_interface_id,
    out_interface_ref,
    out_interface_edge,
    ip_version,
    flows AS flow_count,
    bits AS bit_count,
    packets AS packet_count
FROM
(
    SELECT
        toStartOfInterval(least(greatest(start_time, toDateTime64('1970-01-01 00:00:00', 3, 'UTC')), toDateTime64('2100-01-01 00:00:00', 3, 'UTC')), INTERVAL 5 MINUTE) AS window_start,
        policy_originator,
        ext.bgp_as_path_id AS as_path,
        src_as_id,
        src_as_ref,
        dst_as_id,
        dst_as_ref,
        device_id,
        device_ref,
        dictGetOrNull('golden.meta_application_dict', 'id', lower(protocol), application_port) AS application_id,
        in_interface_id,
        in_interface_ref,
        in_interface_edge,
        out_interface_id,
        out_interface_ref,
        out_interface_edge,
        ip_version,
        count() AS flows,
        sum(bit_count) AS bits,
        sum(packet_count) AS packets
    FROM `golden`.`data_flow`
    WHERE in_interface_edge = true OR out_interface_edge = true
    GROUP BY window_start, policy_originator, as_path, src_as_id, src_as_ref, dst_as_id, dst_as_ref, device_id, device_ref, application_id, in_interface_id, in_interface_ref, in_interface_edge, out_interface_id, out_interface_ref, out_interface_edge, ip_version
);

CREATE MATERIALIZED VIEW IF NOT EXISTS `golden`.`data_flow_by_interface_5m_mv` TO `golden`.`data_flow_by_interface_5m`
AS SELECT
    window_start AS start_time,
    policy_originator,
    'tlp:green' AS policy_level,
    ['comm:re'] AS policy_scope,
    device_id,
    device_ref,
    in_interface_id,
    in_interface_ref,
    in_interface_edge,
    out_interface_id,
    out_interface_ref,
    out_interface_edge,
    flows AS flow_count,
    bits AS bit_count,
    packets AS packet_count
FROM
(
    SELECT
        toStartOfInterval(least(greatest(start_time, toDateTime64('1970-01-01 00:00:00', 3, 'UTC')), toDateTime64('2100-01-01 00:00:00', 3, 'UTC')), INTERVAL 5 MINUTE) AS window_start,
        policy_originator,
        device_id,
        device_ref,
        in_interface_id,
        in_interface_ref,
        in_interface_edge,
        out_interface_id,
        out_interface_ref,
        out_interface_edge,
        count() AS flows,
        sum(bit_count) AS bits,
        sum(packet_count) AS packets
    FROM `golden`.`data_flow`
    WHERE in_interface_ref IS NOT NULL AND out_interface_ref IS NOT NULL
    GROUP BY window_start, policy_originator, device_id, device_ref, in_interface_id, in_interface_ref, in_interface_edge, out_interface_id, out_interface_ref, out_interface_edge
);

CREATE MATERIALIZED VIEW IF NOT EXISTS `golden`.`data_flow_by_ip_version_5m_mv` TO `golden`.`data_flow_by_ip_version_5m`
AS SELECT
    window_start AS start_time,
    policy_originator,
    'tlp:green' AS policy_level,
    ['comm:re'] AS policy_scope,
    ip_version,
    flows AS flow_count,
    bits AS bit_count,
    packets AS packet_count
FROM
(
    SELECT
        toStartOfInterval(least(greatest(start_time, toDateTime64('1970-01-01 00:00:00', 3, 'UTC')), toDateTime64('2100-01-01 00:00:00', 3, 'UTC')), INTERVAL 5 MINUTE) AS window_start,
        policy_originator,
        ip_version,
        count() AS flows,
        sum(bit_count) AS bits,
        sum(packet_count) AS packets
    FROM `golden`.`data_flow`
    GROUP BY window_start, policy_originator, ip_version
);

CREATE VIEW IF NOT EXISTS `golden`.`sums_traffic`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `flow_type`, `protocol`, `ip_version`, `policy_originator`, `policy_level`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_interface`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `in_interface_id`, toLowCardinality(f.in_interface_ref) AS `in_interface_ref`, `in_interface_edge`, `out_interface_id`, toLowCardinality(f.out_interface_ref) AS `out_interface_ref`, `out_interface_edge`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`edge_interface`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `in_interface_id`, toLowCardinality(f.in_interface_ref) AS `in_interface_ref`, `in_interface_edge`, `out_interface_id`, toLowCardinality(f.out_interface_ref) AS `out_interface_ref`, `out_interface_edge`, src_as_id, dst_as_id, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_edge_as_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`known_interface`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `in_interface_id`, toLowCardinality(f.in_interface_ref) AS `in_interface_ref`, `in_interface_edge`, `out_interface_id`, toLowCardinality(f.out_interface_ref) AS `out_interface_ref`, `out_interface_edge`, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_interface_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_interface_application`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `in_interface_id`, `out_interface_id`, `protocol`, `application_port`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_application`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toBool(f.in_interface_edge OR f.out_interface_edge) AS `edge`, `protocol`, `application_port`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`edge_application`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, f.application_id AS application_id, src_as_id, dst_as_id, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_edge_as_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_sampling`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `flow_type`, `sampling_rate`, `sampling_source`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_peer`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `out_interface_id`, `peer_as_id`, `peer_ip`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_src_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toBool(f.in_interface_edge OR f.out_interface_edge) AS `edge`, `src_as_id`, src_ip, dst_ip, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`edge_src_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `src_as_id`, dst_as_id, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_edge_as_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_dst_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toBool(f.in_interface_edge OR f.out_interface_edge) AS `edge`, `dst_as_id`, src_ip, dst_ip, src_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`edge_dst_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `dst_as_id`, src_as_id, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_edge_as_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_all_src_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `src_as_id`, device_id, src_ip, dst_ip, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_all_dst_as`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `dst_as_id`, device_id, src_ip, dst_ip, src_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_as_pair`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toBool(f.in_interface_edge OR f.out_interface_edge) AS `edge`, `src_as_id`, `dst_as_id`, src_ip, dst_ip, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`largest_as_pair`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toBool(f.in_interface_edge OR f.out_interface_edge) AS `edge`, `src_as_id`, `dst_as_id`, src_ip, dst_ip, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`edge_as_pair`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `src_as_id`, `dst_as_id`, flow_count, bit_count, packet_count
FROM `golden`.`data_flow_by_edge_as_5m` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_talkers`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `protocol`, `application_port`, `src_as_id`, `dst_as_id`, `src_ip`, `dst_ip`, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`largest_talkers`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `protocol`, `application_port`, `src_as_id`, `dst_as_id`, `src_ip`, `dst_ip`, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_as_path`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, ext.bgp_as_path_id AS `bgp_as_path_id`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_community`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, toLowCardinality(arrayJoin(f.ext.bgp_community)) AS `community`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_route`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `peer_as_id`, ifNull(toString(f.ext.rpki_dst), '') AS `dst_validation`, ifNull(toString(f.ext.bgp_router), '') AS `route_router`, ifNull(toString(f.ext.bgp_source), '') AS `route_source`, if(ifNull(toString(f.ext.rpki_dst), '') = 'invalid', f.dst_as_id, 0) AS `invalid_as_id`, if(ifNull(toString(f.ext.rpki_dst), '') = 'invalid', ifNull(toString(f.ext.bgp_dst_prefix), ''), '') AS `invalid_prefix`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_src_prefix`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `src_ip_ref`, device_id, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_dst_prefix`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `dst_ip_ref`, device_id, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_country`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `src_country`, `dst_country`, device_id, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_scireg`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, ext.src_ip_scireg_ref AS `src_ip_scireg_ref`, ext.dst_ip_scireg_ref AS `dst_ip_scireg_ref`, src_ip, dst_ip, src_as_id, dst_as_id, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE VIEW IF NOT EXISTS `golden`.`sums_scope`
AS SELECT toDateTime(f.start_time, 'UTC') AS start_time, `device_id`, `policy_originator`, `policy_level`, arrayFilter(s -> NOT startsWith(s, 'as:'), f.policy_scope) AS `named_scope`, src_ip, dst_ip, src_as_id, dst_as_id, named_scope AS policy_scope, toUInt64(1) AS flow_count, bit_count, packet_count
FROM `golden`.`data_flow` AS f
WHERE {step:UInt32} >= 0 AND {rows:UInt8} >= 0 AND ({from:UInt32} < {to:UInt32} AND f.start_time >= toDateTime({from:UInt32}, 'UTC') AND f.start_time < toDateTime({to:UInt32}, 'UTC'));

CREATE TABLE IF NOT EXISTS `golden`.`meta_ip_blocklist`
(
    `id` String COMMENT 'Names the record; every version of it has the same.',
    `ref` String COMMENT 'Names this version (<id>__v<n>); rows refer to it.',
    `hash` String COMMENT 'MD5 of the content: another content makes a version.',
    `insert_time` DateTime DEFAULT now() COMMENT 'From when the version holds.',
    `ext` JSON COMMENT 'Room for what has no column of its own.',
    `tag` Array(LowCardinality(String)) COMMENT 'Tags.',
    `ip_subnet` Array(Tuple(IPv6, UInt8)) COMMENT 'Prefixes that the record is for; IPv4 as ::ffff:a.b.c.d with the length of IPv4.'
)
ENGINE = MergeTree()
ORDER BY (`ref`, `id`, `insert_time`)
SETTINGS index_granularity = 8192, non_replicated_deduplication_window = 20000;
