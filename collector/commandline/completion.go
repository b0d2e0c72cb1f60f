package commandline

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/urfave/cli/v3"
)

// completionBash replaces the library's script, which needs the package bash-completion and evaluates what is typed.
//
//go:embed completion.bash
var completionBash string

// ownBash gives the command completion our script for bash.
func ownBash(completion *cli.Command) {
	for _, shell := range completion.Commands {
		if shell.Name == "bash" {
			shell.Action = func(_ context.Context, c *cli.Command) error {
				_, err := fmt.Fprintf(c.Root().Writer, completionBash, c.Root().Name)
				return err
			}
		}
	}
}
