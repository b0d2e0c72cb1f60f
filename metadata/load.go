package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/tables"
	"github.com/metranova/flow-collector/sink/schema"
)

// Loader writes sets of records into the tables. It is not safe for concurrent use. Two loaders that load the same
// change at the same time, such as those of two collectors, write one version of each record.
type Loader struct {
	database
	tables map[string]*record.Table
	order  []*record.Table
	refs   references

	// ForceUpdate gives every record a new version.
	ForceUpdate bool
	// AllowShrink accepts that most of a source's records vanish at once. Otherwise the source is taken for broken.
	AllowShrink bool
	// Report, if set, receives every problem; Result counts them.
	Report func(record.Problem)
}

// Result is the result of loading a set.
type Result struct {
	Table, Source   string
	Read            int // records of the set, including wrong ones
	Written         int // new versions
	Unchanged       int
	Problems        int // records, or parts of records, that were left out
	Vanished        int // records that the source no longer has
	VanishedRefused int // vanished records that were kept because there are too many
	// records that are new for the source; Returning counts those of them that the table already had
	Added, Returning int

	good int // correct records, each id once
}

// String returns the result as one line.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %s, %s, %d unchanged", r.Table, count(r.Read, "record"), count(r.Written, "new version"),
		r.Unchanged)
	if r.Problems > 0 {
		s += ", " + count(r.Problems, "problem")
	}
	if r.Vanished > 0 {
		s += fmt.Sprintf(", %d vanished", r.Vanished)
	}
	if r.VanishedRefused > 0 {
		s += fmt.Sprintf(", %d missing but kept: too many at once", r.VanishedRefused)
	}
	return s + " (" + r.Source + ")"
}

// count returns a number with its noun in the singular or plural.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// A source that lacks more than half of its former records, and at least shrinkFloor of them, is taken for broken.
const shrinkFloor = 100

var errNotOneGood = errors.New("not one correct record: nothing changes")

// NewLoader returns a loader for the tables that the settings name.
func NewLoader(conn driver.Conn, settings schema.Settings) *Loader {
	l := &Loader{database: *newDatabase(conn, settings), tables: map[string]*record.Table{},
		order: record.Tables(settings.SourceTables...)}
	for _, t := range l.order {
		l.tables[t.Name] = t
		l.tables[settings.TableName(t.Name)] = t
	}
	return l
}

// Load writes the sets in the order of their tables' dependencies, so that references to records of the same load are
// found. If one set fails, the others are still loaded; the error has a line for each failed set.
func (l *Loader) Load(ctx context.Context, sets ...record.Set) ([]Result, error) {
	var errs []error
	known := make([]record.Set, 0, len(sets))
	for _, s := range sets {
		if t := l.tables[s.Table]; t != nil {
			s.Table = t.Name
			known = append(known, s)
			continue
		}
		errs = append(errs, fmt.Errorf("%s: there is no metadata table %q", s.Source, s.Table))
	}
	l.refs = references{}
	var results []Result
	for _, t := range l.order {
		of := slices.DeleteFunc(slices.Clone(known), func(s record.Set) bool { return s.Table != t.Name })
		if len(of) == 0 {
			continue
		}
		loads, err := l.loadTable(ctx, t, of)
		for _, run := range loads {
			results = append(results, run.result)
		}
		errs = append(errs, err)
	}
	return results, errors.Join(errs...)
}

// Forget makes all records of a source vanish.
func (l *Loader) Forget(ctx context.Context, source string) (vanished int, err error) {
	for _, t := range l.order {
		out := l.insert(ctx, sourceTable, sourceColumns)
		err := l.eachListed(ctx, t.Name, source, func(id string) {
			vanished++
			_ = out.add("", sourceRow(t.Name, source, id, false)) // close returns the error
		})
		if err := out.close(err); err != nil {
			return vanished, err
		}
	}
	return vanished, nil
}

var sourceColumns = []string{"table_name", "source", "id", "present"}

func sourceRow(table, source, id string, present bool) func([]byte) []byte {
	return func(b []byte) []byte {
		b = record.AppendText(record.AppendText(record.AppendText(b, table), source), id)
		if present {
			return append(b, 1)
		}
		return append(b, 0)
	}
}

// load is the state of loading one set.
type load struct {
	*Loader
	table    *record.Table
	set      record.Set
	versions *versions
	rows     *inserter
	listings *inserter
	resolve  *resolver
	result   Result
	err      error
	members  []*member // if records of the table refer to each other
	hashBuf  []byte
}

// loadTable loads all sets of a table. They are loaded together, because records of one may refer to those of another.
// The first record with an id counts.
func (l *Loader) loadTable(ctx context.Context, t *record.Table, sets []record.Set) ([]*load, error) {
	known, err := l.readVersions(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%s: load %s: %w", sets[0].Source, t.Name, err)
	}
	resolve, err := l.newResolver(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("%s: load %s: %w", sets[0].Source, t.Name, err)
	}
	loads := make([]*load, len(sets))
	for i, s := range sets {
		run := &load{Loader: l, table: t, set: s, versions: known, resolve: resolve,
			result: Result{Table: t.Name, Source: s.Source}}
		loads[i] = run
		if run.err = l.readListed(ctx, t, s.Source, known); run.err != nil {
			continue
		}
		if t.SelfReferring() {
			run.err = run.gather()
		} else {
			run.err = run.inserting(ctx, run.stream)
		}
		if run.err == nil {
			run.err = run.vanish(ctx)
		}
	}
	if t.SelfReferring() {
		agree(loads)
		for _, run := range loads {
			run.err = errors.Join(run.err, run.inserting(ctx, run.writeMembers))
		}
	}
	delete(l.refs, t.Name)
	var errs []error
	for _, run := range loads {
		if run.err != nil {
			errs = append(errs, fmt.Errorf("%s: load %s: %w", run.set.Source, t.Name, run.err))
		}
	}
	return loads, errors.Join(errs...)
}

// inserting calls use, which writes rows and listings, and waits until they are stored.
func (l *load) inserting(ctx context.Context, use func() error) error {
	l.rows = l.insert(ctx, l.table.Name, l.table.ColumnNames())
	l.listings = l.insert(ctx, sourceTable, sourceColumns)
	// Rows first: a listed record must exist.
	return l.listings.close(l.rows.close(use()))
}

// each calls use with the row and id of every correct record. A second record with the same id is left out.
func (l *load) each(row record.Row, use func(row record.Row, id, place string, key [2]uint64, v version) error) error {
	return l.set.Each(func(raw record.Raw, place string) error {
		l.result.Read++
		var err error
		good, err := l.table.CoerceReporting(raw, row, func(reason string) {
			l.problem(record.Problem{Place: place, ID: idOf(raw), Reason: reason})
		})
		if err != nil {
			l.problem(record.Problem{Place: place, ID: idOf(raw), Reason: err.Error()})
			l.keep(idOf(raw))
			return nil
		}
		row = good
		id := l.table.ID(row)
		key := l.versions.key(id)
		v := l.versions.byID[key]
		if v.seen != 0 {
			l.problem(record.Problem{Place: place, ID: id,
				Reason: "another record with this id comes before it; this one is left out"})
			l.keep(id)
			return nil
		}
		v.seen = l.versions.set
		l.result.good++
		if v.known && l.table.Versioned && v.number == 0 {
			l.versions.byID[key] = v
			l.problem(record.Problem{Place: place, ID: id,
				Reason: "the ref of its newest version does not end in __v and a number"})
			return nil
		}
		return use(row, id, place, key, v)
	}, func(p record.Problem) {
		l.problem(p)
		l.keep(p.ID)
	})
}

// keep marks a record that is wrong now as still present, so that its last correct version stays in force.
func (l *load) keep(id string) {
	key := l.versions.key(id)
	if v, ok := l.versions.byID[key]; ok {
		v.kept = true
		l.versions.byID[key] = v
	}
}

func idOf(raw record.Raw) string {
	if raw["id"] == nil {
		return ""
	}
	return fmt.Sprint(raw["id"])
}

func (l *load) problem(p record.Problem) {
	l.result.Problems++
	if l.Report != nil {
		l.Report(p)
	}
}

// stream loads records one by one.
func (l *load) stream() error {
	var row record.Row
	return l.each(row, func(row record.Row, id, _ string, key [2]uint64, v version) error {
		l.resolve.fill(row)
		var hash record.Hash
		hash, l.hashBuf = l.table.Hash(row, l.hashBuf)
		if v.known && v.hash == hash && !l.ForceUpdate {
			l.result.Unchanged++
		} else {
			v.number++
			if err := l.write(row, id, v.number, hash); err != nil {
				return err
			}
		}
		return l.list(id, key, v)
	})
}

func (l *load) write(row record.Row, id string, number uint32, hash record.Hash) error {
	l.result.Written++
	ref := ""
	if l.table.Versioned {
		ref = tables.MakeRef(id, number)
	}
	return l.rows.add(ref, func(b []byte) []byte { return l.table.AppendRowBinary(b, row, ref, hash) })
}

// list notes that the source has the record.
func (l *load) list(id string, key [2]uint64, v version) error {
	l.versions.byID[key] = v
	if v.listed {
		return nil
	}
	l.result.Added++
	if v.known {
		l.result.Returning++
	}
	return l.listings.add("", sourceRow(l.table.Name, l.set.Source, id, true))
}

// vanish marks the source's records that were not in the set as vanished.
func (l *load) vanish(ctx context.Context) error {
	emptied := l.AllowShrink && l.result.Read == 0 && l.result.Problems == 0
	if l.result.good == 0 && !l.set.MayBeEmpty && !emptied && (l.result.Read > 0 || l.versions.listed > 0) {
		return errNotOneGood
	}
	missing := 0
	for _, v := range l.versions.byID {
		if l.versions.gone(v) {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	if !l.AllowShrink && l.versions.listed >= shrinkFloor && missing > l.versions.listed/2 {
		l.result.VanishedRefused = missing
		return fmt.Errorf("%d of %d records are missing from the source: they stay in force", missing,
			l.versions.listed)
	}
	out := l.insert(ctx, sourceTable, sourceColumns)
	err := l.eachListed(ctx, l.table.Name, l.set.Source, func(id string) {
		if l.versions.gone(l.versions.byID[l.versions.key(id)]) {
			l.result.Vanished++
			_ = out.add("", sourceRow(l.table.Name, l.set.Source, id, false)) // close returns the error
		}
	})
	return out.close(err)
}
