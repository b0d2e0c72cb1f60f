package explore

import (
	"context"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/sqltext"
)

// Extent says which flows the store has.
type Extent struct {
	Flows       uint64
	First, Last time.Time // start of the first and of the last flow
}

// Extent asks the store which flows it has. The store answers without reading rows.
func (e *Explorer) Extent(ctx context.Context) (Extent, error) {
	var x Extent
	s := e.Planner.settings
	err := e.run(ctx, &Query{sql: "SELECT count() AS n, toUnixTimestamp(min(start_time)) AS first, " +
		"toUnixTimestamp(max(start_time)) AS last FROM " + sqltext.Name(s.Database) + "." +
		sqltext.Name(s.Tables.Flow)}, func(rows driver.Rows) error {
		var first, last uint32
		if err := rows.Scan(&x.Flows, &first, &last); err != nil {
			return err
		}
		x.First, x.Last = time.Unix(int64(first), 0).UTC(), time.Unix(int64(last), 0).UTC()
		return nil
	})
	return x, err
}

// Nothing says why an answer is empty, and offers another question that has an answer.
type Nothing struct {
	Text, Link string
	Instead    *Question
}

// Nothing finds out why an answer is empty.
func (e *Explorer) Nothing(ctx context.Context, a *Answer) (*Nothing, error) {
	q := a.Question
	if q.View == Lost {
		return &Nothing{Text: "The collector knows of no losses in this time."}, nil
	}
	var x Extent
	if len(q.Only) > 0 { // when flows of other scopes began is not told
		x = Extent{Flows: 1, First: a.From, Last: a.To}
	} else if found, err := e.Extent(ctx); err != nil {
		return nil, err
	} else {
		x = found
	}
	zone := q.Location()
	when := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04") + " " + zone.String() }
	switch {
	case x.Flows == 0:
		return &Nothing{Text: "The store has no flows yet. The page of exporters shows what arrives; rows follow " +
			"some seconds later."}, nil
	case !a.To.After(x.First):
		first := q.Between(x.First.Truncate(time.Minute), x.First.Truncate(time.Minute).Add(time.Hour))
		return &Nothing{Text: "The oldest flow that the store has began at " + when(x.First) + ": older ones are " +
			"deleted, as flow.ttl says, or never came.", Link: "the oldest hour", Instead: &first}, nil
	case a.From.After(x.Last):
		end := x.Last.Truncate(time.Minute).Add(time.Minute)
		last := q.Between(end.Add(-time.Hour), end)
		return &Nothing{Text: "The last flow began at " + when(x.Last) + ": nothing has come since. The page of " +
			"exporters shows what arrives.", Link: "the hour up to then", Instead: &last}, nil
	case len(q.Only) > 0 && strings.TrimSpace(q.Filter) == "":
		return &Nothing{Text: "No flow of this time has a policy scope that you may see."}, nil
	case strings.TrimSpace(q.Filter) != "":
		q.Filter = ""
		return &Nothing{Text: "No flow of this time passes the filter.", Link: "without the filter", Instead: &q}, nil
	}
	return &Nothing{Text: "No flow began in this time."}, nil
}

// Unknown says which metadata is missing if no flow has a value of one of the question's dimensions. It returns "" if
// each dimension has values.
func (a *Answer) Unknown() string {
	if len(a.Series) == 0 || len(a.Question.By) == 0 {
		return ""
	}
	for i, name := range a.Question.By {
		known := false
		for j := range a.Series {
			line := &a.Series[j]
			known = known || line.Rank == 0 || line.Keys[i] != ""
		}
		if !known {
			return a.Labels[i] + " is not known of any flow here. " + missingFrom(name)
		}
	}
	return ""
}

// missingFrom says where the values of a dimension come from.
func missingFrom(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "src."), "dst.")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "in."), "out.")
	switch name {
	case "org":
		return "Organizations are those of the CAIDA and PeeringDB feeds and of meta_organization.yml, by AS."
	case "as", "next.as", "as.path", "community":
		return "AS numbers and routes are those that exporters send, or those of a routing session (routing)."
	case "net", "country", "city", "continent":
		return "It comes with prefixes: of a MaxMind feed, or of meta_ip.yml."
	case "sci.org", "sci.project", "sci.discipline":
		return "It comes with the Science Registry feed."
	case "site", "network":
		return "It comes with devices: of meta_device.yml, or of a feed."
	case "circuit", "if":
		return "It comes with interfaces: of meta_interface.yml, of SNMP, or of names that exporters send."
	case "scope", "level", "originator":
		return "The rules of policy give it."
	case "next.hop", "vrf", "vlan", "dscp", "flags":
		return "Exporters that send it have it."
	}
	return ""
}
