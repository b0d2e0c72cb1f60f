package query

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/grafana"
)

// Asked is the measurement of one panel or preset over one range of time.
type Asked struct {
	Of    string        `json:"of"` // a dashboard's file, or "explore"
	Name  string        `json:"name"`
	Range time.Duration `json:"range"`
	// Milliseconds is the median of Runs.
	Milliseconds float64 `json:"ms"`
	Runs         int     `json:"runs"`
	Rows         uint64  `json:"rows_read"`
	Table        string  `json:"table"`
	// FromRows is the median when a preset that a rollup can answer is answered from single flows; 0: not measured.
	FromRows float64 `json:"ms_from_rows,omitempty"`
	// Page is the size of the page in bytes. Cached is the time to its first byte when the answer is in the cache.
	Page   int     `json:"page_bytes,omitempty"`
	Cached float64 `json:"ms_cached,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// Result has all measurements.
type Result struct {
	Rows   uint64  `json:"rows"`
	Idle   []Asked `json:"idle"`
	Busy   []Asked `json:"busy,omitempty"` // while flows come in
	Live   *Live   `json:"live,omitempty"`
	AtOnce *Many   `json:"at_once,omitempty"`
}

// Run measures the store that Fill has filled. When it is interrupted, it returns what it has measured with the error.
func Run(ctx context.Context, o Options) (*Result, error) {
	r, err := begin(ctx, o, o.Rollups)
	if err != nil {
		return nil, err
	}
	defer r.end()
	rows, err := r.store.Numbers(ctx, "SELECT count() FROM data_flow")
	if err != nil {
		return nil, err
	}
	result := &Result{Rows: rows[0]}
	if result.Idle, err = r.all(ctx, o.Ranges); err != nil || o.Rate == 0 {
		return result, err
	}
	traffic, err := r.startTraffic(ctx)
	if err != nil {
		return nil, err
	}
	defer traffic.stop()
	if result.Busy, err = r.all(ctx, o.Busy); err != nil {
		return result, err
	}
	if o.AtOnce > 0 {
		if result.AtOnce, err = r.atOnce(ctx); err != nil {
			return result, err
		}
	}
	result.Live, err = traffic.end(ctx)
	return result, err
}

// all measures all panels and presets over the ranges.
func (r *run) all(ctx context.Context, ranges []time.Duration) ([]Asked, error) {
	var all []Asked
	panels := r.panels()
	presets, err := r.presets(ctx)
	if err != nil {
		return nil, err
	}
	for _, length := range ranges {
		r.o.Log("%s", rangeName(length))
		for _, p := range panels {
			all = add(ctx, all, r.panel(ctx, p, length))
		}
		for _, p := range presets.list {
			all = add(ctx, all, presets.ask(ctx, p, length))
		}
		if ctx.Err() != nil {
			return all, ctx.Err()
		}
	}
	return all, nil
}

// add appends a measurement, unless it was interrupted.
func add(ctx context.Context, all []Asked, a Asked) []Asked {
	if ctx.Err() != nil {
		return all
	}
	return append(all, a)
}

// now returns the end of the time that queries cover.
func (r *run) now() time.Time {
	if now := time.Now().UTC(); now.Before(r.o.Until) {
		return now
	}
	return r.o.Until
}

// panel is a panel's query with the values of its variables.
type panel struct {
	dashboard, title, sql string
	graph                 bool
	view                  grafana.View
}

// panels returns the panels to be measured, with the initial values of their variables: all devices, no filter.
func (r *run) panels() []panel {
	var all []panel
	for _, d := range r.dashboards {
		v := grafana.View{All: map[string]bool{}, Values: map[string][]string{"side": {"src"}, "interval": {"5m"},
			"earlier": {"1 DAY"}}}
		for _, variable := range d.Templating.List {
			switch variable.Type {
			case "query":
				v.All[variable.Name], v.Values[variable.Name] = true, []string{"0"}
			case "textbox":
				v.Values[variable.Name] = []string{""}
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				title := p.Title
				if len(p.Targets) > 1 {
					title += " " + target.RefID
				}
				if r.o.has(d.File + " " + title) {
					all = append(all, panel{d.File, title, target.RawSQL, p.Type == "timeseries", v})
				}
			}
		}
	}
	return all
}

// interval returns the step that Grafana chooses for a graph of some 800 points, at least 5 minutes.
func interval(length time.Duration) time.Duration {
	for _, step := range []time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute,
		30 * time.Minute} {
		if length <= 800*step {
			return step
		}
	}
	return time.Hour
}

// expand returns the panel's SQL for the range of a length that ends at to.
func (p *panel) expand(to time.Time, length time.Duration) (string, error) {
	p.view.From, p.view.To, p.view.Interval = to.Add(-length), to, interval(length)
	return p.view.Expand(p.sql)
}

func (r *run) panel(ctx context.Context, p panel, length time.Duration) Asked {
	a := Asked{Of: strings.TrimSuffix(p.dashboard, ".json"), Name: p.title, Range: length}
	sql, err := p.expand(r.now(), length)
	if err != nil {
		a.Error = err.Error()
		return a
	}
	a.Table = tablesOf(sql)
	a.measure(r.o.Repeat, r.o.AtMost, func(int) error {
		a.Rows, err = r.ask(ctx, sql)
		return err
	})
	return a
}

// measure calls ask up to repeat times, and fewer if they take longer than atMost together. It sets the median.
func (a *Asked) measure(repeat int, atMost time.Duration, ask func(n int) error) {
	var took []time.Duration
	for n, began := 0, time.Now(); n < repeat && (n == 0 || time.Since(began) < atMost); n++ {
		started := time.Now()
		if err := ask(n); err != nil {
			a.Error = firstLine(err.Error())
		}
		took = append(took, time.Since(started))
	}
	a.Runs, a.Milliseconds = len(took), median(took)
}

func median(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds()) / 1000
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return text
}

// ask runs a query as Grafana does and returns how many rows it read.
func (r *run) ask(ctx context.Context, sql string) (read uint64, err error) {
	at := url.URL{Scheme: "http", Host: string(r.store), RawQuery: "wait_end_of_query=1"}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(),
		strings.NewReader(sql+"\nFORMAT JSONCompact"))
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s", strings.TrimSpace(string(body)))
	}
	var summary struct {
		Read string `json:"read_rows"`
	}
	if json.Unmarshal([]byte(answer.Header.Get("X-ClickHouse-Summary")), &summary) == nil {
		read, _ = strconv.ParseUint(summary.Read, 10, 64)
	}
	return read, err
}

var fromFlows = regexp.MustCompile(
	`FROM (data_flow(?:_by_[a-z_0-9]+)?|rollup_[a-z_0-9]+|(?:sums|edge|known|largest)_[a-z_0-9]+|collector_loss)\b`)

// tablesOf returns the tables with traffic that a query names.
func tablesOf(sql string) string {
	var all []string
	for _, match := range fromFlows.FindAllStringSubmatch(sql, -1) {
		if name := match[1]; !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return strings.Join(all, " ")
}

// presets has the presets of /explore, a planner that uses rollups and one that does not.
type presets struct {
	*run
	list           []explore.Preset
	planned, plain *explore.Explorer
}

func (r *run) presets(ctx context.Context) (*presets, error) {
	p := &presets{run: r}
	of := func() *explore.Explorer {
		return &explore.Explorer{Conn: r.conn, Planner: explore.NewPlanner(&r.settings), Now: r.now}
	}
	p.planned, p.plain = of(), of()
	if err := p.planned.ReadSources(ctx); err != nil {
		return nil, err
	}
	for _, preset := range p.planned.Planner.Presets() {
		if r.o.has("explore " + preset.Name) {
			p.list = append(p.list, preset)
		}
	}
	return p, nil
}

func (p *presets) ask(ctx context.Context, preset explore.Preset, length time.Duration) Asked {
	a := Asked{Of: "explore", Name: preset.Name, Range: length}
	q := preset.Question
	ask := func(e *explore.Explorer) func(int) error {
		return func(int) error {
			q.Last = length
			answer, err := e.Ask(ctx, q)
			if err == nil {
				a.Rows, a.Table = answer.Read, answer.Table()
			}
			return err
		}
	}
	from := a
	if p.o.FromRows {
		from.measure(1, p.o.AtMost, ask(p.plain))
	}
	a.measure(p.o.Repeat, p.o.AtMost, ask(p.planned))
	if a.Table != p.settings.Tables.Flow {
		a.FromRows = from.Milliseconds
	}
	if err := p.fetch(ctx, q, &a); err != nil && a.Error == "" {
		a.Error = err.Error()
	}
	return a
}

// fetch requests the page twice. The second time its answer is in the cache.
func (p *presets) fetch(ctx context.Context, q explore.Question, a *Asked) error {
	for range 2 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.page+"/"+q.Address("explore"), nil)
		if err != nil {
			return err
		}
		started := time.Now()
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		a.Cached = float64(time.Since(started).Microseconds()) / 1000
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("the page is answered %s", answer.Status)
		}
		if err != nil {
			return err
		}
		a.Page = len(body)
	}
	return nil
}

// rangeName returns a duration in hours or days.
func rangeName(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%d d", d/day)
	}
	return fmt.Sprintf("%d h", d/time.Hour)
}
