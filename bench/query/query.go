// Package query measures how long a store with many rows takes to answer each panel of the dashboards and each preset
// of /explore, over an hour to a month: with no other load, while flows come in, and many at once.
package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// Options say what to measure.
type Options struct {
	Collector  string // path of the collector's program, which opens the engine
	Engine     string // path of the engine's library
	Dashboards string // folder of the dashboards
	// Dir is the folder of the store. If an earlier call has filled it, it is used as it is.
	Dir  string
	Rows int // rows of all Days together
	Days int
	// Distinct is the number of whole days that are generated. Earlier days are copies of them.
	Distinct int
	// Until is the end of the last day. Queries end at the earlier of now and Until. The zero value means now, or the
	// end of the store that an earlier call has filled.
	Until time.Time
	// Rollups lets queries use rollups where these can answer. Without it, all queries read single flows.
	Rollups bool
	// FromRows asks each preset of single flows too, which takes minutes over a month.
	FromRows bool
	Ranges   []time.Duration
	Busy     []time.Duration // ranges of the part in which flows come in
	Only     string          // measure only what has this word in its name; "": all
	Repeat   int             // number of runs of each query; the result is the median
	// AtMost limits the runs of a query: it is not repeated once its runs have taken so long together.
	AtMost time.Duration
	// Rate is the number of flows per second in the second part of the measurement; 0: the part is left out.
	Rate int
	// AtOnce is the number of panels that run at the same time in the last part.
	AtOnce int
	// Log is called with each step.
	Log func(format string, arguments ...any)
}

// Policy values that the settings give to every row.
const (
	originator = "example"
	level      = "tlp:amber"
	scope      = "comm:re"
)

// run is one measurement.
type run struct {
	o          Options
	store      scratch.Store
	page       string // http://HOST:PORT of the collector
	listen     netip.AddrPort
	process    *scratch.Process
	conn       driver.Conn
	settings   schema.Settings
	dashboards []grafana.Dashboard
}

// state describes what a store was filled with. It is kept in a file for the next call.
type state struct {
	Rows, Days, Distinct int
	Until                time.Time
	Copied               map[string]progress // copies of days, by table and number of days
	Complete             bool                // Fill has nothing left to do
}

func (o *Options) stateFile() string { return filepath.Join(o.Dir, "filled.json") }

func (o *Options) load() (*state, error) {
	data, err := os.ReadFile(o.stateFile())
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", o.stateFile(), err)
	}
	if s.Copied == nil {
		s.Copied = map[string]progress{}
	}
	return &s, nil
}

func (o *Options) save(s *state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(o.stateFile(), data, 0o600)
}

// readState takes over the options with which an earlier call filled the store.
func (o *Options) readState() error {
	s, err := o.load()
	if errors.Is(err, os.ErrNotExist) {
		if o.Until.IsZero() {
			o.Until = time.Now()
		}
		o.Until = o.Until.UTC().Truncate(time.Second)
		return o.save(&state{Rows: o.Rows, Days: o.Days, Distinct: o.Distinct, Until: o.Until})
	}
	if err != nil {
		return err
	}
	o.Rows, o.Days, o.Distinct, o.Until = s.Rows, s.Days, s.Distinct, s.Until
	return nil
}

// progress says whether copying days of a table has begun or is complete.
type progress string

const (
	copying progress = "begun"
	copied  progress = "done"
)

// note records that a copy begins or, with done, that it is complete. It returns what was recorded before.
func (o *Options) note(name string, done bool) (before progress, err error) {
	s, err := o.load()
	if err != nil {
		return "", err
	}
	if before = s.Copied[name]; before == copied {
		return before, nil
	}
	s.Copied[name] = copying
	if done {
		s.Copied[name] = copied
	}
	return before, o.save(s)
}

// Fill creates and fills the store with all rollups, or completes one that an earlier call has begun.
func Fill(ctx context.Context, o Options) error {
	if s, err := o.load(); err == nil && s.Complete {
		return nil
	}
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
	if err := r.repeat(ctx); err != nil {
		return err
	}
	if err := r.mergeDays(ctx); err != nil {
		return err
	}
	s, err := o.load()
	if err != nil {
		return err
	}
	s.Complete = true
	return o.save(s)
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
	if r.dashboards, err = grafana.Read(o.Dashboards); err != nil {
		return nil, err
	}
	free, err := measure.FreeAddresses()
	if err != nil {
		return nil, err
	}
	r.listen, r.page, r.store = free.Listen, "http://"+free.Page.String(), scratch.Store(free.Store.String())
	file, err := r.configure(rollups, free.Page.String())
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
	// Filling a rollup is silent for as long as a statement takes.
	r.conn, err = clickhouse.Open(ctx, clickhouse.Options{Addrs: []string{string(r.store)}, ReadTimeout: day})
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
flow: {ttl: "", rollups: [%s], rollup_ttl: {1m: "", 5m: "", 1h: "", 6h: "", 1d: ""}}
`, r.listen, page, filepath.Join(r.o.Dir, "data"), r.store, engine, filepath.Join(r.o.Dir, "metadata"),
		filepath.Join(r.o.Dir, "caches"), originator, level, scope, on)
	path := filepath.Join(r.o.Dir, "collector.yml")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// awaitTables waits until the collector has created its tables.
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

// lastTable returns the name of the table or view that is created last.
func (r *run) lastTable() string {
	sources := r.settings.Sources()
	if last := sources[len(sources)-1]; last.Step > 0 {
		return last.Table + "_mv"
	}
	return r.settings.Views[len(r.settings.Views)-1].Table + "_mv"
}

// thousands formats a number with a comma between groups of three digits.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// has reports whether what has this name is to be measured.
func (o *Options) has(name string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(o.Only))
}
