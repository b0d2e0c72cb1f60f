package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// The tests here run against kfake, franz-go's own fake of a cluster, which fails on demand. A real broker is in
// broker_test.go.

const topic = "flows"

// cluster starts a fake cluster with the topic, in three partitions.
func cluster(t testing.TB, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, topic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// producer starts a producer with short waits. It is closed with the test.
func producer(t testing.TB, o Options) (*Producer, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	o.Log = zap.New(core)
	o.Topic = orDefault(o.Topic, topic)
	o.RetryMin, o.RetryMax = 20*time.Millisecond, 200*time.Millisecond
	o.ConfigurationRetry = orDefault(o.ConfigurationRetry, 100*time.Millisecond)
	booked := o.Spool == nil || o.Book != nil // what is found on disk is in the book too
	p, err := NewProducer(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		_ = p.Close(ctx) // what the test left
		if booked {
			sameAsBook(t, p)
		}
	})
	return p, logs
}

// enqueue sends n messages in batches of up to 10, numbered from first. Each has a key where keyed.
func enqueue(p *Producer, first, n int, keyed bool) {
	for i := first; i < first+n; {
		b := p.Batch()
		for ; i < first+n && b.Len() < 10; i++ {
			b.Data = fmt.Appendf(b.Data, "message %d", i)
			b.Ends = append(b.Ends, len(b.Data))
			if keyed {
				b.Keys = fmt.Appendf(b.Keys, "key %d", i%7)
				b.KeyEnds = append(b.KeyEnds, len(b.Keys))
			}
		}
		tallied(b)
		p.Enqueue(b)
	}
}

// tallied says that a batch's messages are of three streams in turn.
func tallied(b *message.Batch) {
	var c tally.Counter
	for n := range b.Len() {
		c.Add(flow.StreamKey{Protocol: flow.IPFIX, Domain: uint32(n % 3)})
	}
	b.Tally = c.Take()
}

// sameAsBook checks that the book of a producer that is closed says what its counters do, for messages that have a
// tally.
func sameAsBook(t testing.TB, p *Producer) {
	t.Helper()
	total, s := p.options.Book.Total(), p.Stats()
	if total.Taken == 0 {
		return
	}
	if total.Taken+total.Found != total.Out() || total.Waiting != 0 {
		t.Errorf("the book does not balance: %+v", total)
	}
	lost := map[string]uint64{}
	for reason, n := range s.Lost {
		lost[string(reason)] = n.Messages
	}
	for reason, n := range total.Lost {
		if lost[reason] != n {
			t.Errorf("%d lost (%s) by the book, %d by the counters", n, reason, lost[reason])
		}
	}
	if total.Taken != s.Enqueued.Messages || total.Delivered != s.Delivered.Messages ||
		total.OnDisk != s.Spool.Waiting.Rows || total.Spooled != s.Spooled.Messages {
		t.Errorf("the book has %+v, the counters %+v", total, s)
	}
}

// batchOf is a batch with the given messages.
func batchOf(messages ...string) *message.Batch {
	b := &message.Batch{}
	for _, m := range messages {
		b.Data = append(b.Data, m...)
		b.Ends = append(b.Ends, len(b.Data))
	}
	tallied(b)
	return b
}

// consume reads the topic from its beginning until it has so many messages, and a little longer. It returns how often
// each came.
func consume(t testing.TB, n int, opts ...kgo.Opt) map[string]int {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	got := map[string]int{}
	total := 0
	for limit := time.Minute; ; {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		fetches := client.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			got[string(r.Key)+"|"+string(r.Value)]++
			total++
		})
		if total >= n {
			limit = 200 * time.Millisecond
		}
		if ctx.Err() != nil && fetches.NumRecords() == 0 {
			return got
		}
	}
}

// expect compares what was consumed with n messages, each of which must have come once.
func expect(t testing.TB, got map[string]int, n int, keyed bool) {
	t.Helper()
	for i := range n {
		want := fmt.Sprintf("|message %d", i)
		if keyed {
			want = fmt.Sprintf("key %d", i%7) + want
		}
		if got[want] != 1 {
			t.Fatalf("%q came %d times of %d messages", want, got[want], len(got))
		}
	}
	if len(got) != n {
		t.Fatalf("%d different messages came, want %d", len(got), n)
	}
}

func closeWithin(t testing.TB, p *Producer, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return p.Close(ctx)
}

func waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// disk opens a spool, which is closed with the test, after the producer.
func disk(t testing.TB, o spool.Options) *spool.Spool {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// balance checks that every message is accounted for.
func balance(t testing.TB, s Stats) {
	t.Helper()
	in := s.Enqueued.Messages + s.Spool.Found.Rows
	out := s.Delivered.Messages + s.Queued.Messages + s.Spool.Waiting.Rows
	for _, l := range s.Lost {
		out += l.Messages
	}
	if in != out {
		t.Errorf("%d messages came and %d are accounted for: %+v", in, out, s)
	}
}
