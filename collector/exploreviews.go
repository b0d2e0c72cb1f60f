package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/explore/views"
)

func exploreViewsCommand() *cli.Command {
	with := func(name, usage, args string, run func(f *views.File, args []string) error) *cli.Command {
		return &cli.Command{Name: name, Usage: usage, ArgsUsage: args, Flags: configFlags(),
			Action: func(_ context.Context, c *cli.Command) error {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return run(views.In(cfg.Metadata.CacheDir), c.Args().Slice())
			}}
	}
	list := with("views", "saved views: list them, save, delete, export and import them", "",
		func(f *views.File, args []string) error {
			if len(args) > 0 {
				return commandline.Usage("explore views takes no argument %q: save, delete, export and import do",
					args[0])
			}
			return listViews(f, commandline.PlainTerminal(os.Stdout))
		})
	list.Description = `Views that were saved under a name, on the page /explore or here. Without a further word the ` +
		`command lists them.

  collector explore views save "Top talkers" "by=src.as&last=24h"     # what stands behind /explore? in the page's ` +
		`address
  collector explore --saved "Top talkers"
  collector explore views export > views.json
  collector explore views import < views.json`
	list.Commands = []*cli.Command{
		with("save", "save the question of a page under a name", "NAME ADDRESS", saveView),
		with("delete", "delete views", "NAME...", func(f *views.File, args []string) error {
			if len(args) == 0 {
				return commandline.Usage("explore views delete needs a name")
			}
			var failed error
			for _, name := range args {
				failed = errors.Join(failed, f.Delete(name, "", true))
			}
			return failed
		}),
		with("export", "print all views as JSON", "", func(f *views.File, _ []string) error {
			all, err := f.List()
			if err != nil {
				return err
			}
			return views.Write(os.Stdout, all)
		}),
		with("import", "save the views of files, or of standard input; they replace those of the same names",
			"[FILE…]", importViews),
	}
	return list
}

func listViews(f *views.File, w io.Writer) error {
	all, err := f.List()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintln(w, "no view is saved")
		return nil
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "NAME\tSAVED\tBY\tQUESTION")
	for _, v := range all {
		question, err := url.QueryUnescape(v.Query)
		if err != nil {
			question = v.Query
		}
		saved := "-"
		if !v.Saved.IsZero() {
			saved = v.Saved.UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", v.Name, saved, v.Owner, question)
	}
	return out.Flush()
}

func saveView(f *views.File, args []string) error {
	if len(args) != 2 {
		return commandline.Usage("explore views save needs a name, and what stands behind /explore? in the page's " +
			"address")
	}
	query := args[1]
	if _, after, ok := strings.Cut(query, "?"); ok {
		query = after
	}
	return f.Save([]views.View{{Name: args[0], Query: query, Owner: userName(), Saved: time.Now().UTC()}}, "", true)
}

// userName is who runs the command; "" if it is not known.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

func importViews(f *views.File, args []string) error {
	if len(args) == 0 {
		args = []string{"-"}
	}
	var all []views.View
	for _, path := range args {
		in := os.Stdin
		if path != "-" {
			file, err := os.Open(path)
			if err != nil {
				return fmt.Errorf("import views: %w", err)
			}
			defer file.Close()
			in = file
		}
		list, err := views.Read(in)
		if err != nil {
			return fmt.Errorf("import views of %s: %w", path, err)
		}
		all = append(all, list...)
	}
	if err := f.Save(all, "", true); err != nil {
		return err
	}
	fmt.Printf("views taken in: %d\n", len(all))
	return nil
}
