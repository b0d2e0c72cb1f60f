package service

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/ledger"
	"github.com/metranova/flow-collector/collector/metrics"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// output is a sink of the service, with the accounts of its rows and its spool.
type output struct {
	setup.Sink
	sink  sink.Sink // nil before open
	book  *tally.Book
	spool *spool.Spool // nil: batches wait in memory only
}

// outputs are the sinks that rows go to, or that an earlier run left rows for.
type outputs []*output

// newOutputs are the outputs of a configuration, of which none is open.
func newOutputs(cfg *config.Config) (all outputs) {
	for _, s := range setup.Sinks(cfg) {
		if s.Used {
			all = append(all, &output{Sink: s, book: &tally.Book{}})
		}
	}
	return all
}

// openSpools opens the outputs' spools. After an error the caller closes those that are open.
func (all outputs) openSpools(cfg *config.Config, log *zap.Logger) (err error) {
	for _, o := range all {
		if o.spool, err = o.OpenSpool(cfg, log, o.book); err != nil {
			return err
		}
	}
	return nil
}

// inDoubt returns how many inserts wait on disk for ClickHouse that were sent before, and may be stored.
func (all outputs) inDoubt() (n int) {
	for _, o := range all {
		if o.spool != nil && o.Name == "clickhouse" {
			n += o.spool.Prior()
		}
	}
	return n
}

func (all outputs) closeSpools() (err error) {
	for _, o := range all {
		if o.spool != nil {
			err = errors.Join(err, o.spool.Close())
		}
	}
	return err
}

// open opens the sinks. attempted is told of each attempt to deliver at one of them.
func (all outputs) open(parts setup.Parts, attempted func(sink string, took time.Duration, err error)) (err error) {
	for _, o := range all {
		parts.Spool, parts.Book = o.spool, o.book
		parts.Attempted = func(took time.Duration, err error) { attempted(o.Name, took, err) }
		if o.sink, err = o.Open(parts); err != nil {
			return err
		}
	}
	return nil
}

// close delivers what waits until ctx ends. The outputs do not wait for each other. The spools stay open.
func (all outputs) close(ctx context.Context) error {
	errs := make(chan error, len(all))
	for _, o := range all {
		go func() {
			if o.sink == nil {
				errs <- nil
				return
			}
			errs <- o.sink.Close(ctx)
		}()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}

// batchers are a worker's parts of the outputs. handed is called after each batch that was handed over.
func (all outputs) batchers(options sink.BatcherOptions, handed func(*output)) (batchers []sink.Batcher) {
	for _, o := range all {
		options := options
		if handed != nil {
			options.Handed = func() { handed(o) }
		}
		if b := o.sink.Batcher(options); b != nil {
			batchers = append(batchers, b)
		}
	}
	return batchers
}

// announce says in the log where flows go.
func (all outputs) announce(log *zap.Logger) {
	for _, o := range all {
		if o.Takes {
			log.Info("flows go to "+o.Title, zap.String("to", o.Place))
		}
	}
}

// main is the output that the page shows: the first that rows of this run go to.
func (all outputs) main() *output {
	for _, o := range all {
		if o.Takes {
			return o
		}
	}
	return all[0]
}

// fullness is how much of its queue an output has in use that neither its server nor its disk keeps up with: the
// least of all, since what is dropped before is missing at all of them. 0 where the oldest rows are dropped anyway,
// for want of a spool.
func (all outputs) fullness() float64 {
	least := 1.0
	for _, o := range all {
		if !o.Takes {
			continue
		}
		if o.spool == nil {
			return 0
		}
		stats := o.sink.Stats()
		least = min(least, float64(stats.QueuedBytes)/float64(stats.QueueLimit))
	}
	return least
}

// busy reports whether more than half of the queue is in use.
func (o *output) busy() bool {
	stats := o.sink.Stats()
	return stats.QueuedBytes > stats.QueueLimit/2
}

// behind reports whether rows are made faster than they get away: what comes now would displace others soon.
func (o *output) behind() bool {
	const nearlyFull = 0.95
	stats := o.sink.Stats()
	return stats.QueuedBytes > stats.QueueLimit/2 ||
		stats.Spool != nil && float64(stats.Spool.DiskBytes) > nearlyFull*float64(o.Spool.MaxBytes)
}

// awaitRoom waits while an output is busy: unlike a socket, a capture can wait.
func awaitRoom(o *output) { await(func() bool { return !o.busy() }) }

// awaitDelivery waits until nothing waits in memory.
func (all outputs) awaitDelivery() {
	for _, o := range all {
		await(func() bool { return o.sink.Stats().QueuedBytes == 0 })
	}
}

func await(done func() bool) {
	for !done() {
		time.Sleep(5 * time.Millisecond)
	}
}

// settled reports whether what became of all rows is known. Rows on disk stay there.
func (all outputs) settled() bool {
	settled := true
	for _, o := range all {
		if w, ok := o.sink.(sink.LossWriter); ok {
			settled = w.Rest() && o.book.Total().Waiting == 0 && settled
		}
	}
	return settled
}

// ledgerSinks are the outputs as the ledger knows them.
func (all outputs) ledgerSinks() (sinks []ledger.Sink) {
	for _, o := range all {
		sinks = append(sinks, ledger.Sink{Name: o.Name, Book: o.book, Reasons: o.Reasons})
	}
	return sinks
}

// metrics are the states of the outputs and their spools.
func (all outputs) metrics() (sinks []metrics.Sink, spools []metrics.Spool) {
	for _, o := range all {
		stats := o.sink.Stats()
		sinks = append(sinks, metrics.Sink{
			Name: o.Name, QueueBytes: stats.QueuedBytes, Retries: stats.Retries, LastDelivery: stats.LastDelivery,
		})
		if disk := stats.Spool; disk != nil {
			spools = append(spools, metrics.Spool{
				Sink: o.Name, Bytes: disk.DiskBytes, Limit: int64(o.Spool.MaxBytes), Oldest: disk.Oldest,
				Apart: disk.ApartBytes, Entries: disk.Waiting.Entries, Rows: disk.Waiting.Rows,
			})
		}
	}
	return sinks, spools
}

// addTo puts what became of rows into a summary. made is how many the workers made.
func (o *output) addTo(sum *report.Summary, made uint64) {
	if !o.Takes {
		made = 0
	}
	stats := o.sink.Stats() // before the book, which is behind it
	became := o.book.Total()
	line := report.Sink{Info: o.Info, Delivered: became.Delivered, OnDisk: became.OnDisk,
		Waiting: became.Waiting + made - min(made, became.Taken)} // those in the making too
	if o.Takes || became.Taken+became.Found > 0 {
		sum.Sinks = append(sum.Sinks, line)
	}
	for _, reason := range o.Reasons {
		n := became.Lost[reason]
		if n > 0 {
			sum.Losses = append(sum.Losses, report.NewLoss(n, o.Unit+" "+reason, o.Title))
		}
		if all := stats.Lost[reason]; all > n {
			sum.Losses = append(sum.Losses, report.NewLoss(all-n, o.Unit+" "+reason, o.Title+", other than "+o.Place))
		}
		if n := became.Quarantined[reason]; n > 0 {
			sum.Kept = append(sum.Kept, report.NewLoss(n, o.Unit+" that "+o.Title+" refuses ("+reason+")",
				seeQuarantine))
		}
	}
	for what, n := range stats.Incomplete {
		sum.Kept = append(sum.Kept, report.NewLoss(n, what, seeQuarantine))
	}
	sum.Unexplained += imbalance(became)
}

const seeQuarantine = "see `collector quarantine`"

// imbalance is how many rows of an account became nothing that it knows, or more rows than came in.
func imbalance(became tally.Account) uint64 {
	in, out := became.Taken+became.Found, became.Out()
	return max(in, out) - min(in, out)
}
