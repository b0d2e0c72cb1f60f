// Package commandline runs commands in the usual way: a mistake in the arguments gives one line with the most similar
// name and exit status 2; any other failure gives one line and exit status 1; --help works in any position.
package commandline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v3"
)

// Exit statuses.
const (
	StatusOK      = 0
	StatusFailure = 1 // the command did not succeed
	StatusUsage   = 2 // the command line is wrong
)

// UsageError is a mistake in the command line.
type UsageError struct{ text string }

// Error returns what is wrong.
func (e *UsageError) Error() string { return e.text }

// Usage returns a UsageError.
func Usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// Run runs a command line and returns the exit status. An error is written to out as one line, unless it is quiet. It
// changes root.
func Run(ctx context.Context, root *cli.Command, args []string, out io.Writer, quiet error) int {
	var unknown error // the help command's error
	set := func(err error) { unknown = err }
	prepare(root, set)
	if root.EnableShellCompletion { // the library adds that command later
		root.ConfigureShellCompletionCommand = func(c *cli.Command) {
			ownBash(c)
			prepare(c, set)
		}
	}
	err := root.Run(ctx, args)
	if err == nil {
		err = unknown
	}
	var usage *UsageError
	switch {
	case err == nil:
		return StatusOK
	case errors.As(err, &usage):
		say(out, root, err)
		return StatusUsage
	case !errors.Is(err, quiet):
		say(out, root, err)
	}
	return StatusFailure
}

// say prints an error; joined errors get a line each.
func say(out io.Writer, root *cli.Command, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(out, "%s: %s\n", root.Name, strings.TrimSuffix(line, "\n"))
	}
}

// prepare makes a command and its subcommands report mistakes as usage errors, and lays out their descriptions.
func prepare(c *cli.Command, unknown func(error)) {
	c.Description = reflow(c.Description)
	c.ExitErrHandler = func(context.Context, *cli.Command, error) {} // Run sets the status
	c.OnUsageError = func(_ context.Context, c *cli.Command, err error, _ bool) error { return flagError(c, err) }
	c.CommandNotFound = func(_ context.Context, at *cli.Command, name string) {
		if len(at.VisibleCommands()) == 0 { // COMMAND ARGUMENT --help
			_ = cli.ShowSubcommandHelp(at)
			return
		}
		unknown(unknownCommand(at, name))
	}
	if len(c.Commands) > 0 && c.Action == nil {
		c.Action = func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return unknownCommand(c, c.Args().First())
			}
			return cli.ShowSubcommandHelp(c)
		}
	}
	for _, below := range c.Commands {
		prepare(below, unknown)
	}
}

func unknownCommand(c *cli.Command, name string) error {
	var names []string
	for _, below := range c.VisibleCommands() {
		names = append(names, below.Names()...)
	}
	return Usage("%sthere is no command %q%s (%s --help lists them)", path(c), name, DidYouMean(name, "", names),
		c.FullName())
}

// notDefined is the beginning of the library's error for an unknown flag; the name follows.
const notDefined = "flag provided but not defined: -"

func flagError(c *cli.Command, err error) error {
	text := err.Error()
	if name, unknown := strings.CutPrefix(text, notDefined); unknown {
		name = strings.TrimLeft(name, "-")
		var names []string
		for _, chain := range c.Lineage() {
			for _, flag := range chain.VisibleFlags() {
				names = append(names, flag.Names()...)
			}
		}
		text = fmt.Sprintf("there is no flag %s%s", dashed(name), DidYouMean(name, "--", append(names, "help")))
	}
	return Usage("%s%s (see %s --help)", path(c), text, c.FullName())
}

// path returns "COMMAND: " for a subcommand.
func path(c *cli.Command) string {
	_, below, found := strings.Cut(c.FullName(), " ")
	if !found {
		return ""
	}
	return below + ": "
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
