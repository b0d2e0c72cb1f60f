// Package status collects the present state of the collector and its exporters: rates and losses of the last minutes,
// the store's view of them, and the verdicts on both. It reads counters that others write and is on no datagram's way.
package status

import (
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
)

// How often the counters are sampled, and how far back samples are kept: rates cover a minute, losses ten minutes, and
// the graph of all flows an hour. A stream that goes on sending costs some 4 KB, another one 1 KB.
const (
	Every       = 5 * time.Second
	rateSamples = 12
	lossEvery   = time.Minute
	lossSamples = 10
	hourSamples = int(time.Hour / Every)
)

// Totals are counters of the whole collector since its start.
type Totals struct {
	Datagrams, Bytes, Records uint64 // of all streams
	verdict.CollectorCounts
}

// History keeps past values of counters. It is safe for concurrent use.
type History struct {
	mu      sync.Mutex
	started time.Time
	streams map[*exporter.Stream]*past
	totals  ring[totalsAt]
	own     ring[ownAt]   // drops by sockets: a sample a minute, as far back as losses go
	flows   ring[float64] // per second, for each interval
	latest  totalsAt
	minute  time.Time // of the latest sample of losses
}

// ownAt is how many datagrams this host itself had dropped at a time, and which rows it had lost.
type ownAt struct {
	at      time.Time
	dropped uint64
	rows    RowsLost // never changed
}

// RowsLost are the rows that found no room or were refused, by stream and reason. A stream that lost none is not there.
type RowsLost map[flow.StreamKey]map[string]uint64

type totalsAt struct {
	at time.Time
	Totals
}

// past has earlier values of a stream's counters.
type past struct {
	rates  ring[rateAt]
	losses ring[countsAt]
	seen   bool
}

type rateAt struct {
	at                        time.Time
	datagrams, bytes, records uint64
}

// countsAt are a stream's counts at a time. Samples with the same counts share them: most streams of a flood of forged
// sources have one datagram.
type countsAt struct {
	at     time.Time
	counts *verdict.Counts // never changed
}

// NewHistory returns a history in which all counters were 0 at a time.
func NewHistory(started time.Time) *History {
	h := &History{started: started, streams: map[*exporter.Stream]*past{}}
	h.latest = totalsAt{at: started}
	h.totals.push(h.latest, rateSamples)
	h.own.push(ownAt{at: started}, lossSamples+1)
	return h
}

// Sample records the present values. The caller does not change lost any more.
func (h *History) Sample(now time.Time, streams []*exporter.Stream, t Totals, lost RowsLost) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if elapsed := now.Sub(h.latest.at).Seconds(); elapsed > 0 {
		h.flows.push(float64(grown(h.latest.Records, t.Records))/elapsed, hourSamples)
	}
	h.latest = totalsAt{now, t}
	h.totals.push(h.latest, rateSamples)
	minute := now.Sub(h.minute) >= lossEvery
	for _, s := range streams {
		p := h.past(s)
		p.seen = true
		p.rates.push(rateAt{now, s.Datagrams.Load(), s.Bytes.Load(), s.Records.Load()}, rateSamples)
		if minute {
			p.pushCounts(now, exporter.CountsOf(s))
		}
	}
	if minute {
		h.own.push(ownAt{now, t.ownDrops(), lost}, lossSamples+1)
		h.minute = now
	}
	for s, p := range h.streams {
		if !p.seen { // it was evicted
			delete(h.streams, s)
		}
		p.seen = false
	}
}

// past returns the past of a stream; that of a new one begins with zeros when it was first seen.
func (h *History) past(s *exporter.Stream) *past {
	p := h.streams[s]
	if p == nil {
		p = &past{seen: true}
		first := time.Unix(0, s.FirstSeen.Load())
		p.rates.push(rateAt{at: first}, rateSamples)
		p.losses.push(countsAt{first, &verdict.Counts{}}, lossSamples)
		h.streams[s] = p
	}
	return p
}

func (p *past) pushCounts(now time.Time, counts verdict.Counts) {
	latest := p.losses.newest().counts
	if *latest != counts {
		latest = new(verdict.Counts)
		*latest = counts
	}
	p.losses.push(countsAt{now, latest}, lossSamples)
}

// Rate is the rate per second in the last minute.
type Rate struct{ Datagrams, Bytes, Records float64 }

// Stream returns a stream's rates, its recent counts, and how far back these go.
func (h *History) Stream(s *exporter.Stream, now time.Time) (Rate, verdict.Counts, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.past(s)
	before := p.rates.oldest()
	elapsed := max(now.Sub(before.at), Every).Seconds() // a single datagram gives no rate yet
	rate := Rate{
		Datagrams: float64(grown(before.datagrams, s.Datagrams.Load())) / elapsed,
		Bytes:     float64(grown(before.bytes, s.Bytes.Load())) / elapsed,
		Records:   float64(grown(before.records, s.Records.Load())) / elapsed,
	}
	base := p.losses.oldest()
	return rate, since(exporter.CountsOf(s), *base.counts), max(now.Sub(base.at), time.Second)
}

// Totals returns what was counted in the last minute, the length of that period, and the flows per second in the latest
// interval.
func (h *History) Totals(now time.Time, t Totals) (recent Totals, window time.Duration, flows float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	base := h.totals.oldest()
	recent = since(t, base.Totals)
	if h.flows.len() > 0 {
		flows = h.flows.newest()
	}
	return recent, max(now.Sub(base.at), time.Second), flows
}

// ownDrops returns the datagrams that this host dropped before decoding.
func (t *Totals) ownDrops() uint64 { return t.KernelDrops + t.OverShare }

// OwnDrops returns how many datagrams this host dropped in a window that ends now, rounded up by at most a minute.
func (h *History) OwnDrops(now time.Time, window time.Duration, t Totals) uint64 {
	return grown(h.ownBefore(now.Add(-window)).dropped, t.ownDrops())
}

// RowsLost returns the rows of a stream that were lost in a window that ends now, rounded up by at most a minute, by
// reason. lost are those of all streams since the start.
func (h *History) RowsLost(
	now time.Time, window time.Duration, stream flow.StreamKey, lost RowsLost,
) map[string]uint64 {
	if len(lost[stream]) == 0 {
		return nil
	}
	return since(lost[stream], h.ownBefore(now.Add(-window)).rows[stream])
}

// ownBefore returns the latest sample that was taken before a time; without one, the first.
func (h *History) ownBefore(at time.Time) ownAt {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.own.oldest()
	for i := range h.own.len() {
		if sample := h.own.at(i); !sample.at.After(at) {
			before = sample
		}
	}
	return before
}

// Flows returns the flows per second of the last hour in n equal parts, oldest first; NaN while the collector was not
// running.
func (h *History) Flows(n int) []float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := make([]float64, n)
	missing, each := hourSamples-h.flows.len(), hourSamples/n
	for part := range parts {
		sum, samples := 0.0, 0
		for i := part * each; i < (part+1)*each; i++ {
			if i >= missing {
				sum += h.flows.at(i - missing)
				samples++
			}
		}
		parts[part] = math.NaN()
		if samples > 0 {
			parts[part] = sum / float64(samples)
		}
	}
	return parts
}

// since returns what counters grew by: each of the values within now less that within before, which have the same type.
// It knows numbers, texts' numbers in maps, and lists and structs of these, so that a new counter needs no line here.
func since[T any](now, before T) T {
	subtract(reflect.ValueOf(&now).Elem(), reflect.ValueOf(before))
	return now
}

func subtract(now, before reflect.Value) {
	switch now.Kind() {
	case reflect.Uint64:
		now.SetUint(grown(before.Uint(), now.Uint()))
	case reflect.Struct:
		for i := range now.NumField() {
			subtract(now.Field(i), before.Field(i))
		}
	case reflect.Array:
		for i := range now.Len() {
			subtract(now.Index(i), before.Index(i))
		}
	case reflect.Map:
		earlier := before.Interface().(map[string]uint64)
		more := make(map[string]uint64, now.Len())
		for name, n := range now.Interface().(map[string]uint64) {
			more[name] = grown(earlier[name], n)
		}
		now.Set(reflect.ValueOf(more))
	default:
		panic("status: " + now.Type().String() + " is no counter")
	}
}

// grown returns how much a counter grew. The sum of all streams falls when one is evicted.
func grown(before, now uint64) uint64 { return now - min(before, now) }

// ring holds the latest values, up to a limit.
type ring[T any] struct {
	values []T
	first  int
}

func (r *ring[T]) push(v T, limit int) {
	if len(r.values) < limit {
		r.values = append(r.values, v)
		return
	}
	r.values[r.first] = v
	r.first = (r.first + 1) % limit
}

func (r *ring[T]) len() int   { return len(r.values) }
func (r *ring[T]) at(i int) T { return r.values[(r.first+i)%len(r.values)] }
func (r *ring[T]) oldest() T  { return r.at(0) }
func (r *ring[T]) newest() T  { return r.at(len(r.values) - 1) }
