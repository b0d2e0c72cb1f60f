package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/sqltext"
)

// formatClause matches the end of a query that has a FORMAT clause, as users of clickhouse-client write it.
var formatClause = regexp.MustCompile(`(?is)\sFORMAT\s+(\w+)$`)

// queryClient is the client name for people's queries: unlike the collector's own, these are limited.
const queryClient = "flow-collector-query"

// Query runs any statement, or several with semicolons between, and writes their results. It ends at the first one that
// fails.
func Query(ctx context.Context, cfg *config.Config, sql, format string, out io.Writer) error {
	return query(ctx, cfg, sql, format, false, out)
}

// ErrReadOnly is what Read returns for a statement that changes something.
var ErrReadOnly = errors.New("the statement changes data or tables, and queries only read")

// Read is Query for statements that change nothing. It ends with ErrReadOnly at the first other one, which has no
// effect.
func Read(ctx context.Context, cfg *config.Config, sql, format string, out io.Writer) error {
	err := query(ctx, cfg, sql, format, true, out)
	if err != nil && isReadOnly(err) {
		return ErrReadOnly
	}
	return err
}

// isReadOnly reports whether a server refused to change something: READONLY.
func isReadOnly(err error) bool {
	var exception *proto.Exception
	return errors.As(err, &exception) && exception.Code == 164 || strings.Contains(err.Error(), "ode: 164")
}

func query(ctx context.Context, cfg *config.Config, sql, format string, reads bool, out io.Writer) (err error) {
	conn, done, err := openAs(ctx, cfg, queryClient)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	ctx = chgo.Context(ctx, chgo.WithSettings(querySettings(ctx, conn, reads)))
	all := sqltext.Statements(sql)
	for i, one := range all {
		if err := statement(ctx, conn, one, format, i > 0, out); err != nil {
			if len(all) > 1 {
				return fmt.Errorf("query: statement %d of %d: %w", i+1, len(all), err)
			}
			return fmt.Errorf("query: %w", err)
		}
	}
	return nil
}

// querySettings are the settings of people's statements. A user of the server with readonly = 1 may send none, and
// changes nothing anyway. The server is asked for that: the error of a statement does not tell, since who writes the
// statement chooses its error.
func querySettings(ctx context.Context, conn driver.Conn, reads bool) chgo.Settings {
	with := chgo.Settings{"output_format_pretty_color": 0, "output_format_pretty_row_numbers": 0}
	if !reads {
		return with
	}
	var level string
	err := conn.QueryRow(ctx, "SELECT toString(getSetting('readonly'))").Scan(&level)
	if err == nil && level == "1" {
		return nil
	}
	with["readonly"] = 2 // settings may be changed, but for this one
	return with
}

// statement runs one statement and writes its result; below another result with an empty line between, if it is for
// people.
func statement(ctx context.Context, conn driver.Conn, sql, format string, below bool, out io.Writer) error {
	if clause := formatClause.FindStringSubmatchIndex(sql); clause != nil {
		format, sql = sql[clause[2]:clause[3]], sql[:clause[0]]
	}
	forPeople := strings.HasPrefix(format, "Pretty")
	if forPeople { // programs get what the table has
		sql = plainAddresses(ctx, conn, sql)
		out = commandline.Plain(out) // names come from exporters and feeds
	}
	result, err := conn.QueryFormat(ctx, format, sql)
	if err != nil {
		return err
	}
	defer result.Close()
	if below && forPeople {
		fmt.Fprintln(out)
	}
	last := &lastByte{Writer: out}
	if _, err := io.Copy(last, result); err != nil {
		return fmt.Errorf("reading the result: %w", err)
	}
	if last.b != '\n' && forPeople {
		fmt.Fprintln(out) // for the prompt after a table
	}
	return nil
}

var (
	isSelect = regexp.MustCompile(`(?is)^\s*(SELECT|WITH|\()`)
	// besides are what a query has beside its rows, which it would lose as a part of another.
	besides = regexp.MustCompile(`(?is)\b(WITH\s+TOTALS|extremes|INTO\s+OUTFILE)\b`)
)

// plainAddresses has a query's columns of addresses print IPv4 as 192.0.2.7 instead of ::ffff:192.0.2.7. A query that
// cannot be described, or that has two columns of one name, stays as it is.
func plainAddresses(ctx context.Context, conn driver.Conn, sql string) string {
	if !isSelect.MatchString(sql) || besides.MatchString(sql) {
		return sql
	}
	rows, err := conn.Query(ctx, "DESCRIBE TABLE (\n"+sql+"\n)")
	if err != nil {
		return sql // the query itself says what is wrong with it
	}
	defer rows.Close()
	var plain []string
	seen := map[string]bool{}
	for rows.Next() {
		var name, typ string
		others := make([]any, len(rows.Columns())-2)
		for i := range others {
			others[i] = new(string)
		}
		if rows.Scan(append([]any{&name, &typ}, others...)...) != nil || seen[name] {
			return sql
		}
		seen[name] = true
		if typ == "IPv6" || typ == "Nullable(IPv6)" {
			column := sqltext.Name(name)
			plain = append(plain, "replaceRegexpOne(toString("+column+"), '^::ffff:([0-9.]+)$', '\\\\1') AS "+column)
		}
	}
	if rows.Err() != nil || len(plain) == 0 {
		return sql
	}
	return "SELECT * REPLACE (" + strings.Join(plain, ", ") + ") FROM (\n" + sql + "\n)"
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
