package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/report"
	"github.com/metranova/flow-collector/enrich"
)

// minute writes a line a minute of what came and went since the last, and a line of every kind of loss.
type minute struct {
	accounts *accounts
	forwards bool // datagrams go on to other collectors
	log      *zap.Logger
	before   counts
	lookUps  enrich.RouteCounts
	said     map[routeProblem]time.Time
	end      chan struct{}
	ended    sync.WaitGroup
}

// counts are the state of the counters at one time.
type counts struct {
	datagrams, records, forwarded uint64
	delivered                     map[string]uint64 // by sink
	losses, kept, clocks          map[lossKey]uint64
}

type lossKey struct{ what, where string }

func startMinute(a *accounts, forwards bool, log *zap.Logger) *minute {
	m := &minute{accounts: a, forwards: forwards, log: log, end: make(chan struct{})}
	m.ended.Go(func() {
		a.workers.followTable(a.database)
		full := time.NewTimer(untilFullMinute(time.Now()))
		defer full.Stop()
		second := time.NewTicker(time.Second)
		defer second.Stop()
		first := newHeard(log)
		for {
			select {
			case now := <-second.C:
				first.lookAt(a.workers, now)
			case now := <-full.C:
				m.report()
				a.writeLosses(now)
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
	a := m.accounts
	a.workers.followTable(a.database)
	sum := a.summary()
	now := counts{datagrams: sum.Datagrams(), records: sum.Records(),
		forwarded: forward.Sent(a.in.forwarders), delivered: map[string]uint64{}, losses: map[lossKey]uint64{},
		kept:   map[lossKey]uint64{},
		clocks: map[lossKey]uint64{}}
	fields := []zap.Field{
		zap.Int("exporters", len(sum.Streams)),
		zap.Uint64("datagrams", increase(m.before.datagrams, now.datagrams)),
		zap.Uint64("records", increase(m.before.records, now.records)),
	}
	for _, o := range sum.Sinks {
		now.delivered[o.Name] = o.Delivered
		fields = append(fields, zap.Uint64(o.Unit+" "+o.Done, increase(m.before.delivered[o.Name], o.Delivered)),
			zap.Uint64(o.Unit+" waiting", o.Waiting), zap.Uint64(o.Unit+" on disk", o.OnDisk))
	}
	if m.forwards {
		fields = append(fields, zap.Uint64("datagrams forwarded", increase(m.before.forwarded, now.forwarded)))
	}
	fields = append(fields, m.routing(time.Now(), sum.LookUps)...)
	m.log.Info("last minute", fields...)
	var warnings []warning
	add := func(message string, before, now map[lossKey]uint64, list []report.Loss) {
		for _, l := range list {
			now[lossKey{l.What, l.Where}] += l.Count
		}
		for key, n := range now {
			if more := increase(before[key]+gone(before, now, key), n); more > 0 {
				warnings = append(warnings, warning{message, key, more})
			}
		}
	}
	add("lost", m.before.losses, now.losses, sum.Losses)
	add("in quarantine", m.before.kept, now.kept, sum.Kept)
	add("an exporter's clock is wrong", m.before.clocks, now.clocks, sum.Clocks)
	m.warn(warnings)
	m.before = now
}

// gone is what streams had counted that were evicted since: the sum of all evicted ones has it now.
func gone(before, now map[lossKey]uint64, key lossKey) (n uint64) {
	if key.where != report.EvictedStreams {
		return 0
	}
	for k, count := range before {
		if _, there := now[k]; k.what == key.what && !there {
			n += count
		}
	}
	return n
}

// warning is a line of the log about something that was counted.
type warning struct {
	message string
	lossKey
	count uint64
}

// maxWarnings is how many lines a minute tell of one thing each. A flood makes one for each of thousands of sources,
// and then journald drops lines of others.
const maxWarnings = 20

// warn writes a line for each warning, those of the largest counts first, and one line for the rest.
func (m *minute) warn(all []warning) {
	slices.SortFunc(all, func(a, b warning) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.what, b.what), cmp.Compare(a.where, b.where))
	})
	for _, w := range all[:min(maxWarnings, len(all))] {
		m.log.Warn(w.message, zap.Uint64("count", w.count), zap.String("what", w.what), zap.String("where", w.where))
	}
	if len(all) <= maxWarnings {
		return
	}
	sums := map[string]uint64{}
	for _, w := range all[maxWarnings:] {
		sums[w.what] += w.count
	}
	var texts []string
	for _, what := range slices.Sorted(maps.Keys(sums)) {
		texts = append(texts, fmt.Sprintf("%d × %s", sums[what], what))
	}
	m.log.Warn("more of this kind", zap.Int("lines left out", len(all)-maxWarnings),
		zap.String("count", strings.Join(texts, ", ")))
}

// increase is how much a counter grew.
func increase(before, now uint64) uint64 { return now - min(before, now) }
