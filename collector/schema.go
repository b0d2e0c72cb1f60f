package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/schema"
)

func schemaCommand() *cli.Command {
	return &cli.Command{
		Name:  "schema",
		Usage: "changes to existing tables that are yours to decide: codecs, TTLs",
		Description: `A new version may have better codecs for the columns of tables, and settings may say another TTL
than a table has. Existing tables keep what they have until you say otherwise. Without a further word the command lists
what would change, with the statements; nothing is changed.

  collector schema
  collector schema apply              # do it: new rows, and old ones as they are merged
  collector schema apply --rewrite    # and write old rows again now, partition by partition`,
		Flags: configFlags(),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() > 0 {
				return fmt.Errorf("schema takes no argument %q: apply does what the list says", c.Args().First())
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			return withOffers(ctx, cfg, func(t *offered) error { return t.list(commandline.PlainTerminal(os.Stdout)) })
		},
		Commands: []*cli.Command{rollupsCommand(), {
			Name: "apply", Usage: "do what the list says", Flags: append(configFlags(), &cli.BoolFlag{Name: "rewrite",
				Usage: "write the rows that are there again, in the new form: takes free disk of a partition's size"}),
			Action: func(ctx context.Context, c *cli.Command) error {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return withOffers(ctx, cfg, func(t *offered) error {
					return t.apply(ctx, c.Bool("rewrite"), os.Stdout)
				})
			},
		}},
	}
}

// offered is what could be changed in the tables of a server.
type offered struct {
	conn     driver.Conn
	settings schema.Settings
	offers   []schema.Offer
	sizes    map[string]schema.Size // by table
}

func withOffers(ctx context.Context, cfg *config.Config, use func(*offered) error) error {
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	t := &offered{conn: conn, settings: settings, sizes: map[string]schema.Size{}}
	if t.offers, err = schema.Offers(ctx, conn, settings); err != nil {
		return err
	}
	for _, o := range t.offers {
		if t.sizes[o.Table], err = schema.SizeOf(ctx, conn, &settings, o.Table); err != nil {
			return err
		}
	}
	return use(t)
}

func (t *offered) list(out io.Writer) error {
	for _, o := range t.offers {
		size := t.sizes[o.Table]
		fmt.Fprintf(out, "table %s (%s, %d MB): %s\n  %s;\n", o.Table, commandline.Count(size.Rows, "row"),
			size.Bytes>>20,
			o.Line, o.Statement)
	}
	if len(t.offers) == 0 {
		fmt.Fprintln(out, "nothing: all tables are as the settings would make them")
		return nil
	}
	fmt.Fprintln(out, "Nothing was changed. To do it: collector schema apply")
	return nil
}

func (t *offered) apply(ctx context.Context, rewrite bool, out io.Writer) error {
	if len(t.offers) == 0 {
		return t.list(out)
	}
	for _, o := range t.offers {
		if err := schema.Accept(ctx, t.conn, &t.settings, o); err != nil {
			return err
		}
		fmt.Fprintf(out, "table %s: %s\n", o.Table, o.Line)
		if rewrite && o.Rewrites {
			if err := t.rewrite(ctx, o.Table, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite takes the oldest partition first: today's, which grows, is the last.
func (t *offered) rewrite(ctx context.Context, table string, out io.Writer) error {
	before := t.sizes[table]
	for i, partition := range before.Partitions {
		started := time.Now()
		if err := schema.Rewrite(ctx, t.conn, &t.settings, table, partition); err != nil {
			return err
		}
		fmt.Fprintf(out, "  partition %s rewritten in %s (%d of %d)\n", partition,
			time.Since(started).Round(time.Second), i+1, len(before.Partitions))
	}
	after, err := schema.SizeOf(ctx, t.conn, &t.settings, table)
	if err != nil || after.Rows == 0 || before.Rows == 0 {
		return err
	}
	fmt.Fprintf(out, "  %d MB instead of %d: %.1f bytes a row instead of %.1f\n", after.Bytes>>20, before.Bytes>>20,
		float64(after.Bytes)/float64(after.Rows), float64(before.Bytes)/float64(before.Rows))
	return nil
}
