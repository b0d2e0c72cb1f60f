package check

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
)

// The levels of a finding.
const (
	checkOK      = "ok"
	checkNote    = "note"
	checkWarning = "warning"
	checkProblem = "problem"
)

// A Finding is the result of one check. Its JSON form is what --json prints.
type Finding struct {
	Level   string `json:"level"`   // ok, note, warning or problem
	Subject string `json:"subject"` // the subject: listen, spool, metadata
	Where   string `json:"where,omitempty"`
	Key     string `json:"key,omitempty"` // the setting or variable
	Value   string `json:"value,omitempty"`
	Text    string `json:"text"`
}

// String returns the finding without its level and subject.
func (f Finding) String() string {
	return config.Problem{Where: f.Where, Key: f.Key, Value: f.Value, Why: f.Text}.String()
}

// ErrProblems is returned if something would not work. Details were printed.
var ErrProblems = errors.New("run would not work")

// findings collects all findings.
type findings struct {
	all []Finding
}

func (f *findings) say(level, subject, format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	f.all = append(f.all, Finding{Level: level, Subject: subject, Text: text})
}

// setting is say for a finding about a setting.
func (c *checker) setting(key, level, subject, format string, args ...any) {
	c.say(level, subject, format, args...)
	f, origin := &c.all[len(c.all)-1], c.cfg.Origin(key)
	f.Where, f.Key = origin.Where, cmp.Or(origin.Variable, key)
}

// about adds a problem of the configuration.
func (f *findings) about(level string, p config.Problem) {
	f.all = append(f.all, Finding{Level: level, Subject: "configuration", Where: p.Where, Key: p.Key, Value: p.Value,
		Text: p.Why})
}

func (f *findings) count(level string) (n int) {
	for _, one := range f.all {
		if one.Level == level {
			n++
		}
	}
	return n
}

// print writes the findings, as a table or as JSON. It returns an error if there are problems or, with strict,
// warnings.
func (f *findings) print(out io.Writer, o Options) error {
	problems, warnings := f.count(checkProblem), f.count(checkWarning)
	var err error
	if problems > 0 || o.Strict && warnings > 0 {
		err = ErrProblems
	}
	if o.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return errors.Join(encoder.Encode(struct {
			Problems int       `json:"problems"`
			Warnings int       `json:"warnings"`
			Findings []Finding `json:"findings"`
		}{problems, warnings, f.all}), err)
	}
	if failed := f.table(out); failed != nil {
		return failed
	}
	fmt.Fprintf(out, "%s, %s\n", commandline.Count(problems, "problem"),
		commandline.Count(warnings, "warning"))
	return err
}

// table writes a line for each finding.
func (f *findings) table(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, one := range f.all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", one.Level, one.Subject, one)
	}
	return table.Flush()
}
