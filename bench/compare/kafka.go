package compare

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/decoder/flow"
)

// producing is `collector run` with messages for a topic of the broker. The local store beside it has nothing to do;
// what it takes to be there is left out, as the broker's part is.
func (s Setting) producing(format string) Contender {
	topic := "bench-" + format
	return Contender{
		Name:     "ours: Kafka, " + format,
		Includes: "messages stored by a broker of Kafka: the collector's process, no metadata",
		Program:  s.Collector, Install: "make build engine", Core: true,
		Command: func(dir string, port uint16, _ flow.Protocol) (*exec.Cmd, error) {
			cmd, err := s.Service(dir, port, "127.0.0.1:0")
			if err != nil {
				return nil, err
			}
			before, err := messagesIn(s.Broker, topic)
			if err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(dir, beforeFile), fmt.Append(nil, before), 0o600); err != nil {
				return nil, err
			}
			config := filepath.Join(dir, "kafka.yml")
			cmd.Env = append(cmd.Env, "KAFKA_BOOTSTRAP_SERVERS="+s.Broker, "KAFKA_OUTPUT_TOPIC="+topic,
				"KAFKA_OUTPUT_FORMAT="+format,
				"KAFKA_SPOOL_PATH="+filepath.Join(dir, "spool-kafka"))
			cmd.Args = append(cmd.Args, "--config", config)
			return cmd, os.WriteFile(config, []byte("clickhouse: {flows: false}\nkafka: {create_topic: true}\n"), 0o600)
		},
		Count: func(dir string) (c Count, err error) {
			text, err := os.ReadFile(filepath.Join(dir, beforeFile))
			if err != nil {
				return c, err
			}
			before, err := strconv.ParseUint(string(text), 10, 64)
			if err != nil {
				return c, err
			}
			now, err := messagesIn(s.Broker, topic)
			c.Records = now - before
			return c, err
		},
	}
}

// beforeFile has how many messages the topic had before the run.
const beforeFile = "messages-before"

// messagesIn asks the broker how many messages a topic has; none if there is no such topic.
func messagesIn(broker, topic string) (n uint64, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return 0, fmt.Errorf("count the messages of topic %s at %s: %w", topic, broker, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("ask the broker at %s for topic %s: %w", broker, topic, err)
	}
	if !topics.Has(topic) {
		return 0, nil
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("count the messages of topic %s at %s: %w", topic, broker, err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += uint64(o.Offset) })
	return n, nil
}
