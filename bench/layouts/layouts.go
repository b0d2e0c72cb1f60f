// Package layouts compares several layouts of data_flow in one run: bytes per row on disk, by column, and processor
// time per row to insert and to merge.
package layouts

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/bench/measure"
	"github.com/metranova/flow-collector/bench/scratch"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink/freeport"
	"github.com/metranova/flow-collector/sink/schema"
)

// Layout is one way to store the same rows.
type Layout struct {
	Name            string
	Extensions      []string // flow extensions whose paths of ext are typed
	IPRefExtensions []string // prefix tables whose references in ext are typed
	WithoutColumns  []string // optional columns that are left out
	BlockRows       int      // rows of an insert; 0: 50,000
	Sorted          bool     // rows are sent in the order of the table's key
	DictionaryRefs  bool     // refs have dictionaries (flow.low_cardinality_refs)
	LZ4             bool     // columns have no codecs, so that the server's default applies
	ServerSettings  bool     // parts are written with the server's default settings
	Settings        string   // further settings of the table, in the syntax of MODIFY SETTING
	Rollups         []string // sets of flow.rollups that each insert fills
}

// All returns the layouts that are compared; the first is the collector's default.
func All() []Layout {
	every, refs := Default().Extensions, Default().IPRefExtensions
	var optional []string
	for _, c := range schema.FlowColumns() {
		if c.Optional {
			optional = append(optional, c.Name)
		}
	}
	return []Layout{
		Default(),
		{Name: "without optional columns", Extensions: every, IPRefExtensions: refs, WithoutColumns: optional},
		{Name: "refs with dictionaries", Extensions: every, IPRefExtensions: refs, DictionaryRefs: true},
		{Name: "no codecs (LZ4)", Extensions: every, IPRefExtensions: refs, LZ4: true},
		{Name: "ext without arrays (no bgp, mpls)", Extensions: []string{"ipv4", "ipv6", "vlan"},
			IPRefExtensions: refs},
		{Name: "ext without typed paths"},
		{Name: "ext as the server writes it", Extensions: every, IPRefExtensions: refs, ServerSettings: true},
		{Name: "rows sorted before sending", Extensions: every, IPRefExtensions: refs, Sorted: true},
		{Name: "inserts of 200,000 rows", Extensions: every, IPRefExtensions: refs, BlockRows: 200_000},
	}
}

// Default returns the layout of the collector's default configuration.
func Default() Layout {
	return Layout{Name: "default", Extensions: []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"},
		IPRefExtensions: []string{"scireg"}}
}

// Options say what to measure.
type Options struct {
	Datagrams []exporter.Datagram
	Snapshot  *enrich.Snapshot
	Layouts   []Layout
	Rounds    int    // how often each layout is measured, in turn; the shortest times count. 0: once
	Collector string // path of the collector's program, which opens the engine
	Engine    string // path of the engine's library
	Dir       string // an empty directory for the store
	// Log is called with each step; may be nil.
	Log func(string)
}

// Result is the measurement of one layout. Times are processor time of all processes of the store.
type Result struct {
	Layout   Layout
	Rows     int
	Parts    uint64             // before the merge
	Insert   float64            // µs per row
	Merge    float64            // µs per row, to merge all parts into one
	Unmerged float64            // bytes per row on disk before the merge
	Merged   float64            // bytes per row on disk after the merge
	Columns  map[string]float64 // the same for each column
	// Rolled are the rows of data_flow for each row of a rollup's table, merged.
	Rolled map[string]float64 `json:",omitempty"`
}

// Run measures all layouts, one after the other on one store, which it starts and stops.
func Run(ctx context.Context, o Options) ([]Result, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	at, err := freeport.Next()
	if err != nil {
		return nil, err
	}
	r := &run{Options: o, store: scratch.Store(at.String())}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	defer r.process.Stop(syscall.SIGTERM)
	results := make([]Result, len(o.Layouts))
	for round := range max(o.Rounds, 1) {
		for i, l := range o.Layouts {
			o.Log(l.Name)
			result, err := r.measure(ctx, round*len(o.Layouts)+i, l)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", l.Name, err)
			}
			if round > 0 {
				result.Insert = min(result.Insert, results[i].Insert)
				result.Merge = min(result.Merge, results[i].Merge)
			}
			results[i] = result
		}
	}
	return results, nil
}

type run struct {
	Options
	store   scratch.Store
	process *scratch.Process
}

func (r *run) start(ctx context.Context) error {
	log := filepath.Join(r.Dir, "store.log")
	cmd := exec.Command(r.Collector, "store", "-path", filepath.Join(r.Dir, "store"), "-listen", string(r.store),
		"-engine", r.Engine,
		// Merges are what is measured. With the collector's nice value they would never finish on a busy machine.
		"-set", "os_threads_nice_value_merge_mutate=0")
	var err error
	if r.process, err = scratch.Start("store", log, cmd); err != nil {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if _, err := r.store.Ask(ctx, "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.process.Ended():
			return fmt.Errorf("the store ended at once: see %s", log)
		default:
		}
	}
	return fmt.Errorf("the store does not answer at %s: see %s", r.store, log)
}

// cpu returns the processor time that the store has used.
func (r *run) cpu() time.Duration {
	tree := measure.NewTree(r.process.PID())
	tree.Look()
	all, _ := tree.CPU()
	return all
}

func (r *run) measure(ctx context.Context, number int, l Layout) (Result, error) {
	table := fmt.Sprintf("layout_%d", number)
	if err := r.create(ctx, table, l); err != nil {
		return Result{}, err
	}
	result := Result{Layout: l, Columns: map[string]float64{}}
	if err := r.insert(ctx, table, &result); err != nil {
		return Result{}, err
	}
	if err := r.merge(ctx, table, &result); err != nil {
		return Result{}, err
	}
	var err error
	if result.Rolled, err = r.rolled(ctx, l, result.Rows); err != nil {
		return Result{}, err
	}
	return result, r.drop(ctx, table, l)
}

// insert measures all inserts of a layout, and what is there before it is merged.
func (r *run) insert(ctx context.Context, table string, result *Result) error {
	l := result.Layout
	insert, blocks, err := blocksOf(r.Datagrams, r.Snapshot, table, l)
	if err != nil {
		return err
	}
	if l.Sorted {
		if blocks, err = r.sort(ctx, insert, table, blocks); err != nil {
			return fmt.Errorf("sort rows: %w", err)
		}
	}
	before := r.cpu()
	for _, b := range blocks {
		if err := r.store.Insert(ctx, insert, b.data); err != nil {
			return err
		}
		result.Rows += b.rows
	}
	result.Insert = result.perRow(r.cpu() - before)
	size, err := r.size(ctx, table)
	if err != nil {
		return err
	}
	result.Parts, result.Unmerged = size.parts, size.bytes/float64(result.Rows)
	if size.rows != result.Rows {
		return fmt.Errorf("%d rows were inserted, %d are there", result.Rows, size.rows)
	}
	return nil
}

// merge measures one merge of all, and what is there then.
func (r *run) merge(ctx context.Context, table string, result *Result) error {
	// In a wide part each column has files of its own, so that its size is known. Small parts are not wide by default.
	if _, err := r.store.Read(ctx, "ALTER TABLE "+table+" MODIFY SETTING min_bytes_for_wide_part = 0"); err != nil {
		return err
	}
	before := r.cpu()
	for _, merged := range append(result.Layout.rolledUp(), table) {
		if _, err := r.store.Read(ctx, "OPTIMIZE TABLE "+merged+" FINAL"); err != nil {
			return err
		}
	}
	result.Merge = result.perRow(r.cpu() - before)
	size, err := r.size(ctx, table)
	if err != nil {
		return err
	}
	result.Merged = size.bytes / float64(result.Rows)
	for name, bytes := range size.columns {
		result.Columns[name] = bytes / float64(result.Rows)
	}
	return nil
}

// perRow is the time of a row, in microseconds.
func (r *Result) perRow(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(r.Rows)
}

// noMerges keeps the store from merging parts by itself: all are larger than the limit. OPTIMIZE … FINAL ignores it.
const noMerges = "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1"

// create creates an empty table whose parts are not merged.
func (r *run) create(ctx context.Context, table string, l Layout) error {
	s := schema.Default()
	s.Tables.Flow, s.FlowExtensions, s.WithoutColumns, s.Views, s.Rollups = table, l.Extensions, l.WithoutColumns, nil,
		l.Rollups
	s.IPRefExtensions, s.LowCardinalityRefs, s.Knows = l.IPRefExtensions, l.DictionaryRefs, map[string]bool{}
	for _, name := range schema.NewTableSettings() {
		s.Knows[name] = !l.ServerSettings
	}
	statements, err := schema.Statements(s)
	if err != nil {
		return err
	}
	made := false
	for _, statement := range statements {
		if strings.Contains(statement, "`rollup_") && !strings.HasPrefix(statement, "CREATE VIEW") {
			if _, err := r.store.Read(ctx, statement); err != nil {
				return err
			}
		}
		if !strings.HasPrefix(statement, "CREATE TABLE") || !strings.Contains(statement, table) {
			continue
		}
		if l.LZ4 {
			statement = withoutCodecs(statement)
		}
		if _, err := r.store.Read(ctx, statement); err != nil {
			return err
		}
		settings := noMerges
		if l.Settings != "" {
			settings += ", " + l.Settings
		}
		if _, err := r.store.Read(ctx, "ALTER TABLE "+table+" MODIFY SETTING "+settings); err != nil {
			return err
		}
		made = true
	}
	if !made {
		return fmt.Errorf("no statement makes the table %s", table)
	}
	for _, rollup := range l.rolledUp() {
		if _, err := r.store.Read(ctx, "ALTER TABLE "+rollup+" MODIFY SETTING "+noMerges); err != nil {
			return err
		}
	}
	return nil
}

// tableSize is the size of a table on disk.
type tableSize struct {
	rows    int
	parts   uint64
	bytes   float64
	columns map[string]float64 // bytes by column
}

func (r *run) size(ctx context.Context, table string) (s tableSize, err error) {
	of := " WHERE active AND database = currentDatabase() AND table = '" + table + "'"
	all, err := r.store.Numbers(ctx, "SELECT sum(rows), count(), sum(bytes_on_disk) FROM system.parts"+of)
	if err != nil {
		return s, err
	}
	s.rows, s.parts, s.bytes, s.columns = int(all[0]), all[1], float64(all[2]), map[string]float64{}
	lines, err := r.store.Ask(ctx,
		"SELECT column, sum(column_bytes_on_disk) FROM system.parts_columns"+of+" GROUP BY column")
	for _, line := range lines {
		var n float64
		if _, err := fmt.Sscan(line[1], &n); err != nil {
			return s, err
		}
		s.columns[line[0]] = n
	}
	return s, err
}

// current returns a snapshot in the form that workers take.
func current(s *enrich.Snapshot) *atomic.Pointer[enrich.Snapshot] {
	var p atomic.Pointer[enrich.Snapshot]
	p.Store(s)
	return &p
}
