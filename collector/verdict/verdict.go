// Package verdict describes in plain words what is wrong with an exporter, with routing or with the collector, and what
// to do about it. Each verdict follows from numbers alone: OfExporter, OfRouting and OfCollector are pure functions.
package verdict

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity is how much a verdict matters.
type Severity uint8

// The severities. A note is information; with a warning some of the data is wrong or missing, with a problem much of it
// is.
const (
	Note Severity = iota
	Warning
	Problem
)

// String returns the severity as people read it.
func (s Severity) String() string { return [...]string{"note", "warning", "problem"}[s] }

// MarshalText makes the severity a text in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Severity) UnmarshalText(text []byte) error {
	for *s = Note; *s <= Problem; *s++ {
		if s.String() == string(text) {
			return nil
		}
	}
	return fmt.Errorf("%q is no severity", text)
}

// Verdict is one finding for the operator.
type Verdict struct {
	Severity Severity `json:"severity"`
	Code     string   `json:"code"` // identifies the kind of finding
	Text     string   `json:"text"`
	Fix      string   `json:"fix,omitempty"` // what to do
	About    string   `json:"-"`             // the router or source, where there can be several
}

// list collects verdicts.
type list []Verdict

func (l *list) add(s Severity, code, fix, format string, args ...any) {
	*l = append(*l, Verdict{Severity: s, Code: code, Text: fmt.Sprintf(format, args...), Fix: fix})
}

// about sets About of the latest verdict.
func (l *list) about(name string) { (*l)[len(*l)-1].About = name }

// sorted sorts by severity, the worst first, and keeps the order within a severity.
func (l list) sorted() []Verdict {
	slices.SortStableFunc(l, func(a, b Verdict) int { return cmp.Compare(b.Severity, a.Severity) })
	return l
}
