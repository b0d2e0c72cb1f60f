package clickhouse

import (
	"context"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// spooling is a Writer's side of the spool. A Writer without one has nil; its methods are then of no effect.
type spooling struct {
	w     *Writer
	spool *spool.Spool
	wake  chan struct{} // something may have to be moved to disk

	mu      sync.Mutex
	backoff *backoff.ExponentialBackOff
	next    time.Time // when the spool is tried again
}

func newSpooling(w *Writer) *spooling {
	if w.options.Spool == nil {
		return nil
	}
	return &spooling{w: w, spool: w.options.Spool, wake: make(chan struct{}, 1), backoff: w.newBackoff()}
}

// kick has the mover look at the queue again.
func (s *spooling) kick() {
	if s == nil {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// put writes an insert to disk and reports whether it is there. The insert is then done with.
func (s *spooling) put(ins *Insert) bool {
	if s == nil || ins.entry != nil {
		return false
	}
	book := s.w.options.Book
	book.ToDisk(ins.shares) // before anyone can take it from there
	err := s.spool.Put(spool.Entry{
		Query: ins.Query, Token: ins.Token, Rows: ins.Rows, Data: ins.Data, Note: ins.Tally.Append(nil), Ref: ins.shares,
	})
	if err != nil {
		book.NotToDisk(ins.shares)
		s.w.journal.notSpooled(ins, err)
		return false
	}
	s.w.counters.spooled(ins)
	book.Spooled(ins.shares)
	s.w.journal.spooled(ins)
	s.w.release(ins)
	return true
}

// move is the goroutine that takes the oldest waiting inserts to disk, so that Enqueue need not wait for it: all of them
// while the server is down, else those that fill the queue by more than half.
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
			size := len(ins.Data)
			if s.put(ins) {
				s.w.queue.done(size)
				s.w.queue.wake()
				continue
			}
			s.w.queue.giveBack(ins)
			if !sleep(ctx, s.w.options.RetryMin) {
				return
			}
			s.kick() // Enqueue may have nothing more to say
			break
		}
	}
}

// keep is how many bytes may wait in memory.
func (s *spooling) keep(late bool) int64 {
	if s.w.health.isDown() || late && !s.w.ready() {
		return 0
	}
	return s.w.options.QueueBytes / 2
}

// due reports whether the spool has something that may be tried now.
func (s *spooling) due() bool {
	if s == nil || s.spool.Ready() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !time.Now().Before(s.next)
}

// first reports whether live inserts have to wait: while the server is down what is oldest on disk is what finds out
// that it is back, and what waits goes to disk.
func (s *spooling) first() bool {
	return s != nil && s.spool.Ready() > 0 && s.w.health.isDown()
}

// take returns the oldest insert on disk; nil where none can be tried now.
func (s *spooling) take() *Insert {
	e, ok := s.spool.Next()
	if !ok {
		s.pause(s.w.options.RetryMin) // all are put aside
		return nil
	}
	ins := &Insert{Query: e.Query, Token: e.Token, Rows: e.Rows, Data: e.Data, entry: e}
	ins.Tally, _ = tally.Parse(e.Note) // what cannot be read has its shares all the same
	ins.shares, _ = e.Ref.([]tally.Share)
	return ins
}

// deliver tries an insert of the spool once.
func (s *spooling) deliver(ctx context.Context, ins *Insert) {
	w, begun := s.w, time.Now()
	err := w.attempt(ctx, ins)
	if err == nil {
		s.spool.Done(ins.entry)
		s.resume()
		w.succeeded(ins)
		return
	}
	if ctx.Err() != nil {
		s.spool.Return(ins.entry, 0)
		w.release(ins)
		return
	}
	class := w.failed(ins, err)
	if class == Permanent || class == Unknown && ins.entry.Tries+1 >= w.options.UnknownAttempts {
		s.spool.Done(ins.entry)
		w.giveUp(ins, lossReason(class), err)
		return
	}
	w.counters.retried(ins)
	// What fails though the server answers must not hold up the others.
	aside := time.Duration(0)
	if class != Retryable || w.health.deliveredAfter(begun) {
		aside = w.options.ConfigurationRetry
	}
	s.spool.Return(ins.entry, aside)
	w.health.failed(begun)
	w.release(ins)
	s.kick()
	s.mu.Lock()
	wait := s.backoff.NextBackOff()
	s.mu.Unlock()
	s.pause(wait)
}

// pause leaves the spool alone for a while.
func (s *spooling) pause(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Now().Add(wait)
	time.AfterFunc(wait, s.w.queue.wake)
}

// resume ends a pause: the server takes inserts.
func (s *spooling) resume() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	s.backoff.Reset()
}

// addTo puts the spool's counters into the Writer's.
func (s *spooling) addTo(stats *Stats) {
	if s == nil {
		return
	}
	stats.Spool = s.spool.Stats()
	if stats.Lost == nil {
		stats.Lost = map[Reason]Count{}
	}
	for reason, count := range map[Reason]spool.Count{
		SpoolFull: stats.Spool.DroppedFull, SpoolAge: stats.Spool.DroppedAge, SpoolDamaged: stats.Spool.Unreadable,
	} {
		if count.Entries > 0 {
			stats.Lost[reason] = Count{Inserts: count.Entries, Rows: count.Rows, Bytes: count.Bytes}
		}
	}
}

// BookSpool has a spool that is to be opened write down in the book what it finds and what it drops.
func BookSpool(o *spool.Options, book *tally.Book) {
	o.Found = func(rows int, note []byte) any {
		t, err := tally.Parse(note)
		shares := t.Shares()
		if err != nil {
			shares = []tally.Share{{Rows: uint64(rows)}} // of an exporter that nobody knows any more
		}
		book.Find(shares)
		return shares
	}
	o.Dropped = func(ref any, why spool.Cause) {
		shares, _ := ref.([]tally.Share)
		book.Lose(shares, true, string(spoolReasons[why]))
	}
}

var spoolReasons = [...]Reason{spool.Full: SpoolFull, spool.Age: SpoolAge, spool.Damage: SpoolDamaged}
