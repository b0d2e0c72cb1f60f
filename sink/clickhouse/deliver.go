package clickhouse

import (
	"context"
	"fmt"
	"net/http"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cenkalti/backoff/v5"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/native"
)

// deliver is one inserter. It delivers inserts in order until the queue is closed and empty; in turn with these, or
// when the queue is empty, it delivers inserts of the spool.
func (w *Writer) deliver(ctx context.Context) {
	if !w.waitReady(ctx) {
		return // Close handles the rest
	}
	live := false // the latest insert was from the queue
	for {
		ins, ok := w.queue.take(func(ready bool) (bool, bool) {
			hold := w.spooling.probing()
			return (!ready || live || hold) && !w.isClosing() && w.spooling.claim(), hold
		})
		switch {
		case !ok:
			return
		case ins == nil:
			live = false
			if ins = w.spooling.take(); ins != nil {
				w.spooling.deliver(ctx, ins, nil)
			}
			w.spooling.unclaim()
		case ctx.Err() != nil:
			w.queue.sent(ins.memory())
			w.lose(ins, sink.Shutdown, nil)
			return
		default:
			live = true
			w.deliverLive(ctx, ins)
		}
	}
}

// waitReady returns false if the Writer ends before the tables exist, or if it is closed and has a spool.
func (w *Writer) waitReady(ctx context.Context) bool {
	if w.ready() {
		return true
	}
	var closing <-chan struct{}
	if w.spooling != nil {
		closing = w.closing
	}
	select {
	case <-w.options.Ready:
		return true
	case <-closing:
	case <-ctx.Done():
	}
	return w.ready() && ctx.Err() == nil
}

// ready reports whether the tables exist.
func (w *Writer) ready() bool {
	if w.options.Ready == nil {
		return true
	}
	select {
	case <-w.options.Ready:
		return true
	default:
		return false
	}
}

func (w *Writer) isClosing() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// deliverLive delivers an insert of the queue, or disposes of it.
func (w *Writer) deliverLive(ctx context.Context, ins *Insert) {
	size := ins.memory()
	reason, err := w.deliverOne(ctx, ins, nil)
	w.queue.sent(size)
	w.settle(ins, reason, err)
}

// settle acts on the result of deliverOne.
func (w *Writer) settle(ins *Insert, reason sink.Reason, err error) {
	switch reason {
	case "":
		w.succeeded(ins)
	case onDisk:
		w.spooling.kick() // the others may have to go to disk too
	case handled:
	default:
		w.lose(ins, reason, err)
	}
}

// succeeded counts an insert that is stored.
func (w *Writer) succeeded(ins *Insert) {
	w.log.delivered(ins)
	w.health.succeeded()
	w.counters.delivered(ins)
	w.options.Book.Deliver(ins.shares, ins.entry != nil)
	if ins.viewError != nil {
		w.withoutView(ins)
	}
	w.release(ins)
}

// failed records a failed attempt and classifies it.
func (w *Writer) failed(ins *Insert, err error) sink.Class {
	w.counters.failed(err)
	if errorCode(err) == http.StatusRequestEntityTooLarge && len(ins.more) > 0 {
		w.queue.joinLess(ins.size() / 2)
	}
	class := Classify(err)
	switch {
	case class == sink.Configuration:
		if name := w.omitted.add(err); name != "" {
			w.log.without(name, err)
			return sink.Retryable
		}
		err = explainForbidden(err)
	case saysBroken(err):
		// A proxy may have damaged or truncated the block: then another attempt may succeed.
		if class = sink.Unknown; !isWhole(ins) {
			class = sink.Permanent
		}
	case class == sink.Permanent && ins.Rows == 1 && errorCode(err) == http.StatusRequestEntityTooLarge:
		class = sink.Configuration // a single row is not too large: the proxy's limit is too low
	}
	w.log.failed(class, ins, err)
	return class
}

// isWhole reports whether the insert's blocks can be read to their end.
func isWhole(ins *Insert) bool {
	if err := ins.load(); err != nil {
		return true // the disk is at fault, and nothing says that the blocks are
	}
	rows, err := native.Rows(ins.whole())
	return err == nil && rows == ins.Rows
}

// onDisk is deliverOne's result for an insert that went to the spool.
const onDisk sink.Reason = "spooled"

// deliverOne tries until the insert is stored (no reason), is in the spool, is refused or must be given up. b is the
// bisection that the insert is a part of; nil if it is a whole one. Inserts whose data the server rejects are refused.
// All others wait: in the spool, or here if there is none. Without a spool, an unknown error is retried only
// UnknownAttempts times: it may be about this insert alone, which would block all others.
func (w *Writer) deliverOne(ctx context.Context, ins *Insert, b *bisection) (sink.Reason, error) {
	wait := w.newBackoff()
	first := time.Now()
	for unknown := 0; ; {
		begun := time.Now()
		err := w.attempt(ctx, ins)
		if err == nil {
			w.spooling.resume()
			b.stored()
			return "", nil
		}
		if ctx.Err() != nil {
			return sink.Shutdown, err // cancelled by Close
		}
		class := w.failed(ins, err)
		if class == sink.Unknown {
			unknown++
		}
		if class == sink.Permanent || w.spooling == nil && unknown >= w.options.UnknownAttempts {
			if !w.refused(ctx, ins, class, err, b) {
				return handled, nil
			}
			continue
		}
		// The server is up and only this insert fails: spool it so that it does not block the others.
		onlyThisOne := class != sink.Retryable && w.health.deliveredAfter(begun.Add(-w.options.ConfigurationRetry)) ||
			w.waitsForServer(ins)
		down := w.health.failed(begun)
		w.counters.retried(ins)
		if down || onlyThisOne || w.isClosing() || time.Since(first) >= w.options.SpoolAfter {
			if w.spooling.put(ins) {
				return onDisk, nil
			}
		}
		if w.waitsForServer(ins) && time.Since(first) >= w.options.SpoolAfter {
			w.log.doubtful(ins)
			ins.at = "" // it cannot wait on disk, and blocks others
		}
		pause := wait.NextBackOff()
		if class == sink.Configuration {
			pause = w.options.ConfigurationRetry
		}
		if !w.rest(ctx, pause) {
			return sink.Shutdown, err
		}
	}
}

func (w *Writer) newBackoff() *backoff.ExponentialBackOff {
	b := &backoff.ExponentialBackOff{
		InitialInterval: w.options.RetryMin, MaxInterval: w.options.RetryMax,
		RandomizationFactor: 0.5, Multiplier: 2,
	}
	b.Reset()
	return b
}

// rest waits before the next attempt and reports whether there should be one. With a spool, Close interrupts the wait,
// because a failed insert goes to the spool.
func (w *Writer) rest(ctx context.Context, d time.Duration) bool {
	if w.spooling == nil || w.isClosing() {
		return sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.closing:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// attempt sends the insert once.
func (w *Writer) attempt(ctx context.Context, ins *Insert) error {
	ctx, cancel := context.WithTimeout(ctx, w.options.InsertTimeout)
	defer cancel()
	settings := make(chgo.Settings, len(w.settings)+1)
	for name, value := range w.settings {
		settings[name] = value
	}
	if ins.Token != "" {
		settings["insert_deduplication_token"] = ins.Token
	}
	w.omitted.from(settings)
	if ins.viewError != nil {
		settings["materialized_views_ignore_errors"] = 1
	}
	data, err := ins.open()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotRead, err)
	}
	body := newBody(data)
	defer func() {
		_ = body.Close()
		ins.tried = ins.tried || body.wasRead()
	}()
	begun := time.Now()
	err = w.send(chgo.Context(ctx, chgo.WithSettings(settings)), ins, body)
	if w.options.Attempted != nil {
		w.options.Attempted(time.Since(begun), err)
	}
	if err == nil {
		return nil
	}
	if local := body.failure(); local != nil {
		return local
	}
	return cause(err)
}

// send sends an insert to the server. If there are several servers with different tables, an insert that one of them
// may have stored is not sent to another.
func (w *Writer) send(ctx context.Context, ins *Insert, data *body) error {
	servers, several := w.conn.(*Servers)
	if !several {
		return w.conn.InsertFormat(ctx, "Native", ins.Query, data)
	}
	if w.options.Replicated {
		_, err := servers.insert(ctx, ins.Query, data, "")
		return err
	}
	addr, err := servers.insert(ctx, ins.Query, data, ins.at)
	if err != nil && data.wasRead() {
		ins.at = addr
	}
	return err
}

// waitsForServer reports whether a server that is not in use may have stored the insert, so that it waits for that
// server.
func (w *Writer) waitsForServer(ins *Insert) bool {
	servers, several := w.conn.(*Servers)
	if !several || ins.at == "" || ins.at == servers.Addr() {
		return false
	}
	_, known := servers.index(ins.at)
	return known
}

// sleep waits. It returns false if the wait was interrupted.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
