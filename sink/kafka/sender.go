package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/message"
	"github.com/metranova/flow-collector/sink/tally"
)

// sender is the goroutine that passes batches to franz-go and handles their results. All its fields belong to that
// goroutine.
type sender struct {
	p      *Producer
	client *kgo.Client

	inFlight      int
	inFlightBytes int64
	retries       []*flight // failed flights that will be retried, oldest first
	spare         []*flight
	ended         []*flight // scratch

	failing  bool // the latest flight failed: only one at a time is tried
	down     bool // set once a batch was spooled or lost: from then on spooled batches probe the brokers
	until    time.Time
	backoff  *backoff.ExponentialBackOff
	fromDisk bool // the latest batch was from disk

	maxBatch  int           // the client's limit for one batch of a partition
	resized   time.Time     // when that last changed
	grew      bool          // and it grew
	growAfter time.Duration // how long to wait before it grows
	renew     bool          // a new client is needed: the limit, or maybe a certificate, has changed
	closed    bool          // the client was closed for good
}

func newSender(p *Producer) *sender {
	s := &sender{p: p, maxBatch: p.options.MaxBatchBytes, backoff: &backoff.ExponentialBackOff{
		InitialInterval: p.options.RetryMin, MaxInterval: p.options.RetryMax, RandomizationFactor: 0.5, Multiplier: 2,
	}}
	s.backoff.Reset()
	return s
}

// run works until the producer is closed and everything is delivered or given up.
func (s *sender) run() {
	defer close(s.p.ended)
	first := s.client
	// so that a problem is logged now, and not with the first message
	go func() { _ = first.Ping(context.Background()) }()
	s.makeTopic()
	for {
		s.collect()
		if s.over() {
			break
		}
		s.feed()
		s.wait()
	}
	s.client.Close()
}

// over reports whether there is nothing left to do.
func (s *sender) over() bool {
	if !s.p.closing.Load() {
		return false
	}
	if s.p.options.Spool != nil && (s.failing || s.p.unreachable() != nil) {
		s.p.aborting.Store(true) // what is on disk is safe: there is nothing to wait for
	}
	if !s.p.aborting.Load() {
		return s.inFlight == 0 && len(s.retries) == 0 && s.p.queue.empty()
	}
	if !s.closed {
		s.closed = true
		s.client.Close() // fails all records that it has
	}
	if s.inFlight > 0 {
		return false
	}
	for _, f := range s.retries {
		s.giveUp(f.batch, sink.Shutdown, nil)
	}
	s.retries = nil
	for b := s.p.queue.take(); b != nil; b = s.p.queue.take() {
		s.giveUp(b, sink.Shutdown, nil)
	}
	return true
}

// wait waits for something to happen, at most for the pause after a failure. It also checks from time to time for spool
// entries that were set aside.
func (s *sender) wait() {
	const look = 500 * time.Millisecond
	pause := time.Until(s.until)
	if pause <= 0 && (s.p.options.Spool == nil || s.p.options.Spool.Ready() == 0) {
		<-s.p.wake
		return
	}
	if pause <= 0 {
		pause = look
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.p.wake:
	}
}

// feed passes to franz-go what may be sent.
func (s *sender) feed() {
	for !s.closed && !time.Now().Before(s.until) && s.mayStart() && s.renewed() {
		f := s.next()
		if f == nil {
			break
		}
		s.start(f)
	}
	s.moveToDisk()
}

// mayStart reports whether another flight may start: within a quarter of the queue's bytes, and after a failure only
// one, as a probe.
func (s *sender) mayStart() bool {
	return s.inFlight == 0 || !s.failing && !s.renew && s.inFlightBytes < s.p.options.QueueBytes/4
}

// renewed makes a new client if one is needed. Nothing may be in flight then.
func (s *sender) renewed() bool {
	if !s.renew {
		return true
	}
	client, err := s.p.newClient(s.maxBatch)
	if err != nil {
		s.fail(0, sink.Configuration, err)
		return false
	}
	s.client.Close()
	s.client, s.renew = client, false
	s.makeTopic()
	return true
}

// makeTopic creates the topic if the options say so. If it cannot, the messages' errors say why.
func (s *sender) makeTopic() {
	if !s.p.options.CreateTopic {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := kadm.NewClient(s.client).CreateTopic(ctx, -1, -1, nil, s.p.options.Topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		s.p.log.notCreated(err)
	}
}

// next returns the next flight: a failed one first, then batches from disk and from the queue in turn.
func (s *sender) next() *flight {
	if len(s.retries) > 0 {
		f := s.retries[0]
		s.retries = s.retries[1:]
		return f
	}
	disk := s.p.options.Spool
	waits := disk != nil && disk.Ready() > 0 && !s.p.closing.Load()
	if waits && (s.down || !s.fromDisk || s.p.queue.empty()) {
		s.fromDisk = true
		if f := s.nextOnDisk(); f != nil {
			return f
		}
	}
	if s.down && waits {
		return nil // waiting batches go to disk
	}
	s.fromDisk = false
	b := s.p.queue.take()
	if b == nil {
		return nil
	}
	f := s.newFlight(b)
	f.topic = s.p.options.Topic
	return f
}

// otherVersionRetry is how long a batch of another version of this program is set aside.
const otherVersionRetry = 24 * time.Hour

// nextOnDisk takes the oldest entry of the spool; nil if none may be tried now.
func (s *sender) nextOnDisk() *flight {
	for {
		e, ok := s.p.options.Spool.Next()
		if !ok {
			return nil
		}
		b, err := decodeBatch(e)
		if errors.Is(err, errVersion) {
			s.p.log.otherVersion(e.Rows, err)
			s.p.options.Spool.Return(e, otherVersionRetry)
			continue
		}
		if err != nil {
			n := Count{Messages: uint64(e.Rows), Bytes: uint64(len(e.Data))}
			s.p.counters.lost(n, sink.SpoolDamaged)
			shares, _ := e.Ref.([]tally.Share)
			s.p.options.Book.Lose(shares, true, string(sink.SpoolDamaged))
			s.p.log.lost(n, sink.SpoolDamaged, err)
			s.p.options.Spool.Done(e)
			continue
		}
		b.Tally, _ = tally.Parse(e.Note)
		f := s.newFlight(b)
		f.entry, f.topic = e, e.Query
		return f
	}
}

func (s *sender) newFlight(b *message.Batch) *flight {
	var f *flight
	if n := len(s.spare); n > 0 {
		f, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		f = newFlight(&s.p.finished, s.p.kick)
	}
	f.batch, f.entry, f.began = b, nil, time.Time{}
	return f
}

func (s *sender) start(f *flight) {
	now := time.Now()
	if f.began.IsZero() {
		f.began = now
	}
	s.inFlight++
	s.inFlightBytes += size(f.batch)
	f.produce(s.client, now)
}

// collect handles the flights that have ended.
func (s *sender) collect() {
	s.ended = s.p.finished.take(s.ended[:0])
	for _, f := range s.ended {
		s.inFlight--
		s.inFlightBytes -= size(f.batch)
		s.settle(f)
	}
	clear(s.ended)
}

// land releases a flight whose batch is finished.
func (s *sender) land(f *flight) {
	if f.entry == nil {
		s.p.recycle(f.batch)
	} else {
		s.p.options.Spool.Done(f.entry)
	}
	s.putAway(f)
}

func (s *sender) putAway(f *flight) {
	f.batch, f.entry = nil, nil
	clear(f.records) // releases the batch's memory
	if len(s.spare) < maxFree {
		s.spare = append(s.spare, f)
	}
}

// fail notes a failure after which there is a retry, and when.
func (s *sender) fail(messages int, class sink.Class, err error) {
	s.p.counters.failed(err)
	s.p.trouble.note(err)
	if !s.p.aborting.Load() { // otherwise we cancelled it ourselves
		s.p.log.failed(messages, class, err)
	}
	s.failing = true
	pause := s.backoff.NextBackOff()
	if class == sink.Configuration {
		pause = s.p.options.ConfigurationRetry
		s.renew = true
	}
	s.until = time.Now().Add(pause)
}

// succeed notes that a whole flight was delivered.
func (s *sender) succeed() {
	s.failing, s.down, s.until = false, false, time.Time{}
	s.backoff.Reset()
	s.p.log.delivered()
	s.grow()
}

// again retries a flight after the pause.
func (s *sender) again(f *flight) {
	n := count(f.batch)
	s.p.counters.update(func(stats *Stats) { stats.Retried.add(n) })
	s.retries = append(s.retries, f)
	slices.SortStableFunc(s.retries, func(a,
		b *flight) int {
		return cmp.Compare(a.began.UnixNano(), b.began.UnixNano())
	})
}
