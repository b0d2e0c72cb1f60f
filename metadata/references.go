package metadata

import (
	"context"
	"fmt"
	"strconv"

	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/metadata/tables"
)

// references holds the refs of the newest versions by id, for each table that was needed.
type references map[string]map[string]string

// resolver fills the reference columns of a table's rows.
type resolver struct {
	table *record.Table
	refs  references
	own   func(id string) (ref string, ok bool) // of the set that is being loaded, if its records refer to each other
	buf   []byte
}

// newResolver reads the refs of the tables that t refers to. They are cached until the loader writes to that table.
func (l *Loader) newResolver(ctx context.Context, t *record.Table) (*resolver, error) {
	for _, c := range t.Columns {
		if c.Target == "" || l.refs[c.Target] != nil {
			continue
		}
		byID := map[string]string{}
		if err := l.Rows(ctx, "SELECT id, n.1 FROM (SELECT toString(id) AS id, "+tables.Newest("ref, 0")+" AS n FROM "+
			l.Name(c.Target)+" GROUP BY id)",
			func(r *record.Reader) {
				id := r.Text()
				byID[id] = r.Text()
			}); err != nil {
			return nil, fmt.Errorf("read the refs of %s: %w", c.Target, err)
		}
		l.refs[c.Target] = byID
	}
	return &resolver{table: t, refs: l.refs}, nil
}

// fill sets the reference columns from the ids in the row. An id without a record gives NULL; in a list, NULL at its
// position.
func (r *resolver) fill(row record.Row) {
	for i := range r.table.Columns {
		c := &r.table.Columns[i]
		switch {
		case c.Target == "":
		case c.Kind == record.Reference:
			row[i] = r.ref(c.Target, row[r.table.Index(c.Of)])
		case c.Kind == record.ReferenceList:
			ids, _ := row[r.table.Index(c.Of)].([]string)
			refs := make([]any, len(ids))
			for n, id := range ids {
				refs[n] = r.ref(c.Target, id)
			}
			row[i] = refs
		}
	}
}

func (r *resolver) ref(target string, id any) any {
	switch id := id.(type) {
	case uint64:
		r.buf = strconv.AppendUint(r.buf[:0], id, 10)
		if ref, ok := r.refs[target][string(r.buf)]; ok {
			return ref
		}
	case string:
		if target == r.table.Name && r.own != nil {
			if ref, ok := r.own(id); ok {
				return ref
			}
		}
		if ref, ok := r.refs[target][id]; ok {
			return ref
		}
	}
	return nil
}
