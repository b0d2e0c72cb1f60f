package query

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/metranova/flow-collector/bench/gen"
	"github.com/metranova/flow-collector/bench/replay"
	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/decoder/exporter"
)

// Live says how the flows were delivered that were sent while queries ran.
type Live struct {
	Sent uint64 `json:"sent"`
	Rows uint64 `json:"rows"` // number of them that are in the store at the end
	// InsertMean is the mean duration of an insert, and Longest the longest time between two deliveries, both in
	// milliseconds.
	InsertMean float64 `json:"insert_mean_ms"`
	Longest    float64 `json:"longest_between_deliveries_ms"`
	// Waiting is the maximum number of rows that waited in memory, Spooled of those that waited on disk.
	Waiting float64 `json:"most_rows_waiting"`
	Spooled float64 `json:"most_rows_on_disk"`
}

// traffic sends flows and records the collector's metrics meanwhile.
type traffic struct {
	r         *run
	cancel    context.CancelFunc
	sent      chan sent
	watched   sync.WaitGroup
	live      Live
	before    uint64 // rows in the store at the start
	delivered float64
	changed   time.Time
}

type sent struct {
	replay.Result
	err error
}

// startTraffic starts sending flows at Options.Rate and watching how they are delivered.
func (r *run) startTraffic(ctx context.Context) (*traffic, error) {
	r.o.Log("%s flows/s come in", thousands(r.o.Rate))
	capture := replay.NewCapture()
	if err := gen.Each(network(1<<32, 500_000, float64(r.o.Rate), time.Now()), func(d exporter.Datagram) error {
		capture.Add(d)
		return nil
	}); err != nil {
		return nil, err
	}
	n, err := r.liveRows(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{r: r, cancel: cancel, sent: make(chan sent, 1), before: n}
	go func() {
		result, err := replay.Run(ctx, capture, replay.Options{To: r.listen, Rate: float64(r.o.Rate), Rewrite: true,
			Duration: 24 * time.Hour})
		t.sent <- sent{result, err}
	}()
	t.watched.Go(func() {
		for ctx.Err() == nil {
			t.watch(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	return t, nil
}

func (r *run) liveRows(ctx context.Context) (uint64, error) {
	n, err := r.store.Numbers(ctx, "SELECT count() FROM data_flow WHERE collector_id = 'bench-live'")
	if err != nil {
		return 0, err
	}
	return n[0], nil
}

// watch reads the metrics once.
func (t *traffic) watch(ctx context.Context) {
	values := metrics(ctx, t.r.page)
	if values == nil {
		return
	}
	now := time.Now()
	if d := values[`sink_last_delivery_timestamp_seconds{sink="clickhouse"}`]; d != t.delivered {
		t.delivered, t.changed = d, now
	} else if !t.changed.IsZero() {
		t.live.Longest = max(t.live.Longest, float64(now.Sub(t.changed).Milliseconds()))
	}
	t.live.Waiting = max(t.live.Waiting, values[`sink_waiting_rows{sink="clickhouse"}`])
	t.live.Spooled = max(t.live.Spooled, values[`spool_rows{sink="clickhouse"}`])
	const stored = `{outcome="stored",sink="clickhouse"}`
	if n := values["insert_duration_seconds_count"+stored]; n > 0 {
		t.live.InsertMean = 1000 * values["insert_duration_seconds_sum"+stored] / n
	}
}

// metrics returns the collector's metrics by name, without the common prefix; nil if they cannot be read.
func metrics(ctx context.Context, page string) map[string]float64 {
	text, err := web.Get(ctx, page, "/metrics")
	if err != nil {
		return nil
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		name, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if n, err := strconv.ParseFloat(value, 64); found && err == nil {
			values[strings.TrimPrefix(name, "flow_collector_")] = n
		}
	}
	return values
}

// stop ends the sending, if it still runs.
func (t *traffic) stop() {
	t.cancel()
	t.watched.Wait()
}

// end stops sending and waits for the rows, as long as their number grows.
func (t *traffic) end(ctx context.Context) (*Live, error) {
	t.stop()
	s := <-t.sent
	if s.err != nil {
		return nil, s.err
	}
	t.live.Sent = uint64(s.Flows)
	for last, changed := uint64(0), time.Now(); time.Since(changed) < time.Minute; time.Sleep(3 * time.Second) {
		n, err := t.r.liveRows(ctx)
		if err != nil {
			return nil, err
		}
		if t.live.Rows = n - t.before; t.live.Rows >= t.live.Sent {
			break
		}
		if n != last {
			last, changed = n, time.Now()
		}
	}
	return &t.live, nil
}

// Many is the result of running many panels at once.
type Many struct {
	Asked    int     `json:"asked"`
	Answered int     `json:"answered"`
	Slowest  float64 `json:"slowest_ms"`
	Median   float64 `json:"median_ms"`
	// All is the time of one of them, the sums by every pair of addresses, in milliseconds.
	All     float64  `json:"all_addresses_ms"`
	Refused []string `json:"refused,omitempty"` // errors of those that were not answered
	Alive   bool     `json:"alive"`             // the store answered afterwards
}

// everyAddress is the heaviest query: it sums all rows by pair of addresses.
const everyAddress = "SELECT src_ip, dst_ip, sum(bit_count) AS bits FROM data_flow GROUP BY src_ip, dst_ip " +
	"ORDER BY bits DESC LIMIT 50"

// atOnce runs panels over 24 hours at the same time, and everyAddress with them. Without panels it returns nil.
func (r *run) atOnce(ctx context.Context) (*Many, error) {
	panels := r.panels()
	if len(panels) == 0 { // Options.Only has presets alone
		return nil, nil
	}
	r.o.Log("%d panels at once", r.o.AtOnce)
	many := &Many{Asked: r.o.AtOnce}
	var mu sync.Mutex
	var all sync.WaitGroup
	var took []time.Duration
	for i := range r.o.AtOnce {
		sql := everyAddress
		if i > 0 {
			var err error
			if sql, err = panels[i%len(panels)].expand(r.now(), day); err != nil {
				return nil, err
			}
		}
		all.Go(func() {
			started := time.Now()
			_, err := r.ask(ctx, sql)
			mu.Lock()
			defer mu.Unlock()
			if took = append(took, time.Since(started)); i == 0 {
				many.All = float64(took[len(took)-1].Milliseconds())
			}
			if err != nil {
				many.Refused = append(many.Refused, firstLine(err.Error()))
			} else {
				many.Answered++
			}
		})
	}
	all.Wait()
	many.Median = median(took)
	many.Slowest = float64(slices.Max(took).Milliseconds())
	_, err := r.store.Ask(ctx, "SELECT 1")
	many.Alive = err == nil
	return many, nil
}

// String returns the result in words.
func (m *Many) String() string {
	return fmt.Sprintf("%d at once: %d answered, median %.0f ms, slowest %.0f ms, all addresses %.0f ms", m.Asked,
		m.Answered, m.Median, m.Slowest, m.All)
}
