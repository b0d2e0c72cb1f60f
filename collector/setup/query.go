package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/metranova/flow-collector/collector/config"
)

// formatClause is the end of a query that says its format itself, as clickhouse-client's users are used to.
var formatClause = regexp.MustCompile(`(?is)\sFORMAT\s+(\w+)$`)

// queryClient is the name of connections for queries of people: unlike the collector's own, they are bounded.
const queryClient = "flow-collector-query"

// Query runs a query and writes its result.
func Query(ctx context.Context, cfg *config.Config, sql, format string, out io.Writer) (err error) {
	if clause := formatClause.FindStringSubmatchIndex(sql); clause != nil {
		format, sql = sql[clause[2]:clause[3]], sql[:clause[0]]
	}
	conn, done, err := openAs(ctx, cfg, queryClient)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	settings := chgo.WithSettings(chgo.Settings{"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0})
	result, err := conn.QueryFormat(chgo.Context(ctx, settings), format, sql)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer result.Close()
	last := &lastByte{Writer: out}
	if _, err := io.Copy(last, result); err != nil {
		return fmt.Errorf("query: reading the result: %w", err)
	}
	if last.b != '\n' && strings.HasPrefix(format, "Pretty") {
		fmt.Fprintln(out) // for the prompt behind a table
	}
	return nil
}

// lastByte remembers the last byte written.
type lastByte struct {
	io.Writer
	b byte
}

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.b = p[len(p)-1]
	}
	return l.Writer.Write(p)
}
