package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"
)

// manualCommand writes the man pages. Packages run it; users read them with man.
func manualCommand() *cli.Command {
	return &cli.Command{
		Name:   "manual",
		Usage:  "write man pages of all commands",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "write to `DIR`", Value: "."},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			dir := c.String("dir")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			for name, page := range manual(root()) {
				if err := os.WriteFile(filepath.Join(dir, name), page, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manual returns the pages by file name: one of the program, and one of each of its commands. They have no date, so
// that builds can be repeated.
func manual(root *cli.Command) map[string][]byte {
	pages := map[string][]byte{}
	main := newPage(root.Name, root.Usage, "[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]")
	main.text(root.Description)
	main.heading("COMMANDS")
	for _, c := range root.VisibleCommands() {
		if c.Name == "help" {
			continue
		}
		name := root.Name + "-" + c.Name // man finds "man collector run" by it
		main.item("\\fB"+roff(name)+"\\fR(1)", c.Usage)
		pages[name+".1"] = commandPage(root.Name, c)
	}
	main.heading("FILES")
	main.item("/etc/flow-collector/collector.yml, /etc/default/flow-collector",
		"Settings and variables of the service. Commands other than run use them where they are.")
	main.item("/var/lib/flow-collector", "Local store, spool, quarantine and caches of the service.")
	main.item("/usr/share/doc/flow-collector", "Documentation: every setting, and what to do about what the log says.")
	pages[root.Name+".1"] = main.Bytes()
	return pages
}

func commandPage(program string, c *cli.Command) []byte {
	p := newPage(program+"-"+c.Name, c.Usage, synopsis(c))
	p.text(c.Description)
	p.flags("OPTIONS", c)
	for _, sub := range c.VisibleCommands() {
		if sub.Name == "help" {
			continue
		}
		p.heading(strings.ToUpper(c.Name + " " + sub.Name))
		p.line("\\fB" + roff(program+" "+c.Name+" "+sub.Name) + "\\fR " + synopsis(sub))
		p.line(".PP")
		p.line(roff(sentence(sub.Usage)))
		p.text(sub.Description)
		p.flags("", sub)
	}
	p.heading("SEE ALSO")
	p.line("\\fB" + program + "\\fR(1)")
	return p.Bytes()
}

// synopsis is what follows a command's name.
func synopsis(c *cli.Command) string {
	switch {
	case len(c.VisibleCommands()) > 1: // help is one
		return "\\fICOMMAND\\fR [\\fIOPTIONS\\fR]"
	case c.ArgsUsage != "":
		return "[\\fIOPTIONS\\fR] " + roff(c.ArgsUsage)
	}
	return "[\\fIOPTIONS\\fR]"
}

// page is a man page that is being written.
type page struct{ bytes.Buffer }

func newPage(name, usage, synopsis string) *page {
	p := &page{}
	p.line(fmt.Sprintf(".TH %s 1 \"\" \"flow-collector %s\"", roff(strings.ToUpper(name)), roff(version)))
	p.heading("NAME")
	p.line(roff(name) + " \\- " + roff(usage))
	p.heading("SYNOPSIS")
	p.line("\\fB" + roff(strings.Replace(name, "-", " ", 1)) + "\\fR " + synopsis)
	p.heading("DESCRIPTION")
	p.line(roff(sentence(usage)))
	return p
}

// sentence makes a command's usage a sentence.
func sentence(usage string) string {
	if usage == "" {
		return ""
	}
	return strings.ToUpper(usage[:1]) + strings.TrimSuffix(usage[1:], ".") + "."
}

func (p *page) line(text string)      { p.WriteString(text + "\n") }
func (p *page) heading(name string)   { p.line(".SH \"" + roff(name) + "\"") }
func (p *page) item(name, say string) { p.line(".TP\n" + name + "\n" + roff(say)) }

// text writes a description: indented lines are examples, empty lines end paragraphs, lines with several spaces inside
// are tables.
func (p *page) text(description string) {
	example := false
	for line := range strings.Lines(strings.TrimRight(description, "\n")) {
		line = strings.TrimRight(line, "\n")
		isExample := strings.HasPrefix(line, "  ") || strings.Contains(strings.TrimSpace(line), "  ")
		switch {
		case isExample && !example:
			p.line(".PP\n.RS\n.nf")
		case !isExample && example && strings.TrimSpace(line) != "":
			p.line(".fi\n.RE\n.PP")
			example = false
		case strings.TrimSpace(line) == "" && !example:
			p.line(".PP")
			continue
		}
		example = example || isExample
		p.line(roff(strings.TrimPrefix(line, "  ")))
	}
	if example {
		p.line(".fi\n.RE")
	}
}

// flags writes a command's options.
func (p *page) flags(heading string, c *cli.Command) {
	flags := c.VisibleFlags()
	if len(flags) > 0 && heading != "" {
		p.heading(heading)
	}
	for _, f := range flags {
		name, say, _ := strings.Cut(cli.FlagStringer(f), "\t")
		p.item("\\fB"+roff(name)+"\\fR", cmp.Or(strings.ReplaceAll(say, "\t", " "), " "))
	}
}

// roff escapes a text for a man page.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
