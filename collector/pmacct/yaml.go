package pmacct

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// WriteYAML writes the settings as a configuration file. Comments name the lines from which each setting comes. The
// remarks follow at the end, as comments.
func (c *Converted) WriteYAML(out io.Writer) error {
	w := &yamlWriter{out: out}
	w.line(0, "# Made by collector convert-pmacct. collector check --config FILE says whether it would work here.")
	for i := range c.Settings {
		w.setting(&c.Settings[i])
	}
	for _, fate := range []Fate{Missing, NotNeeded} {
		w.remarks(fate, c.Remarks)
	}
	return w.err
}

// yamlWriter writes lines until one fails.
type yamlWriter struct {
	out     io.Writer
	section []string
	err     error
}

func (w *yamlWriter) line(depth int, text string) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.out, "%s%s\n", strings.Repeat("  ", depth), text)
	}
}

// setting writes a setting, and the sections of its path that are not open yet.
func (w *yamlWriter) setting(o *Ours) {
	parts := strings.Split(o.Path, ".")
	sections, name := parts[:len(parts)-1], parts[len(parts)-1]
	shared := 0
	for shared < len(sections) && shared < len(w.section) && sections[shared] == w.section[shared] {
		shared++
	}
	for depth := shared; depth < len(sections); depth++ {
		if depth == 0 {
			w.line(0, "")
		}
		w.line(depth, sections[depth]+":")
	}
	w.section = sections
	depth := len(sections)
	for i, from := range o.From {
		if i == maxShown {
			w.line(depth, fmt.Sprintf("# and %d further lines", len(o.From)-i))
			break
		}
		w.line(depth, "# "+printable(from))
	}
	switch {
	case o.Pairs != nil:
		w.line(depth, name+":")
		for _, p := range o.Pairs {
			w.line(depth+1, strconv.Quote(p[0])+": "+strconv.Quote(p[1]))
		}
	case o.List != nil:
		w.line(depth, name+":")
		for _, item := range o.List {
			w.line(depth+1, "- "+strconv.Quote(item))
		}
	case o.Plain:
		w.line(depth, name+": "+o.Text)
	default:
		w.line(depth, name+": "+strconv.Quote(o.Text))
	}
}

// maxShown is how many lines are named as the origin of a setting.
const maxShown = 10

// printable returns a text without line breaks and other characters that a YAML comment cannot have.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func (w *yamlWriter) remarks(fate Fate, all []Remark) {
	first := true
	for _, r := range all {
		if r.Fate != fate {
			continue
		}
		if first {
			w.line(0, "")
			w.line(0, "# "+strings.ToUpper(fate.String()[:1])+fate.String()[1:]+":")
		}
		first = false
		w.line(0, "#   "+printable(fmt.Sprintf("%s: %s: %s", r.Where, r.Key, r.Text)))
	}
}
