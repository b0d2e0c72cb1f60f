package explore

import (
	"context"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// idKey is the context key of the id that WithID sets.
type idKey struct{}

// WithID sets the id of the queries of a question, by which Progress finds them in the store. It may have letters and
// digits only.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

func idOf(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// Progress says how much of a question's data the store has read.
type Progress struct {
	Rows  uint64 `json:"rows"`  // rows read so far
	Total uint64 `json:"total"` // estimate of the rows to be read; 0: not known
}

// progressSeconds limits how long the store may take to report progress.
const progressSeconds = 2

// Progress asks the store for the progress of the queries with an id. It is zero if no such query runs.
func (e *Explorer) Progress(ctx context.Context, id string) (Progress, error) {
	var p Progress
	var params parameters
	query := Query{sql: "SELECT sum(read_rows) AS done, sum(total_rows_approx) AS total FROM system.processes " +
		"WHERE endsWith(Settings['log_comment'], " + params.text("explore "+id) + ")", params: params}
	ctx, cancel := context.WithTimeout(ctx, progressSeconds*time.Second)
	defer cancel()
	limits := e.limits("")
	limits["max_execution_time"] = progressSeconds
	err := e.runWithin(ctx, limits, &query, func(rows driver.Rows) error { return rows.Scan(&p.Rows, &p.Total) })
	return p, err
}
