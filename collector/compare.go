package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/compare"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/kafka"
)

// comparison is what `collector compare` was asked for.
type comparison struct {
	files          []string // of pmacct's messages; "-" is standard input
	topic          string   // or the Kafka topic that has them
	table          string   // or a table with data_flow's columns
	tableCollector string   // only rows of this collector_id of it
	collector      string   // only our rows of this collector_id
	from, to       time.Time
	partial        bool
	by             compare.By
	devices        map[string]string // names of theirs that are others here
	most           int
	format         string
}

func compareCommand() *cli.Command {
	return &cli.Command{
		Name:      "compare",
		Usage:     "compare this collector's rows with pmacct's messages or with another table, minute by minute",
		ArgsUsage: "[FILE...]",
		Description: `Run both for a while, with the same exporters sending to both (see forward in the configuration),
then ask what differs. It adds up packets and bytes by exporter, interfaces and minute on both sides, prints where they
differ, and what is likely behind it. FILE holds pmacct's JSON messages, as its print plugin writes them; - is standard
input. A topic is read from the brokers of the configuration (KAFKA_BOOTSTRAP_SERVERS and the others), in no consumer
group: nobody notices. Examples:

  collector compare flows.json
  collector compare --env-file conf/envs/data_flow.env --topic metranova_flow --last 15m
  collector compare flows.json --by total
  collector compare flows.json --device 127.0.0.1=core1
  collector compare --table metranova.data_flow --table-collector old --collector new --last 1h

Without --from, --to and --last the period is that of FILE, whose first and last minute may be in parts. Exit status 0:
no difference, or only what this collector does better on purpose; 1: there are others.`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "topic", Usage: "compare with the messages in this Kafka `TOPIC`"},
			&cli.StringFlag{Name: "table",
				Usage: "compare with the rows of this `TABLE` ([database.]name) instead of a file"},
			&cli.StringFlag{Name: "table-collector", Usage: "of that table, only rows with this collector `ID`"},
			&cli.StringFlag{Name: "collector", Usage: "of this collector's table, only rows with this collector `ID`"},
			&cli.StringFlag{Name: "from", Usage: "begin at `TIME` (UTC, 2026-01-31 15:04, or RFC 3339)"},
			&cli.StringFlag{Name: "to", Usage: "end before `TIME`"},
			&cli.DurationFlag{Name: "last", Usage: "the `DURATION` up to two minutes ago", HideDefault: true},
			&cli.StringFlag{Name: "by", Value: string(compare.ByInterface),
				Usage: "add up by `WHAT`: total, source (address of the flows), exporter or interface"},
			&cli.StringSliceFlag{Name: "device",
				Usage: "`THEIRS=OURS`: an exporter's name on the other side, and here; may be given several times"},
			&cli.IntFlag{Name: "most", Value: 40, Usage: "print at most `N` differences; 0: all"},
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table",
				Usage: "`FORMAT`: table, or json for a line each"},
		),
		Action: func(ctx context.Context, c *cli.Command) error {
			o, err := comparisonOf(c, time.Now())
			if err != nil {
				return err
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			report, err := o.run(ctx, cfg)
			if err != nil {
				return err
			}
			if err := o.print(report, commandline.PlainTerminal(os.Stdout)); err != nil {
				return err
			}
			if report.Unexplained() > 0 {
				return errReported
			}
			return nil
		},
	}
}

// settled is how old a minute has to be before both sides have all of it: pmacct writes every 30 seconds.
const settled = 2 * time.Minute

// comparisonOf reads the flags.
func comparisonOf(c *cli.Command, now time.Time) (*comparison, error) {
	o := &comparison{
		files: c.Args().Slice(), topic: c.String("topic"), table: c.String("table"),
		tableCollector: c.String("table-collector"), collector: c.String("collector"),
		most: c.Int("most"), format: c.String("format"),
	}
	given := 0
	for _, is := range []bool{o.table != "", o.topic != "", len(o.files) > 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil,
			commandline.Usage("compare with what? give either files of pmacct's messages, or --topic, or --table")
	}
	o.by, o.devices = compare.By(c.String("by")), map[string]string{}
	if !slices.Contains([]compare.By{compare.ByTotal, compare.ByExporter, compare.ByInterface, compare.BySource},
		o.by) {
		return nil, commandline.Usage("--by %s: total, source, exporter or interface", o.by)
	}
	for _, pair := range c.StringSlice("device") {
		theirs, ours, found := strings.Cut(pair, "=")
		if !found || theirs == "" || ours == "" {
			return nil, commandline.Usage("--device %s: THEIRS=OURS", pair)
		}
		o.devices[theirs] = ours
	}
	if o.format != "table" && o.format != "json" {
		return nil, commandline.Usage("--format %s: table or json", o.format)
	}
	for _, t := range []struct {
		flag string
		to   *time.Time
	}{{"from", &o.from}, {"to", &o.to}} {
		if err := parseTime(c.String(t.flag), t.to); err != nil {
			return nil, fmt.Errorf("--%s: %w", t.flag, err)
		}
	}
	if last := c.Duration("last"); last > 0 {
		o.to = now.UTC().Add(-settled).Truncate(time.Minute)
		o.from = o.to.Add(-last).Truncate(time.Minute)
	}
	switch {
	case o.table != "" && (o.from.IsZero() || o.to.IsZero()):
		return nil, commandline.Usage("--table needs a period: --from and --to, or --last")
	case o.topic != "" && o.from.IsZero():
		return nil, commandline.Usage("--topic needs a period: --from, or --last")
	case !o.from.IsZero() && !o.to.IsZero() && !o.from.Before(o.to):
		return nil, commandline.Usage("--from %s is not before --to %s", o.from.Format(time.DateTime),
			o.to.Format(time.DateTime))
	}
	return o, nil
}

// parseTime reads a time of a flag; "" leaves it unset.
func parseTime(text string, to *time.Time) error {
	if text == "" {
		return nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			*to = t.UTC().Truncate(time.Minute)
			return nil
		}
	}
	return fmt.Errorf("%q is no time such as %q", text, "2026-01-31 15:04")
}

// run reads both sides and compares them.
func (o *comparison) run(ctx context.Context, cfg *config.Config) (*compare.Report, error) {
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	theirs := compare.NewAccount(cmp.Or(o.table, "pmacct"))
	theirs.By = o.by
	if o.table != "" {
		err = theirs.AddRows(ctx, conn, o.rows(compare.QuoteTable(o.table), o.tableCollector))
	} else {
		var snapshot *enrich.Snapshot
		if snapshot, err = metadata.BuildFromTables(ctx, conn, settings); err == nil {
			err = o.addMessages(ctx, cfg, theirs, snapshot)
		}
	}
	if err != nil {
		return nil, err
	}
	ours := compare.NewAccount("this collector")
	ours.By = o.by
	if err := ours.AddRows(ctx, conn, o.rows(compare.QuoteTable(settings.Database+"."+settings.Tables.Flow),
		o.collector)); err != nil {
		return nil, err
	}
	theirs.Regroup(o.by, o.devices)
	ours.Regroup(o.by, nil)
	return &compare.Report{
		Theirs: theirs, Ours: ours, From: o.from, To: o.to,
		Differences: compare.Compare(theirs, ours, compare.Options{From: o.from, To: o.to, Partial: o.partial}),
	}, nil
}

// addMessages reads pmacct's messages and makes the period that of the flows in them, where it is not narrower.
func (o *comparison) addMessages(ctx context.Context, cfg *config.Config, theirs *compare.Account,
	snapshot *enrich.Snapshot) error {
	for _, path := range o.files {
		if err := addFile(path, func(in io.Reader) error { return theirs.AddMessages(in, snapshot) }); err != nil {
			return err
		}
	}
	where := strings.Join(o.files, ", ")
	if o.topic != "" {
		options := setup.Kafka(cfg, zap.NewNop())
		options.Topic = o.topic
		// A flow comes into the topic after it has begun, so nothing of the period lies before it.
		if err := kafka.Read(ctx, options, o.from, func(m []byte) { theirs.AddMessage(m, snapshot) }); err != nil {
			return err
		}
		where = "topic " + o.topic
	}
	from, to, ok := theirs.Period()
	if !ok {
		return fmt.Errorf("no flow in the messages of %s", where)
	}
	o.partial = o.from.IsZero() || o.to.IsZero()
	o.from, o.to = later(o.from, from), earlier(o.to, to)
	return nil
}

// rows are those of the period and the minutes around it, where flows at its edges may be.
func (o *comparison) rows(table, collector string) compare.Rows {
	return compare.Rows{Table: table, Collector: collector, From: o.from.Add(-time.Minute), To: o.to.Add(time.Minute)}
}

func (o *comparison) print(r *compare.Report, out io.Writer) error {
	if o.format == "json" {
		return r.PrintJSON(out)
	}
	r.Print(out, o.most)
	return nil
}

// addFile reads a file, or standard input for "-".
func addFile(path string, read func(io.Reader) error) error {
	if path == "-" {
		if err := read(os.Stdin); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := read(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// later is the later of two times, a zero one not counted; earlier likewise.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
