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
	codes, err := e.values(ctx, d.code, keys, filter.Text)
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
		names, err := e.names(ctx, d, keys)
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
		names, err := e.names(ctx, d, keys)
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
func (e *Explorer) names(ctx context.Context, d *dimension, keys []string) (map[string]string, error) {
	if d.names == "" {
		return nil, nil
	}
	names, err := e.values(ctx, d.names, keys, d.kind)
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

// speeds queries the speed of each line.
func (e *Explorer) speeds(ctx context.Context, a *Answer, d *dimension) error {
	var keys []string
	for _, line := range a.Series {
		keys = append(keys, line.Keys[0])
	}
	speeds, err := e.values(ctx, d.speed, keys, filter.Text)
	if err != nil {
		return err
	}
	for i := range a.Series {
		if text := speeds[a.Series[i].Keys[0]]; text != "" && a.Series[i].Rank != 0 {
			if a.Series[i].Speed, err = strconv.ParseFloat(text, 64); err != nil {
				return fmt.Errorf("read the speed of %s: %w", a.Series[i].Keys[0], err)
			}
		}
	}
	return nil
}

// values queries the values that lookup, a SELECT of key and value, has for keys of a kind.
func (e *Explorer) values(ctx context.Context, lookup string, keys []string, k filter.Kind) (map[string]string, error) {
	values := map[string]string{}
	if len(keys) == 0 {
		return values, nil
	}
	err := e.run(ctx, valuesOf(lookup, keys, k), func(rows driver.Rows) error {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		values[key] = value
		return nil
	})
	return values, err
}
