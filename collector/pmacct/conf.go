package pmacct

import (
	"fmt"
	"strings"
)

// Setting is a line of the configuration of nfacctd or sfacctd.
type Setting struct {
	File   string
	Line   int
	Key    string // in lower case
	Plugin string // KEY[PLUGIN]: the plugin that the value is for; "": all
	Value  string
}

// Where names the line, as FILE:LINE.
func (s *Setting) Where() string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// ReadConf reads the configuration of nfacctd or sfacctd: lines of KEY: VALUE or KEY[PLUGIN]: VALUE, and comments that
// begin with an exclamation mark. The error lists all lines that are neither, one per line of its text; the settings of
// the other lines are returned with it.
func ReadConf(path string) (settings []Setting, err error) {
	err = readFile(path, func(r *reader, line string) {
		s, problem := parseSetting(line)
		if problem != "" {
			r.wrong("%s", problem)
			return
		}
		s.File, s.Line = path, r.line
		settings = append(settings, s)
	})
	return settings, err
}

// parseSetting splits a line. The key ends at the first colon. pmacct ignores blanks in keys and their case.
func parseSetting(line string) (s Setting, problem string) {
	key, value, found := strings.Cut(line, ":")
	if !found {
		return s, "the line has no colon: it is neither KEY: VALUE nor a comment"
	}
	key, plugin, named := strings.Cut(key, "[")
	if named {
		if plugin, named = strings.CutSuffix(strings.TrimSpace(plugin), "]"); !named {
			return s, "a bracket is not closed before the colon"
		}
	}
	s.Key = strings.ToLower(strings.Join(strings.Fields(key), ""))
	s.Plugin, s.Value = strings.TrimSpace(plugin), strings.TrimSpace(value)
	if s.Key == "" {
		return s, "the key is missing"
	}
	return s, ""
}
