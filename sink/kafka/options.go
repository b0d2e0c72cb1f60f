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

// Options say where messages go and how. Brokers and Topic have no useful zero value.
type Options struct {
	Brokers  []string // host or host:port, of some of the cluster's brokers; the others are learned from these
	Topic    string
	ClientID string // empty: "flow-collector"

	TLS  TLS
	SASL SASL

	// Compression is none, gzip, snappy, lz4 or zstd. Empty: none.
	Compression string
	// Acks is all, leader or none: whose word makes a message delivered. Empty: all.
	Acks string
	// NotIdempotent lets a message be stored twice after a retry, for brokers that do not let this user do otherwise.
	// Acks other than all need it.
	NotIdempotent bool
	// CreateTopic makes a topic that is missing, with the partitions and replicas that the broker gives by default.
	CreateTopic bool
	// MaxBatchBytes bounds the messages that go to a partition together, and so one message too. It should not be more
	// than the topic's max.message.bytes; where it is, it is halved until the broker takes it. 0: 1,000,012, as brokers
	// have it.
	MaxBatchBytes int
	// GrowAfter is how long all must go well before a bound that was halved is doubled again. It doubles, to a day at
	// most, where the broker does not take that either. 0: 10 minutes.
	GrowAfter time.Duration

	// QueueBytes is how much may wait and be on its way together. 0: 128 MiB.
	QueueBytes int64
	// DeliveryTimeout is how long a message is tried before it goes to the spool or, without one, is lost. 0: 2
	// minutes.
	DeliveryTimeout time.Duration
	// RetryMin and RetryMax bound the wait after a failure, which doubles and has jitter. 0: 500 ms, 30 s.
	RetryMin, RetryMax time.Duration
	// ConfigurationRetry is the wait after a failure that somebody has to fix. 0: 30 s.
	ConfigurationRetry time.Duration

	// Spool, if not nil, takes what would be lost for want of memory or time, and is emptied, oldest first, while the
	// brokers take messages. Close the Producer before it.
	Spool *spool.Spool
	// Book is where it is written down what becomes of messages, by exporter; the same as the spool's (Book.Keep). nil:
	// one of the Producer's own.
	Book *tally.Book
	// Log gets what goes wrong, once a minute at most for what repeats. nil: nobody.
	Log *zap.Logger
}

// TLS says whether and how connections are encrypted.
type TLS = tlsconfig.Options

// dialTimeout is how long connecting to a broker, and the handshake, may take.
const dialTimeout = 10 * time.Second

// SASL says who we are. Without a mechanism nobody asks.
type SASL struct {
	Mechanism          string // PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or empty
	Username, Password string
}

// Mechanisms are the SASL mechanisms that there are.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// Compressions are the codecs that there are.
func Compressions() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

const (
	defaultPort          = "9092"
	defaultMaxBatchBytes = 1_000_012
	leastBatchBytes      = 1 << 10
	maxGrowAfter         = 24 * time.Hour
	// linger lets a batch of ours, which comes all at once, get to the partitions before it is sent.
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

// addresses are the brokers, each with its port.
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
		// How much is on its way is bounded by the Producer: Produce must not wait.
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

// deliveryOptions are those of acknowledgements and compression.
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
