// Package explore answers questions about the traffic in the store: how much of what, over time and in all, by one
// dimension or several, of the flows that a filter takes. A Question is what a form or a command line says, a Query the
// SQL for it, an Answer what a page or a terminal shows.
//
// Values of filters and forms go to the store as parameters, apart from the SQL.
package explore

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/explore/filter"
)

// Question describes the figures to show. Create it with Parse; the zero value is not valid.
type Question struct {
	By     []string // names of dimensions, at most MaxBy; none: all traffic together
	Filter string
	Last   time.Duration // the time up to now; 0: Day, or From and To
	Day    DayName       // a day of the zone; NoDay: From and To
	From   time.Time
	To     time.Time // the zero time, or one that has not come: now
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

// hasStatistics reports whether the view has figures of steps, such as a 95th percentile.
func (v View) hasStatistics() bool { return v.OverTime() || v == Table || v == Map }

// Ignores lists the parameters that the view has no use for.
func (v View) Ignores() []string {
	switch v {
	case Sankey, Matrix:
		return []string{"before", "step"}
	case Hours:
		return []string{"by", "top", "before", "step"}
	case Single:
		return []string{"by", "before", "step"}
	case Lost:
		return []string{"by", "filter", "unit", "top", "before", "step"}
	}
	return nil
}

// without says what a view is without that ignores a parameter.
var without = map[string]string{"by": "dimensions (by)", "filter": "filter (losses are of datagrams, not of flows)",
	"unit": "unit (unit)",
	"top":  "number of lines (top)", "before": "earlier period (before)", "step": "statistics of steps (step)"}

// Ignored says in a sentence which of the question's parameters its view has no use for; "" if it uses all.
func (q Question) Ignored() string {
	values := q.Values()
	var all []string
	for _, name := range q.View.Ignores() {
		if values.Has(name) {
			all = append(all, "no "+without[name])
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "This view has " + strings.Join(all, ", ") + "."
}

// OverTime reports whether the view has an axis of time.
func (v View) OverTime() bool { return v == Stacked || v == Lines || v == Both || v == Share }

// Bounds of a question, and what it is where it does not say.
const (
	defaultLast = time.Hour
	defaultTop  = 8
	MaxTop      = 50
	maxRange    = 5 * 366 * 24 * time.Hour
	minRange    = time.Second
)

// FineSteps returns the steps of statistics that can be asked for.
func FineSteps() []time.Duration {
	return []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
}

// mostSteps is the maximum number of steps of statistics: five minutes of a month of 31 days in which clocks go back an
// hour.
const mostSteps = (31*24 + 1) * 12

// parameterNames lists what Parse reads.
var parameterNames = []string{"by", "filter", "last", "from", "to", "at", "step", "zone", "view", "unit", "top",
	"before"}

// mostStrange is how many names Strange has.
const mostStrange = 5

// Strange says in a sentence which parameters Parse does not read, and which may be meant; "" if it reads all. Mail
// programs and proxies add some, so they are no error.
func Strange(values url.Values) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(parameterNames, name) || len(all) == mostStrange {
			continue
		}
		text := Shown(name)
		if near := commandline.Nearest(name, parameterNames); near != "" {
			text += " (did you mean " + near + "?)"
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return ""
	}
	return "Parameters that are not known here: " + strings.Join(all, ", ") + "."
}

// Parse reads the parameters of a page's address. What it does not know is an error, a Refused that names the
// parameter. Times without a date are the last ones before now.
func Parse(values url.Values, now time.Time) (Question, error) {
	q, err := parse(values, now)
	if err != nil {
		return q, Refused(err.Error())
	}
	return q, nil
}

func parse(values url.Values, now time.Time) (Question, error) {
	q := Question{Unit: Bits, View: Stacked, Top: defaultTop, Filter: strings.TrimSpace(values.Get("filter"))}
	if err := q.parseBy(values["by"]); err != nil {
		return q, err
	}
	if err := q.parseZone(values.Get("zone")); err != nil {
		return q, err
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
	return q, q.parseTime(values, now)
}

// parseBy reads lists of dimensions.
func (q *Question) parseBy(lists []string) error {
	for _, text := range lists {
		for name := range strings.SplitSeq(text, ",") {
			if name = filter.Canonical(strings.TrimSpace(name)); name != "" && !slices.Contains(q.By, name) {
				q.By = append(q.By, name)
			}
		}
	}
	if len(q.By) > MaxBy {
		return fmt.Errorf("by: %d dimensions, and at most %d can be shown", len(q.By), MaxBy)
	}
	return nil
}

// parseZone reads the name of a time zone; "" is UTC. ClickHouse does not know the zones of a system that are no place:
// localtime, posixrules, posix/… and right/…, all in small letters, Factory, and Local, the collector's own.
func (q *Question) parseZone(name string) error {
	zone, err := time.LoadLocation(name)
	known := name == "" || 'A' <= name[0] && name[0] <= 'Z' && name != "Factory"
	if err != nil || zone == time.Local || !known {
		return fmt.Errorf("zone: %q is no time zone, such as Europe/Zurich or UTC", name)
	}
	q.Zone = zone
	return nil
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
	switch {
	case q.Last != 0:
		set("last", Duration(q.Last), Duration(defaultLast))
	case q.Day != NoDay:
		v.Set("last", string(q.Day))
	case !q.From.IsZero():
		v.Set("from", q.stamp(q.From))
		if !q.To.IsZero() {
			v.Set("to", q.stamp(q.To))
		}
	}
	return v
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
