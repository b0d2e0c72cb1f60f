package layouts

import (
	"context"
	"slices"

	"github.com/metranova/flow-collector/sink/schema"
)

// WithRollups is the default layout with some sets of flow.rollups.
func WithRollups(name string, sets ...string) Layout {
	l := Default()
	l.Name, l.Rollups = name, sets
	return l
}

// rolledUp are the tables of the layout's rollups.
func (l *Layout) rolledUp() []string {
	var all []string
	for _, r := range schema.RollupSets() {
		if slices.Contains(l.Rollups, r.Name) || slices.Contains(l.Rollups, schema.AllRollups) {
			for _, step := range r.Steps {
				all = append(all, r.Table(step))
			}
		}
	}
	return all
}

// rolled returns how many rows of data_flow one row of each table stands for.
func (r *run) rolled(ctx context.Context, l Layout, rows int) (map[string]float64, error) {
	all := map[string]float64{}
	for _, table := range l.rolledUp() {
		size, err := r.size(ctx, table)
		if err != nil {
			return nil, err
		}
		all[table] = float64(rows) / float64(max(size.rows, 1))
	}
	return all, nil
}

// drop drops the table, its rollups and their views.
func (r *run) drop(ctx context.Context, table string, l Layout) error {
	for _, rollup := range l.rolledUp() {
		for _, name := range []string{rollup + "_mv", rollup} {
			if _, err := r.store.Read(ctx, "DROP TABLE "+name+" SYNC"); err != nil {
				return err
			}
		}
	}
	_, err := r.store.Read(ctx, "DROP TABLE "+table+" SYNC")
	return err
}
