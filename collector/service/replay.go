package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/capture"
	"github.com/metranova/flow-collector/collector/check"
	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/collector/pipeline"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/collector/routing"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/sink"
)

// ReplayOptions are the flags of a replay.
type ReplayOptions struct {
	Version    string // of the program
	Once       bool   // exit at the end
	ShiftToNow bool   // move all times by one offset
}

// Replay takes captures through the whole pipeline, and prints what became of them.
func Replay(cfg *config.Config, log *zap.Logger, signals <-chan os.Signal, paths []string, o ReplayOptions,
	out io.Writer) error {
	if err := check.Directories(cfg); err != nil {
		return err
	}
	var shift int64
	if o.ShiftToNow {
		latest, err := latestEnd(cfg, paths)
		if err != nil {
			return err
		}
		shift = time.Now().UnixMilli() - latest
	}
	routes, err := setup.RecordedRouting(cfg, log)
	if err != nil {
		return err
	}
	s, err := newService(cfg, o.Version, log, newOutputs(cfg), &intake{station: routes.Station()})
	if err != nil {
		return errors.Join(err, routes.Close())
	}
	reading := make(chan struct{})
	// a replay has nothing to wait for: the first signal ends it
	go abandon(signals, reading, time.Time{}, s.accounts.summary, log, os.Exit)
	sum, err := s.replay(paths, shift, routes)
	close(reading)
	if err == nil && !o.Once {
		sum.Print(out)
		log.Info("the captures are through; the store stays up until Ctrl-C", firstQuery(cfg))
		_ = awaitStop(signals, s.refresh.Reload, nil) // nothing runs that could fail
	}
	finishErr := errors.Join(s.finish(context.Background()), routes.Close())
	if sum != nil {
		final := s.accounts.summary()
		final.Warnings, final.Losses = sum.Warnings, append(final.Losses, sum.CaptureLosses...)
		final.Print(out)
	}
	return errors.Join(err, finishErr)
}

// replay makes the tables, loads the metadata and takes all captures through one worker.
func (s *service) replay(paths []string, shift int64, routes *routing.Recorded) (*report.Summary, error) {
	ctx := context.Background()
	if err := s.database.waitForStore(ctx); err != nil {
		return nil, err
	}
	if _, err := s.database.makeTables(ctx); err != nil {
		return nil, err
	}
	s.background.Go(s.refreshMetadata)
	<-s.refresh.Loaded()
	select { // rows of a capture have what is downloaded too, if that does not take for ever
	case <-s.refresh.Complete():
	case <-time.After(2 * time.Minute):
		s.log.Warn("not all metadata is downloaded yet: rows are written without it")
	}
	expired, err := s.database.expiry(ctx)
	if err != nil {
		return nil, err
	}
	w := s.workers.add(pipeline.Options{
		TimeShiftMs: shift, Sinks: s.outputs.batchers(sink.BatcherOptions{}, awaitRoom),
	})
	w.SetExpiry(expired)
	progress := logging.NewProgress(os.Stderr)
	skipped, err := processCaptures(paths, w, routes.Segment, progress)
	progress.Done()
	w.Finish()
	s.outputs.awaitDelivery()
	s.accounts.settleLosses()
	s.outputs.awaitDelivery()
	sum := s.accounts.summary()
	sum.CaptureLosses = report.CaptureLosses(skipped)
	if n := w.Expired(); n > 0 {
		sum.Warnings = append(sum.Warnings, fmt.Sprintf(
			"%d of %d rows began before %s: --shift-to-now moves all times to the present, CLICKHOUSE_FLOW_TTL= "+
				"keeps rows for good",
			n, w.Rows(), time.UnixMilli(expired).UTC().Format("2006-01-02")))
	}
	return sum, err
}

// processCaptures takes every datagram of the captures through a worker, at the times that they have there, and the BGP
// and BMP sessions in them into the routing table.
func processCaptures(paths []string, w *pipeline.Worker, segment func(capture.Segment) bool,
	progress *logging.Progress) (capture.Skipped, error) {
	one := make([]exporter.Datagram, 1)
	var ticked time.Time
	datagrams := 0
	return capture.ReadStreams(paths, func(dg exporter.Datagram) {
		if datagrams++; datagrams%256 == 0 && progress.Due(time.Now()) {
			progress.Show(commandline.Count(datagrams, "datagram") + ", " + commandline.Count(w.Rows(), "row"))
		}
		now := time.Unix(0, dg.Received)
		one[0] = dg
		w.Process(one, now)
		if d := now.Sub(ticked); d >= time.Second || d < 0 {
			w.Tick(now)
			ticked = now
		}
	}, segment)
}

// latestEnd is when the latest flow of the captures ended, in Unix milliseconds.
func latestEnd(cfg *config.Config, paths []string) (int64, error) {
	var latest int64
	batch := flow.NewBatch(func(records []flow.Record) {
		for i := range records {
			latest = max(latest, records[i].EndMs)
		}
	})
	d := decoder.New(setup.Decoder(cfg))
	_, err := capture.ReadAll(paths, func(dg exporter.Datagram) {
		d.Decode(&dg, batch)
		d.Tick(dg.Received, batch)
	})
	return latest, err
}
