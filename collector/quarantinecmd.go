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

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/native"
	"github.com/metranova/flow-collector/sink/quarantine"
)

func quarantineCommand() *cli.Command {
	return &cli.Command{
		Name:  "quarantine",
		Usage: "rows that the server refuses: list them, look at them, insert them after all",
		Description: `Rows that ClickHouse refuses for good do not hold up others: they are kept in a directory (quarantine.path), with the
reason. Without a further word the command lists what is there.

  collector quarantine
  collector quarantine show quarantine/2026-11-24-1f3a9c52-1 | less
  collector quarantine insert quarantine/2026-11-24-1f3a9c52-1
  collector quarantine show quarantine/2026-11-24-1f3a9c52-1 > rows.jsonl    # to be edited, then:
  curl 'http://127.0.0.1:8123/?query=INSERT+INTO+data_flow+FORMAT+JSONEachRow' --data-binary @rows.jsonl`,
		Flags: configFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Len() > 0 {
				return fmt.Errorf("quarantine takes no argument %q: show and insert do", c.Args().First())
			}
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			return listQuarantine(cfg.Refused.Path, os.Stdout)
		},
		Commands: []*cli.Command{{
			Name: "show", Usage: "print the rows as JSON, a line each", ArgsUsage: "FILE…", Flags: configFlags(),
			Action: func(_ context.Context, c *cli.Command) error {
				return showQuarantine(c.Args().Slice(), os.Stdout)
			},
		}, {
			Name: "insert", Usage: "insert the rows again, and delete the files of which all rows went in", ArgsUsage: "FILE…", Flags: configFlags(),
			Description: `For when the table, the constraint or the view has been mended. An insert that was not answered can be repeated: what
is stored already is recognized, as long as the tables remember it (clickhouse.deduplication_window).`,
			Action: func(ctx context.Context, c *cli.Command) error {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return insertQuarantine(ctx, cfg, c.Args().Slice(), os.Stdout)
			},
		}},
	}
}

// openQuarantine is where refused rows go; nil where none is configured.
func openQuarantine(cfg *config.Config) *quarantine.Quarantine {
	if cfg.Refused.Path == "" {
		return nil
	}
	return quarantine.New(quarantine.Options{Dir: cfg.Refused.Path, MaxBytes: int64(cfg.Refused.MaxBytes)})
}

func listQuarantine(dir string, out io.Writer) error {
	files, err := quarantine.Read(dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		_, err := fmt.Fprintf(out, "nothing is in quarantine (%s)\n", dir)
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "file\tfirst\tlast\trows\treason\texporters\terror")
	for _, f := range files {
		for _, g := range groups(f.Records) {
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%s\n", f.Name, g.first.Format(time.DateTime), g.last.Format(time.DateTime),
				g.rows, g.reason, strings.Join(g.exporters, " "), g.text)
		}
	}
	return table.Flush()
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

// eachFile calls do for every pair of files that are named.
func eachFile(names []string, do func(*quarantine.File) error) error {
	if len(names) == 0 {
		return errors.New("no file given: `collector quarantine` lists them")
	}
	for _, name := range names {
		f, err := quarantine.ReadFile(filepath.Clean(name))
		if err == nil {
			err = do(&f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func showQuarantine(names []string, out io.Writer) error {
	return eachFile(names, func(f *quarantine.File) error {
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
func insertQuarantine(ctx context.Context, cfg *config.Config, names []string, out io.Writer) (err error) {
	conn, done, err := openForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	return eachFile(names, func(f *quarantine.File) error {
		rows := 0
		for _, r := range f.Records {
			if err := insertRecord(ctx, conn, f, &r); err != nil {
				return fmt.Errorf("%s: %d rows went in, those at %d did not: %w", f.Name, rows, r.Offset, oneLine(err))
			}
			rows += r.Rows
		}
		fmt.Fprintf(out, "%s: %d rows inserted\n", f.Name, rows)
		return f.Remove()
	})
}

// errInTable is for rows that only a view lacks, when it is too late to send them to the table again.
var errInTable = errors.New("the table has these rows and may not know their token any more: fill the view's table from data_flow instead, " +
	"INSERT INTO … SELECT … FROM data_flow WHERE …, then delete the files")

// storedFor is for how long rows that the table has may be sent again for a view that lacks them.
const storedFor = 15 * time.Minute

func insertRecord(ctx context.Context, conn driver.Conn, f *quarantine.File, r *quarantine.Record) error {
	if r.Stored && time.Since(r.Time) > storedFor {
		return errInTable
	}
	data, err := f.Data(r)
	if err != nil {
		return err
	}
	settings := chgo.WithSettings(clickhouse.InsertSettings(r.Token))
	return conn.InsertFormat(chgo.Context(ctx, settings), "Native", r.Query, strings.NewReader(string(data)))
}

// quarantine says what is wrong with the directory, and what is in it.
func (c *checker) quarantine() {
	dir := c.cfg.Refused.Path
	if dir == "" {
		c.say(checkWarning, "quarantine", "none: rows that the server refuses are lost")
		return
	}
	c.writable("quarantine", dir)
	files, err := quarantine.Read(dir)
	if err != nil {
		c.say(checkProblem, "quarantine", "%v", err)
		return
	}
	rows := 0
	for _, f := range files {
		for _, r := range f.Records {
			rows += r.Rows
		}
	}
	if rows > 0 {
		c.say(checkWarning, "quarantine", "%d rows are in it: `collector quarantine` says why", rows)
	}
}
