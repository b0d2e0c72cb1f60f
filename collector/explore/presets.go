package explore

import (
	"net/url"
	"slices"
	"time"
)

// Preset is a frequent question under a name.
type Preset struct {
	Name     string
	Question Question
}

// presets are the parameters of their pages. One whose dimensions are not there is left out.
var presets = []struct{ name, address string }{
	{"Top talkers", "by=src.as&last=24h"},
	{"Organizations", "by=src.org,dst.org&view=sankey&last=24h"},
	{"Projects", "by=src.sci.project&last=24h"},
	{"Sites", "by=site&last=24h"},
	{"Circuits", "by=circuit&view=lines&last=24h"},
	{"What circuits carry", "by=circuit,app&view=table&top=25&last=24h"},
	{"Interfaces", "by=in.if&view=lines&last=24h"},
	{"Policy scopes", "by=scope&view=lines&last=24h"},
	{"Who sends to whom", "by=src.as,dst.as&view=matrix&last=24h"},
	{"Since yesterday", "by=src.as&last=24h&before=day"},
	{"What happened", "by=app&last=1h"},
	{"Elephant flows", "by=src.ip,dst.ip,app&view=table&top=25&last=1h"},
	{"Largest flows", "view=flows&top=25&last=1h"},
	{"Science", "by=src.sci.discipline&last=7d"},
	{"Countries", "by=src.country&view=map&top=15&last=24h"},
	{"Hours", "view=hours&last=7d"},
	{"Losses", "view=losses&last=24h"},
}

// Presets returns the presets that the tables can answer.
func (p *Planner) Presets() []Preset {
	var all []Preset
	for _, preset := range presets {
		values, err := url.ParseQuery(preset.address)
		if err != nil {
			continue // a test parses them all
		}
		q, err := Parse(values, time.Time{}) // none has a time without a date
		if err == nil && !slices.ContainsFunc(q.By, func(name string) bool { return p.dimensions[name] == nil }) {
			all = append(all, Preset{preset.name, q})
		}
	}
	return all
}

// Choice is a dimension as a form lists it.
type Choice struct{ Name, Label, Group string }

// Choices returns the dimensions for grouping, in the order in which they are listed.
func (p *Planner) Choices() []Choice {
	var all []Choice
	for _, d := range p.list {
		if !d.Only {
			all = append(all, Choice{d.Name, d.Label, d.Group})
		}
	}
	return all
}

// Fields returns the names that filters can use.
func (p *Planner) Fields() []string {
	var all []string
	for _, d := range p.list {
		all = append(all, d.Name)
	}
	return all
}
