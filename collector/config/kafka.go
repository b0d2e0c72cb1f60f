package config

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/sink/kafka"
	"github.com/metranova/flow-collector/sink/message"
)

// Kafka is where rows go as messages too, or instead. Nothing goes there without a Topic: the reference's environment
// names give brokers and credentials, and are set where its pipeline reads from Kafka.
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
	SpoolPath       string // a directory; "": nowhere
	SpoolMaxBytes   int
	CreateTopic     bool
	ClientID        string

	SecurityProtocol string // as librdkafka names it; "": by what else is set
	CAFile           string
	CertFile         string
	KeyFile          string
	KeyPassword      string
	ServerName       string
	Identification   string // of the broker by its name: https, or none
	SkipVerify       bool
	SASLMechanism    string
	Username         string
	Password         string
}

func defaultKafka() Kafka {
	return Kafka{
		Format:          message.JSON,
		Key:             message.NoKey,
		Compression:     "lz4",
		Acks:            "all",
		Idempotent:      true,
		Linger:          500 * time.Millisecond,
		MaxBatchBytes:   1_000_012,
		QueueBytes:      128 << 20,
		DeliveryTimeout: 2 * time.Minute,
		SpoolPath:       "spool-kafka",
		SpoolMaxBytes:   10 << 30,
		ClientID:        "flow-collector",
		Identification:  "https",
		SASLMechanism:   "PLAIN",
	}
}

func kafkaKeys(k *Kafka) []key {
	return []key{
		{"kafka.topic", []string{"KAFKA_OUTPUT_TOPIC"}, scalar, text(&k.Topic)},
		{"kafka.brokers", []string{"KAFKA_BOOTSTRAP_SERVERS"}, list, brokers(&k.Brokers)},
		{"kafka.format", []string{"KAFKA_OUTPUT_FORMAT"}, scalar, parsed(&k.Format, message.ParseFormat)},
		{"kafka.key", []string{"KAFKA_OUTPUT_KEY"}, scalar, parsed(&k.Key, message.ParseKey)},
		{"kafka.compression", []string{"KAFKA_COMPRESSION"}, scalar, oneOf(&k.Compression, kafka.Compressions()...)},
		{"kafka.acks", []string{"KAFKA_ACKS"}, scalar, oneOf(&k.Acks, "all", "leader", "none")},
		{"kafka.idempotent", nil, scalar, boolean(&k.Idempotent)},
		{"kafka.linger", nil, scalar, duration(&k.Linger, 10*time.Millisecond)},
		{"kafka.max_batch_bytes", []string{"KAFKA_MAX_BATCH_BYTES"}, scalar, size(&k.MaxBatchBytes, 1<<10)},
		{"kafka.queue_bytes", nil, scalar, size(&k.QueueBytes, 8<<20)},
		{"kafka.delivery_timeout", nil, scalar, duration(&k.DeliveryTimeout, time.Second)},
		{"kafka.spool_path", []string{"KAFKA_SPOOL_PATH"}, scalar, text(&k.SpoolPath)},
		{"kafka.spool_max_bytes", nil, scalar, size(&k.SpoolMaxBytes, 1<<20)},
		{"kafka.create_topic", nil, scalar, boolean(&k.CreateTopic)},
		{"kafka.client_id", nil, scalar, text(&k.ClientID)},

		{"kafka.security_protocol", []string{"KAFKA_SECURITY_PROTOCOL"}, scalar,
			oneOf(&k.SecurityProtocol, "", "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
		{"kafka.ca_file", []string{"KAFKA_SSL_CA_LOCATION"}, scalar, text(&k.CAFile)},
		{"kafka.cert_file", []string{"KAFKA_SSL_CERTIFICATE_LOCATION"}, scalar, text(&k.CertFile)},
		{"kafka.key_file", []string{"KAFKA_SSL_KEY_LOCATION"}, scalar, text(&k.KeyFile)},
		{"kafka.key_password", []string{"KAFKA_SSL_KEY_PASSWORD"}, scalar, text(&k.KeyPassword)},
		{"kafka.server_name", nil, scalar, text(&k.ServerName)},
		{"kafka.endpoint_identification", []string{"KAFKA_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM"}, scalar,
			oneOf(&k.Identification, "https", "none")},
		{"kafka.skip_verify", nil, scalar, boolean(&k.SkipVerify)},
		{"kafka.sasl_mechanism", []string{"KAFKA_SASL_MECHANISM", "KAFKA_SASL_MECHANISMS"}, scalar,
			oneOf(&k.SASLMechanism, kafka.Mechanisms()...)},
		{"kafka.username", []string{"KAFKA_SASL_USERNAME"}, scalar, text(&k.Username)},
		{"kafka.password", []string{"KAFKA_SASL_PASSWORD"}, scalar, text(&k.Password)},
	}
}

// UsesTLS and UsesSASL follow security_protocol; without one the reference's rule: TLS where an authority or a
// certificate is named, SASL where a user is.
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

// validate checks what only the settings together can tell. Without a topic nothing of it matters.
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

// brokers takes host and host:port.
func brokers(p *[]string) setter {
	return func(v value) error {
		items := v.items()
		for _, item := range items {
			_, port, err := net.SplitHostPort(item)
			if err != nil {
				continue // the default port
			}
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				return fmt.Errorf("%q has no port between 1 and 65535", item)
			}
		}
		*p = items
		return nil
	}
}

// parsed takes what a function of another package understands.
func parsed[T any](p *T, parse func(string) (T, error)) setter {
	return func(v value) (err error) {
		got, err := parse(strings.ToLower(v.text))
		if err == nil {
			*p = got
		}
		return err
	}
}
