package main

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/listen"
)

// minute writes a line a minute of what came and went since the last, and a line of every kind of loss.
type minute struct {
	service   *service
	listeners []*listen.Worker
	log       *zap.Logger
	before    counts
	end       chan struct{}
	ended     sync.WaitGroup
}

// counts are the state of the counters at one time.
type counts struct {
	datagrams, records, rows, forwarded, produced uint64
	losses, kept                                  map[lossKey]uint64
}

type lossKey struct{ what, where string }

func startMinute(s *service, listeners []*listen.Worker, log *zap.Logger) *minute {
	m := &minute{service: s, listeners: listeners, log: log, end: make(chan struct{})}
	m.ended.Go(func() {
		s.updateExpiry(context.Background())
		full := time.NewTimer(untilFullMinute(time.Now()))
		defer full.Stop()
		for {
			select {
			case now := <-full.C:
				m.report()
				s.writeLosses(now)
				full.Reset(untilFullMinute(time.Now()))
			case <-m.end:
				return
			}
		}
	})
	return m
}

// untilFullMinute is the time to the next minute of the clock that is not about to begin.
func untilFullMinute(now time.Time) time.Duration {
	const about = time.Second
	return now.Add(about).Truncate(time.Minute).Add(time.Minute).Sub(now)
}

func (m *minute) stop() {
	close(m.end)
	m.ended.Wait()
}

func (m *minute) report() {
	m.service.updateExpiry(context.Background())
	sum := m.service.summary()
	sum.losses = append(sum.losses, socketLosses(m.listeners)...)
	now := counts{datagrams: sum.datagrams(), records: sum.records(), rows: sum.written,
		forwarded: forwarded(m.service.forwarders), losses: map[lossKey]uint64{}, kept: map[lossKey]uint64{}}
	fields := []zap.Field{
		zap.Int("exporters", len(sum.streams)),
		zap.Uint64("datagrams", increase(m.before.datagrams, now.datagrams)),
		zap.Uint64("records", increase(m.before.records, now.records)),
		zap.Uint64("rows written", increase(m.before.rows, now.rows)),
		zap.Uint64("rows waiting", sum.pending),
		zap.Uint64("rows on disk", sum.spooled),
	}
	if len(m.service.cfg.Forward.To) > 0 {
		fields = append(fields, zap.Uint64("datagrams forwarded", increase(m.before.forwarded, now.forwarded)))
	}
	if p := sum.produced; p.topic != "" {
		now.produced = p.messages
		fields = append(fields, zap.Uint64("messages produced", increase(m.before.produced, p.messages)),
			zap.Uint64("messages waiting", p.waiting), zap.Uint64("messages on disk", p.onDisk))
	}
	m.log.Info("last minute", fields...)
	for _, l := range sum.losses {
		key := lossKey{l.what, l.where}
		now.losses[key] += l.count
	}
	for key, n := range now.losses {
		if more := increase(m.before.losses[key], n); more > 0 {
			m.log.Warn("lost", zap.Uint64("count", more), zap.String("what", key.what), zap.String("where", key.where))
		}
	}
	for what, list := range map[string][]loss{"in quarantine": sum.kept, "an exporter's clock is wrong": sum.clocks} {
		for _, k := range list {
			key := lossKey{k.what, k.where}
			now.kept[key] += k.count
			if more := increase(m.before.kept[key], k.count); more > 0 {
				m.log.Warn(what, zap.Uint64("count", more), zap.String("what", key.what), zap.String("where", key.where))
			}
		}
	}
	m.before = now
}

// increase is how much a counter grew. One that fell belongs to an exporter that made room for others.
func increase(before, now uint64) uint64 { return now - min(before, now) }
