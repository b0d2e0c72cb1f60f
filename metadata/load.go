package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/schema"
)

// Loader writes sets of records into the tables. It is not safe for concurrent use; two loaders at once can give one version
// number to two versions.
type Loader struct {
	database
	tables map[string]*record.Table
	order  []*record.Table
	refs   references

	// ForceUpdate gives every record a new version.
	ForceUpdate bool
	// AllowShrink lets most of a source's records vanish at once, which is otherwise taken for a broken source.
	AllowShrink bool
	// Report, if set, gets every problem; Result counts them.
	Report func(record.Problem)
}

// Result is what loading a set came to.
type Result struct {
	Table, Source    string
	Read             int // records of the set, good ones and others
	Written          int // new versions
	Unchanged        int
	Problems         int // records and parts of records left out
	Vanished         int // records that the source does not have any more
	VanishedRefused  int // the same, but too many to believe
	Added, Returning int // records that are new for the source; Returning is the part that the table had
}

// String is the result in a line.
func (r Result) String() string {
	s := fmt.Sprintf("%s: %d records, %d new versions, %d unchanged", r.Table, r.Read, r.Written, r.Unchanged)
	if r.Problems > 0 {
		s += fmt.Sprintf(", %d problems", r.Problems)
	}
	if r.Vanished > 0 {
		s += fmt.Sprintf(", %d vanished", r.Vanished)
	}
	if r.VanishedRefused > 0 {
		s += fmt.Sprintf(", %d missing but kept: too many at once", r.VanishedRefused)
	}
	return s + " (" + r.Source + ")"
}

// A source that lacks more than half of the records it had, and of no fewer than shrinkFloor, is not believed.
const shrinkFloor = 100

// NewLoader returns a loader for the tables that the settings name.
func NewLoader(conn driver.Conn, settings schema.Settings) *Loader {
	l := &Loader{database: database{conn, settings}, tables: map[string]*record.Table{}, order: record.Tables()}
	for _, t := range l.order {
		l.tables[t.Name] = t
		l.tables[tableName(&settings.Tables, t.Name)] = t
	}
	return l
}

// Load writes the sets in the order of their tables' dependencies, so that references to records of the same load are found. A
// set that fails does not keep the others from being loaded; the error has a line for each that failed.
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
		for _, s := range known {
			if s.Table != t.Name {
				continue
			}
			result, err := l.loadSet(ctx, t, s)
			results = append(results, result)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: load %s: %w", s.Source, s.Table, err))
			}
		}
	}
	return results, errors.Join(errs...)
}

// Forget makes a source's records vanish.
func (l *Loader) Forget(ctx context.Context, source string) (vanished int, err error) {
	for _, t := range l.order {
		out := l.insert(ctx, sourceTable, sourceColumns)
		err := l.eachListed(ctx, t.Name, source, func(id string) {
			vanished++
			_ = out.add(sourceRow(t.Name, source, id, false)) // close returns the error
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

// load is the loading of one set.
type load struct {
	*Loader
	table    *record.Table
	set      record.Set
	versions *versions
	rows     *inserter
	listings *inserter
	resolve  *resolver
	result   Result
	hashBuf  []byte
}

func (l *Loader) loadSet(ctx context.Context, t *record.Table, s record.Set) (Result, error) {
	run := &load{Loader: l, table: t, set: s, result: Result{Table: t.Name, Source: s.Source}}
	var err error
	if run.versions, err = l.readVersions(ctx, t, s.Source); err != nil {
		return run.result, err
	}
	if run.resolve, err = l.newResolver(ctx, t); err != nil {
		return run.result, err
	}
	run.rows = l.insert(ctx, t.Name, t.ColumnNames())
	run.listings = l.insert(ctx, sourceTable, sourceColumns)
	if t.SelfReferring() {
		err = run.together()
	} else {
		err = run.stream()
	}
	// The rows first: a listed record must be there.
	err = run.rows.close(err)
	err = run.listings.close(err)
	delete(l.refs, t.Name)
	if err != nil {
		return run.result, err
	}
	if run.result.Written+run.result.Unchanged == 0 {
		return run.result, errors.New("not one good record: nothing changes")
	}
	return run.result, run.vanish(ctx)
}

// each calls use with every good record's row and id. A second record with an id is left out.
func (l *load) each(row record.Row, use func(row record.Row, id, place string, key [2]uint64, v version) error) error {
	return l.set.Each(func(raw record.Raw, place string) error {
		l.result.Read++
		var err error
		good, err := l.table.Coerce(raw, row)
		if err != nil {
			l.problem(record.Problem{Place: place, ID: idOf(raw), Reason: err.Error()})
			l.keep(idOf(raw))
			return nil
		}
		row = good
		id := l.table.ID(row)
		key := l.versions.key(id)
		v := l.versions.byID[key]
		if v.seen {
			l.problem(record.Problem{Place: place, ID: id, Reason: "a record with this id comes before it; this one is left out"})
			return nil
		}
		v.seen = true
		if v.known && l.table.Versioned && v.number == 0 {
			l.versions.byID[key] = v
			l.problem(record.Problem{Place: place, ID: id, Reason: "the ref of its newest version does not end in __v and a number"})
			return nil
		}
		return use(row, id, place, key, v)
	}, l.problem)
}

// keep leaves the version in force that a record had before it went bad.
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
	return l.rows.add(func(b []byte) []byte {
		return l.table.AppendRowBinary(b, row, makeRef(id, number), hash)
	})
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
	return l.listings.add(sourceRow(l.table.Name, l.set.Source, id, true))
}

// member is a record of a table whose records refer to each other.
type member struct {
	row    record.Row
	id     string
	key    [2]uint64
	v      version
	number uint32 // that it will have
	hash   record.Hash
}

// together loads records that refer to each other. A record whose target gets a new version gets one too, as its content names
// the target's ref; that goes round until nothing changes any more, which it does as each record changes once at most.
func (l *load) together() error {
	var members []*member
	byID := map[string]*member{}
	if err := l.each(nil, func(row record.Row, id, _ string, key [2]uint64, v version) error {
		m := &member{row: slices.Clone(row), id: id, key: key, v: v, number: max(v.number, 1)}
		if l.ForceUpdate && v.known {
			m.number++
		}
		l.versions.byID[key] = v
		members = append(members, m)
		byID[id] = m
		return nil
	}); err != nil {
		return err
	}
	l.resolve.own = func(id string) (string, bool) {
		if m := byID[id]; m != nil {
			return makeRef(id, m.number), true
		}
		return "", false
	}
	for changed := true; changed; {
		changed = false
		for _, m := range members {
			l.resolve.fill(m.row)
			m.hash, l.hashBuf = l.table.Hash(m.row, l.hashBuf)
			if m.v.known && m.number == m.v.number && m.hash != m.v.hash {
				m.number++
				changed = true
			}
		}
	}
	for _, m := range members {
		if m.v.known && m.number == m.v.number {
			l.result.Unchanged++
		} else if err := l.write(m.row, m.id, m.number, m.hash); err != nil {
			return err
		}
		if err := l.list(m.id, m.key, m.v); err != nil {
			return err
		}
	}
	return nil
}

// vanish notes which of the source's records were not in the set.
func (l *load) vanish(ctx context.Context) error {
	missing := 0
	for _, v := range l.versions.byID {
		if v.gone() {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	if !l.AllowShrink && l.versions.listed >= shrinkFloor && missing > l.versions.listed/2 {
		l.result.VanishedRefused = missing
		return fmt.Errorf("%d of %d records are missing from the source: they stay in force", missing, l.versions.listed)
	}
	out := l.insert(ctx, sourceTable, sourceColumns)
	err := l.eachListed(ctx, l.table.Name, l.set.Source, func(id string) {
		if l.versions.byID[l.versions.key(id)].gone() {
			l.result.Vanished++
			_ = out.add(sourceRow(l.table.Name, l.set.Source, id, false)) // close returns the error
		}
	})
	return out.close(err)
}
