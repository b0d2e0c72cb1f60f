package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/schema"
)

// An archive is a directory with Parquet files of one day of flows and archiveManifest, which says what they hold. The
// server writes and reads the files.

// archiveManifest is the name of the file that describes an archive. It is written last: a directory without it is not
// whole.
const archiveManifest = "manifest.json"

// archiveVersion is the version of the manifest.
const archiveVersion = 1

// archive is the manifest.
type archive struct {
	Version int           `json:"version"`
	Table   string        `json:"table"` // that the rows are from
	Day     string        `json:"day"`   // of start_time, UTC
	Columns []string      `json:"columns"`
	Files   []archiveFile `json:"files"`
}

// archiveFile is one file: the rows of [From, To), in Unix seconds of start_time.
type archiveFile struct {
	Name    string `json:"name"`
	From    int64  `json:"from"`
	To      int64  `json:"to"`
	Rows    uint64 `json:"rows"`
	Bits    uint64 `json:"bits"`
	Packets uint64 `json:"packets"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
}

func (a *archive) sums() (rows, bits uint64, size int64) {
	for _, f := range a.Files {
		rows, bits, size = rows+f.Rows, bits+f.Bits, size+f.Bytes
	}
	return rows, bits, size
}

// archiveRows is how many rows a file has at most, where one second does not have more: the server makes a file in
// memory as a whole.
const archiveRows = 1_000_000

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:  "export",
		Usage: "write a day of flows to files, for an archive",
		Description: `The files are Parquet, which ClickHouse, DuckDB, Spark, pandas and others read. Each has at most
a million rows; the directory has a manifest with the sums and checksums of all. import reads them back.

  collector export --day 2026-11-28 /archive/2026-11-28`,
		ArgsUsage: "DIRECTORY",
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "day", Usage: "the `DAY` of start_time (UTC), such as 2026-11-28", Required: true},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the files: parquet", Value: "parquet"}),
		Action: func(ctx context.Context, c *cli.Command) error {
			day, err := time.Parse(time.DateOnly, c.String("day"))
			if err != nil {
				return commandline.Usage("--day %q is not a day such as 2026-11-28", c.String("day"))
			}
			if !strings.EqualFold(c.String("format"), "parquet") {
				return commandline.Usage("--format %q: only parquet is written", c.String("format"))
			}
			if c.Args().Len() != 1 {
				return commandline.Usage("give the directory to write to")
			}
			return withArchive(ctx, c, func(t *archiver) error {
				return t.export(ctx, day, c.Args().First())
			})
		},
	}
}

func importCommand() *cli.Command {
	return &cli.Command{
		Name:  "import",
		Usage: "read files that export has written back into a table",
		Description: `The rows go to data_flow_archive, which is made where it is missing: it has the columns of
data_flow, no rollups and no TTL. In data_flow rows beyond its TTL would go again, and rollups, which keep longer,
would count them twice. A directory that was imported in part is imported again: files that are there already are not
stored twice.

  collector import /archive/2026-11-28`,
		ArgsUsage: "DIRECTORY...",
		Flags: append(configFlags(), &cli.StringFlag{Name: "into", Usage: "`TABLE` to store the rows in",
			Value: schema.ArchiveTable}),
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Len() == 0 {
				return commandline.Usage("give the directory of an archive")
			}
			return withArchive(ctx, c, func(t *archiver) error {
				for _, dir := range c.Args().Slice() {
					if err := t.load(ctx, dir, c.String("into")); err != nil {
						return fmt.Errorf("%s: %w", dir, err)
					}
				}
				return nil
			})
		},
	}
}

// archiver writes and reads archives.
type archiver struct {
	conn     driver.Conn
	settings schema.Settings
	rows     uint64 // in a file at most
	out      io.Writer
}

func withArchive(ctx context.Context, c *cli.Command, use func(*archiver) error) error {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	conn, done, err := setup.OpenForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	t := &archiver{conn: conn, settings: setup.Tables(cfg, setup.ClickHouse(cfg)), rows: archiveRows, out: os.Stdout}
	return errors.Join(use(t), done())
}

// export writes the rows of a day. An archive that is there is not overwritten.
func (t *archiver) export(ctx context.Context, day time.Time, dir string) error {
	manifest := filepath.Join(dir, archiveManifest)
	if _, err := os.Stat(manifest); err == nil {
		return fmt.Errorf("%s is there: an archive is not overwritten", manifest)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("archive directory: %w", err)
	}
	a := archive{Version: archiveVersion, Table: t.settings.Tables.Flow, Day: day.Format(time.DateOnly)}
	slices, err := schema.TimeSlices(ctx, t.conn, &t.settings, day, day.Add(24*time.Hour), t.rows)
	if err != nil {
		return err
	}
	if len(slices) == 0 {
		return fmt.Errorf("%s has no rows of %s", t.settings.Tables.Flow, a.Day)
	}
	if a.Columns, err = schema.ArchiveColumns(ctx, t.conn, &t.settings, t.settings.Tables.Flow); err != nil {
		return err
	}
	for i, slice := range slices {
		f, err := t.exportSlice(ctx, &a, slice, dir, i)
		if err != nil {
			return err
		}
		a.Files = append(a.Files, f)
		fmt.Fprintf(t.out, "%s: %s, %d MB (%d of %d)\n", f.Name, commandline.Count(f.Rows, "row"), f.Bytes>>20, i+1,
			len(slices))
	}
	rows, _, size := a.sums()
	now, err := schema.CountRows(ctx, t.conn, &t.settings, a.Table, day, day.Add(24*time.Hour))
	if err != nil {
		return err
	}
	if now != rows {
		return fmt.Errorf("%s had %d rows of %s, and has %d now: rows came or went meanwhile, so the files may not "+
			"have what a manifest would say; export the day again", a.Table, rows, a.Day, now)
	}
	text, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if err := writeWhole(manifest, append(text, '\n')); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "%s of %s, %.1f bytes a row\n", commandline.Count(rows, "row"), a.Day,
		float64(size)/float64(rows))
	return nil
}

func (t *archiver) exportSlice(ctx context.Context, a *archive, s schema.TimeSlice, dir string,
	number int) (archiveFile, error) {
	f := archiveFile{Name: fmt.Sprintf("%s-%s-%04d.parquet", a.Table, a.Day, number), From: s.From.Unix(),
		To:   s.To.Unix(),
		Rows: s.Rows, Bits: s.Bits, Packets: s.Packets}
	ctx = chgo.Context(ctx, chgo.WithSettings(schema.ArchiveSettings()))
	result, err := t.conn.QueryFormat(ctx, "Parquet", schema.SliceQuery(&t.settings, a.Table, a.Columns, s))
	if err != nil {
		return f, fmt.Errorf("file %s: %w", f.Name, err)
	}
	defer result.Close()
	path := filepath.Join(dir, f.Name)
	file, err := os.Create(path + ".part")
	if err != nil {
		return f, err
	}
	sum := sha256.New()
	f.Bytes, err = io.Copy(io.MultiWriter(file, sum), result)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(path+".part", path)
	}
	if err != nil {
		return f, fmt.Errorf("file %s: %w", f.Name, errors.Join(err, os.Remove(path+".part")))
	}
	f.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return f, nil
}

// writeWhole writes a file that is there as a whole or not at all.
func writeWhole(path string, data []byte) error {
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// readArchive reads and checks a manifest.
func readArchive(dir string) (*archive, error) {
	text, err := os.ReadFile(filepath.Join(dir, archiveManifest))
	if err != nil {
		return nil, fmt.Errorf("no archive, or not a whole one: %w", err)
	}
	var a archive
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("%s: %w", archiveManifest, err)
	}
	if a.Version != archiveVersion {
		return nil, fmt.Errorf("%s has version %d; this program reads %d", archiveManifest, a.Version, archiveVersion)
	}
	for _, f := range a.Files {
		if f.Name != filepath.Base(f.Name) || strings.HasPrefix(f.Name, ".") {
			return nil, fmt.Errorf("%s: %q is not the name of a file beside it", archiveManifest, f.Name)
		}
	}
	return &a, nil
}

// load stores an archive in a table. Every file is checked before its rows are sent, and has a token of its own.
func (t *archiver) load(ctx context.Context, dir, table string) error {
	a, err := readArchive(dir)
	if err != nil {
		return err
	}
	if err := schema.MakeArchiveTable(ctx, t.conn, t.settings, table); err != nil {
		return err
	}
	there, err := schema.ArchiveColumns(ctx, t.conn, &t.settings, table)
	if err != nil {
		return err
	}
	columns, left := schema.CommonColumns(a.Columns, there)
	if len(left) > 0 {
		fmt.Fprintf(t.out, "not stored, as %s has no such columns: %s\n", table, strings.Join(left, ", "))
	}
	stored := uint64(0)
	for i, f := range a.Files {
		rows, err := t.loadNew(ctx, dir, table, columns, &f)
		if err != nil {
			return fmt.Errorf("file %s: %w", f.Name, err)
		}
		already := ""
		if rows == 0 && f.Rows > 0 {
			already = ", stored already"
		}
		stored += rows
		fmt.Fprintf(t.out, "%s: %s%s (%d of %d)\n", f.Name, commandline.Count(f.Rows, "row"), already, i+1,
			len(a.Files))
	}
	fmt.Fprintf(t.out, "%s of %s put into %s\n", commandline.Count(stored, "row"), a.Day, table)
	return nil
}

// loadNew stores a file and returns how many of its rows are new in the table. The server leaves out a file that it
// remembers, whether its rows are there still or not.
func (t *archiver) loadNew(ctx context.Context, dir, table string, columns []string, f *archiveFile) (uint64, error) {
	count := func() (uint64, error) {
		return schema.CountRows(ctx, t.conn, &t.settings, table, time.Unix(f.From, 0), time.Unix(f.To, 0))
	}
	before, err := count()
	if err != nil {
		return 0, err
	}
	if err := t.loadFile(ctx, dir, table, columns, f); err != nil {
		return 0, err
	}
	after, err := count()
	if err != nil {
		return 0, err
	}
	if after < f.Rows {
		return 0, fmt.Errorf("%s has %d of its %d rows: they were deleted there, by hand or by a TTL, and the server "+
			"remembers that the file was stored; DROP TABLE %s, or import with --into another one", table, after,
			f.Rows, table)
	}
	return after - min(before, after), nil
}

func (t *archiver) loadFile(ctx context.Context, dir, table string, columns []string, f *archiveFile) error {
	file, err := os.Open(filepath.Join(dir, f.Name))
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("its checksum is %s, the manifest says %s: the file was changed or damaged", got, f.SHA256)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	ctx = chgo.Context(ctx, chgo.WithSettings(schema.ImportSettings("import "+f.SHA256)))
	return t.conn.InsertFormat(ctx, "Parquet", schema.ImportStatement(&t.settings, table, columns), file)
}
