package explore

import (
	"context"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// idKey is the key of an id in the context of a question.
type idKey struct{}

// WithID gives the queries of a question an id, by which Progress finds them in the store. It must be a plain word.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

func idOf(ctx context.Context) string {
	id, _ := ctx.Value(idKey{}).(string)
	return id
}

// Progress is how far the store is with a question.
type Progress struct {
	Rows  uint64 `json:"rows"`  // that it has read
	Total uint64 `json:"total"` // that it will read, about; 0: not known
}

// progressSeconds is how long the store may take to say how far it is.
const progressSeconds = 2

// Progress asks the store how far it is with the queries of an id. It is zero where the store has none.
func (e *Explorer) Progress(ctx context.Context, id string) (Progress, error) {
	var p Progress
	var params parameters
	query := Query{sql: "SELECT sum(read_rows) AS done, sum(total_rows_approx) AS total FROM system.processes " +
		"WHERE endsWith(Settings['log_comment'], " + params.text("explore "+id) + ")", params: params}
	ctx, cancel := context.WithTimeout(ctx, progressSeconds*time.Second)
	defer cancel()
	limits := settings("")
	limits["max_execution_time"] = progressSeconds
	rows, err := e.Conn.Query(chgo.Context(ctx, chgo.WithParameters(query.values()), chgo.WithSettings(limits)),
		query.sql)
	if err != nil {
		return p, err
	}
	defer rows.Close()
	return p, scanOne(rows, &p.Rows, &p.Total)
}

// scanOne reads the one row of an answer; none leaves into as it is.
func scanOne(rows driver.Rows, into ...any) error {
	if rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
	}
	return rows.Err()
}
