package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
)

// Kafka is the destination of messages. Nothing is sent without a Topic: the reference stack's environment variables
// for brokers and credentials may be set for reading from Kafka.
type Kafka struct {
	Topic           string
	Brokers         []string // host or host:port
	Format          message.Format
	Key             message.Key
	Compression     string
	Acks            string // all, leader or none
	Idempotent      bool
	Linger          time.Duration // how long a message waits for others
	MaxBatchBytes   int
	QueueBytes      int
	DeliveryTimeout time.Duration
	SpoolPath       string // a directory; "": none
	SpoolMaxBytes   int
	CreateTopic     bool
	ClientID        string

	SecurityProtocol string // as librdkafka names it; "": follows from the other settings
	CAFile           string
	CertFile         string
	KeyFile          string
	KeyPassword      string
	ServerName       string
	Identification   string // verification of the broker's name: https, or none
	SkipVerify       bool
	SASLMechanism    string
	Username         string
	Password         string
}

// kafkaKeys are the settings of topic, brokers and queue.
func kafkaKeys(c *Config) []key {
	k := &c.Kafka
	return []key{
		{path: "kafka.topic", env: []string{"KAFKA_OUTPUT_TOPIC"}, field: text(&k.Topic),
			help: "Topic that flows go to as messages: beside ClickHouse, or alone with clickhouse.flows: false. " +
				"Empty: no messages, whatever else is set here."},
		{path: "kafka.brokers", env: []string{"KAFKA_BOOTSTRAP_SERVERS"}, field: brokers(&k.Brokers),
			help: "Some brokers of the cluster. The default port is 9092."},
		{path: "kafka.format", env: []string{"KAFKA_OUTPUT_FORMAT"}, def: "json",
			field: parsed(&k.Format, message.ParseFormat),
			help: "json: enriched rows for ClickHouse's JSONEachRow. protobuf: the same as message Flow of " +
				"sink/message/flow.proto. pmacct-json: what nfacctd and sfacctd send, not enriched."},
		{path: "kafka.key", env: []string{"KAFKA_OUTPUT_KEY"}, def: "none", field: parsed(&k.Key, message.ParseKey),
			help: "What keeps messages in one partition, and so in order: none, exporter, or flow (both " +
				"directions of a conversation)."},
		{path: "kafka.compression", env: []string{"KAFKA_COMPRESSION"}, def: "lz4",
			field: oneOf(&k.Compression, kafka.Compressions()...),
			help:  "Compression of messages: none, gzip, snappy, lz4 or zstd."},
		{path: "kafka.acks", env: []string{"KAFKA_ACKS"}, def: "all", field: oneOf(&k.Acks, "all", "leader", "none"),
			help: "Which replicas must have stored a message: all, leader or none. Values other than all need " +
				"idempotent: false."},
		{path: "kafka.idempotent", def: "true", field: boolean(&k.Idempotent),
			help: "The broker stores a retried message once. false: it may store it twice."},
		{path: "kafka.linger", def: "500ms", field: duration(&k.Linger, 10*time.Millisecond),
			help: "How long a message waits for others."},
		{path: "kafka.max_batch_bytes", env: []string{"KAFKA_MAX_BATCH_BYTES"}, def: "1000012",
			field: size(&k.MaxBatchBytes, 1<<10),
			help:  "Size of a batch for one partition. It must not exceed the topic's max.message.bytes."},
		{path: "kafka.queue_bytes", def: "128MiB", field: size(&k.QueueBytes, 8<<20),
			help: "Messages wait for Kafka in memory up to this size. Beyond it, the oldest go to the spool."},
		{path: "kafka.delivery_timeout", def: "2m", field: duration(&k.DeliveryTimeout, time.Second),
			help: "A message that is not delivered within this time goes to the spool."},
		{path: "kafka.spool_path", env: []string{"KAFKA_SPOOL_PATH"}, def: "spool-kafka", field: text(&k.SpoolPath),
			help: "Directory where messages wait while Kafka is down or slow. They are delivered later, oldest " +
				"first. spool.max_age applies here too. Empty: such messages are dropped and counted."},
		{path: "kafka.spool_max_bytes", def: "10GiB", field: size(&k.SpoolMaxBytes, 1<<20),
			help: "Size of the spool. Beyond it, the oldest messages are dropped and counted."},
		{path: "kafka.create_topic", field: boolean(&k.CreateTopic),
			help: "Create the topic if it is missing, with the brokers' default numbers of partitions and " +
				"replicas."},
		{path: "kafka.client_id", def: "flow-collector", field: text(&k.ClientID),
			help: "Name of this client at the brokers."},
		{path: "kafka.security_protocol", env: []string{"KAFKA_SECURITY_PROTOCOL"},
			field: oneOf(&k.SecurityProtocol, "", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
			help: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL. Empty: TLS if ca_file or cert_file is set, SASL " +
				"if username is set."},
		{path: "kafka.ca_file", env: []string{"KAFKA_SSL_CA_LOCATION"}, isPath: true, field: text(&k.CAFile),
			help: "PEM file of the authorities that sign the brokers' certificates. Empty: those of the system."},
		{path: "kafka.cert_file", env: []string{"KAFKA_SSL_CERTIFICATE_LOCATION"}, isPath: true,
			field: text(&k.CertFile),
			help:  "PEM file of a client certificate."},
		{path: "kafka.key_file", env: []string{"KAFKA_SSL_KEY_LOCATION"}, isPath: true, field: text(&k.KeyFile),
			help: "PEM file of the key of cert_file."},
		{path: "kafka.key_password", env: []string{"KAFKA_SSL_KEY_PASSWORD"}, secret: true,
			field: text(&k.KeyPassword),
			help:  "Password of key_file."},
		{path: "kafka.server_name", field: text(&k.ServerName),
			help: "Name in the brokers' certificates, if it is not their address."},
		{path: "kafka.endpoint_identification", env: []string{"KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM"},
			def: "https", field: oneOf(&k.Identification, "https", "none"),
			help: "https: the certificate must have the broker's name. none: any name is accepted."},
		{path: "kafka.skip_verify", field: boolean(&k.SkipVerify),
			help: "Accept any certificate. Then others can read the messages."},
		{path: "kafka.sasl_mechanism", env: []string{"KAFKA_SASL_MECHANISM", "KAFKA_SASL_MECHANISMS"}, def: "PLAIN",
			field: oneOf(&k.SASLMechanism, kafka.Mechanisms()...),
			help:  "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512."},
		{path: "kafka.username", env: []string{"KAFKA_SASL_USERNAME"}, field: text(&k.Username),
			help: "User at the brokers."},
		{path: "kafka.password", env: []string{"KAFKA_SASL_PASSWORD"}, secret: true, field: text(&k.Password),
			help: "Password of that user."},
	}
}

// UsesTLS reports whether connections use TLS. It and UsesSASL follow security_protocol. Without one, the reference
// stack's rule holds: TLS if a CA or a certificate is set, SASL if a user is.
func (k *Kafka) UsesTLS() bool {
	if k.SecurityProtocol == "" {
		return k.CAFile != "" || k.CertFile != ""
	}
	return strings.HasSuffix(k.SecurityProtocol, "SSL")
}

// UsesSASL reports whether the collector logs in.
func (k *Kafka) UsesSASL() bool {
	if k.SecurityProtocol == "" {
		return k.Username != ""
	}
	return strings.HasPrefix(k.SecurityProtocol, "SASL")
}

const maxBatchBytes = 64 << 20 // a request to a broker may not have more than 100 MiB

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// validate checks combinations of settings. Without a topic they do not matter.
func (k *Kafka) validate(add func(key, value, why string)) {
	if k.Topic == "" {
		return
	}
	if !topicName.MatchString(k.Topic) {
		add("kafka.topic", k.Topic,
			"is not a topic's name: letters, digits, dots, underscores and hyphens, 249 at most")
	}
	if len(k.Brokers) == 0 {
		add("kafka.brokers", "", "names no broker: set it, or KAFKA_BOOTSTRAP_SERVERS")
	}
	if k.Idempotent && k.Acks != "all" {
		add("kafka.acks", k.Acks, "needs kafka.idempotent: false, which is a promise that only all replicas can keep")
	}
	if k.MaxBatchBytes > maxBatchBytes {
		add("kafka.max_batch_bytes", strconv.Itoa(k.MaxBatchBytes), fmt.Sprintf("is more than %d", maxBatchBytes))
	}
	if k.UsesTLS() {
		if (k.CertFile == "") != (k.KeyFile == "") {
			add("kafka.cert_file, kafka.key_file", "", "need each other")
		}
		checkFile("kafka.ca_file", k.CAFile, add)
		checkFile("kafka.cert_file", k.CertFile, add)
		checkFile("kafka.key_file", k.KeyFile, add)
	}
	if k.UsesSASL() && (k.Username == "" || k.Password == "") {
		add("kafka.username, kafka.password", "", "are both needed to log in")
	}
}

var securityProtocol = regexp.MustCompile(`^(?i:(SASL_)?(PLAINTEXT|SSL))$`)

// brokers accepts host and host:port.
func brokers(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		items := slices.Clone(v.items())
		for i, item := range items { // librdkafka, which the reference uses, takes PLAINTEXT://host:port
			if protocol, address, found := strings.Cut(item, "://"); found && securityProtocol.MatchString(protocol) {
				items[i] = address
			}
		}
		if err := eachItem(items, func(item string) error {
			if strings.ContainsAny(item, " \t;/@") {
				return fmt.Errorf("%q is not host or host:port; several are separated by commas", item)
			}
			if _, port, err := net.SplitHostPort(item); err == nil && !isPort(port) {
				return fmt.Errorf("%q has no port between 1 and 65535", item)
			}
			return nil // without a port: the default one
		}); err != nil {
			return err
		}
		*p = items
		return nil
	}}
}

// parsed accepts what a function of another package can parse.
func parsed[T fmt.Stringer](p *T, parse func(string) (T, error)) field {
	return field{get: func() value { return value{text: (*p).String()} }, set: func(v value) (err error) {
		got, err := parse(strings.ToLower(v.text))
		if err == nil {
			*p = got
		}
		return err
	}}
}
