// Package query measures how long a store with many rows takes for what people ask it: each panel of the dashboards and
// each preset of /explore, over an hour to a month, alone, beside incoming flows, and many at once.
package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/scratch"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/grafana"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
)

// Options say what is measured, and with what.
type Options struct {
	Collector  string // its program, which opens the engine
	Engine     string // the engine's library
	Dashboards string // a folder
	// Dir has the store. One that an earlier call has filled is used as it is.
	Dir  string
	Rows int // of all Days together
	Days int
	// Distinct is how many whole days are generated; those before repeat them.
	Distinct int
	// Until is the end of the last day. Times up to now are asked for, or up to Until if that is earlier. The zero
	// value: now, or what an earlier call filled the store up to.
	Until time.Time
	// Rollups are used where they can answer; without, all is asked of single
	// flows.
	Rollups bool
	Ranges  []time.Duration
	Busy    []time.Duration // of the part with flows that come in
	Only    string          // measure only what has this word in its name; "": all
	Repeat  int             // how often each is asked; the median counts
	// AtMost ends the repetition of one that takes long: once its repetitions took so long together.
	AtMost time.Duration
	// Rate is how many flows a second come in for the second part of the measurement; 0: there is none.
	Rate int
	// AtOnce is how many panels are asked at once at the end.
	AtOnce int
	// Log is told what is done.
	Log func(format string, arguments ...any)
}

// What every row has by the settings.
const (
	originator = "example"
	level      = "tlp:amber"
	scope      = "comm:re"
)

// run is one measurement.
type run struct {
	o         Options
	store     scratch.Store
	page      string // http://HOST:PORT of the collector
	listen    string
	process   *scratch.Process
	conn      driver.Conn
	settings  schema.Settings
	dashboard []grafana.Dashboard
}

// state is what a store was filled with, for the next call.
type state struct {
	Rows, Days, Distinct int
	Until                time.Time
	Copied               map[string]progress // by table and shift
}

func (o *Options) stateFile() string { return filepath.Join(o.Dir, "filled.json") }

// readState takes over what an earlier call filled the store with.
func (o *Options) readState() error {
	data, err := os.ReadFile(o.stateFile())
	if errors.Is(err, os.ErrNotExist) {
		if o.Until.IsZero() {
			o.Until = time.Now()
		}
		o.Until = o.Until.UTC().Truncate(time.Second)
		data, err = json.Marshal(state{Rows: o.Rows, Days: o.Days, Distinct: o.Distinct, Until: o.Until})
		if err != nil {
			return err
		}
		return os.WriteFile(o.stateFile(), data, 0o600)
	}
	var s state
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.stateFile(), err)
	}
	o.Rows, o.Days, o.Distinct, o.Until = s.Rows, s.Days, s.Distinct, s.Until
	return nil
}

// progress is how far copying the days of a table has come.
type progress string

const (
	copying progress = "begun"
	copied  progress = "done"
)

// note notes that copying begins, or with done that it is over, and returns what was noted before.
func (o *Options) note(name string, done bool) (before progress, err error) {
	data, err := os.ReadFile(o.stateFile())
	var s state
	if err == nil {
		err = json.Unmarshal(data, &s)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", o.stateFile(), err)
	}
	if s.Copied == nil {
		s.Copied = map[string]progress{}
	}
	if before = s.Copied[name]; before == copied {
		return before, nil
	}
	s.Copied[name] = copying
	if done {
		s.Copied[name] = copied
	}
	if data, err = json.Marshal(s); err != nil {
		return before, err
	}
	return before, os.WriteFile(o.stateFile(), data, 0o600)
}

// Fill makes the store, or what is missing of it, with all rollups.
func Fill(ctx context.Context, o Options) error {
	r, err := begin(ctx, o, false)
	if err != nil {
		return err
	}
	err = r.fill(ctx)
	r.end()
	if err != nil {
		return err
	}
	if r, err = begin(ctx, o, true); err != nil {
		return err
	}
	defer r.end()
	last := ""
	if err := schema.Fill(ctx, r.conn, r.settings, func(f schema.Filling) {
		if f.Rollup != last {
			o.Log("rollup %s", f.Rollup)
			last = f.Rollup
		}
	}); err != nil {
		return err
	}
	return r.repeat(ctx)
}

// begin starts a collector with its store.
func begin(ctx context.Context, o Options, rollups bool) (r *run, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := o.readState(); err != nil {
		return nil, err
	}
	r = &run{o: o}
	if r.dashboard, err = grafana.Read(o.Dashboards); err != nil {
		return nil, err
	}
	store, err := measure.FreeTCP()
	if err != nil {
		return nil, err
	}
	page, err := measure.FreeTCP()
	if err != nil {
		return nil, err
	}
	listen, err := measure.FreeUDP()
	if err != nil {
		return nil, err
	}
	r.store, r.page, r.listen = scratch.Store(store.String()), "http://"+page.String(), listen.String()
	file, err := r.configure(rollups, page.String())
	if err != nil {
		return nil, err
	}
	cfg, problems := config.Load(config.Source{File: file})
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s", problems[0])
	}
	r.settings = setup.Tables(cfg, setup.ClickHouse(cfg))
	collector, err := filepath.Abs(o.Collector)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(collector, "run", "--config", file)
	cmd.Dir = o.Dir
	if r.process, err = scratch.Start("collector", filepath.Join(o.Dir, "collector.log"), cmd); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.end()
		}
	}()
	if err := r.awaitTables(ctx); err != nil {
		return nil, err
	}
	r.conn, err = clickhouse.Open(ctx, clickhouse.Options{Addrs: []string{string(r.store)}})
	return r, err
}

// end stops the collector and its store.
func (r *run) end() {
	if r.conn != nil {
		_ = r.conn.Close()
	}
	r.process.Stop(syscall.SIGTERM)
}

// configure writes the collector's settings. Rows are kept for good, so that a store can be used again later.
func (r *run) configure(rollups bool, page string) (string, error) {
	on := ""
	if rollups {
		on = schema.AllRollups
	}
	engine, err := filepath.Abs(r.o.Engine)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf(`collector_id: bench-live
listen: {addresses: [%q]}
http: {listen: %q}
store: {path: %q, listen: %q, engine: %q}
spool: {path: spool}
quarantine: {path: quarantine}
metadata: {dir: %q, cache_dir: %q}
policy: {originator: %s, level: %q, scopes: [%q]}
flow: {ttl: "", rollups: [%s], rollup_ttl: {1m: "", 5m: "", 1h: "", 1d: ""}}
`, r.listen, page, filepath.Join(r.o.Dir, "data"), r.store, engine, filepath.Join(r.o.Dir, "metadata"),
		filepath.Join(r.o.Dir, "caches"), originator, level, scope, on)
	path := filepath.Join(r.o.Dir, "collector.yml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// awaitTables waits until the tables are made.
func (r *run) awaitTables(ctx context.Context) error {
	failure := fmt.Errorf("the collector does not make its tables: see %s", filepath.Join(r.o.Dir, "collector.log"))
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); {
		lines, err := r.store.Ask(ctx, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN "+
			"('data_flow', 'meta_application_dict', '"+r.lastTable()+"')")
		if err == nil && len(lines) == 3 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.process.Ended():
			return failure
		case <-time.After(200 * time.Millisecond):
		}
	}
	return failure
}

// lastTable is the name of what is made last.
func (r *run) lastTable() string {
	sources := r.settings.Sources()
	if last := sources[len(sources)-1]; last.Step > 0 {
		return last.Table + "_mv"
	}
	return r.settings.Views[len(r.settings.Views)-1].Table + "_mv"
}

// thousands is a number with separators.
func thousands[T ~int | ~int64 | ~uint64](n T) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// has reports whether something is to be measured.
func (o *Options) has(name string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(o.Only))
}
