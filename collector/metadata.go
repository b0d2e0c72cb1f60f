package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/urfave/cli/v3"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
)

func metadataCommand() *cli.Command {
	return &cli.Command{
		Name:  "metadata",
		Usage: "import metadata, or show what the collector knows of an address",
		Description: `collector run imports metadata by itself, on the intervals of the configuration and when a file
changes. These commands are for doing it now and for finding out why a row is as it is.`,
		Commands: []*cli.Command{
			{
				Name:      "load",
				Usage:     "import metadata now",
				ArgsUsage: "all|" + strings.Join(metadata.SourceNames(), "|") + "...",
				Description: `Writes what is new or changed into the meta tables; a running collector picks it up
within metadata.refresh.

  collector metadata load all
  collector metadata load files --file meta_device.yml
  collector metadata load geo --file GeoLite2-ASN.mmdb --file GeoLite2-City.mmdb
  collector metadata load scireg --file https://scireg.example.net/scireg.json`,
				Flags: append(configFlags(),
					&cli.StringSliceFlag{Name: "file",
						Usage: "import this `FILE` or URL instead of what the configuration names; may be given " +
							"several times"},
					&cli.BoolFlag{Name: "allow-shrink",
						Usage: "believe a source that lacks most of the records it had; a running collector takes " +
							"what shrank too"},
				),
				ShellComplete: func(ctx context.Context, c *cli.Command) {
					if n := c.Args().Len(); n > 0 && strings.HasPrefix(c.Args().Get(n-1), "-") {
						cli.DefaultCompleteWithFlags(ctx, c)
						return
					}
					fmt.Fprintln(c.Root().Writer, strings.Join(append(metadata.SourceNames(), "all"), "\n"))
				},
				Action: func(ctx context.Context, c *cli.Command) error {
					cfg, err := loadConfig(c)
					if err != nil {
						return err
					}
					return loadMetadata(ctx, cfg, c.Args().Slice(), c.StringSlice("file"), c.Bool("allow-shrink"))
				},
			},
			draftCommand(),
			{
				Name:      "forget",
				Usage:     "make the records of a source stop matching, such as of a file that is gone",
				ArgsUsage: "SOURCE",
				Description: `A record matches as long as one source has it; a file that was removed while no collector
ran still counts as one. The sources are those that metadata show and the log name. Rows that refer to the records
stay.

  collector metadata forget file:/etc/flow-collector/conf/meta_old.yml`,
				Flags: configFlags(),
				Action: func(ctx context.Context, c *cli.Command) error {
					if c.Args().Len() != 1 {
						return commandline.Usage("which source? collector metadata forget " +
							"file:/etc/flow-collector/conf/meta_old.yml")
					}
					cfg, err := loadConfig(c)
					if err != nil {
						return err
					}
					return forgetMetadata(ctx, cfg, c.Args().First(), commandline.PlainTerminal(os.Stdout))
				},
			},
			{
				Name:      "show",
				Usage:     "show what the collector would write for an address, an AS or a device, and why",
				ArgsUsage: "ADDRESS|AS|DEVICE...",
				Description: `  collector metadata show 192.0.2.7
  collector metadata show AS64512
  collector metadata show core1`,
				Flags: configFlags(),
				Action: func(ctx context.Context, c *cli.Command) error {
					if c.Args().Len() == 0 {
						return commandline.Usage("nothing to show: collector metadata show 192.0.2.7")
					}
					cfg, err := loadConfig(c)
					if err != nil {
						return err
					}
					return showMetadata(ctx, cfg, c.Args().Slice(), commandline.PlainTerminal(os.Stdout))
				},
			},
		},
	}
}

// loadMetadata imports the named sources.
func loadMetadata(ctx context.Context, cfg *config.Config, names, files []string, allowShrink bool) error {
	if len(names) == 0 {
		return commandline.Usage("which? collector metadata load all, or some of %s", sourceNames())
	}
	sources, err := chosenSources(cfg, names, files)
	if err != nil {
		return err
	}
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	loader := metadata.NewLoader(conn, settings)
	loader.ForceUpdate, loader.AllowShrink = cfg.Metadata.ForceUpdate, allowShrink
	problems := commandline.PlainTerminal(os.Stderr)
	loader.Report = func(p record.Problem) { fmt.Fprintln(problems, "left out:", p) }
	var errs []error
	for _, from := range sources {
		fmt.Fprintf(os.Stderr, "reading %s ...\n", from.Name)
		began := time.Now()
		sets, err := from.Read(ctx)
		errs = append(errs, err)
		results, err := loader.Load(ctx, sets...)
		errs = append(errs, err)
		for _, r := range results {
			fmt.Println(r)
		}
		fmt.Fprintf(os.Stderr, "%s took %s\n", from.Name, time.Since(began).Round(time.Millisecond))
	}
	if allowShrink {
		errs = append(errs, metadata.AllowShrink(ctx, conn, settings))
	}
	return errors.Join(errs...)
}

// chosenSources are the sources of those names. Files given on the command line stand for those of the configuration.
func chosenSources(cfg *config.Config, names, files []string) ([]metadata.Source, error) {
	o := setup.Sources(cfg)
	o.Client = download.New(download.Options{Timeout: cfg.Metadata.HTTPTimeout, Progress: printProgress()})
	o.CAIDADownload = o.CAIDADownload || slices.Contains(names, "caida") && cfg.Metadata.CAIDA.UseURL
	if len(files) > 0 {
		if len(names) != 1 || names[0] == "all" {
			return nil,
				commandline.Usage("--file is for one source: collector metadata load files --file meta_device.yml")
		}
		if err := useFiles(&o, names[0], files); err != nil {
			return nil, err
		}
	}
	all := metadata.Sources(o)
	if slices.Contains(names, "all") {
		return all, nil
	}
	var chosen []metadata.Source
	for _, name := range names {
		i := slices.IndexFunc(all, func(s metadata.Source) bool { return s.Name == name })
		switch {
		case i >= 0:
			chosen = append(chosen, all[i])
		case slices.Contains(metadata.SourceNames(), name):
			return nil, fmt.Errorf("metadata %s: the configuration names nothing to read; give it with --file", name)
		default:
			return nil, commandline.Usage("there is no metadata source %q: take %s or all", name, sourceNames())
		}
	}
	return chosen, nil
}

// useFiles has a source read these files only.
func useFiles(o *metadata.SourceOptions, name string, files []string) error {
	switch name {
	case "files":
		o.Dir, o.Files = "", files
	case "geo":
		o.Geo.ASN, o.Geo.Locations, o.Geo.Blocks, o.MaxMind = nil, nil, nil, download.Auth{}
		for _, f := range files {
			base := strings.ToLower(filepath.Base(f))
			switch {
			case strings.Contains(base, "asn"):
				o.Geo.ASN = append(o.Geo.ASN, f)
			case strings.Contains(base, "location"):
				o.Geo.Locations = append(o.Geo.Locations, f)
			default:
				o.Geo.Blocks = append(o.Geo.Blocks, f)
			}
		}
	case "caida":
		for _, f := range files {
			if strings.Contains(strings.ToLower(filepath.Base(f)), "peeringdb") {
				o.CAIDA.PeeringDB = f
			} else {
				o.CAIDA.AS2Org = f
			}
		}
		o.CAIDADownload, o.CAIDAFallback = false, false
	default:
		if !slices.Contains(metadata.SourceNames(), name) {
			return commandline.Usage("there is no metadata source %q: take %s", name, sourceNames())
		}
		o.Registries = map[string]metadata.RegistrySettings{name: {Places: files}}
	}
	return nil
}

// sourceNames are the names of the sources for a message.
func sourceNames() string { return strings.Join(metadata.SourceNames(), ", ") }

// printProgress returns what shows a download on standard error, at most four times a second.
func printProgress() func(name string, done, total int64) {
	var last time.Time
	return func(name string, done, total int64) {
		if done != total && time.Since(last) < 250*time.Millisecond {
			return
		}
		last = time.Now()
		if total > 0 {
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d MB (%d %%)  ", name, done>>20, total>>20, done*100/total)
		} else {
			fmt.Fprintf(os.Stderr, "\r%s: %d MB  ", name, done>>20)
		}
		if done == total {
			fmt.Fprintln(os.Stderr)
		}
	}
}

// openTables connects to the store, which is started if nothing answers in its place, and makes the tables. The
// connection waits a day for an answer: a statement over many rows is silent until it is done, and who gave the command
// can end it.
func openTables(ctx context.Context, cfg *config.Config) (driver.Conn, schema.Settings, func(), error) {
	stop, err := setup.OpenStore(ctx, cfg)
	if err != nil {
		return nil, schema.Settings{}, nil, err
	}
	o := setup.ClickHouse(cfg)
	o.ReadTimeout = 24 * time.Hour
	settings := setup.Tables(cfg, o)
	conn, err := clickhouse.Open(ctx, o)
	if err != nil {
		stop()
		return nil, settings, nil, err
	}
	done := func() {
		_ = conn.Close()
		stop()
	}
	if err := setup.MakeTables(ctx, conn, settings, zap.NewNop()); err != nil {
		done()
		return nil, settings, nil, err
	}
	return conn, settings, done, nil
}

// forgetMetadata makes a source's records stop matching.
func forgetMetadata(ctx context.Context, cfg *config.Config, source string, out io.Writer) error {
	if err := setup.HasStore(cfg); err != nil {
		return err
	}
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	vanished, err := metadata.NewLoader(conn, settings).Forget(ctx, source)
	if err != nil {
		return err
	}
	if vanished == 0 {
		return fmt.Errorf("no records are known of source %q", source)
	}
	fmt.Fprintf(out, "%s: %s forgotten; rows keep what they have of them\n", source,
		commandline.Count(vanished, "record"))
	return nil
}

func showMetadata(ctx context.Context, cfg *config.Config, what []string, out io.Writer) error {
	if err := setup.HasStore(cfg); err != nil {
		return err
	}
	conn, settings, done, err := openTables(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	snapshot, err := metadata.BuildFromTables(ctx, conn, settings)
	if err != nil {
		return err
	}
	var failed []error
	for _, w := range what {
		findings, err := metadata.Show(ctx, conn, settings, snapshot, w)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		printFindings(out, w, findings)
	}
	return errors.Join(failed...)
}

func printFindings(out io.Writer, what string, findings []metadata.Finding) {
	fmt.Fprintln(out, what)
	if len(findings) == 0 {
		fmt.Fprintln(out, "  nothing is known of it")
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  column\tvalue\tmatch\tsource\tage\tnote")
	for _, f := range findings {
		value, age := f.Value, ""
		if value == "" {
			value = "NULL"
		}
		if f.Age > 0 {
			age = f.Age.Round(time.Second).String()
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\t%s\n", f.Column, value, f.Match, f.Source, age, f.Note)
	}
	table.Flush()
}
