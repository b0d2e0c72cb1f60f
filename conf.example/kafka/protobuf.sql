-- From a Kafka topic into data_flow, by ClickHouse itself: for collectors that produce `format: protobuf`.
--
-- As json.sql, which says more about running and operating it. Besides:
--   - Copy sink/message/flow.proto to the server's format_schema_path (/var/lib/clickhouse/format_schemas/; the collector's local
--     store looks in the directory that it was started in).
--   - The reference extensions of ext become src_ip_<extension>_ref and dst_ip_<extension>_ref. Declare the paths of ext in
--     data_flow (`flow.extensions`): without, lists that an exporter did not send are stored as empty ones.
-- Run one of json.sql and protobuf.sql for a topic, not both: they make tables of the same names.

CREATE TABLE IF NOT EXISTS data_flow_kafka
(
    start_time_ms      Int64,
    end_time_ms        Int64,
    collector_id       LowCardinality(String),
    policy_originator  LowCardinality(String),
    policy_level       LowCardinality(String),
    policy_scope       Array(LowCardinality(String)),
    ext                Tuple(
        bgp_as_path_id      Array(UInt32),
        bgp_as_path_padding Array(UInt16),
        bgp_community       Array(UInt32),
        bgp_local_pref      Nullable(UInt32),
        bgp_med             Nullable(UInt32),
        ipv4_tos            Nullable(UInt8),
        ipv4_dscp           Nullable(UInt8),
        ipv6_flow_label     Nullable(UInt32),
        mpls_label          Array(UInt32),
        mpls_exp            Array(UInt8),
        mpls_bottom_label   Nullable(UInt32),
        mpls_pw             Nullable(UInt32),
        mpls_top_label_ip   String,
        mpls_top_label_type Nullable(UInt32),
        mpls_vpn_rd         String,
        vlan_id             Nullable(UInt32),
        vlan_in_id          Nullable(UInt32),
        vlan_out_id         Nullable(UInt32),
        vlan_in_inner_id    Nullable(UInt32),
        vlan_out_inner_id   Nullable(UInt32),
        src_ip_ref          Map(String, String),
        dst_ip_ref          Map(String, String)),
    flow_type          LowCardinality(String),
    device_id          LowCardinality(String),
    device_ref         String,
    src_as_id          UInt32,
    src_as_ref         String,
    src_ip             FixedString(16),
    src_ip_ref         String,
    src_port           UInt16,
    dst_as_id          UInt32,
    dst_as_ref         String,
    dst_ip             FixedString(16),
    dst_ip_ref         String,
    dst_port           UInt16,
    protocol           LowCardinality(String),
    in_interface_id    LowCardinality(String),
    in_interface_ref   String,
    in_interface_edge  Bool,
    out_interface_id   LowCardinality(String),
    out_interface_ref  String,
    out_interface_edge Bool,
    peer_as_id         Nullable(UInt32),
    peer_as_ref        String,
    peer_ip            String,
    peer_ip_ref        String,
    ip_version         UInt8,
    application_port   UInt16,
    bit_count          UInt64,
    packet_count       UInt64,
    sampling_rate      UInt32,
    sampling_source    LowCardinality(String)
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = 'localhost:9092',
    kafka_topic_list = 'flows',
    kafka_group_name = 'clickhouse-data-flow',
    kafka_format = 'ProtobufSingle',
    kafka_schema = 'flow.proto:Flow',
    kafka_num_consumers = 1,
    kafka_max_block_size = 65536,
    kafka_flush_interval_ms = 2000,
    kafka_handle_error_mode = 'stream';

-- Messages that are no Flow, with the reason, for a week.
CREATE TABLE IF NOT EXISTS data_flow_kafka_error
(
    time      DateTime DEFAULT now(),
    topic     LowCardinality(String),
    partition UInt64,
    offset    UInt64,
    error     String,
    message   String
)
ENGINE = MergeTree
ORDER BY time
TTL time + INTERVAL 7 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS data_flow_kafka_error_mv TO data_flow_kafka_error AS
SELECT _topic AS topic, _partition AS partition, _offset AS offset, _error AS error, _raw_message AS message
FROM data_flow_kafka
WHERE _error != '';

-- The last to be made: from here on the topic is read.
CREATE MATERIALIZED VIEW IF NOT EXISTS data_flow_kafka_mv TO data_flow AS
SELECT
    fromUnixTimestamp64Milli(start_time_ms, 'UTC') AS start_time,
    fromUnixTimestamp64Milli(end_time_ms, 'UTC') AS end_time,
    collector_id, policy_originator, policy_level, policy_scope,
    JSONMergePatch( -- leaves out what is NULL
        toJSONString(CAST((
            k.ext.bgp_as_path_id, k.ext.bgp_as_path_padding,
            arrayMap(c -> concat(toString(bitShiftRight(c, 16)), ':', toString(bitAnd(c, 65535))), k.ext.bgp_community),
            k.ext.bgp_local_pref, k.ext.bgp_med, k.ext.ipv4_tos, k.ext.ipv4_dscp, k.ext.ipv6_flow_label,
            k.ext.mpls_label, k.ext.mpls_exp, k.ext.mpls_bottom_label, k.ext.mpls_pw,
            if(k.ext.mpls_top_label_ip = '', NULL, IPv6NumToString(toFixedString(k.ext.mpls_top_label_ip, 16))),
            k.ext.mpls_top_label_type, nullIf(k.ext.mpls_vpn_rd, ''),
            k.ext.vlan_id, k.ext.vlan_in_id, k.ext.vlan_out_id, k.ext.vlan_in_inner_id, k.ext.vlan_out_inner_id),
        'Tuple(bgp_as_path_id Array(UInt32), bgp_as_path_padding Array(UInt16), bgp_community Array(String),
            bgp_local_pref Nullable(UInt32), bgp_med Nullable(UInt32), ipv4_tos Nullable(UInt8), ipv4_dscp Nullable(UInt8),
            ipv6_flow_label Nullable(UInt32), mpls_label Array(UInt32), mpls_exp Array(UInt8), mpls_bottom_label Nullable(UInt32),
            mpls_pw Nullable(UInt32), mpls_top_label_ip Nullable(String), mpls_top_label_type Nullable(UInt32),
            mpls_vpn_rd Nullable(String), vlan_id Nullable(UInt32), vlan_in_id Nullable(UInt32), vlan_out_id Nullable(UInt32),
            vlan_in_inner_id Nullable(UInt32), vlan_out_inner_id Nullable(UInt32))')),
        toJSONString(mapApply((x, ref) -> (concat('src_ip_', x, '_ref'), ref), k.ext.src_ip_ref)),
        toJSONString(mapApply((x, ref) -> (concat('dst_ip_', x, '_ref'), ref), k.ext.dst_ip_ref))) AS ext,
    flow_type, device_id, nullIf(k.device_ref, '') AS device_ref,
    src_as_id, nullIf(k.src_as_ref, '') AS src_as_ref, CAST(k.src_ip AS IPv6) AS src_ip, nullIf(k.src_ip_ref, '') AS src_ip_ref, src_port,
    dst_as_id, nullIf(k.dst_as_ref, '') AS dst_as_ref, CAST(k.dst_ip AS IPv6) AS dst_ip, nullIf(k.dst_ip_ref, '') AS dst_ip_ref, dst_port,
    protocol,
    nullIf(k.in_interface_id, '') AS in_interface_id, nullIf(k.in_interface_ref, '') AS in_interface_ref, in_interface_edge,
    nullIf(k.out_interface_id, '') AS out_interface_id, nullIf(k.out_interface_ref, '') AS out_interface_ref, out_interface_edge,
    peer_as_id, nullIf(k.peer_as_ref, '') AS peer_as_ref,
    if(k.peer_ip = '', NULL, CAST(toFixedString(k.peer_ip, 16) AS IPv6)) AS peer_ip, nullIf(k.peer_ip_ref, '') AS peer_ip_ref,
    ip_version, application_port, bit_count, packet_count, sampling_rate, sampling_source
FROM data_flow_kafka AS k
WHERE _error = '';
