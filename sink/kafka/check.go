package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Check connects like a Producer and looks up the topic. It changes nothing, and returns a description of what it
// found.
func Check(ctx context.Context, o Options) (string, error) {
	o = o.withDefaults()
	where := "Kafka at " + strings.Join(o.addresses(), ",")
	var attempts attempts
	client, err := o.newClient(o.MaxBatchBytes, kgo.WithHooks(&attempts), kgo.RequestRetries(1))
	if err != nil {
		return "", err
	}
	defer client.Close()
	metadata, err := kadm.NewClient(client).Metadata(ctx, o.Topic)
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, o.explain(attempts.explain(err)))
	}
	found := fmt.Sprintf("%s answers, %d brokers", where, len(metadata.Brokers))
	topic := metadata.Topics[o.Topic]
	switch {
	case errors.Is(topic.Err, kerr.UnknownTopicOrPartition) && o.CreateTopic:
		return fmt.Sprintf("%s; topic %s will be created", found, o.Topic), nil
	case errors.Is(topic.Err, kerr.UnknownTopicOrPartition):
		return "", fmt.Errorf("%s; there is no topic %s: create it, or set kafka.create_topic", found, o.Topic)
	case topic.Err != nil:
		return "", fmt.Errorf("%s; topic %s: %w", found, o.Topic, topic.Err)
	}
	return fmt.Sprintf("%s; topic %s has %d partitions", found, o.Topic, len(topic.Partitions)), nil
}

// attempts remembers the latest failure to connect, because a request that times out does not report it.
type attempts struct {
	mu   sync.Mutex
	last error
}

// OnBrokerConnect is called by franz-go with the result of each attempt to connect.
func (a *attempts) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.last = err
	}
}

func (a *attempts) explain(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.last != nil {
		return a.last
	}
	return err
}
