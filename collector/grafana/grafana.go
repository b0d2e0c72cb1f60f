// Package grafana reads the Grafana dashboards of the collector and expands the variables and macros of their queries
// as Grafana does. Tests and bench query use it.
package grafana

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Dashboard is the JSON of a dashboard, with the fields that tests and measurements need.
type Dashboard struct {
	File        string `json:"-"` // name of the file, without its folder
	UID         string `json:"uid"`
	Title       string `json:"title"`
	Description string `json:"description"`
	Templating  struct {
		List []Variable `json:"list"`
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
	Panels []Panel `json:"panels"`
}

// Variable is a variable of a dashboard. Query has the options of a variable of type "custom", or the SQL that returns
// the options of one of type "query".
type Variable struct {
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Query   string          `json:"query"`
	Source  Source          `json:"datasource"`
	Refresh int             `json:"refresh"`
	All     bool            `json:"includeAll"`
	Options json.RawMessage `json:"options"`
}

// Source is a data source.
type Source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one panel with its queries.
type Panel struct {
	ID          int                      `json:"id"`
	Type        string                   `json:"type"`
	Title       string                   `json:"title"`
	Description string                   `json:"description"`
	Source      Source                   `json:"datasource"`
	Interval    string                   `json:"interval"`
	Grid        struct{ X, Y, W, H int } `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit    string `json:"unit"`
			NoValue string `json:"noValue"`
			Links   []Link `json:"links"`
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
		Source    Source `json:"datasource"`
		RawSQL    string `json:"rawSql"`
		QueryType string `json:"queryType"`
		Format    int    `json:"format"`
	} `json:"targets"`
}

// Link leads from a value to another dashboard.
type Link struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// Links returns the links of a panel's values, by column; those of series have the key "".
func (p *Panel) Links() (map[string][]Link, error) {
	all := map[string][]Link{}
	if len(p.FieldConfig.Defaults.Links) > 0 {
		all[""] = p.FieldConfig.Defaults.Links
	}
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID != "links" {
				continue
			}
			var list []Link
			if err := json.Unmarshal(property.Value, &list); err != nil {
				return nil, fmt.Errorf("panel %q: links: %w", p.Title, err)
			}
			all[fmt.Sprint(o.Matcher.Options)] = list
		}
	}
	return all, nil
}

// Read reads the dashboards of a folder, in the order of their files' names. A folder without any is an error.
func Read(dir string) ([]Dashboard, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s: no dashboards", dir)
	}
	var all []Dashboard
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		d := Dashboard{File: filepath.Base(path)}
		if err := json.Unmarshal(data, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// View is the range of time and the values of variables with which a dashboard is shown.
type View struct {
	From, To time.Time
	Interval time.Duration       // time between two points of a graph
	All      map[string]bool     // variables that are set to All
	Values   map[string][]string // values of all other variables, and the options of those in All
}

var (
	conditionalAll = regexp.MustCompile(`\$__conditionalAll\(((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*), ` +
		`\$(\w+)\)`)
	variableUse  = regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}`)
	timeFilter   = regexp.MustCompile(`\$__timeFilter\(([^)]*)\)`)
	timeInterval = regexp.MustCompile(`\$__timeInterval\(([^)]*)\)`)
	unexpanded   = regexp.MustCompile(`\$[_{a-zA-Z]\S*`)
)

// Expand returns the SQL that ClickHouse receives. Grafana expands $__conditionalAll and variables in the browser; its
// ClickHouse plugin (4.x) expands the other macros. The error names what is not known here.
func (v *View) Expand(sql string) (string, error) {
	var failed error
	sql = conditionalAll.ReplaceAllStringFunc(sql, func(macro string) string {
		m := conditionalAll.FindStringSubmatch(macro)
		if v.All[m[2]] {
			return "1=1"
		}
		return m[1]
	})
	sql = variableUse.ReplaceAllStringFunc(sql, func(use string) string {
		m := variableUse.FindStringSubmatch(use)
		values, found := v.Values[m[1]]
		if !found {
			failed = fmt.Errorf("%s: no such variable in:\n%s", use, sql)
		}
		switch m[2] {
		case "singlequote":
			return "'" + strings.Join(values, "','") + "'"
		case "csv", "":
			return strings.Join(values, ",")
		case "sqlstring":
			return "'" + strings.ReplaceAll(strings.Join(values, "','"), "'", "''") + "'"
		}
		failed = fmt.Errorf("%s: a format that is not known here", use)
		return use
	})
	date := func(at time.Time) string { return fmt.Sprintf("toDateTime(%d)", at.Unix()) }
	seconds := fmt.Sprint(int(v.Interval.Seconds()))
	sql = timeFilter.ReplaceAllString(sql, "$1 >= "+date(v.From)+" AND $1 <= "+date(v.To))
	sql = timeInterval.ReplaceAllString(sql, "toStartOfInterval(toDateTime($1), INTERVAL "+seconds+" second)")
	sql = strings.NewReplacer("$__interval_s", seconds, "$__fromTime", date(v.From), "$__toTime",
		date(v.To)).Replace(sql)
	if left := unexpanded.FindString(sql); left != "" && failed == nil {
		failed = fmt.Errorf("%s is not expanded in:\n%s", left, sql)
	}
	return sql, failed
}
