-- data_flow as the collector of 24 November 2026 (commit 18a2723) made it: without codecs, comments and the later columns,
-- and with another type of ext. TestUpgrade opens it with today's program. Its TTL is left out: the rows are older.
CREATE TABLE golden.data_flow
(
    `start_time` DateTime64(3, 'UTC'),
    `end_time` DateTime64(3, 'UTC'),
    `insert_time` DateTime64(3, 'UTC') DEFAULT now64() CODEC(Delta(8), ZSTD(1)),
    `collector_id` LowCardinality(String),
    `policy_originator` LowCardinality(String),
    `policy_level` LowCardinality(String),
    `policy_scope` Array(LowCardinality(String)),
    `ext` JSON(bgp_as_path_id Array(UInt32), bgp_as_path_padding Array(UInt16), bgp_community Array(LowCardinality(String)), bgp_ext_community Array(LowCardinality(String)), bgp_large_community Array(LowCardinality(String)), bgp_local_pref Nullable(UInt32), bgp_med Nullable(UInt32), dst_ip_scireg_ref Nullable(String), ipv4_dscp Nullable(UInt8), ipv4_tos Nullable(UInt8), ipv6_flow_label Nullable(UInt32), mpls_bottom_label Nullable(UInt32), mpls_exp Array(UInt8), mpls_label Array(UInt32), mpls_pw Nullable(UInt32), mpls_top_label_ip Nullable(IPv6), mpls_top_label_type Nullable(UInt32), mpls_vpn_rd LowCardinality(Nullable(String)), src_ip_scireg_ref Nullable(String), vlan_id Nullable(UInt32), vlan_in_id Nullable(UInt32), vlan_in_inner_id Nullable(UInt32), vlan_out_id Nullable(UInt32), vlan_out_inner_id Nullable(UInt32)),
    `flow_type` LowCardinality(String),
    `device_id` LowCardinality(String),
    `device_ref` Nullable(String),
    `src_as_id` UInt32,
    `src_as_ref` Nullable(String),
    `src_ip` IPv6,
    `src_ip_ref` Nullable(String),
    `src_port` UInt16,
    `dst_as_id` UInt32,
    `dst_as_ref` Nullable(String),
    `dst_ip` IPv6,
    `dst_ip_ref` Nullable(String),
    `dst_port` UInt16,
    `protocol` LowCardinality(String),
    `in_interface_id` LowCardinality(Nullable(String)),
    `in_interface_ref` Nullable(String),
    `in_interface_edge` Bool,
    `out_interface_id` LowCardinality(Nullable(String)),
    `out_interface_ref` Nullable(String),
    `out_interface_edge` Bool,
    `peer_as_id` Nullable(UInt32),
    `peer_as_ref` Nullable(String),
    `peer_ip` Nullable(IPv6),
    `peer_ip_ref` Nullable(String),
    `ip_version` UInt8,
    `application_port` UInt16,
    `bit_count` UInt64,
    `packet_count` UInt64,
    `sampling_rate` UInt32,
    `sampling_source` LowCardinality(String)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(start_time)
ORDER BY (src_as_id, dst_as_id, src_ip, dst_ip, start_time)
SETTINGS index_granularity = 8192, min_bytes_for_wide_part = 104857600, min_parts_to_merge_at_once = 32,
    min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1,
    non_replicated_deduplication_window = 20000, ttl_only_drop_parts = 1
