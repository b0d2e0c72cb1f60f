package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/sink/golden"
)

// dashboard is what the tests look at of a dashboard's JSON.
type dashboard struct {
	file        string
	UID         string `json:"uid"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Templating  struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Name   string `json:"name"`
			Target struct {
				RawSQL string `json:"rawSql"`
			} `json:"target"`
		} `json:"list"`
	} `json:"annotations"`
	Links []struct {
		KeepsVariables bool `json:"includeVars"`
		KeepsTime      bool `json:"keepTime"`
	} `json:"links"`
	Panels []panel `json:"panels"`
}

type variable struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Query   string          `json:"query"`
	Source  source          `json:"datasource"`
	Refresh int             `json:"refresh"`
	All     bool            `json:"includeAll"`
	Options json.RawMessage `json:"options"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int                      `json:"id"`
	Type        string                   `json:"type"`
	Title       string                   `json:"title"`
	Description string                   `json:"description"`
	Source      source                   `json:"datasource"`
	Interval    string                   `json:"interval"`
	Grid        struct{ X, Y, W, H int } `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit    string     `json:"unit"`
			NoValue string     `json:"noValue"`
			Links   []dataLink `json:"links"`
		} `json:"defaults"`
		Overrides []struct {
			Matcher struct {
				ID      string `json:"id"`
				Options any    `json:"options"`
			} `json:"matcher"`
			Properties []struct {
				ID    string          `json:"id"`
				Value json.RawMessage `json:"value"`
			} `json:"properties"`
		} `json:"overrides"`
	} `json:"fieldConfig"`
	Options struct {
		Legend struct {
			Calcs []string `json:"calcs"`
		} `json:"legend"`
	} `json:"options"`
	Targets []struct {
		RefID     string `json:"refId"`
		Source    source `json:"datasource"`
		RawSQL    string `json:"rawSql"`
		QueryType string `json:"queryType"`
		Format    int    `json:"format"`
	} `json:"targets"`
}

// dataLink leads from a value to another dashboard.
type dataLink struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// links are those of a panel by the column that has them; "" for series.
func (p *panel) links(t *testing.T) map[string][]dataLink {
	t.Helper()
	all := map[string][]dataLink{}
	if len(p.FieldConfig.Defaults.Links) > 0 {
		all[""] = p.FieldConfig.Defaults.Links
	}
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID != "links" {
				continue
			}
			var list []dataLink
			if err := json.Unmarshal(property.Value, &list); err != nil {
				t.Fatalf("panel %q: %v", p.Title, err)
			}
			all[fmt.Sprint(o.Matcher.Options)] = list
		}
	}
	return all
}

// dashboards reads all of conf.example/grafana/dashboards.
func dashboards(t *testing.T) []dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(golden.Repository(t), "conf.example", "grafana", "dashboards", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	var all []dashboard
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := dashboard{file: filepath.Base(path)}
		if err := json.Unmarshal(data, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, d)
	}
	return all
}

// grafana expands queries as Grafana and its ClickHouse plugin (4.x) do: $__conditionalAll and variables in the
// browser, the other macros in the plugin's backend.
type grafana struct {
	from, to time.Time
	interval time.Duration
	all      map[string]bool     // variables that are set to All
	values   map[string][]string // every other one's, and the options of those
}

var (
	conditionalAll = regexp.MustCompile(`\$__conditionalAll\(((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*), ` +
		`\$(\w+)\)`)
	variableUse  = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}`)
	timeFilter   = regexp.MustCompile(`\$__timeFilter\(([^)]*)\)`)
	timeInterval = regexp.MustCompile(`\$__timeInterval\(([^)]*)\)`)
	unexpanded   = regexp.MustCompile(`\$[_{a-zA-Z]\S*`)
)

// expand returns the SQL that reaches ClickHouse.
func (g *grafana) expand(t *testing.T, sql string) string {
	t.Helper()
	sql = conditionalAll.ReplaceAllStringFunc(sql, func(macro string) string {
		m := conditionalAll.FindStringSubmatch(macro)
		if g.all[m[2]] {
			return "1=1"
		}
		return m[1]
	})
	sql = variableUse.ReplaceAllStringFunc(sql, func(use string) string {
		m := variableUse.FindStringSubmatch(use)
		values, found := g.values[m[1]]
		if !found {
			t.Errorf("%s: no such variable in:\n%s", use, sql)
		}
		switch m[2] {
		case "singlequote":
			return "'" + strings.Join(values, "','") + "'"
		case "csv", "":
			return strings.Join(values, ",")
		case "sqlstring":
			return "'" + strings.ReplaceAll(strings.Join(values, "','"), "'", "''") + "'"
		}
		t.Errorf("%s: a format that this test does not know", use)
		return use
	})
	date := func(at time.Time) string { return fmt.Sprintf("toDateTime(%d)", at.Unix()) }
	seconds := fmt.Sprint(int(g.interval.Seconds()))
	sql = timeFilter.ReplaceAllString(sql, "$1 >= "+date(g.from)+" AND $1 <= "+date(g.to))
	sql = timeInterval.ReplaceAllString(sql, "toStartOfInterval(toDateTime($1), INTERVAL "+seconds+" second)")
	sql = strings.NewReplacer("$__interval_s", seconds, "$__fromTime", date(g.from), "$__toTime",
		date(g.to)).Replace(sql)
	if left := unexpanded.FindString(sql); left != "" {
		t.Errorf("%s is not expanded in:\n%s", left, sql)
	}
	return sql
}
