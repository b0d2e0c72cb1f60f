-- From a Kafka topic into data_flow, by ClickHouse itself: for collectors that produce `format: json`.
--
-- The server reads the topic as a consumer group, any number of servers of a cluster side by side. What it reads goes through
-- a materialized view into data_flow, and from there into the views on it, as if a collector had inserted it.
--
-- Before you run it
--   1. data_flow must be there: a collector with `clickhouse.host` set makes it at its start.
--   2. Set kafka_broker_list and kafka_topic_list below; kafka_num_consumers up to the topic's partitions and the server's cores.
--   3. TLS, SASL and other settings of the client stand in the server's configuration, under <kafka>:
--      https://clickhouse.com/docs/engines/table-engines/integrations/kafka#configuration
--   4. Run it in the database of data_flow:
--        clickhouse-client --database default --multiquery < json.sql
--      On a cluster add ON CLUSTER to each CREATE; data_flow is then the Distributed or Replicated table.
--
-- Operating it
--   Lag and errors of the consumers:  SELECT * FROM system.kafka_consumers FORMAT Vertical
--   Messages that could not be read:  SELECT * FROM data_flow_kafka_error
--   Stop and go on:                   DETACH TABLE data_flow_kafka, ATTACH TABLE data_flow_kafka
--   A change of columns: drop data_flow_kafka_mv and data_flow_kafka, run this again; the group's offsets stay in Kafka.
--
-- Kafka's engine delivers at least once: a server that stops between the insert and the commit of its offsets reads those
-- messages again. Where every row must be there once, let the collector insert into ClickHouse itself.

CREATE TABLE IF NOT EXISTS data_flow_kafka
(
    start_time         DateTime64(3, 'UTC'), -- in the messages: Unix milliseconds
    end_time           DateTime64(3, 'UTC'),
    collector_id       LowCardinality(String),
    policy_originator  LowCardinality(String),
    policy_level       LowCardinality(String),
    policy_scope       Array(LowCardinality(String)),
    ext                String, -- the object's text: the paths that data_flow declares get their types there
    flow_type          LowCardinality(String),
    device_id          LowCardinality(String),
    device_ref         Nullable(String),
    src_as_id          UInt32,
    src_as_ref         Nullable(String),
    src_ip             IPv6,
    src_ip_ref         Nullable(String),
    src_port           UInt16,
    dst_as_id          UInt32,
    dst_as_ref         Nullable(String),
    dst_ip             IPv6,
    dst_ip_ref         Nullable(String),
    dst_port           UInt16,
    protocol           LowCardinality(String),
    in_interface_id    LowCardinality(Nullable(String)),
    in_interface_ref   Nullable(String),
    in_interface_edge  Bool,
    out_interface_id   LowCardinality(Nullable(String)),
    out_interface_ref  Nullable(String),
    out_interface_edge Bool,
    peer_as_id         Nullable(UInt32),
    peer_as_ref        Nullable(String),
    peer_ip            Nullable(IPv6),
    peer_ip_ref        Nullable(String),
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
    kafka_format = 'JSONEachRow',
    kafka_num_consumers = 1,
    kafka_max_block_size = 65536,
    kafka_flush_interval_ms = 2000,
    kafka_handle_error_mode = 'stream',
    input_format_json_read_objects_as_strings = 1,
    input_format_skip_unknown_fields = 1;

-- Messages that are no such object, with the reason, for a week.
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
SELECT *
FROM data_flow_kafka
WHERE _error = '';
