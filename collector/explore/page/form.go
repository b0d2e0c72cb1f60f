package page

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/collector/explore"
	"github.com/metranova/flow-collector/collector/explore/filter"
)

// addForm fills in the form, with the question in it.
func (p *Pages) addForm(v *view) {
	p.addDimensions(v)
	v.addChoices()
	v.addTimes()
	if p.Explorer == nil {
		return
	}
	q := v.Question
	v.Fields = p.Explorer.Planner.Fields()
	for _, x := range p.Explorer.Planner.Presets() {
		v.Presets = append(v.Presets, preset{link{x.Name, x.Question.Address(address)},
			x.Question.Values().Encode() == q.Values().Encode()})
	}
}

// addDimensions adds a list for each dimension of the question, and one more.
func (p *Pages) addDimensions(v *view) {
	by := v.Question.By
	for i := range explore.MaxBy {
		chosen := ""
		if i < len(by) {
			chosen = by[i]
		}
		if i > 1 && i > len(by) {
			break
		}
		v.Lists = append(v.Lists, list{Label: []string{"by", "and", "and", "and"}[i], Groups: p.groups(chosen),
			None: chosen == ""})
	}
}

// addChoices adds what can be chosen of what the question shows, and how.
func (v *view) addChoices() {
	q := v.Question
	for _, x := range explore.Views() {
		v.Views = append(v.Views, option{string(x), viewNames[x], x == q.View})
	}
	for _, x := range explore.Units() {
		text := x.Label()
		if x == explore.Volume {
			text = "bytes"
		}
		v.Units = append(v.Units, option{string(x), text, x == q.Unit})
	}
	for _, x := range explore.Befores() {
		text := "compare with …"
		if x != explore.NoBefore {
			text = "with the " + string(x) + " before"
		}
		v.Befores = append(v.Befores, option{string(x), text, x == q.Before})
	}
	v.Steps = append(v.Steps, option{"", "the graph's steps", q.Step == 0})
	for _, step := range explore.FineSteps() {
		v.Steps = append(v.Steps, option{explore.Duration(step), "steps of " + spoken(step), step == q.Step})
	}
	for _, n := range withValue([]int{5, 8, 15, 25, 50}, q.Top) {
		v.Tops = append(v.Tops, option{fmt.Sprint(n), fmt.Sprintf("top %d", n), n == q.Top})
	}
}

// addTimes adds the times that can be chosen.
func (v *view) addTimes() {
	q, day := v.Question, 24*time.Hour
	if q.Last == 0 && !q.From.IsZero() {
		values := q.Values()
		v.From, v.To = values.Get("from"), values.Get("to")
		v.Times = append(v.Times, option{"", "from … to", true})
	}
	for _, x := range []explore.DayName{explore.Today, explore.Yesterday} {
		v.Times = append(v.Times, option{string(x), string(x), x == q.Day})
	}
	for _, d := range withValue([]time.Duration{15 * time.Minute, time.Hour, 6 * time.Hour, day, 2 * day, 7 * day,
		30 * day, 90 * day}, q.Last) {
		v.Times = append(v.Times, option{explore.Duration(d), "last " + spoken(d), d == q.Last})
	}
}

// TypeOf is the type of the input of a time. One with an offset, see Question.Values, is no local time.
func (v *view) TypeOf(stamp string) string {
	if _, err := time.Parse(time.RFC3339, stamp); err == nil {
		return "text"
	}
	return "datetime-local"
}

// viewNames are what the form calls the views.
var viewNames = map[explore.View]string{explore.Stacked: "stacked areas", explore.Lines: "lines",
	explore.Both: "both directions", explore.Share: "shares, 100 %", explore.Table: "table", explore.Sankey: "sankey",
	explore.Matrix: "from × to", explore.Hours: "hours × days", explore.Map: "map of countries",
	explore.Single: "single flows", explore.Lost: "losses"}

// spoken is a length of time as people say it.
func spoken(d time.Duration) string {
	day := 24 * time.Hour
	for _, unit := range []struct {
		length time.Duration
		one    string
	}{{day, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.length; {
		case d%unit.length != 0:
		case d == day:
			return "24 hours"
		case n == 1:
			return unit.one
		default:
			return fmt.Sprintf("%d %ss", n, unit.one)
		}
	}
	return d.String()
}

// withValue returns the sorted list with a value of a question in it; 0 is none.
func withValue[T cmp.Ordered](list []T, value T) []T {
	var zero T
	if i, found := slices.BinarySearch(list, value); !found && value != zero {
		return slices.Insert(list, i, value)
	}
	return list
}

func (p *Pages) groups(chosen string) []group {
	if p.Explorer == nil {
		return nil
	}
	var all []group
	for _, c := range p.Explorer.Planner.Choices() {
		if n := len(all); n == 0 || all[n-1].Name != c.Group {
			all = append(all, group{Name: c.Group})
		}
		g := &all[len(all)-1]
		g.Options = append(g.Options, option{c.Name, c.Label, c.Name == chosen})
	}
	return all
}

// zones returns the time zones to choose from. The page's address can name any other one.
func zones(q explore.Question) []string {
	all := []string{"UTC"}
	if local := localZone(); local != "" && !strings.HasSuffix(local, "UTC") {
		all = append(all, local)
	}
	if name := q.Location().String(); !slices.Contains(all, name) {
		all = append(all, name)
	}
	return all
}

// localZone is the name of the host's time zone; "" where it has none.
func localZone() string {
	if name := time.Local.String(); name != "Local" {
		return name
	}
	path, err := filepath.EvalSymlinks("/etc/localtime")
	if _, name, ok := strings.Cut(path, "/zoneinfo/"); ok && err == nil {
		return name
	}
	return ""
}

// problemOf returns an error's text for the page, with the place in the filter if the error has one.
func problemOf(q explore.Question, err error) *problem {
	var bad *filter.Error
	if errors.As(err, &bad) {
		at := min(bad.At, len(q.Filter))
		end := min(at+bad.Len, len(q.Filter))
		return &problem{bad.Text, q.Filter[:at], q.Filter[at:end], q.Filter[end:]}
	}
	return &problem{Text: explore.Reason(err)}
}
