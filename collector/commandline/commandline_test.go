package commandline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

var errQuiet = errors.New("already said")

// program has the shapes that commands come in.
func program(out *bytes.Buffer) *cli.Command {
	leaf := func(name string, action cli.ActionFunc) *cli.Command {
		return &cli.Command{Name: name, Usage: "do " + name, Action: action, Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Aliases: []string{"c"}}, &cli.IntFlag{Name: "rate"},
		}}
	}
	done := func(context.Context, *cli.Command) error { return nil }
	return &cli.Command{
		Name: "collector", Writer: out, ErrWriter: out, Suggest: true, EnableShellCompletion: true,
		Commands: []*cli.Command{
			leaf("run", done), leaf("query", done), leaf("quarantine", done),
			leaf("decode", func(_ context.Context, c *cli.Command) error {
				if c.Args().Len() == 0 {
					return Usage("decode: no capture given")
				}
				return errors.New("open capture: no such file")
			}),
			leaf("check", func(context.Context, *cli.Command) error { return errQuiet }),
			{Name: "metadata", Commands: []*cli.Command{leaf("load", done), leaf("show", done)}},
		},
	}
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		want   string // what is said, in one line; "help of X" for a help text
	}{
		{"run", 0, ""},
		{"qurey x", 2, `collector: there is no command "qurey": did you mean query? (collector --help lists them)`},
		{"rnu", 2, `collector: there is no command "rnu": did you mean run? (collector --help lists them)`},
		{"statsu", 2, `collector: there is no command "statsu" (collector --help lists them)`},
		{"help qurey", 2, `collector: there is no command "qurey": did you mean query? (collector --help lists them)`},
		{"metadata shwo", 2,
			`collector: metadata: there is no command "shwo": did you mean show? (collector metadata --help lists ` +
				`them)`},
		{"run --confg x", 2,
			"collector: run: there is no flag --confg: did you mean --config? (see collector run --help)"},
		{"run --nonsense", 2, "collector: run: there is no flag --nonsense (see collector run --help)"},
		{"run -x", 2, "collector: run: there is no flag -x (see collector run --help)"},
		{"--confg", 2, "collector: there is no flag --confg (see collector --help)"},
		{"run --rate x", 2,
			`collector: run: invalid value "x" for flag -rate: strconv.ParseInt: parsing "x": invalid syntax (see ` +
				`collector run --help)`},
		{"decode", 2, "collector: decode: no capture given"},
		{"decode x", 1, "collector: open capture: no such file"},
		{"check", 1, ""},
		{"metadata", 0, "help of collector metadata"},
		{"", 0, "help of collector"},
		{"decode F.pcap --help", 0, "help of collector decode"},
		{"decode --help", 0, "help of collector decode"},
		{"metadata load geo --help", 0, "help of collector metadata load"},
		{"help run", 0, "help of collector run"},
		{"completion bsh", 2, `collector: completion: there is no command "bsh": did you mean bash? (collector ` +
			`completion --help lists them)`},
		{"completion bash --shel", 2, "collector: completion bash: there is no flag --shel (see collector completion " +
			"bash --help)"},
		{"completion", 0, "help of collector completion"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var out bytes.Buffer
			status := Run(t.Context(), program(&out), append([]string{"collector"}, strings.Fields(c.args)...), &out,
				errQuiet)
			said := strings.TrimSpace(out.String())
			if of, help := strings.CutPrefix(c.want, "help of "); help {
				if !strings.HasPrefix(said, "NAME:\n   "+of) {
					t.Errorf("no %s:\n%s", c.want, said)
				}
			} else if said != c.want {
				t.Errorf("said\n%s\nwant\n%s", said, c.want)
			}
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	names := []string{"run", "decode", "query", "check", "metadata", "quarantine", "compare", "version", "c", "port",
		"proto"}
	for typed, want := range map[string]string{
		"decod": "decode", "Query": "query", "chekc": "check", "meta": "metadata", "versoin": "version", "q": "",
		"zzz": "", "comp": "compare", "": "", "runn": "run", "prot": "proto",
	} {
		if got := Nearest(typed, names); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestReflow(t *testing.T) {
	long := strings.Repeat("word ", 15)
	for text, want := range map[string]string{
		"one\ntwo":                         "one two",
		"one\n\ntwo\n":                     "one\n\ntwo",
		"see:\n\n  run it\n  again\n\nand": "see:\n\n  run it\n  again\n\nand",
		"Start:   run\nAsk:     query":     "Start:   run\nAsk:     query",
		"text\n  example":                  "text\n  example",
		long + "\n" + long: strings.TrimSpace(long+"word word word word word") + "\n" +
			strings.TrimSpace(strings.Repeat("word ", 10)),
	} {
		if got := reflow(text); got != want {
			t.Errorf("%q gives\n%s\nwant\n%s", text, got, want)
		}
	}
}
