package clickhouse

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// spooling is the Writer's use of the spool. It is nil in a Writer without a spool; its methods then do nothing.
type spooling struct {
	w     *Writer
	spool *spool.Spool
	wake  chan struct{} // inserts may have to be moved to disk

	mu      sync.Mutex
	backoff *backoff.ExponentialBackOff
	next    time.Time // when the spool is tried next
	resting bool      // nothing is taken from disk any more
	claimed int       // how many inserters are taking an insert from disk or delivering one
	// by token, for inserts that a view refuses: how many inserts were delivered when it first did
	since map[string]uint64
}

func newSpooling(w *Writer) *spooling {
	if w.options.Spool == nil {
		return nil
	}
	return &spooling{w: w, spool: w.options.Spool, wake: make(chan struct{}, 1), backoff: w.newBackoff(),
		since: map[string]uint64{}}
}

// kick makes move look at the queue again.
func (s *spooling) kick() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is already awake
	}
}

// put writes an insert to disk and reports whether it succeeded; then the insert is finished.
func (s *spooling) put(ins *Insert) bool {
	if s == nil || ins.entry != nil {
		return false
	}
	book := s.w.options.Book
	book.ToDisk(ins.shares) // before anyone can take it from disk
	if err := s.spool.Put(*s.entryOf(ins)); err != nil {
		book.NotToDisk(ins.shares)
		s.w.log.notSpooled(ins, err)
		return false
	}
	s.w.counters.spooled(ins)
	book.Spooled(ins.shares)
	s.w.log.spooled(ins)
	s.w.release(ins)
	return true
}

// atSeparator separates an insert's token from the address of the server that may have stored it.
const atSeparator = "\n"

// entryOf returns the insert's entry for the spool. Inserts that were tried have priority: the sooner they are
// repeated, the more certainly the server still knows the token.
//
// Its data is read in parts, as that may be some times as large as what the queue has: see native.Packed.
func (s *spooling) entryOf(ins *Insert) *spool.Entry {
	token := ins.Token
	if ins.at != "" {
		token += atSeparator + ins.at
	}
	return &spool.Entry{
		Query: ins.Query, Token: token, Rows: ins.Rows, Note: ins.Tally.Append(nil), Ref: ins.shares,
		Priority: ins.tried, Apart: ins.Apart, From: ins.open, Size: ins.size(),
	}
}

// move is the goroutine that moves the oldest waiting inserts to disk, so that Enqueue need not wait for it: all of
// them while the server is down, else those that fill more than half of the queue.
func (s *spooling) move(ctx context.Context) {
	patience := time.NewTimer(s.w.options.SpoolAfter) // for tables that are not ready
	defer patience.Stop()
	late := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-patience.C:
			late = true
		case <-s.wake:
		}
		for ctx.Err() == nil {
			ins, ok := s.w.queue.takeOver(s.keep(late))
			if !ok {
				break
			}
			size := ins.memory()
			if s.put(ins) {
				s.w.queue.done(size)
				s.w.queue.wake()
				continue
			}
			s.w.queue.giveBack(ins)
			if !sleep(ctx, s.w.options.RetryMin) {
				return
			}
			s.kick() // Enqueue may not call kick again
			break
		}
	}
}

// keep returns how many bytes may wait in memory.
func (s *spooling) keep(late bool) int64 {
	if s.w.health.isDown() || late && !s.w.ready() {
		return 0
	}
	return s.w.options.QueueBytes / 2
}

// claim reports whether the spool has an entry that may be tried now. The caller then takes and delivers an insert, and
// calls unclaim.
func (s *spooling) claim() bool {
	if s == nil || s.spool.Ready() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resting || time.Now().Before(s.next) {
		return false
	}
	s.claimed++
	return true
}

func (s *spooling) unclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed--
}

// rest stops taking inserts from disk. It reports whether none of them is being delivered any more.
func (s *spooling) rest() bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	s.resting = true
	under := s.claimed
	s.mu.Unlock()
	return under == 0
}

func (s *spooling) isResting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.resting
}

// probing reports whether live inserts must wait: while the server is down, only the oldest spooled insert is retried,
// as a probe, and live inserts go to disk.
func (s *spooling) probing() bool {
	return s != nil && s.spool.Ready() > 0 && s.w.health.isDown() && !s.isResting()
}

// foreignRetry is how long an entry with a statement that is not ours is set aside.
const foreignRetry = 24 * time.Hour

// take returns the oldest insert on disk; nil if none can be tried now. An entry whose statement is not ours stays on
// disk until it is too old.
func (s *spooling) take() *Insert {
	e, ok := s.spool.NextUnread()
	for ; ok && !IsInsert(e.Query); e, ok = s.spool.NextUnread() {
		s.w.log.notOurs(e.Rows)
		s.spool.Return(e, foreignRetry)
	}
	if !ok {
		s.pause(s.w.options.RetryMin) // all are set aside
		return nil
	}
	ins := &Insert{Query: e.Query, Rows: e.Rows, Apart: e.Apart, entry: e}
	ins.Token, ins.at, _ = strings.Cut(e.Token, atSeparator)
	ins.Tally, _ = tally.Parse(e.Note) // an unreadable tally leaves the shares, which are known
	ins.shares, _ = e.Ref.([]tally.Share)
	return ins
}

// deliver tries an insert of the spool once. b is the bisection that it is a part of, if it is one.
func (s *spooling) deliver(ctx context.Context, ins *Insert, b *bisection) {
	w, begun, at := s.w, time.Now(), ins.at
	err := w.attempt(ctx, ins)
	if err == nil {
		s.spool.Done(ins.entry)
		s.forget(ins)
		s.resume()
		b.stored()
		w.succeeded(ins)
		return
	}
	if ins.at != at {
		s.remember(ins)
	}
	if ctx.Err() != nil {
		s.giveBack(ins, 0)
		return
	}
	if errors.Is(err, errNotRead) {
		w.counters.retried(ins)
		s.leaveUnread(ins, err)
		return
	}
	class := w.failed(ins, err)
	if class != sink.Permanent && w.waitsForServer(ins) {
		w.counters.retried(ins)
		s.giveBack(ins, w.options.ConfigurationRetry)
		return
	}
	if class == sink.Permanent || s.tooLate(ins, class, err) {
		if err := ins.load(); err != nil {
			s.leaveUnread(ins, err)
			return
		}
		s.forget(ins)
		if w.refused(ctx, ins, class, err, b) {
			s.deliver(ctx, ins, b)
		}
		return
	}
	w.counters.retried(ins)
	// The server responds and only this insert fails: set it aside so that it does not block the others.
	aside := time.Duration(0)
	if class != sink.Retryable || w.health.deliveredAfter(begun) {
		aside = w.options.ConfigurationRetry
	}
	s.giveBack(ins, aside)
	w.health.failed(begun)
	s.kick()
	s.mu.Lock()
	wait := s.backoff.NextBackOff()
	s.mu.Unlock()
	s.pause(wait)
}

// remember writes to disk which server may have stored an insert.
func (s *spooling) remember(ins *Insert) {
	e := s.entryOf(ins)
	if err := s.spool.Replace(ins.entry, e); err != nil {
		s.w.log.notSpooled(ins, err) // then it may go to any server
		return
	}
	ins.entry = e
}

// leaveUnread leaves an insert on disk that could not be read. Another attempt may read it.
func (s *spooling) leaveUnread(ins *Insert, err error) {
	s.w.log.notRead(ins, err)
	s.giveBack(ins, s.w.options.ConfigurationRetry)
}

// giveBack ends an attempt: the insert waits on disk again, and is not tried before the wait is over.
func (s *spooling) giveBack(ins *Insert, wait time.Duration) {
	ins.entry.Priority = ins.entry.Priority || ins.tried
	s.spool.Return(ins.entry, wait)
	s.w.release(ins)
}

// setAside makes an insert that could not be handled wait for the next try.
func (s *spooling) setAside(ins *Insert) { s.giveBack(ins, s.w.options.ConfigurationRetry) }

// tooLate reports whether a view, which somebody may fix, has refused an insert for so long that the table, which has
// the rows, may soon have forgotten their token: another attempt could store them twice.
func (s *spooling) tooLate(ins *Insert, class sink.Class, err error) bool {
	if class != sink.Configuration || !fromView(err) {
		return false
	}
	now := s.w.counters.deliveredInserts()
	s.mu.Lock()
	defer s.mu.Unlock()
	since, known := s.since[ins.Token]
	if !known {
		s.since[ins.Token] = now
		return false
	}
	// other collectors insert too, and into several partitions at a time
	return now-since > uint64(s.w.options.Window)/4
}

// forget removes an insert from what tooLate remembers.
func (s *spooling) forget(ins *Insert) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.since, ins.Token)
}

// pause stops using the spool for a while.
func (s *spooling) pause(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Now().Add(wait)
	time.AfterFunc(wait, s.w.queue.wake)
}

// resume ends a pause, because the server accepts inserts.
func (s *spooling) resume() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	s.backoff.Reset()
}

// addTo adds the spool's counters to the Writer's.
func (s *spooling) addTo(stats *Stats) {
	if s == nil {
		return
	}
	stats.Spool = s.spool.Stats()
	if stats.Lost == nil {
		stats.Lost = map[sink.Reason]Count{}
	}
	for reason, count := range sink.LostOnDisk(&stats.Spool) {
		stats.Lost[reason] = Count{Inserts: count.Entries, Rows: count.Rows, Bytes: count.Bytes}
	}
}
