package config

import (
	"fmt"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// viewEnvPrefix begins the reference's names for the settings of one view, such as
// CLICKHOUSE_FLOW_MV_BY_EDGE_AS_5M_TTL; the file has the rest in lower case, edge_as_5m_ttl.
const viewEnvPrefix = "CLICKHOUSE_FLOW_MV_BY_"

var viewKinds = []schema.Kind{schema.ByEdgeAS, schema.ByInterface, schema.ByIPVersion}

func (c *Config) windows(kind schema.Kind) setter {
	return func(v value) error {
		c.views[kind] = v.items()
		return nil
	}
}

func (c *Config) setViewSettings(v value) error {
	if v.kind != mapping {
		return fmt.Errorf("is not a mapping such as {edge_as_5m_ttl: 1 YEAR}")
	}
	c.viewSettings = append(c.viewSettings, v.pairs...)
	return nil
}

// viewSettingsOf takes the settings of views out of an environment, in the file's spelling.
func viewSettingsOf(env map[string]string) []pair {
	var pairs []pair
	for name, text := range env {
		rest, found := strings.CutPrefix(name, viewEnvPrefix)
		if found && !isViewList(rest) {
			pairs = append(pairs, pair{strings.ToLower(rest), text})
		}
	}
	return pairs
}

func isViewList(name string) bool {
	for _, kind := range viewKinds {
		if strings.EqualFold(name, kind.String()) {
			return true
		}
	}
	return false
}

// buildViews makes the views of the configured windows and gives each its settings. A setting of a view that there is not
// is a problem.
func (c *Config) buildViews() []Problem {
	var problems []Problem
	byName := map[string]int{}
	for _, kind := range viewKinds {
		for _, window := range c.views[kind] {
			byName[kind.String()+"_"+strings.ToLower(window)] = len(c.Schema.Views)
			c.Schema.Views = append(c.Schema.Views, schema.NewView(kind, window))
		}
	}
	for _, setting := range c.viewSettings {
		if err := c.setView(byName, setting); err != nil {
			problems = append(problems, Problem{Key: "flow.view_settings." + setting.key, Value: setting.text, Why: err.Error()})
		}
	}
	return problems
}

func (c *Config) setView(byName map[string]int, setting pair) error {
	for name, i := range byName {
		what, found := strings.CutPrefix(setting.key, name+"_")
		if !found {
			continue
		}
		view := &c.Schema.Views[i]
		v := value{text: setting.text}
		switch what {
		case "table":
			view.Table = setting.text
		case "ttl":
			view.TTL.Interval = setting.text
		case "ttl_column":
			view.TTL.Column = setting.text
		case "partition_by":
			view.PartitionBy = setting.text
		case "policy_level":
			view.PolicyLevel = setting.text
		case "policy_scope":
			view.PolicyScope = v.items()
		case "policy_override":
			return boolean(&view.PolicyOverride)(v)
		default:
			continue
		}
		return nil
	}
	return fmt.Errorf("is no setting of a configured view (KIND_WINDOW_ and table, ttl, ttl_column, partition_by, policy_level, policy_scope or policy_override)")
}
