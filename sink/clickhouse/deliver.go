package clickhouse

import (
	"context"
	"net/http"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cenkalti/backoff/v5"

	"github.com/metranova/flow-collector/sink/native"
)

// deliver is one inserter: it takes inserts in order until the queue is closed and empty, and in turn with these, or
// when there are none, those of the spool.
func (w *Writer) deliver(ctx context.Context) {
	if !w.waitReady(ctx) {
		return // Close takes what waits
	}
	live := false // whose turn it was
	for {
		ins, ok := w.queue.take(func(waiting int) (bool, bool) {
			hold := w.spooling.first()
			return (waiting == 0 || live || hold) && !w.isClosing() && w.spooling.claim(), hold
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
			w.finish(ins)
			w.lose(ins, Shutdown, nil)
			return
		default:
			live = true
			w.deliverLive(ctx, ins)
		}
	}
}

// waitReady returns false where the Writer ends before the tables are there, or closes and has a spool.
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

// ready reports whether the tables are there.
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

// deliverLive delivers an insert of the queue, or does away with it.
func (w *Writer) deliverLive(ctx context.Context, ins *Insert) {
	size := len(ins.Data)
	reason, err := w.deliverOne(ctx, ins, nil)
	w.queue.done(size)
	w.settle(ins, reason, err)
}

// settle does what follows from what deliverOne says of an insert.
func (w *Writer) settle(ins *Insert, reason Reason, err error) {
	switch reason {
	case "":
		w.succeeded(ins)
	case onDisk:
		w.spooling.kick() // the others may have to follow
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

// failed notes a failure of an attempt and classifies it.
func (w *Writer) failed(ins *Insert, err error) Class {
	w.counters.failed(err)
	class := Classify(err)
	switch {
	case class == Configuration:
		if name := w.omitted.add(err); name != "" {
			w.log.without(name, err)
			return Retryable
		}
		err = explainForbidden(err)
	case saysBroken(err):
		// Something between here and the server may have damaged or cut it: then it goes in at another attempt.
		if class = Unknown; !isWhole(ins) {
			class = Permanent
		}
	case class == Permanent && ins.Rows == 1 && errorCode(err) == http.StatusRequestEntityTooLarge:
		class = Configuration // no row is too large: it is the proxy's limit that is wrong
	}
	w.log.failed(class, ins, err)
	return class
}

// isWhole reports whether the insert's block can be read to its end.
func isWhole(ins *Insert) bool {
	block := ins.whole()
	rows, err := native.Rows(block)
	if err != nil || rows != ins.Rows {
		return false
	}
	_, err = native.Cut(block, 0, rows)
	return err == nil
}

// finish frees the insert's share of the queue's bytes.
func (w *Writer) finish(ins *Insert) { w.queue.done(len(ins.Data)) }

// onDisk is deliverOne's word for an insert that went to the spool.
const onDisk Reason = "spooled"

// deliverOne tries until the insert is stored (no reason), went to the spool, was refused or has to be given up. b is
// that of the insert that it is a part of; nil where it is a whole one. What the server says of the data is refused;
// everything else waits: in the spool, or, where there is none, here. An unknown error is waited for without a spool
// only UnknownAttempts times, since it may be about this insert alone, which would then hold up all others.
func (w *Writer) deliverOne(ctx context.Context, ins *Insert, b *bisection) (Reason, error) {
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
			return Shutdown, err // our own doing, at Close
		}
		class := w.failed(ins, err)
		if class == Unknown {
			unknown++
		}
		if class == Permanent || w.spooling == nil && unknown >= w.options.UnknownAttempts {
			if !w.refused(ctx, ins, class, err, b) {
				return handled, nil
			}
			continue
		}
		// What fails though others go in must not hold these up.
		alone := class != Retryable && w.health.deliveredAfter(begun.Add(-w.options.ConfigurationRetry)) ||
			w.waitsForServer(ins)
		down := w.health.failed(begun)
		w.counters.retried(ins)
		if down || alone || w.isClosing() || time.Since(first) >= w.options.SpoolAfter {
			if w.spooling.put(ins) {
				return onDisk, nil
			}
		}
		if w.waitsForServer(ins) && time.Since(first) >= w.options.SpoolAfter {
			w.log.doubtful(ins)
			ins.at = "" // it cannot wait on disk, and holds up others
		}
		pause := wait.NextBackOff()
		if class == Configuration {
			pause = w.options.ConfigurationRetry
		}
		if !w.rest(ctx, pause) {
			return Shutdown, err
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

// rest waits before the next attempt and reports whether there is to be one. With a spool Close cuts the wait short,
// for what fails once more goes there.
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
	body := newBody(ins)
	defer func() {
		_ = body.Close()
		ins.tried = ins.tried || body.wasRead()
	}()
	begun := time.Now()
	err := w.send(chgo.Context(ctx, chgo.WithSettings(settings)), ins, body)
	if w.options.Attempted != nil {
		w.options.Attempted(time.Since(begun), err)
	}
	if err != nil {
		return cause(err)
	}
	return nil
}

// send sends an insert to the server. Where there are several that do not have the same tables, what one of them may
// have stored goes to no other.
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

// waitsForServer reports whether an insert may be stored by a server that is not the one in use, and so waits for that
// one.
func (w *Writer) waitsForServer(ins *Insert) bool {
	servers, several := w.conn.(*Servers)
	if !several || ins.at == "" || ins.at == servers.Addr() {
		return false
	}
	_, known := servers.place(ins.at)
	return known
}

// sleep waits and reports whether the wait was not cut short.
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
