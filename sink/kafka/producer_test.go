package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

func TestProducer_delivers(t *testing.T) {
	for _, test := range []struct {
		name  string
		o     Options
		keyed bool
	}{
		{"plain", Options{}, false},
		{"keyed", Options{}, true},
		{"gzip", Options{Compression: "gzip"}, true},
		{"snappy", Options{Compression: "snappy"}, false},
		{"lz4", Options{Compression: "lz4"}, false},
		{"zstd", Options{Compression: "zstd"}, false},
		{"acks of the leader", Options{Acks: "leader", NotIdempotent: true}, false},
		{"no acks", Options{Acks: "none", NotIdempotent: true}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cluster(t)
			test.o.Brokers = c.ListenAddrs()
			p, _ := producer(t, test.o)
			const n = 5000
			enqueue(p, 0, n, test.keyed)
			if err := closeWithin(t, p, 20*time.Second); err != nil {
				t.Fatal(err)
			}
			expect(t, consume(t, n, kgo.SeedBrokers(c.ListenAddrs()...)), n, test.keyed)
			s := p.Stats()
			balance(t, s)
			if s.Delivered.Messages != n || s.Queued != (Count{}) || len(s.Lost) > 0 ||
				s.Delivered.Bytes != s.Enqueued.Bytes {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// A key's messages keep their order.
func TestProducer_keepsTheOrderOfAKey(t *testing.T) {
	c := cluster(t)
	p, _ := producer(t, Options{Brokers: c.ListenAddrs()})
	enqueue(p, 0, 3000, true)
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	latest, got := map[string]int{}, 0
	for got < 3000 {
		client.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			var i int
			if _, err := fmt.Sscanf(string(r.Value), "message %d", &i); err != nil {
				t.Fatal(err)
			}
			if i < latest[string(r.Key)] {
				t.Fatalf("%s: message %d came after %d", r.Key, i, latest[string(r.Key)])
			}
			latest[string(r.Key)] = i
			got++
		})
	}
}

// A broker that nobody listens at makes the collector not ready too.
func TestProducer_downWithoutABroker(t *testing.T) {
	p, _ := producer(t, Options{Brokers: []string{"127.0.0.1:1"}})
	enqueue(p, 0, 1, false)
	waitFor(t, "not to be ready", func() bool { return p.Down() != nil })
}

// Batches on disk of another version are kept, and others pass them.
func TestProducer_otherVersionOnDisk(t *testing.T) {
	c := cluster(t)
	sp := disk(t, spool.Options{})
	entry := entryOf(batchOf("message of tomorrow"), topic)
	entry.Data[0] = diskVersion + 1
	for _, e := range []spool.Entry{entry, entryOf(batchOf("message 0"), topic)} {
		if err := sp.Put(e); err != nil {
			t.Fatal(err)
		}
	}
	p, logs := producer(t, Options{Brokers: c.ListenAddrs(), Spool: sp})
	waitFor(t, "delivery", func() bool { return p.Stats().Delivered.Messages == 1 })
	if err := closeWithin(t, p, time.Minute); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.Spool.Waiting.Entries != 1 || len(s.Lost) > 0 {
		t.Errorf("%+v", s)
	}
	if logs.FilterMessageSnippet("another version").Len() != 1 {
		t.Errorf("said %v", logs.All())
	}
}

func TestProducer_unknownTopic(t *testing.T) {
	c := cluster(t)
	p, logs := producer(t, Options{Brokers: c.ListenAddrs(), Topic: "nowhere", DeliveryTimeout: time.Second})
	enqueue(p, 0, 20, false)
	waitFor(t, "the messages to be given up", func() bool { return p.Stats().Lost[sink.Undelivered].Messages == 20 })
	balance(t, p.Stats())
	failed := logs.FilterMessage("Kafka messages failed").All()
	if len(failed) != 1 || failed[0].ContextMap()["class"] != "configuration" ||
		!strings.Contains(fmt.Sprint(failed[0].ContextMap()["error"]), "UNKNOWN_TOPIC_OR_PARTITION") {
		t.Errorf("said %v", failed)
	}
}

func TestProducer_createsTheTopic(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p, _ := producer(t, Options{Brokers: c.ListenAddrs(), CreateTopic: true})
	enqueue(p, 0, 20, false)
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	expect(t, consume(t, 20, kgo.SeedBrokers(c.ListenAddrs()...)), 20, false)
}

// stall keeps produce requests without an answer until the returned function is called.
func stall(c *kfake.Cluster) (release func()) {
	held := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		c.SleepControl(func() { <-held })
		return nil, nil, false
	})
	return func() { close(held) }
}

// While brokers do not answer, memory is bounded, Enqueue returns at once and the oldest batches are lost.
func TestProducer_boundsItsQueue(t *testing.T) {
	c := cluster(t)
	release := stall(c)
	p, _ := producer(t, Options{Brokers: c.ListenAddrs(), QueueBytes: 10_000})
	enqueue(p, 0, 5000, false) // about 60 kB
	s := p.Stats()
	balance(t, s)
	if s.Queued.Bytes > 10_000 || s.Lost[sink.QueueFull].Messages < 3000 {
		t.Errorf("%d bytes wait, %d messages were lost", s.Queued.Bytes, s.Lost[sink.QueueFull].Messages)
	}
	release()
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	s = p.Stats()
	balance(t, s)
	got := consume(t, int(s.Delivered.Messages), kgo.SeedBrokers(c.ListenAddrs()...))
	if len(got) != int(s.Delivered.Messages) || got["|message 4999"] != 1 {
		t.Errorf("%d messages came, the latest %d times; counted %+v", len(got), got["|message 4999"], s)
	}
}

// With a spool what does not fit into memory waits on disk and is delivered later.
func TestProducer_spoolsWhatHasNoRoom(t *testing.T) {
	c := cluster(t)
	release := stall(c)
	book := &tally.Book{}
	var onDisk spool.Options
	book.Keep(&onDisk)
	p, _ := producer(t, Options{Brokers: c.ListenAddrs(), QueueBytes: 1 << 20, Spool: disk(t, onDisk), Book: book})
	enqueue(p, 0, 100_000, true) // about 1.9 MB
	waitFor(t, "something on disk", func() bool { return p.Stats().Spooled.Messages > 0 })
	release()
	waitFor(t, "all to be delivered", func() bool {
		s := p.Stats()
		return s.Delivered.Messages+
			s.Lost[sink.QueueFull].Messages == 100_000
	})
	s := p.Stats()
	balance(t, s)
	if s.FromSpool != s.Spooled {
		t.Errorf("%+v went to disk, %+v came back", s.Spooled, s.FromSpool)
	}
	if lost := s.Lost[sink.QueueFull].Messages; lost == 0 { // the disk may have been slower than the loop above
		expect(t, consume(t, 100_000, kgo.SeedBrokers(c.ListenAddrs()...)), 100_000, true)
	}
}

// Brokers that are away for longer than the delivery timeout cost nothing where there is a spool, and so does a
// restart.
func TestProducer_brokerAwayAndBack(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topic), kfake.DataDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	address := c.ListenAddrs()
	c.Close()
	dir := t.TempDir()
	book := &tally.Book{}
	onDisk := spool.Options{Dir: dir}
	book.Keep(&onDisk)
	first, err := spool.Open(onDisk)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Brokers: address, DeliveryTimeout: time.Second, Spool: first, Book: book}
	p, logs := producer(t, o)
	enqueue(p, 0, 1000, true)
	waitFor(t, "messages on disk", func() bool { return p.Stats().Spooled.Messages == 1000 })
	enqueue(p, 1000, 500, true)
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Errorf("closing with a spool: %v", err)
	}
	s := p.Stats()
	balance(t, s)
	if s.Spool.Waiting.Rows != 1500 || len(s.Lost) > 0 {
		t.Errorf("%d wait on disk, lost %v", s.Spool.Waiting.Rows, s.Lost)
	}
	lines := logs.FilterMessage("Kafka broker refuses the connection").All()
	if len(lines) != 1 || !strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), "refused") ||
		lines[0].ContextMap()["broker"] != address[0] {
		t.Errorf("said %v", lines)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	o.Book = &tally.Book{}
	o.Book.Keep(&onDisk)
	o.Spool = disk(t, onDisk)
	if found := o.Book.Total(); found.Found != 1500 || found.OnDisk != 1500 {
		t.Errorf("on disk by the book: %+v", found)
	}
	p, logs = producer(t, o)
	enqueue(p, 1500, 100, true)
	waitFor(t, "more on disk", func() bool { return p.Stats().Spooled.Messages == 100 })
	back := kfakeAt(t, address[0])
	waitFor(t, "all to be delivered", func() bool { return p.Stats().Delivered.Messages == 1600 })
	enqueue(p, 1600, 100, true)
	if err := closeWithin(t, p, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	balance(t, p.Stats())
	expect(t, consume(t, 1700, kgo.SeedBrokers(back.ListenAddrs()...)), 1700, true)
	if logs.FilterMessage("Kafka takes messages again").Len() == 0 {
		t.Errorf("said %v", logs.All())
	}
}

// kfakeAt starts a cluster at an address that was one's before.
func kfakeAt(t *testing.T, address string) *kfake.Cluster {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(address[strings.LastIndexByte(address, ':')+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	return cluster(t, kfake.Ports(port))
}

// What is left when Close may wait no longer is lost, counted and said.
func TestProducer_closeWithoutABroker(t *testing.T) {
	p, _ := producer(t, Options{Brokers: []string{"127.0.0.1:1"}})
	enqueue(p, 0, 50, false)
	err := closeWithin(t, p, 100*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "50 messages were not delivered") {
		t.Errorf("got %v", err)
	}
	p.Enqueue(batchOf("too late"))
	s := p.Stats()
	balance(t, s)
	if s.Lost[sink.Shutdown].Messages != 51 {
		t.Errorf("lost %+v", s.Lost)
	}
}

func TestProducer_sasl(t *testing.T) {
	for _, mechanism := range Mechanisms() {
		t.Run(mechanism, func(t *testing.T) {
			c := cluster(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "collector", "secret"))
			good := SASL{Mechanism: mechanism, Username: "collector", Password: "secret"}
			p, _ := producer(t, Options{Brokers: c.ListenAddrs(), SASL: good})
			enqueue(p, 0, 100, false)
			if err := closeWithin(t, p, 20*time.Second); err != nil {
				t.Fatal(err)
			}
			own, err := good.mechanism()
			if err != nil {
				t.Fatal(err)
			}
			expect(t, consume(t, 100, kgo.SeedBrokers(c.ListenAddrs()...), kgo.SASL(own)), 100, false)

			bad := good
			bad.Password = "wrong"
			p, logs := producer(t, Options{Brokers: c.ListenAddrs(), SASL: bad, DeliveryTimeout: time.Second})
			enqueue(p, 0, 100, false)
			waitFor(t, "the messages to be given up",
				func() bool { return p.Stats().Lost[sink.Undelivered].Messages == 100 })
			balance(t, p.Stats())
			if n := logs.FilterMessage("Kafka broker refuses the connection").Len() +
				logs.FilterMessage("Kafka messages failed").Len(); n != 1 {
				t.Errorf("said %v", logs.All())
			}
			if class := Classify(p.Stats().LastError); class != sink.Configuration {
				t.Errorf("%v is %v", p.Stats().LastError, class)
			}
		})
	}
}

// The memory of batches, records and flights is used again: what is left are franz-go's own allocations for a batch of
// messages.
func TestProducer_allocatesLittle(t *testing.T) {
	c := cluster(t, kfake.BlackholeProduce())
	p, _ := producer(t, Options{Brokers: c.ListenAddrs()})
	const n = 2000
	delivered := func() uint64 { return p.Stats().Delivered.Messages }
	round := func() {
		before := delivered()
		b := p.Batch()
		for range n {
			b.Data = append(b.Data, "a message of some length that stands for a flow record"...)
			b.Ends = append(b.Ends, len(b.Data))
		}
		p.Enqueue(b)
		for delivered() < before+n {
			time.Sleep(time.Millisecond)
		}
	}
	for range 10 {
		round()
	}
	if got := testing.AllocsPerRun(20, round); got > n/4 { // the fake broker in this process allocates too
		t.Errorf("%v allocations for %d messages", got, n)
	}
}

// BenchmarkProducer is what a message costs from Enqueue until it is acknowledged, the fake broker in this process
// included.
func BenchmarkProducer(b *testing.B) {
	for _, compression := range []string{"none", "lz4", "zstd"} {
		b.Run(compression, func(b *testing.B) {
			c := cluster(b, kfake.BlackholeProduce())
			p, _ := producer(b, Options{Brokers: c.ListenAddrs(), Compression: compression})
			text := strings.Repeat(`"device_id":"r1","src_port":443,`, 16)
			const n = 2000
			sent := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				batch := p.Batch()
				for i := range n {
					batch.Data = fmt.Appendf(batch.Data, "%d %s", i, text)
					batch.Ends = append(batch.Ends, len(batch.Data))
				}
				p.Enqueue(batch)
				sent += n
				for p.Stats().Queued.Messages > 20*n {
					time.Sleep(100 * time.Microsecond)
				}
			}
			for p.Stats().Delivered.Messages < sent {
				time.Sleep(100 * time.Microsecond)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/message")
		})
	}
}
