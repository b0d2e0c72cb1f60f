package kafka

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/metranova/flow-collector/sink"
)

// refuse answers produce requests with an error for as long as on says so.
func refuse(c *kfake.Cluster, refused *atomic.Int64, on func() *kerr.Error) {
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := on()
		if answer == nil {
			return nil, nil, false
		}
		refused.Add(1)
		produce := request.(*kmsg.ProduceRequest)
		response := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range produce.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, answer.Code, -1
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response, nil, true
	})
}

func TestProducer_retries(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer *kerr.Error
	}{
		{"a broker that is not the leader any more", kerr.NotLeaderForPartition},
		{"rights that come later", kerr.TopicAuthorizationFailed},
		{"too few replicas", kerr.NotEnoughReplicas},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cluster(t)
			var refused atomic.Int64
			refuse(c, &refused, func() *kerr.Error {
				if refused.Load() < 2 {
					return test.answer
				}
				return nil
			})
			p, _ := producer(t, Options{Brokers: c.ListenAddrs()})
			enqueue(p, 0, 500, true)
			if err := closeWithin(t, p, 20*time.Second); err != nil {
				t.Fatal(err)
			}
			expect(t, consume(t, 500, kgo.SeedBrokers(c.ListenAddrs()...)), 500, true)
			balance(t, p.Stats())
			if refused.Load() < 2 {
				t.Errorf("only %d requests were refused", refused.Load())
			}
		})
	}
}

func TestProducer_losesWhatIsTooLarge(t *testing.T) {
	c := cluster(t)
	p, logs := producer(t, Options{Brokers: c.ListenAddrs(), MaxBatchBytes: 10_000})
	p.Enqueue(batchOf("message 0", strings.Repeat("x", 20_000), "message 1"))
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	expect(t, consume(t, 2, kgo.SeedBrokers(c.ListenAddrs()...)), 2, false)
	s := p.Stats()
	balance(t, s)
	if s.Lost[sink.TooLarge] != (Count{Messages: 1, Bytes: 20_000}) {
		t.Errorf("lost %+v", s.Lost)
	}
	if logs.FilterMessage("Kafka messages lost").Len() != 1 {
		t.Errorf("said %v", logs.All())
	}
}

// A broker that takes less at once than we thought gets less: only what is too large alone is lost.
func TestProducer_halvesItsBatches(t *testing.T) {
	c := cluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "3000"}))
	var refused atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		for _, t := range request.(*kmsg.ProduceRequest).Topics {
			for _, p := range t.Partitions {
				if len(p.Records) > 3000 {
					refused.Add(1)
				}
			}
		}
		return nil, nil, false
	})
	p, logs := producer(t, Options{Brokers: c.ListenAddrs(), MaxBatchBytes: 64_000})
	enqueue(p, 0, 2000, false)
	p.Enqueue(batchOf(strings.Repeat("x", 5000)))
	enqueue(p, 2000, 100, false)
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	expect(t, consume(t, 2100, kgo.SeedBrokers(c.ListenAddrs()...)), 2100, false)
	s := p.Stats()
	balance(t, s)
	if s.Lost[sink.TooLarge].Messages != 1 || len(s.Lost) != 1 {
		t.Errorf("lost %+v", s.Lost)
	}
	if refused.Load() == 0 ||
		logs.FilterMessage("Kafka takes smaller batches than max_batch_bytes: they are halved").Len() == 0 {
		t.Errorf("%d batches were too large, said %v", refused.Load(), logs.All())
	}
}

// A batch size that was halved becomes what is set again, once the broker takes it.
func TestProducer_growsItsBatchesAgain(t *testing.T) {
	c := cluster(t)
	var limit, largest, refused atomic.Int64
	limit.Store(3000)
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		produce := request.(*kmsg.ProduceRequest)
		response := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			rt := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				if n := int64(len(p.Records)); n > limit.Load() {
					rp := kmsg.NewProduceResponseTopicPartition()
					rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Partition, kerr.MessageTooLarge.Code, -1
					rt.Partitions = append(rt.Partitions, rp)
				} else {
					largest.Store(max(largest.Load(), n))
				}
			}
			if len(rt.Partitions) == len(topic.Partitions) {
				response.Topics = append(response.Topics, rt)
			} else if len(rt.Partitions) > 0 {
				t.Error("the test has several partitions")
			}
		}
		if len(response.Topics) == 0 {
			return nil, nil, false
		}
		refused.Add(1)
		return response, nil, true
	})
	if err := c.MoveTopicPartition(topic, 0, 0); err != nil {
		t.Fatal(err)
	}
	p, logs := producer(t, Options{Brokers: c.ListenAddrs(), MaxBatchBytes: 64_000, GrowAfter: 20 * time.Millisecond})
	sent := 0
	send := func() {
		b := p.Batch()
		for range 500 {
			b.Data = append(append(b.Data, "message "...), strings.Repeat("x", 92)...)
			b.Ends = append(b.Ends, len(b.Data))
			b.Keys = append(b.Keys, 'k') // one partition
			b.KeyEnds = append(b.KeyEnds, len(b.Keys))
		}
		tallied(b)
		p.Enqueue(b)
		sent += 500
	}
	send()
	waitFor(t, "small batches", func() bool { return p.Stats().Delivered.Messages == uint64(sent) })
	if refused.Load() == 0 {
		t.Fatal("nothing was refused")
	}
	limit.Store(1 << 30)
	waitFor(t, "batches as large as before", func() bool {
		send()
		waitFor(t, "delivery", func() bool { return p.Stats().Delivered.Messages == uint64(sent) })
		return largest.Load() > 32_000
	})
	if err := closeWithin(t, p, time.Minute); err != nil {
		t.Fatal(err)
	}
	balance(t, p.Stats())
	if len(p.Stats().Lost) > 0 || logs.FilterMessage("Kafka takes batches of max_batch_bytes again").Len() == 0 {
		t.Errorf("lost %v, said %v", p.Stats().Lost, logs.All())
	}
}

// A broker that takes no message at all, whatever its size, must not have batches halved for ever.
func TestProducer_everythingIsTooLarge(t *testing.T) {
	c := cluster(t)
	var refused atomic.Int64
	refuse(c, &refused, func() *kerr.Error { return kerr.MessageTooLarge })
	p, _ := producer(t, Options{Brokers: c.ListenAddrs()})
	enqueue(p, 0, 50, false)
	waitFor(t, "the messages to be given up", func() bool { return p.Stats().Lost[sink.TooLarge].Messages == 50 })
	balance(t, p.Stats())
}

// What brokers answer to messages that franz-go tries again is said within seconds, and makes the collector not ready.
func TestProducer_saysWhyNothingIsTaken(t *testing.T) {
	for _, answer := range []*kerr.Error{
		kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.RequestTimedOut,
		kerr.CoordinatorLoadInProgress, kerr.ThrottlingQuotaExceeded, kerr.ClusterAuthorizationFailed,
	} {
		t.Run(answer.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			var refused atomic.Int64
			var well atomic.Bool
			refuse(c, &refused, func() *kerr.Error {
				if well.Load() {
					return nil
				}
				return answer
			})
			p, logs := producer(t, Options{Brokers: c.ListenAddrs()})
			if p.Down() != nil {
				t.Error("down before anything was sent")
			}
			enqueue(p, 0, 20, false)
			says := func() bool {
				for _, line := range logs.All() {
					if strings.Contains(fmt.Sprint(line.ContextMap()["error"]), answer.Message) {
						return true
					}
				}
				return false
			}
			waitFor(t, "a line with the cause", says)
			waitFor(t, "not to be ready", func() bool {
				err := p.Down()
				return err != nil &&
					strings.Contains(err.Error(), answer.Message)
			})
			well.Store(true)
			waitFor(t, "delivery", func() bool { return p.Stats().Delivered.Messages == 20 })
			if err := p.Down(); err != nil {
				t.Errorf("still down: %v", err)
			}
			waitFor(t, "a line that it is over",
				func() bool { return logs.FilterMessage("Kafka takes messages again").Len() == 1 })
		})
	}
}
