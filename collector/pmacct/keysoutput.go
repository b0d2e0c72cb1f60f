package pmacct

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// outputKeys returns the keys of plugins.
func outputKeys() []Counterpart {
	return []Counterpart{
		taken("plugins", "clickhouse.host kafka.topic",
			"`kafka` is `kafka.topic`. All others are ClickHouse or the local "+
				"store, which need no plugin.", (*conversion).plugins),
		taken("kafka_topic", "kafka.topic", "Without variables.", func(c *conversion, s *Setting) {
			if strings.Contains(s.Value, "$") {
				c.missing(s, "names of topics have no variables")
				return
			}
			c.set(s, "kafka.topic", s.Value)
		}),
		taken("kafka_broker_host kafka_broker_port", "kafka.brokers", "Several are possible.",
			func(c *conversion, s *Setting) {
				if s.Key == "kafka_broker_port" {
					c.brokerPort = s
					return
				}
				c.brokers = s
			}),
		taken("kafka_output", "kafka.format",
			"`json` is `pmacct-json`, also without the key. `avro` has no counterpart.",
			func(c *conversion, s *Setting) {
				if !strings.EqualFold(s.Value, "json") {
					c.missing(s, "set kafka.format to json, protobuf or pmacct-json")
				}
			}),
		taken("kafka_partition_key", "kafka.key",
			"`$peer_src_ip` is `exporter`, `$src_host` and `$dst_host` are `flow`.",
			func(c *conversion, s *Setting) {
				switch {
				case strings.Contains(s.Value, "_host"):
					c.set(s, "kafka.key", plainText("flow"))
				case strings.Contains(s.Value, "$peer_src_ip"):
					c.set(s, "kafka.key", plainText("exporter"))
				default:
					c.missing(s, "keys are none, exporter or flow")
				}
			}),
		taken("kafka_config_file", "kafka.acks kafka.ca_file kafka.cert_file kafka.client_id kafka.compression "+
			"kafka.delivery_timeout kafka.idempotent kafka.key_file kafka.key_password kafka.linger kafka.password "+
			"kafka.sasl_mechanism kafka.security_protocol kafka.username",
			"librdkafka's properties with such a counterpart. Others are named.", (*conversion).librdkafka),
		row("kafka_partition kafka_partition_dynamic kafka_topic_rr", NotNeeded, "",
			"Messages are spread over all partitions of one topic: `kafka.key`."),
		row("kafka_avro_schema_registry avro_* *_avro_*", Missing, "", "Messages are JSON or protobuf."),
		row("kafka_refresh_time kafka_multi_values kafka_cache_entries kafka_max_writers kafka_num_protos "+
			"kafka_markers kafka_startup_delay kafka_trigger_exec", NotNeeded, "",
			"Messages are sent as flows come: `kafka.linger`, `kafka.max_batch_bytes`, `kafka.queue_bytes`."),
		row("sql_*", NotNeeded, "", "Rows are in ClickHouse or the local store: `clickhouse.*`, `store.*`, `batch.*`."),
		row("imt_*", NotNeeded, "", "`collector tail`, `collector top` and `collector query` show what is received."),
		row("print_*", NotNeeded, "", "`collector query` and `collector export` write CSV, JSON and Parquet."),
		row("mongo_*", Missing, "", "MongoDB: use ClickHouse, the local store or Kafka."),
		row("amqp_*", Missing, "", "AMQP: use Kafka."),
	}
}

// plugins takes the list of plugins, and remarks on those without a counterpart.
func (c *conversion) plugins(s *Setting) {
	for plugin := range strings.SplitSeq(s.Value, ",") {
		kind, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(plugin)), "[")
		switch kind = strings.TrimSpace(kind); kind {
		case "kafka":
			c.kafka = true
		case "print", "memory", "mysql", "pgsql", "sqlite3":
			c.say(s, NotNeeded, kind+": rows are in ClickHouse or the local store")
		case "tee":
		default:
			c.missing(s, kind+" has no counterpart")
		}
	}
}

// brokersOf adds the brokers, which share a port, to kafka.brokers.
func (c *conversion) brokersOf() {
	if c.brokers == nil {
		return
	}
	port := ""
	if c.brokerPort != nil {
		port = c.brokerPort.Value
	}
	for host := range strings.SplitSeq(c.brokers.Value, ",") {
		if host = strings.TrimSpace(host); host == "" {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil && port == "" && a.Is6() {
			host = net.JoinHostPort(host, "9092")
		} else if _, _, err := net.SplitHostPort(host); err != nil && port != "" {
			host = net.JoinHostPort(host, port)
		}
		c.add(c.brokers, "kafka.brokers", host)
	}
}

// properties maps librdkafka's properties to settings.
var properties = map[string]string{
	"bootstrap.servers": "kafka.brokers", "metadata.broker.list": "kafka.brokers",
	"security.protocol": "kafka.security_protocol", "ssl.ca.location": "kafka.ca_file",
	"ssl.certificate.location": "kafka.cert_file", "ssl.key.location": "kafka.key_file",
	"ssl.key.password": "kafka.key_password", "sasl.mechanism": "kafka.sasl_mechanism",
	"sasl.mechanisms": "kafka.sasl_mechanism", "sasl.username": "kafka.username", "sasl.password": "kafka.password",
	"compression.codec": "kafka.compression", "compression.type": "kafka.compression", "client.id": "kafka.client_id",
	"acks": "kafka.acks", "request.required.acks": "kafka.acks", "linger.ms": "kafka.linger",
	"queue.buffering.max.ms": "kafka.linger", "message.timeout.ms": "kafka.delivery_timeout",
	"delivery.timeout.ms": "kafka.delivery_timeout", "enable.idempotence": "kafka.idempotent",
}

// librdkafka converts a file of librdkafka's properties: lines of SCOPE, KEY, VALUE with a scope of global or topic.
func (c *conversion) librdkafka(s *Setting) {
	err := readFile(s.Value, func(r *reader, line string) {
		scope, rest, _ := strings.Cut(line, ",")
		key, value, found := strings.Cut(rest, ",")
		if scope = strings.TrimSpace(scope); !found || scope != "global" && scope != "topic" {
			r.wrong("a line is global, KEY, VALUE or topic, KEY, VALUE")
			return
		}
		at := &Setting{File: r.path, Line: r.line, Key: strings.ToLower(strings.TrimSpace(key)),
			Value: strings.TrimSpace(value)}
		path := properties[at.Key]
		switch {
		case path == "":
			c.missing(at, "no setting stands for this property of librdkafka")
		case path == "kafka.brokers":
			c.brokers = at
		case strings.HasSuffix(at.Key, ".ms"):
			if _, ok := c.number(at); ok {
				c.set(at, path, at.Value+"ms")
			}
		case path == "kafka.acks":
			c.acks(at)
		case path == "kafka.idempotent":
			c.set(at, path, plainText(strconv.FormatBool(c.yes(at))))
		case path == "kafka.security_protocol" || path == "kafka.sasl_mechanism":
			c.set(at, path, strings.ToUpper(at.Value))
		default:
			c.set(at, path, at.Value)
		}
	})
	c.unreadable(s, err)
}

// acks converts the number of acknowledgements. Idempotent writes need those of all replicas, so fewer turn them off.
func (c *conversion) acks(s *Setting) {
	switch s.Value {
	case "-1", "all":
	case "1":
		c.set(s, "kafka.acks", plainText("leader"))
		c.set(s, "kafka.idempotent", plainText("false"))
	case "0":
		c.set(s, "kafka.acks", plainText("none"))
		c.set(s, "kafka.idempotent", plainText("false"))
	default:
		c.wrong(s, "is none of -1, all, 1, 0")
	}
}
