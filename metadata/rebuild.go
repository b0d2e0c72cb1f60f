package metadata

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/schema"
)

// rebuild builds a new snapshot, if the tables have changed, and puts it in use. Kinds of metadata are independent: one
// whose table cannot be read, or that shrank implausibly, stays as it was, and the others are new.
func (r *Refresher) rebuild(ctx context.Context) error {
	d := newDatabase(r.options.Conn, r.options.Settings)
	state, err := d.state(ctx)
	if err != nil {
		return err
	}
	allowed := r.shrink.isAllowed(time.Now()) || r.shrink.allowedByTable(ctx, d)
	if state == r.state && !(allowed && r.shrink.held) {
		r.current.Store(time.Now().Unix())
		return nil
	}
	began := time.Now()
	b := enrich.NewBuilder()
	to := &source.Target{Builder: b}
	file := r.createFile()
	if file != nil {
		defer file.abandon()
		to.File = &file.Encoder
	}
	unread, err := d.feed(ctx, to)
	if err != nil {
		return err
	}
	s, err := b.Build()
	if err != nil {
		return err
	}
	old := r.options.Snapshot.Load()
	held := map[string]string{}
	if !allowed {
		held = shrunk(old, s, &r.options.Settings)
	}
	maps.DeleteFunc(held, func(kind, _ string) bool { return unread[kind] != "" })
	if len(held)+len(unread) > 0 {
		if s, file, err = r.keepKinds(s, file, held, unread); err != nil {
			return err
		}
		if file != nil {
			defer file.abandon()
		}
	}
	r.noteKinds(held, unread)
	r.options.Snapshot.Store(s)
	r.state = state
	r.current.Store(time.Now().Unix())
	r.reloadDictionaries(ctx)
	r.options.Log.Info("loaded", zap.Any("records", s.Stats()), zap.Duration("took", time.Since(began)))
	if file != nil {
		if err := file.commit(); err != nil {
			r.options.Log.Warn("the metadata is not saved for the next start", zap.Error(err))
		}
	}
	releaseMemory()
	return nil
}

func (r *Refresher) createFile() *snapshotWriter {
	if r.options.File == "" {
		return nil
	}
	file, err := createSnapshotFile(r.options.File)
	if err != nil {
		r.options.Log.Warn("the metadata is not saved for the next start", zap.Error(err))
		return nil
	}
	return file
}

// keepKinds builds the snapshot again with some kinds taken from the snapshot file of the one in use. A kind that
// neither the table nor the file has is empty.
func (r *Refresher) keepKinds(fresh *enrich.Snapshot, file *snapshotWriter, held,
	unread map[string]string) (*enrich.Snapshot, *snapshotWriter, error) {
	old, oldErr := "", errors.New("there is no snapshot file")
	if r.options.File != "" {
		old, oldErr = readAll(r.options.File)
	}
	if oldErr != nil || file == nil {
		if len(held) == 0 {
			return fresh, file, nil
		}
		return nil, file, fmt.Errorf("%s; nothing of the metadata in use can be kept: %w",
			strings.Join(sortedValues(held), "; "), oldErr)
	}
	if err := file.finish(); err != nil {
		return nil, file, fmt.Errorf("write %s: %w", file.file.Name(), err)
	}
	data, err := readAll(file.file.Name())
	if err != nil {
		return nil, file, err
	}
	isKept := func(kind string) bool { return held[kind] != "" || unread[kind] != "" }
	b := enrich.NewBuilder()
	to := source.Target{Builder: b}
	merged := r.createFile()
	if merged != nil {
		to.File = &merged.Encoder
	}
	isNew, kept := to, to
	isNew.Want, kept.Want = func(kind string) bool { return !isKept(kind) }, isKept
	if err := readSnapshot(data, &isNew); err != nil {
		return nil, merged, err
	}
	if err := readSnapshot(old, &kept); err != nil && len(held) > 0 {
		return nil, merged, fmt.Errorf("%s; %s: %w", strings.Join(sortedValues(held), "; "), r.options.File, err)
	}
	s, err := b.Build()
	return s, merged, err
}

// noteKinds logs once which kinds stay as they were, and adds them to the problems.
func (r *Refresher) noteKinds(held, unread map[string]string) {
	if r.shrink.held = len(held) > 0; !r.shrink.held {
		r.shrink.accepted = time.Now()
	}
	for kind, why := range held {
		held[kind] = why +
			": it stays as it was. If the new one is right: collector metadata load all --allow-shrink, or SIGHUP " +
			"twice within ten minutes"
	}
	for _, kinds := range []map[string]string{held, unread} {
		for kind, why := range kinds {
			if r.problems.set("kind "+kind, why) {
				r.options.Log.Warn("a kind of metadata stays as it was, the others are new", zap.String("kind", kind),
					zap.String("why", why))
			}
		}
	}
	r.problems.keep("kind ", func(kind string) bool { return held[kind] != "" || unread[kind] != "" })
}

// isOfTable reports whether an error is about a single table: it is missing, has other columns, or may not be read. All
// other errors are the server's.
func isOfTable(err error) bool {
	const unknownTable, unknownIdentifier, noSuchColumn, accessDenied, typeMismatch = 60, 47, 16, 497, 53
	var e *chgo.Exception
	return errors.As(err, &e) &&
		slices.Contains([]int32{unknownTable, unknownIdentifier, noSuchColumn, accessDenied, typeMismatch}, e.Code)
}

// state returns a text that changes when a table of the snapshot does.
func (d *database) state(ctx context.Context) (string, error) {
	tables := []string{sourceTable}
	for _, k := range tableKinds(&d.Settings) {
		tables = append(tables, k.Table())
	}
	var state strings.Builder
	for _, t := range tables {
		var rows uint64
		var last string
		// The row count of the two replacing tables falls with merges, so it is not used.
		count, from := "count()", d.Name(t)
		switch t {
		case sourceTable: // its time has microseconds
			count = "toUInt64(0)"
		case record.Application:
			from += " FINAL"
		}
		err := d.Conn.QueryRow(ctx, "SELECT "+count+", toString(max(insert_time)) FROM "+from).Scan(&rows, &last)
		if err != nil && !isOfTable(err) {
			return "", fmt.Errorf("look at %s: %w", t, err)
		}
		if err != nil {
			last = "cannot be read"
		}
		fmt.Fprintln(&state, t, rows, last)
	}
	return state.String(), nil
}

// shrinkGuard decides whether metadata that shrank implausibly is accepted.
type shrinkGuard struct {
	held     bool      // a kind stays as it was
	refused  bool      // a source that shrank was rejected
	allowed  time.Time // shrinking is accepted until then
	accepted time.Time // when all kinds were last accepted
	hangups  int64
	last     time.Time // the previous hangup
}

const (
	hangupWindow = 10 * time.Minute // between the two hangups
	allowedFor   = time.Minute      // after the second hangup
)

func (g *shrinkGuard) isAllowed(now time.Time) bool { return now.Before(g.allowed) }

// hangup notes that everything is read again. n is the number of hangups so far; it does not change if the cause is a
// new configuration.
func (g *shrinkGuard) hangup(n int64, now time.Time) {
	if n == g.hangups {
		return
	}
	if (g.held || g.refused) && (n > g.hangups+1 || !g.last.IsZero() && now.Sub(g.last) <= hangupWindow) {
		g.allowed = now.Add(allowedFor)
	}
	g.hangups, g.last, g.refused = n, now, false
}

// allowShrink is the name in meta_source of the operator's permission to shrink.
const allowShrink = "allow-shrink"

// AllowShrink makes running collectors accept metadata that shrank, as it is now.
func AllowShrink(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := newDatabase(conn, settings)
	out := d.insert(ctx, sourceTable, sourceColumns)
	return out.close(out.add("", sourceRow(allowShrink, allowShrink, "", true)))
}

// allowedByTable reports whether the operator has permitted shrinking since all kinds were last accepted. Ages are
// measured by the server's clock.
func (g *shrinkGuard) allowedByTable(ctx context.Context, d *database) bool {
	var ago float64
	err := d.Conn.QueryRow(ctx,
		"SELECT if(count() = 0, -1, dateDiff('millisecond', max(insert_time), now64(6)) / 1000) FROM "+
			d.Name(sourceTable)+
			" WHERE table_name = "+literal(allowShrink)).Scan(&ago)
	return err == nil && ago >= 0 && !g.accepted.IsZero() && ago <= time.Since(g.accepted).Seconds()
}

// problemList holds the current problems, by what they are about. It is safe for concurrent use.
type problemList struct {
	lock sync.Mutex
	by   map[string]string
}

// set notes a problem, or "" for none, and reports whether it is new.
func (p *problemList) set(of, problem string) bool {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.by == nil {
		p.by = map[string]string{}
	}
	changed := p.by[of] != problem
	if problem == "" {
		delete(p.by, of)
	} else {
		p.by[of] = problem
	}
	return changed && problem != ""
}

// keep removes problems with a prefix, unless still is true for them.
func (p *problemList) keep(prefix string, still func(name string) bool) {
	p.lock.Lock()
	defer p.lock.Unlock()
	for of := range p.by {
		if name, ok := strings.CutPrefix(of, prefix); ok && !still(name) {
			delete(p.by, of)
		}
	}
}

func (p *problemList) lines() []string {
	p.lock.Lock()
	defer p.lock.Unlock()
	return sortedValues(p.by)
}

func sortedValues(m map[string]string) []string {
	var all []string
	for _, v := range m {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}
