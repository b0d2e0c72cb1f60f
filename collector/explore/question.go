// Package explore answers questions about the traffic in the store: how much of what, over time and in all, by one
// dimension or several, of the flows that a filter takes. A Question is what a form or a command line says, a Query the
// SQL for it, an Answer what a page or a terminal shows.
//
// Values of filters and forms go to the store as parameters, apart from the SQL.
package explore

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Question describes the figures to show. Create it with Parse; the zero value is not valid.
type Question struct {
	By     []string // names of dimensions, at most MaxBy; none: all traffic together
	Filter string
	Last   time.Duration // the time up to now; 0: From and To
	From   time.Time
	To     time.Time
	Unit   Unit
	View   View
	Top    int    // number of lines; the others are summed up
	Before Before // an earlier time to compare with
	// Step is the step of the statistics, such as five minutes for a 95th percentile that is billed; 0: that of the
	// graph, which follows from the time.
	Step time.Duration
	Zone *time.Location
	// Only lists the policy scopes whose flows the viewer may see. Empty: all. It is not a parameter of a page: it is
	// set by who asks.
	Only []string
}

// MaxBy is the maximum number of dimensions of a question.
const MaxBy = 4

// Unit is what a question sums up.
type Unit string

// Bits, Packets and Flows are per second. Volume is the bytes of a step, or of all the time where nothing has steps.
const (
	Bits    Unit = "bits"
	Packets Unit = "packets"
	Flows   Unit = "flows"
	Volume  Unit = "volume"
)

// Label is the unit of the figures of graphs and tables.
func (u Unit) Label() string {
	return map[Unit]string{Bits: "bit/s", Packets: "packets/s", Flows: "flows/s", Volume: "B"}[u]
}

// figure converts the sum of a time to the figure that is shown: a rate, or bytes.
func (u Unit) figure(sum float64, of time.Duration) float64 {
	if u == Volume {
		return sum / 8
	}
	return sum / of.Seconds()
}

// Before names an earlier time for comparison.
type Before string

// The earlier times: none, the period of the same length just before, the same time a day or a week earlier.
const (
	NoBefore     Before = ""
	PeriodBefore Before = "period"
	DayBefore    Before = "day"
	WeekBefore   Before = "week"
)

// Befores returns all values of Before.
func Befores() []Before { return []Before{NoBefore, PeriodBefore, DayBefore, WeekBefore} }

// View is how an answer is drawn.
type View string

// The views: over time Stacked, Lines, Both (directions, one of them downwards) and Share (of all, in per cent); in all
// Table, Sankey, Matrix, Hours and Map (of countries). Single lists the largest single flows, and Lost is what the
// collector knows to be lost, by exporter and reason.
const (
	Stacked View = "stacked"
	Lines   View = "lines"
	Both    View = "both"
	Share   View = "share"
	Table   View = "table"
	Sankey  View = "sankey"
	Matrix  View = "matrix"
	Hours   View = "hours"
	Map     View = "map"
	Single  View = "flows"
	Lost    View = "losses"
)

// Views returns all views.
func Views() []View {
	return []View{Stacked, Lines, Both, Share, Table, Sankey, Matrix, Hours, Map, Single, Lost}
}

// Units returns all units.
func Units() []Unit { return []Unit{Bits, Packets, Flows, Volume} }

// OverTime reports whether the view has an axis of time.
func (v View) OverTime() bool { return v == Stacked || v == Lines || v == Both || v == Share }

// Bounds of a question, and what it is where it does not say.
const (
	defaultLast = time.Hour
	defaultTop  = 8
	MaxTop      = 50
	maxRange    = 5 * 366 * 24 * time.Hour
	minRange    = time.Minute
)

// aroundAt is how much before and after a moment is shown.
const aroundAt = 10 * time.Minute

// FineSteps returns the steps of statistics that can be asked for.
func FineSteps() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
}

// mostSteps is the maximum number of steps of statistics: a month of five minutes.
const mostSteps = 31 * 24 * 12

// timeLayouts are the accepted formats of a time. A time without a zone is in the question's zone.
var timeLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// Parse reads the parameters of a page's address. What it does not know is an error, a Refused that names the
// parameter.
func Parse(values url.Values) (Question, error) {
	q, err := parse(values)
	if err != nil {
		return q, Refused(err.Error())
	}
	return q, nil
}

func parse(values url.Values) (Question, error) {
	q := Question{Unit: Bits, View: Stacked, Top: defaultTop, Zone: time.UTC,
		Filter: strings.TrimSpace(values.Get("filter"))}
	for _, text := range values["by"] {
		for name := range strings.SplitSeq(text, ",") {
			if name = filter.Canonical(strings.TrimSpace(name)); name != "" && !slices.Contains(q.By, name) {
				q.By = append(q.By, name)
			}
		}
	}
	if len(q.By) > MaxBy {
		return q, fmt.Errorf("by: %d dimensions, and at most %d can be shown", len(q.By), MaxBy)
	}
	if name := values.Get("zone"); name != "" {
		zone, err := time.LoadLocation(name)
		if err != nil || zone == time.Local { // the collector's own, by a name that ClickHouse does not know
			return q, fmt.Errorf("zone: %q is no time zone, such as Europe/Zurich or UTC", name)
		}
		q.Zone = zone
	}
	if text := values.Get("unit"); text != "" {
		if q.Unit = Unit(text); !slices.Contains(Units(), q.Unit) {
			return q, fmt.Errorf("unit: %q is none of %v", text, Units())
		}
	}
	if text := values.Get("view"); text != "" {
		if q.View = View(text); !slices.Contains(Views(), q.View) {
			return q, fmt.Errorf("view: %q is none of %v", text, Views())
		}
	}
	if text := values.Get("step"); text != "" {
		step, err := ParseDuration(text)
		if err != nil || !slices.Contains(FineSteps(), step) {
			return q, fmt.Errorf("step: %q is none of 1m, 5m, 15m and 1h", text)
		}
		q.Step = step
	}
	if text := values.Get("top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxTop {
			return q, fmt.Errorf("top: %q is no number from 1 to %d", text, MaxTop)
		}
		q.Top = n
	}
	if q.Before = Before(values.Get("before")); !slices.Contains(Befores(), q.Before) {
		return q, fmt.Errorf("before: %q is none of period, day and week", q.Before)
	}
	return q, q.parseTime(values)
}

func (q *Question) parseTime(values url.Values) error {
	if at := strings.TrimSpace(values.Get("at")); at != "" {
		t, err := q.time(at)
		if err != nil {
			return fmt.Errorf("at: %w", err)
		}
		q.From, q.To = t.Add(-aroundAt), t.Add(aroundAt)
		if !possible(q.From) || !possible(q.To) {
			return fmt.Errorf("at: %q is no time such as 2026-03-05T14:05", at)
		}
		return nil
	}
	from, to := strings.TrimSpace(values.Get("from")), strings.TrimSpace(values.Get("to"))
	if from == "" && to == "" {
		q.Last = defaultLast
		if text := values.Get("last"); text != "" {
			d, err := ParseDuration(text)
			if err != nil {
				return fmt.Errorf("last: %w", err)
			}
			q.Last = d
		}
		return nil
	}
	var err error
	if q.From, err = q.time(from); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if q.To, err = q.time(to); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	if d := q.To.Sub(q.From); d < minRange || d > maxRange {
		return fmt.Errorf("from %s to %s is no time of a minute to five years", from, to)
	}
	return nil
}

func (q *Question) time(text string) (time.Time, error) {
	for _, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, text, q.Zone)
		if err == nil && possible(t.In(q.Zone)) {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time such as 2026-03-05T14:05", text)
}

// possible reports whether flows can be of a time.
func possible(t time.Time) bool { return t.Year() >= 1970 && t.Year() < 2100 }

// ParseDuration reads a length of time: 30m, 6h, 7d or 4w.
func ParseDuration(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	if n := len(text); n > 1 {
		count, err := strconv.ParseUint(text[:n-1], 10, 16)
		d := time.Duration(count) * units[text[n-1]]
		if err == nil && d >= minRange && d <= maxRange {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%q is no time such as 30m, 6h, 7d or 4w", text)
}

// Duration writes what ParseDuration reads.
func Duration(d time.Duration) string {
	switch day := 24 * time.Hour; {
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

// Values returns the parameters of the question's page, without those that have their default.
func (q Question) Values() url.Values {
	v := url.Values{}
	set := func(name, value, usual string) {
		if value != usual {
			v.Set(name, value)
		}
	}
	set("by", strings.Join(q.By, ","), "")
	set("filter", q.Filter, "")
	set("unit", string(q.Unit), string(Bits))
	set("view", string(q.View), string(Stacked))
	set("top", strconv.Itoa(q.Top), strconv.Itoa(defaultTop))
	set("zone", q.Location().String(), "UTC")
	set("before", string(q.Before), "")
	if q.Step > 0 {
		v.Set("step", Duration(q.Step))
	}
	if q.Last != 0 {
		set("last", Duration(q.Last), Duration(defaultLast))
	} else if !q.From.IsZero() {
		v.Set("from", q.stamp(q.From))
		v.Set("to", q.stamp(q.To))
	}
	return v
}

// stamp formats a time in the question's zone for a form. In the hour that clocks go back the offset is added, because
// that hour exists twice.
func (q Question) stamp(t time.Time) string {
	layout := "2006-01-02T15:04"
	if t.Second() != 0 {
		layout = "2006-01-02T15:04:05"
	}
	text := t.In(q.Location()).Format(layout)
	again, err := time.ParseInLocation(layout, text, q.Location())
	if err != nil || !again.Equal(t.Truncate(time.Second)) {
		return t.In(q.Location()).Format(time.RFC3339)
	}
	return text
}

// Location returns the zone of the question's times. UTC is the default.
func (q Question) Location() *time.Location {
	if q.Zone == nil {
		return time.UTC
	}
	return q.Zone
}

// Address returns the address of the question's page, relative to the collector's.
func (q Question) Address(page string) string {
	if text := q.Values().Encode(); text != "" {
		return page + "?" + text
	}
	return page
}

// With returns the question with one more condition.
func (q Question) With(condition string) Question {
	switch {
	case condition == "":
	case q.Filter == "":
		q.Filter = condition
	case isOr(q.Filter):
		q.Filter = "(" + q.Filter + ") and " + condition
	default:
		q.Filter += " and " + condition
	}
	return q
}

// isOr reports whether a filter must stand in parentheses before another condition is added.
func isOr(text string) bool {
	x, err := filter.Parse(text)
	return err != nil || x.Op == filter.Or
}

// Between returns the question for another time.
func (q Question) Between(from, to time.Time) Question {
	q.Last, q.From, q.To = 0, from, to
	return q
}

// steps are the possible steps of a graph.
var steps = []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour,
	6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// graphPoints is the maximum number of points of a graph. A view that is no graph over time has at most sumPoints: more
// of its questions can be answered from rollups then.
const graphPoints, sumPoints = 180, 48

// mostPoints returns the maximum number of points of the question's view.
func (q Question) mostPoints() time.Duration {
	switch q.View {
	case Table, Sankey, Matrix, Map:
		return sumPoints
	}
	return graphPoints
}

// span is the time range of a query, in whole steps.
type span struct {
	from, to time.Time
	step     time.Duration
	partial  bool // the last step is not over
}

func (s span) points() int            { return int(s.to.Sub(s.from) / s.step) }
func (s span) length() time.Duration  { return s.to.Sub(s.from) }
func (s span) complete() (points int) { return max(s.points()-b2i(s.partial), 0) }

// before returns the earlier span with the same number of steps.
func (s span) before(b Before) span {
	back := s.length()
	switch day := 24 * time.Hour; b {
	case DayBefore:
		back = max(day, s.step)
	case WeekBefore:
		back = 7 * day
	}
	return span{s.from.Add(-back), s.to.Add(-back), s.step, false}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// span divides the question's time into steps. Steps of a day or more start at midnight of the question's zone, unless
// its UTC offset changes within the time.
func (q Question) span(now time.Time) span {
	from, to := q.From, q.To
	if q.Last != 0 {
		from, to = now.Add(-q.Last), now
	}
	s := span{step: steps[len(steps)-1]}
	for _, step := range steps {
		if to.Sub(from) <= q.mostPoints()*step {
			s.step = step
			break
		}
	}
	_, seconds := from.In(q.Location()).Zone()
	offset := time.Duration(seconds) * time.Second
	s.from = from.Add(offset).Truncate(s.step).Add(-offset)
	if q.Step > 0 && q.Step < s.step && to.Sub(s.from) <= mostSteps*q.Step {
		s.step = q.Step
	}
	s.to = to.Add(offset).Truncate(s.step).Add(-offset)
	if s.to.Before(to) {
		s.to = s.to.Add(s.step)
	}
	s.partial = s.to.After(now)
	return s
}
