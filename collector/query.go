package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/clickhouse"
)

func queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "run a query on the configured store and print the result",
		ArgsUsage: `"SQL"`,
		Description: `The query goes to the ClickHouse server of the configuration, or to the local store. If no collector runs, the local
store is opened for the query. Examples:

  collector query "SELECT count(), sum(packet_count) FROM data_flow"
  collector query -format JSONEachRow "SELECT * FROM data_flow LIMIT 1"
  echo "SELECT 1" | collector query -`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "PrettyCompactMonoBlock",
				Usage: "print the result in this ClickHouse `FORMAT`"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			sql, err := queryText(c)
			if err != nil {
				return err
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			return runQuery(ctx, cfg, sql, c.String("format"), os.Stdout)
		},
	}
}

// queryText is the argument, or what comes on standard input for "-".
func queryText(c *cli.Command) (string, error) {
	sql := strings.Join(c.Args().Slice(), " ")
	if sql == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return "", fmt.Errorf("read the query: %w", err)
		}
		sql = string(text)
	}
	sql = strings.TrimRight(strings.TrimSpace(sql), ";")
	if sql == "" {
		return "", commandline.Usage(`no query given: collector query "SELECT count() FROM data_flow"`)
	}
	return sql, nil
}

// formatClause is the end of a query that says its format itself, as clickhouse-client's users are used to.
var formatClause = regexp.MustCompile(`(?is)\sFORMAT\s+(\w+)$`)

func runQuery(ctx context.Context, cfg *config.Config, sql, format string, out io.Writer) (err error) {
	if clause := formatClause.FindStringSubmatchIndex(sql); clause != nil {
		format, sql = sql[clause[2]:clause[3]], sql[:clause[0]]
	}
	conn, done, err := openForQuery(ctx, cfg)
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

// openForQuery connects to what is there: nothing is created. The local store is started where it is configured and
// nothing answers in its place; done ends both.
func openForQuery(ctx context.Context, cfg *config.Config) (conn driver.Conn, done func() error, err error) {
	if cfg.UsesLocalStore() && !answers(cfg.Store.Listen) {
		if _, err := os.Stat(cfg.Store.Path); err != nil {
			return nil, nil, fmt.Errorf("no store answers at %s and there is none in %s: is the collector running?",
				cfg.Store.Listen, cfg.Store.Path)
		}
	}
	stop, err := openStoreIfAlone(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	o := connection(cfg)
	o.CreateDatabase = false
	if conn, err = clickhouse.Open(ctx, o); err != nil {
		stop()
		return nil, nil, err
	}
	return conn, func() error {
		defer stop()
		return conn.Close()
	}, nil
}

// openStoreIfAlone starts the local store where it is configured and nothing answers in its place.
func openStoreIfAlone(ctx context.Context, cfg *config.Config) (stop func(), err error) {
	if !cfg.UsesLocalStore() || answers(cfg.Store.Listen) {
		return func() {}, nil
	}
	s, err := startStore(ctx, cfg, newLog("error"), false)
	if err != nil {
		return nil, err
	}
	return s.Stop, nil
}

func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
