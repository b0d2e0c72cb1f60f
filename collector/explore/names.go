package explore

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/explore/filter"
)

// mostCountries is the maximum number of countries of a map.
const mostCountries = 300

// codes queries the code of each country.
func (e *Explorer) codes(ctx context.Context, a *Answer, d *dimension) error {
	var keys []string
	for _, line := range a.Series {
		keys = append(keys, line.Keys[0])
	}
	codes, err := e.values(ctx, &a.Queries, "codes of countries", d.code, keys, filter.Text)
	for i := range a.Series {
		if line := &a.Series[i]; line.Rank != 0 {
			line.Code = codes[line.Keys[0]]
		}
	}
	return err
}

// nameSeries queries the names of the lines' keys, and formats the keys for people.
func (e *Explorer) nameSeries(ctx context.Context, a *Answer, by []*dimension) error {
	for i, d := range by {
		var keys []string
		for _, line := range a.Series {
			if line.Rank != 0 {
				keys = append(keys, line.Keys[i])
			}
		}
		names, err := e.names(ctx, a, d, keys)
		if err != nil {
			return err
		}
		for j := range a.Series {
			a.Series[j].Names[i] = names[a.Series[j].Keys[i]]
			a.Series[j].Keys[i] = d.key(a.Series[j].Keys[i])
		}
	}
	return nil
}

func (e *Explorer) nameLinks(ctx context.Context, a *Answer, by []*dimension) error {
	for i, d := range by {
		var keys []string
		for _, link := range a.Links {
			if !slices.Contains(keys, link.Nodes[i].Key) {
				keys = append(keys, link.Nodes[i].Key)
			}
		}
		names, err := e.names(ctx, a, d, keys)
		if err != nil {
			return err
		}
		for j := range a.Links {
			node := &a.Links[j].Nodes[i]
			node.Name, node.Key = names[node.Key], d.key(node.Key)
		}
	}
	return nil
}

// key formats a key for people.
func (d *dimension) key(text string) string {
	if d.kind == filter.AS && text != "" && text != "0" {
		return "AS" + text
	}
	if d.kind == filter.AS {
		return ""
	}
	return text
}

// names queries the names of keys. A dimension without names has none.
func (e *Explorer) names(ctx context.Context, a *Answer, d *dimension, keys []string) (map[string]string, error) {
	if d.names == "" {
		return nil, nil
	}
	names, err := e.values(ctx, &a.Queries, "names of "+d.Name, d.names, keys, d.kind)
	if err != nil {
		return nil, err
	}
	if d.kind == filter.Application {
		for _, key := range keys {
			if (key == "tcp/0" || key == "udp/0") && names[key] == "" {
				names[key] = "no known port"
			}
		}
	}
	return names, nil
}

// speedsOf queries the speeds of interfaces or circuits, which are keys of a dimension, in bits a second. One that is
// not known is not among them.
func (e *Explorer) speedsOf(ctx context.Context, asked *Statements, d *dimension, keys []string,
) (map[string]float64, error) {
	texts, err := e.values(ctx, asked, "speeds in bits a second", d.speed, keys, filter.Text)
	if err != nil {
		return nil, err
	}
	speeds := map[string]float64{}
	for key, text := range texts {
		if text == "" {
			continue
		}
		if speeds[key], err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fmt.Errorf("read the speed of %s: %w", key, err)
		}
	}
	return speeds, nil
}

// speeds queries the speed of each line, and how busy it is: a line of both directions has a speed in each.
func (e *Explorer) speeds(ctx context.Context, a *Answer, s span, d *dimension) error {
	var keys []string
	for _, line := range a.Series {
		keys = append(keys, line.Keys[0])
	}
	speeds, err := e.speedsOf(ctx, &a.Queries, d, keys)
	if err != nil {
		return err
	}
	var known []*Series
	for i := range a.Series {
		line := &a.Series[i]
		speed, found := speeds[line.Keys[0]]
		if !found || line.Rank == 0 {
			continue
		}
		line.Speed = speed
		known = append(known, line)
		if len(d.both) > 0 {
			continue // its traffic is that of both directions
		}
		line.Busy = line.P95
		if i < len(a.Back) {
			line.Busy = max(line.Busy, a.Back[i].P95)
		}
	}
	for _, way := range d.both {
		if err := e.busy(ctx, a, s, e.Planner.dimension(way), known); err != nil {
			return err
		}
	}
	return nil
}

// busy queries the lines by a dimension of one direction, and raises how busy they are to what they have there.
func (e *Explorer) busy(ctx context.Context, a *Answer, s span, one *dimension, known []*Series) error {
	var conditions []string
	for _, line := range known {
		if c := condition([]*dimension{one}, line.Keys); c != "" {
			conditions = append(conditions, c)
		}
	}
	if len(conditions) == 0 {
		return nil
	}
	q := a.Question.With(anyOf(conditions))
	q.By = []string{one.Name}
	found, err := e.largestLines(ctx, a, "how full lines are: "+one.Name, q, s, false)
	if err != nil {
		return err
	}
	for i := range found {
		at := slices.IndexFunc(known, func(line *Series) bool { return line.Keys[0] == found[i].Keys[0] })
		if at < 0 || found[i].Rank == 0 {
			continue
		}
		found[i].rate(found[i].Points[:s.complete()], 0)
		known[at].Busy = max(known[at].Busy, found[i].P95)
	}
	return nil
}

// values queries the values that lookup, a SELECT of key and value, has for keys of a kind. They are the figures that
// what names, and their query is noted in asked.
func (e *Explorer) values(ctx context.Context, asked *Statements, what, lookup string, keys []string, k filter.Kind,
) (map[string]string, error) {
	values := map[string]string{}
	if len(keys) == 0 {
		return values, nil
	}
	query := valuesOf(lookup, keys, k)
	asked.ask(what, query)
	err := e.run(ctx, query, func(rows driver.Rows) error {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		values[key] = value
		return nil
	})
	return values, err
}
