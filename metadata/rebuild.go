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

// rebuild makes a new snapshot, if the tables have changed, and puts it in use. Each kind of metadata stands alone: one
// whose table cannot be read, or that shrank beyond belief, is kept as it was, and the others are new.
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
	r.options.Log.Info("metadata in use", zap.Any("records", s.Stats()), zap.Duration("took", time.Since(began)))
	if file != nil {
		if err := file.commit(); err != nil {
			r.options.Log.Warn("the metadata is not kept for the next start", zap.Error(err))
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
		r.options.Log.Warn("the metadata is not kept for the next start", zap.Error(err))
		return nil
	}
	return file
}

// keepKinds makes the snapshot again, with some kinds as they are in the snapshot file of the one in use. A kind that
// the table cannot give and the file does not have is empty.
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
		return nil, file, fmt.Errorf("%s; nothing can be kept of the one in use: %w",
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

// noteKinds logs what is kept as it was, once, and has it among the problems.
func (r *Refresher) noteKinds(held, unread map[string]string) {
	if r.shrink.held = len(held) > 0; !r.shrink.held {
		r.shrink.accepted = time.Now()
	}
	for kind, why := range held {
		held[kind] = why +
			": it is kept as it was. If that is right: collector metadata load all --allow-shrink, or SIGHUP twice within ten minutes"
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

// isOfTable reports whether an error is one of a single table: it is missing, has other columns, or may not be read.
// Everything else is the server's.
func isOfTable(err error) bool {
	const unknownTable, unknownIdentifier, noSuchColumn, accessDenied, typeMismatch = 60, 47, 16, 497, 53
	var e *chgo.Exception
	return errors.As(err, &e) &&
		slices.Contains([]int32{unknownTable, unknownIdentifier, noSuchColumn, accessDenied, typeMismatch}, e.Code)
}

// state is a text that changes when a table that a snapshot is made of does.
func (d *database) state(ctx context.Context) (string, error) {
	tables := []string{sourceTable}
	for _, k := range tableKinds(&d.Settings) {
		tables = append(tables, k.Table())
	}
	var state strings.Builder
	for _, t := range tables {
		var rows uint64
		var last string
		// Merges leave fewer rows of the two tables that replace them.
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

// shrinkGuard decides whether metadata that shrank beyond belief is taken.
type shrinkGuard struct {
	held     bool      // a kind is kept as it was
	refused  bool      // a source that shrank was not believed
	allowed  time.Time // until when two hangups count
	accepted time.Time // when all kinds were last taken
	hangups  int64
	last     time.Time // hangup
}

const (
	hangupWindow = 10 * time.Minute // between two hangups
	allowedFor   = time.Minute      // after the second one
)

func (g *shrinkGuard) isAllowed(now time.Time) bool { return now.Before(g.allowed) }

// hangup notes that everything is read again. n is how many hangups there were: another configuration is none.
func (g *shrinkGuard) hangup(n int64, now time.Time) {
	if n == g.hangups {
		return
	}
	if (g.held || g.refused) && (n > g.hangups+1 || !g.last.IsZero() && now.Sub(g.last) <= hangupWindow) {
		g.allowed = now.Add(allowedFor)
	}
	g.hangups, g.last, g.refused = n, now, false
}

// allowShrink is the name under which meta_source has the operator's word that what shrank is right.
const allowShrink = "allow-shrink"

// AllowShrink has running collectors take metadata that shrank, as it is now.
func AllowShrink(ctx context.Context, conn driver.Conn, settings schema.Settings) error {
	d := newDatabase(conn, settings)
	out := d.insert(ctx, sourceTable, sourceColumns)
	return out.close(out.add("", sourceRow(allowShrink, allowShrink, "", true)))
}

// allowedByTable reports whether the operator has said so since all kinds were last taken. The server's clock tells how
// long ago.
func (g *shrinkGuard) allowedByTable(ctx context.Context, d *database) bool {
	var ago float64
	err := d.Conn.QueryRow(ctx,
		"SELECT if(count() = 0, -1, dateDiff('millisecond', max(insert_time), now64(6)) / 1000) FROM "+
			d.Name(sourceTable)+
			" WHERE table_name = "+literal(allowShrink)).Scan(&ago)
	return err == nil && ago >= 0 && !g.accepted.IsZero() && ago <= time.Since(g.accepted).Seconds()
}

// problemList is what is wrong, by what it is wrong with. It may be read at any time.
type problemList struct {
	lock sync.Mutex
	by   map[string]string
}

// set notes a problem, or with "" that there is none, and reports whether it is a new one.
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

// keep forgets the problems with a prefix of which still is false.
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
