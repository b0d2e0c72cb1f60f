package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/export"
	"github.com/metranova/flow-collector/collector/explore/filter"
	"github.com/metranova/flow-collector/collector/explore/views"
	"github.com/metranova/flow-collector/collector/setup"
)

func exploreCommand() *cli.Command {
	return &cli.Command{
		Name:      "explore",
		Usage:     "show the traffic of the configured store, as the page /explore does",
		ArgsUsage: "[FILTER]",
		Description: `How much of what in the last hour, or another time, by one dimension or several, of the flows
that the filter takes:

  collector explore --by src.as
  collector explore --by src.org,dst.org --last 24h "not proto = icmp"
  collector explore --by src.ip,dst.ip --top 20 "src.as = 64500 and dst in 192.0.2.0/24"
  collector explore --by app --sql "if = core1::to-border"
  collector explore --by src.as --last yesterday --before week --json

--list names the dimensions, which are the fields of filters too. --saved asks a view that was saved under a name, on
the page or here, and "collector explore views" lists them.`,
		Flags: append(configFlags(),
			&cli.StringFlag{Name: "by", Usage: "group by these `DIMENSIONS`, with commas between", Value: "src.as"},
			&cli.StringFlag{Name: "last", Value: "1h",
				Usage: "the `TIME` up to now: 30m, 6h, 7d, 4w; or today, yesterday"},
			&cli.StringFlag{Name: "from",
				Usage: "from this `TIME`, such as 2026-03-05T14:05 or 14:05, to --to, to now, or as long as --last"},
			&cli.StringFlag{Name: "to", Usage: "up to this `TIME`, from --from on or as long as --last"},
			&cli.StringFlag{Name: "zone", Usage: "times are of this `ZONE`, such as Europe/Zurich", Value: "UTC"},
			&cli.StringFlag{Name: "unit", Usage: "`UNIT`: bits, packets or flows a second, or volume", Value: "bits"},
			&cli.StringFlag{Name: "view",
				Usage: "`VIEW`: stacked, lines, both, share, table, sankey, matrix, hours, map, flows or losses",
				Value: "lines"},
			&cli.StringFlag{Name: "top", Usage: "how many `LINES`; all others are one", Value: "10"},
			&cli.StringFlag{Name: "before", Usage: "compare with the `TIME` before: period, day or week"},
			&cli.StringFlag{Name: "at", Usage: "the ten minutes before and after this `TIME`"},
			&cli.StringFlag{Name: "step", Usage: "minimum, maximum and 95 % are of steps of `TIME`: 1m, 5m, 15m or 1h"},
			&cli.StringFlag{Name: "saved",
				Usage: "ask the saved view of this `NAME`; flags and a filter that are given hold instead of its own"},
			&cli.BoolFlag{Name: "sql", Usage: "print the queries that the figures are from instead"},
			&cli.BoolFlag{Name: "json", Usage: "print all figures as JSON"},
			&cli.BoolFlag{Name: "csv", Usage: "print them as CSV"},
			&cli.BoolFlag{Name: "list", Usage: "list the dimensions"},
		),
		Action:   runExplore,
		Commands: []*cli.Command{exploreViewsCommand()},
	}
}

func runExplore(ctx context.Context, c *cli.Command) (err error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return err
	}
	settings := setup.Tables(cfg, setup.ClickHouse(cfg))
	planner := explore.NewPlanner(&settings)
	if c.Bool("list") {
		for _, choice := range planner.Choices() {
			fmt.Printf("%-20s %s\n", choice.Name, choice.Label)
		}
		return nil
	}
	values, err := exploreValues(c, cfg.Metadata.CacheDir)
	if err != nil {
		return err
	}
	q, err := explore.Parse(values, time.Now())
	if err != nil {
		return fmt.Errorf("explore: %w", err)
	}
	write, err := exportOf(c)
	if err != nil {
		return err
	}
	conn, done, err := setup.OpenForQuery(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	explorer := &explore.Explorer{Conn: conn, Planner: planner, Now: time.Now}
	a, err := ask(ctx, explorer, q)
	switch {
	case err != nil:
		return err
	case write != nil:
		return write(commandline.PlainTerminal(os.Stdout), a)
	case a.Empty():
		why, err := explorer.Nothing(ctx, a)
		if err != nil {
			return fmt.Errorf("explore: %s", explore.Reason(err))
		}
		fmt.Println(why.Text)
	}
	return a.Print(commandline.PlainTerminal(os.Stdout))
}

// exportOf is what writes the answer for programs, if a flag asks for that; nil: it is printed for people.
func exportOf(c *cli.Command) (write func(io.Writer, *explore.Answer) error, err error) {
	for _, format := range []struct {
		flag  string
		write func(io.Writer, *explore.Answer) error
	}{{"sql", export.SQL}, {"json", export.JSON}, {"csv", export.CSV}} {
		if !c.Bool(format.flag) {
			continue
		}
		if write != nil {
			return nil, commandline.Usage("explore: one of --sql, --json and --csv can be given")
		}
		write = format.write
	}
	return write, nil
}

// ask answers a question, with its losses. The error shows the place in the filter that it is about.
func ask(ctx context.Context, explorer *explore.Explorer, q explore.Question) (*explore.Answer, error) {
	if err := explorer.ReadSources(ctx); err != nil {
		return nil, fmt.Errorf("explore: %s", explore.Reason(err))
	}
	a, err := explorer.Ask(ctx, q)
	if bad := (*filter.Error)(nil); errors.As(err, &bad) {
		return nil, fmt.Errorf("explore: the filter cannot be read\n%s", bad.Show(q.Filter))
	}
	if err == nil && q.View != explore.Lost {
		a.Losses, err = explorer.Losses(ctx, a)
	}
	if err != nil {
		return nil, fmt.Errorf("explore: %s", explore.Reason(err))
	}
	return a, nil
}

// exploreValues are the parameters of the question: those of the saved view, and the flags.
func exploreValues(c *cli.Command, cacheDir string) (url.Values, error) {
	values := url.Values{}
	name := c.String("saved")
	if name != "" {
		list, err := views.In(cacheDir).List()
		if err != nil {
			return nil, err
		}
		view := views.Find(list, name)
		if view == nil {
			return nil, commandline.Usage("explore: no view is saved as %q: collector explore views lists them", name)
		}
		if values, err = url.ParseQuery(view.Query); err != nil {
			return nil, fmt.Errorf("explore: view %q: %w", name, err)
		}
	}
	times := []string{"last", "from", "to", "at"}
	if slices.ContainsFunc(times, c.IsSet) { // the flags' time holds instead of the view's, and of the usual one
		for _, flag := range times {
			values.Del(flag)
		}
	} else if name == "" {
		values.Set("last", c.String("last"))
	}
	for _, flag := range append(times, "view", "zone", "unit", "before", "step", "by", "top") {
		used := name == "" && !slices.Contains(times, flag) &&
			!slices.Contains(explore.View(values.Get("view")).Ignores(), flag)
		if used || c.IsSet(flag) {
			values.Set(flag, c.String(flag))
		}
	}
	if text := strings.Join(c.Args().Slice(), " "); text != "" {
		values.Set("filter", text)
	}
	return values, nil
}
