package query

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/native"
)

const day = 24 * time.Hour

// insertRows is the number of rows of an insert. Large inserts leave few parts, like a store that has merged for days.
const insertRows = 1_000_000

// insert has the statement and the body of one insert.
type insert struct {
	query string
	data  []byte
}

// fill inserts the metadata, if there is none, and the flows of the days before o.Until that are missing. A day that an
// earlier call did not complete is generated again.
func (r *run) fill(ctx context.Context) error {
	if n, err := r.store.Numbers(ctx, "SELECT count() FROM meta_as"); err != nil {
		return err
	} else if n[0] == 0 {
		for _, sql := range madeUp() {
			if _, err := r.store.Read(ctx, sql); err != nil {
				return fmt.Errorf("make metadata: %w", err)
			}
		}
	}
	snapshot, err := metadata.BuildFromTables(ctx, r.conn, r.settings)
	if err != nil {
		return err
	}
	// Merges stay off until the server's next start: they would take several times as long as the inserts.
	if _, err := r.store.Read(ctx, "SYSTEM STOP MERGES"); err != nil {
		return err
	}
	perDay := max(1, r.o.Rows/r.o.Days)
	for back := range min(r.o.Days, r.o.Distinct+1) {
		until := r.o.Until
		if back > 0 {
			until = until.Truncate(day).Add(-time.Duration(back-1) * day)
		}
		from := until.Add(-1).Truncate(day)
		rows := max(1, int(float64(perDay)*until.Sub(from).Hours()/24))
		partition := from.Format("20060102")
		n, err := r.store.Numbers(ctx, "SELECT count() FROM data_flow WHERE toYYYYMMDD(start_time) = "+partition)
		if err != nil {
			return err
		}
		// A flow lasts up to a minute, so some flows of a day start on the day before.
		if n[0] >= uint64(rows)*99/100 {
			continue
		}
		if err := r.dropDay(ctx, partition); err != nil {
			return err
		}
		r.o.Log("%s flows of %s, day %d of %d", thousands(rows), from.Format(time.DateOnly), back+1, r.o.Days)
		if err := r.fillDay(ctx, snapshot, from, until.Sub(from), rows, uint64(back)); err != nil {
			return fmt.Errorf("fill %s: %w", from.Format(time.DateOnly), err)
		}
	}
	return nil
}

// dropDay drops the rows of a day that an interrupted call has inserted.
func (r *run) dropDay(ctx context.Context, partition string) error {
	names := []string{"data_flow"}
	for _, v := range r.settings.Views {
		names = append(names, v.Table)
	}
	for _, name := range names {
		if _, err := r.store.Read(ctx, "ALTER TABLE "+name+" DROP PARTITION "+partition); err != nil {
			return err
		}
	}
	return nil
}

// inserters is the number of concurrent inserts.
const inserters = 2

// fillDay runs a day of generated datagrams through a worker of the collector, with the worker's clock at the time of
// the datagrams. Blocks are inserted while the next ones are made.
func (r *run) fillDay(ctx context.Context, snapshot *enrich.Snapshot, from time.Time,
	length time.Duration, rows int, part uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	inserts := make(chan insert)
	var posting sync.WaitGroup
	for range inserters {
		posting.Go(func() {
			for i := range inserts {
				if ctx.Err() != nil {
					continue
				}
				if err := r.store.Insert(ctx, i.query, i.data); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := r.generate(ctx, snapshot, network(part, rows, float64(rows)/length.Seconds(), from), inserts)
	close(inserts)
	posting.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// network describes flows of the network that the metadata has. A part is what it sends at one time.
func network(part uint64, flows int, rate float64, start time.Time) gen.Options {
	return gen.Options{Protocol: flow.NetFlowV9, Flows: flows, Seed: 1, Part: part, Zipf: 1.1,
		Hosts: min(200_000, 2*flows), IPv6: 0.1, Homed: true, Exporters: devices, Sampling: 1000, Rate: rate,
		Start: start}
}

func (r *run) generate(ctx context.Context, snapshot *enrich.Snapshot, o gen.Options, inserts chan<- insert) error {
	var current atomic.Pointer[enrich.Snapshot]
	current.Store(snapshot)
	settings := new(atomic.Pointer[pipeline.Settings])
	settings.Store(&pipeline.Settings{Policy: enrich.Policy{AutoScopes: true,
		Scopes: []string{scope}}})
	var full []insert
	w := pipeline.NewWorker(pipeline.Options{
		Decoder: decoder.New(decoder.Options{}), Snapshot: &current, Settings: settings, KeepTimes: true,
		Enricher: enrich.New(enrich.Options{IPRefExtensions: r.settings.IPRefExtensions}),
		Sinks: []sink.Batcher{clickhouse.NewBlocks(clickhouse.BlocksOptions{
			Table: "data_flow", MaxRows: insertRows, MaxAge: 365 * day,
			TokenPrefix: fmt.Sprintf("bench %d %d", o.Start.Unix(), time.Now().UnixNano()),
			Layout: block.Layout{CollectorID: "bench", PolicyOriginator: originator, PolicyLevel: level,
				Extensions: r.settings.FlowExtensions, IPRefExtensions: r.settings.IPRefExtensions},
			Buffer: func() native.Packed { return native.Packed{} },
			Deliver: func(i *clickhouse.Insert) {
				full = append(full, insert{i.Query + " FORMAT Native",
					native.Packed{Data: i.Data, Fills: i.Fills}.Expand(nil)})
			},
		})},
	})
	send := func() error {
		for _, i := range full {
			select {
			case inserts <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		full = full[:0]
		return nil
	}
	one := make([]exporter.Datagram, 1)
	if err := gen.Each(o, func(d exporter.Datagram) error {
		one[0] = d
		w.Process(one, time.Unix(0, d.Received))
		return send()
	}); err != nil {
		return err
	}
	w.Flush()
	return send()
}
