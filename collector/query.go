package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/sqltext"
)

func queryCommand() *cli.Command {
	return &cli.Command{
		Name:      "query",
		Usage:     "run a query on the configured store and print the result",
		ArgsUsage: `"SQL"`,
		Description: `The query goes to the ClickHouse server of the configuration, or to the local store. If no
collector runs, the local store is opened for the query. INSERT, ALTER, DROP and the like are refused without --write.
Several statements have semicolons between them, and their results follow each other. Examples:

  collector query "SELECT count(), sum(packet_count) FROM data_flow"
  collector query --format JSONEachRow "SELECT * FROM data_flow LIMIT 1"
  echo "SELECT 1" | collector query -
  collector explore --by src.as --sql | collector query -
  collector query --write "ALTER TABLE data_flow DROP PARTITION '20260101'"
  collector query --rollup --by src_as_id --last 30d
  collector query --rollup --by in_interface_id --where "device_id = 'edge1'" --last 7d --step 1h`,
		Flags: append(append(configFlags(), rollupFlags()...),
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "PrettyCompactMonoBlock",
				Usage: "print the result in this ClickHouse `FORMAT`"},
			&cli.BoolFlag{Name: "write", Usage: "run statements that change data or tables too"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("rollup") {
				return runRollupQuery(ctx, c)
			}
			sql, err := queryText(c)
			if err != nil {
				return err
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			out := commandline.PlainTerminal(os.Stdout)
			if c.Bool("write") {
				return setup.Query(ctx, cfg, sql, c.String("format"), out)
			}
			if err = setup.Read(ctx, cfg, sql, c.String("format"), out); errors.Is(err, setup.ErrReadOnly) {
				return fmt.Errorf("query: %w: --write runs it", err)
			}
			return err
		},
	}
}

func runRollupQuery(ctx context.Context, c *cli.Command) error {
	if c.Args().Len() > 0 {
		return commandline.Usage("--rollup makes the query itself: give --by and --where instead of SQL")
	}
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	r := rollupQueryOf(c)
	return r.run(ctx, cfg, c.String("format"), commandline.PlainTerminal(os.Stdout), os.Stderr)
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
	if len(sqltext.Statements(sql)) == 0 {
		return "", commandline.Usage(`no query given: collector query "SELECT count() FROM data_flow"`)
	}
	return sql, nil
}
