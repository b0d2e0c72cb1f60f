package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
)

func quarantineCommand() *cli.Command {
	return &cli.Command{
		Name:  "quarantine",
		Usage: "rows that the server refuses: list them, look at them, insert them after all",
		Description: `Rows that ClickHouse refuses for good do not hold up others: they are kept in a directory
(quarantine.path), with the reason. Without a further word the command lists what is there.

  collector quarantine
  collector quarantine show quarantine/2026-11-24-1f3a9c52-1 | less
  collector quarantine insert quarantine/2026-11-24-1f3a9c52-1
  collector quarantine show quarantine/2026-11-24-1f3a9c52-1 > rows.jsonl    # to be edited, then:
  curl 'http://127.0.0.1:8123/?query=INSERT+INTO+data_flow+FORMAT+JSONEachRow' --data-binary @rows.jsonl`,
		Flags: configFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Len() > 0 {
				return commandline.Usage("quarantine takes no argument %q: show and insert do", c.Args().First())
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			return listQuarantine(cfg.Quarantine.Path, commandline.PlainTerminal(os.Stdout))
		},
		Commands: []*cli.Command{{
			Name: "show", Usage: "print the rows as JSON, a line each", ArgsUsage: "FILE...", Flags: configFlags(),
			Action: func(_ context.Context, c *cli.Command) error {
				return showQuarantine(c.Args().Slice(), commandline.PlainTerminal(os.Stdout))
			},
		}, {
			Name: "insert", Usage: "insert the rows again, and delete the files of which all rows went in",
			ArgsUsage: "FILE...",
			Description: `For when the table, the constraint or the view has been fixed. The collector may run
meanwhile, and an insert that failed or was interrupted can be repeated: what went in is not sent again. Rows that were
sent without an answer may be stored: they are sent again within 15 minutes, while the tables recognize them
(clickhouse.deduplication_window), and later only with --again.`,
			Flags: append(configFlags(), &cli.BoolFlag{Name: "again",
				Usage: "send rows again that may be stored already"}),
			Action: func(ctx context.Context, c *cli.Command) error {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return insertQuarantine(ctx, cfg, c.Args().Slice(), c.Bool("again"),
					commandline.PlainTerminal(os.Stdout))
			},
		}},
	}
}

func listQuarantine(dir string, out io.Writer) error {
	files, unreadable := quarantine.Read(dir)
	if len(files) == 0 && unreadable == nil {
		_, err := fmt.Fprintf(out, "nothing is in quarantine (%s)\n", dir)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "file\tfirst\tlast\trows\treason\texporters\terror")
	for _, f := range files {
		for _, g := range groups(f.Records) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", f.Name, g.first.Format(time.DateTime),
				g.last.Format(time.DateTime),
				g.rows, g.reason, strings.Join(g.exporters, " "), g.text)
		}
	}
	return errors.Join(table.Flush(), unreadable)
}

// group are records of one reason.
type group struct {
	reason, text string
	code         int
	first, last  time.Time
	rows         int
	exporters    []string
}

// groups adds up the records of a file that have the same reason and error code; the text is the first one's.
func groups(records []quarantine.Record) []*group {
	var all []*group
	for _, r := range records {
		var g *group
		for _, known := range all {
			if known.reason == r.Reason && known.code == r.Code {
				g = known
			}
		}
		if g == nil {
			text, _, _ := strings.Cut(r.Error, "\n")
			g = &group{reason: r.Reason, code: r.Code, text: shorten(text, 160), first: r.Time}
			all = append(all, g)
		}
		g.rows += r.Rows
		g.last = r.Time
		g.exporters = addMissing(g.exporters, r.Exporters)
	}
	return all
}

// mostExporters are named on a line.
const mostExporters = 3

func addMissing(list, more []string) []string {
	for _, name := range more {
		known := len(list) > mostExporters
		for _, other := range list {
			known = known || other == name
		}
		if known {
			continue
		}
		if len(list) == mostExporters {
			name = "…"
		}
		list = append(list, name)
	}
	return list
}

func shorten(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// eachPair calls do for every pair of files that is named, by either of them or both.
func eachPair(names []string, do func(name string) error) error {
	if len(names) == 0 {
		return commandline.Usage("no file given: `collector quarantine` lists them")
	}
	done := map[string]bool{}
	for _, name := range names {
		base := quarantine.Base(filepath.Clean(name))
		if done[base] {
			continue
		}
		done[base] = true
		if err := do(base); err != nil {
			return err
		}
	}
	return nil
}

func showQuarantine(names []string, out io.Writer) error {
	return eachPair(names, func(name string) error {
		f, err := quarantine.ReadFile(name)
		if err != nil {
			return err
		}
		for _, r := range f.Records {
			data, err := f.Data(&r)
			if err != nil {
				return err
			}
			lines, err := native.AppendJSON(nil, data)
			if err != nil {
				return fmt.Errorf("%s: the block at %d cannot be read: %w", f.Name, r.Offset, err)
			}
			if _, err := out.Write(lines); err != nil {
				return err
			}
		}
		return nil
	})
}

// insertQuarantine sends every block with its own token.
func insertQuarantine(ctx context.Context, cfg *config.Config, names []string, again bool, out io.Writer) (err error) {
	conn, done, err := setup.OpenForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	q := quarantineInsert{conn: conn, now: time.Now, again: again, out: out}
	return eachPair(names, func(name string) error { return q.pair(ctx, name) })
}

// quarantineInsert inserts pairs of files, beside a running collector.
type quarantineInsert struct {
	conn  driver.Conn
	now   func() time.Time
	again bool // also what may be stored already
	out   io.Writer
}

// pair inserts what a pair holds, until the collector adds nothing to it any more, and deletes it.
func (q *quarantineInsert) pair(ctx context.Context, name string) (err error) {
	f, err := quarantine.ReadFile(name)
	if err != nil {
		return err
	}
	insertion, err := f.Begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insertion.Close()) }()
	rows := 0
	for {
		if f, err = quarantine.ReadFile(name); err != nil { // what Begin found may be more
			return err
		}
		var failed []error
		for _, r := range f.Records {
			if err := q.record(ctx, insertion, &f, &r); err != nil {
				failed = append(failed, fmt.Errorf("%s at %d: %w", commandline.Count(r.Rows, "row"), r.Offset,
					lograte.OneLine(err)))
				if !concernsRecord(err) {
					break // the others would fail alike
				}
				continue
			}
			rows += r.Rows
		}
		if len(failed) > 0 {
			err := fmt.Errorf("%s: %s went in, others did not: %w", name, commandline.Count(rows, "row"), failed[0])
			if more := len(failed) - 1; more > 0 {
				err = fmt.Errorf("%w (and %s)", err, commandline.Count(more, "more block"))
			}
			return err
		}
		removed, err := insertion.Finish()
		if err != nil {
			return err
		}
		if removed {
			_, err := fmt.Fprintf(q.out, "%s: %s inserted\n", name, commandline.Count(rows, "row"))
			return err
		}
	}
}

// errInTable is for rows that only a view lacks, when it is too late to send them to the table again.
var errInTable = errors.New("the table has these rows and may not know their token any more: fill the view's table " +
	"from data_flow instead, " +
	"INSERT INTO … SELECT … FROM data_flow WHERE …, then delete the files")

// errMaybeStored is for rows that were sent with no word of what became of them, when it is too late to send them
// again.
var errMaybeStored = errors.New("they were sent before and may be stored, and the table may not know their token any " +
	"more: " +
	"compare `collector quarantine show` with the table, then give --again or delete the files")

// errUnreadable is for a block that cannot be read from the files.
var errUnreadable = errors.New("the block cannot be read")

// storedFor is for how long rows that the table has, or may have, can be sent again.
const storedFor = 15 * time.Minute

// concernsRecord reports whether a failure is about these rows alone.
func concernsRecord(err error) bool {
	return errors.Is(err, errInTable) || errors.Is(err, errMaybeStored) || errors.Is(err, errUnreadable) ||
		clickhouse.Classify(err) == sink.Permanent
}

// record inserts a block and notes it.
func (q *quarantineInsert) record(ctx context.Context, insertion *quarantine.Insertion, f *quarantine.File,
	r *quarantine.Record) error {
	now := q.now()
	sent, maybe := insertion.MaybeStored(r)
	if !maybe {
		sent = r.Time
	}
	late := now.Sub(sent) > storedFor
	switch {
	case r.Stored && late:
		return errInTable
	case (maybe || r.Reason == string(sink.Unexplained)) && late && !q.again:
		return errMaybeStored
	}
	if !clickhouse.IsInsert(r.Query) {
		return fmt.Errorf("its statement is no INSERT of this collector and is not executed: %.100s", r.Query)
	}
	data, err := f.Data(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if err := insertion.Sent(r, now); err != nil {
		return err
	}
	stored, err := clickhouse.InsertOnce(ctx, q.conn, r.Query, r.Token, data)
	switch {
	case err == nil:
		return insertion.Done(r, q.now())
	case stored || r.Stored: // or may be
		return err
	}
	return errors.Join(err, insertion.NotStored(r, q.now()))
}
