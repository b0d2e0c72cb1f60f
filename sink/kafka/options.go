package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

// Options say where and how messages are sent. Brokers and Topic have no usable zero value.
type Options struct {
	Brokers  []string // host or host:port of some of the cluster's brokers; the others are discovered
	Topic    string
	ClientID string // "": "flow-collector"

	TLS  TLS
	SASL SASL

	// Compression is none, gzip, snappy, lz4 or zstd. "": none.
	Compression string
	// Acks is all, leader or none: whose acknowledgement makes a message delivered. "": all.
	Acks string
	// NotIdempotent allows that a message is stored twice after a retry, for brokers that do not let this user be
	// idempotent. It is required for Acks other than all.
	NotIdempotent bool
	// CreateTopic creates a missing topic, with the broker's default partitions and replicas.
	CreateTopic bool
	// MaxBatchBytes limits what is sent to a partition in one batch, and so also the size of one message. It should not
	// exceed the topic's max.message.bytes; if it does, it is halved until the broker accepts the batches. 0:
	// 1,000,012, the brokers' default.
	MaxBatchBytes int
	// GrowAfter is how long everything must succeed before a halved limit is doubled again. It doubles, up to a day, if
	// the broker refuses that. 0: 10 minutes.
	GrowAfter time.Duration

	// QueueBytes limits the data that is waiting and in transit. 0: 128 MiB.
	QueueBytes int64
	// DeliveryTimeout is how long a message is tried before it goes to the spool or, without one, is lost. 0: 2
	// minutes.
	DeliveryTimeout time.Duration
	// RetryMin and RetryMax are the limits of the wait after a failure, which doubles and has jitter. 0: 500 ms, 30 s.
	RetryMin, RetryMax time.Duration
	// ConfigurationRetry is the wait after a failure that somebody has to fix. 0: 30 s.
	ConfigurationRetry time.Duration

	// Spool, if not nil, receives messages that would otherwise be lost for lack of memory or time. While the brokers
	// accept messages it is emptied, oldest first. Close the Producer before the Spool.
	Spool *spool.Spool
	// Book records by exporter what happens to messages. It must be the same as the spool's (Book.Keep). nil: one of
	// the Producer's own.
	Book *tally.Book
	// Log receives what goes wrong; repeated lines at most once a minute. nil: nothing is logged.
	Log *zap.Logger
}

// TLS configures whether and how connections are encrypted.
type TLS = tlsconfig.Options

// dialTimeout is the time limit for connecting to a broker, and for the handshake.
const dialTimeout = 10 * time.Second

// SASL is the login. Without a mechanism there is none.
type SASL struct {
	Mechanism          string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or ""
	Username, Password string
}

// Mechanisms returns the supported SASL mechanisms.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// Compressions returns the supported codecs.
func Compressions() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

const (
	defaultPort          = "9092"
	defaultMaxBatchBytes = 1_000_012
	leastBatchBytes      = 1 << 10
	maxGrowAfter         = 24 * time.Hour
	// linger lets all messages of a batch of ours, which come together, reach their partitions before they are sent.
	linger = 5 * time.Millisecond
	// metadataMinAge is how long a message waits that has to find another leader.
	metadataMinAge = time.Second
)

func (o Options) withDefaults() Options {
	o.ClientID = orDefault(o.ClientID, "flow-collector")
	o.MaxBatchBytes = orDefault(o.MaxBatchBytes, defaultMaxBatchBytes)
	o.GrowAfter = orDefault(o.GrowAfter, 10*time.Minute)
	o.QueueBytes = orDefault(o.QueueBytes, 128<<20)
	o.DeliveryTimeout = orDefault(o.DeliveryTimeout, 2*time.Minute)
	o.RetryMin = orDefault(o.RetryMin, 500*time.Millisecond)
	o.RetryMax = orDefault(o.RetryMax, 30*time.Second)
	o.ConfigurationRetry = orDefault(o.ConfigurationRetry, 30*time.Second)
	if o.Book == nil {
		o.Book = &tally.Book{}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// addresses returns the brokers, each with its port.
func (o *Options) addresses() []string {
	all := make([]string, 0, len(o.Brokers))
	for _, b := range o.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			b = net.JoinHostPort(strings.Trim(b, "[]"), defaultPort)
		}
		all = append(all, b)
	}
	return all
}

// newClient returns a client that has not connected yet. Its certificates are read now.
func (o *Options) newClient(maxBatchBytes int, more ...kgo.Opt) (*kgo.Client, error) {
	if len(o.Brokers) == 0 || o.Topic == "" {
		return nil, errors.New("kafka: no brokers or no topic given")
	}
	opts := append([]kgo.Opt{
		kgo.SeedBrokers(o.addresses()...),
		kgo.ClientID(o.ClientID),
		kgo.SoftwareNameAndVersion("flow-collector", "1"),
		kgo.DisableClientMetrics(),
		kgo.DefaultProduceTopic(o.Topic),
		kgo.ProducerBatchMaxBytes(int32(maxBatchBytes)),
		kgo.ProducerLinger(linger),
		kgo.RecordDeliveryTimeout(o.DeliveryTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		// The Producer limits what is in transit: Produce must not block.
		kgo.MaxBufferedRecords(math.MaxInt),
	}, more...)
	encryption, err := tlsconfig.New(o.TLS, "kafka")
	if err != nil {
		return nil, err
	}
	if encryption != nil {
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			return encryption.Dial(ctx, network, address, dialTimeout)
		}))
	}
	mechanism, err := o.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	delivery, err := o.deliveryOptions()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, delivery...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

// deliveryOptions returns the options of acknowledgements and compression.
func (o *Options) deliveryOptions() ([]kgo.Opt, error) {
	var opts []kgo.Opt
	if o.NotIdempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	switch o.Acks {
	case "", "all":
		opts = append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "leader":
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	case "none":
		opts = append(opts, kgo.RequiredAcks(kgo.NoAck()))
	default:
		return nil, fmt.Errorf("kafka acks %q: is none of all, leader, none", o.Acks)
	}
	switch o.Compression {
	case "", "none":
		return append(opts, kgo.ProducerBatchCompression(kgo.NoCompression())), nil
	case "gzip":
		return append(opts, kgo.ProducerBatchCompression(kgo.GzipCompression())), nil
	case "snappy":
		return append(opts, kgo.ProducerBatchCompression(kgo.SnappyCompression())), nil
	case "lz4":
		return append(opts, kgo.WithCompressor(newLZ4Compressor())), nil
	case "zstd":
		return append(opts, kgo.ProducerBatchCompression(kgo.ZstdCompression())), nil
	}
	return nil, fmt.Errorf("kafka compression %q: is none of %s", o.Compression, strings.Join(Compressions(), ", "))
}

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("kafka SASL mechanism %q: is none of %s", s.Mechanism, strings.Join(Mechanisms(), ", "))
}
