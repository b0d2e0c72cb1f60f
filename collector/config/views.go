package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// viewEnvPrefix is the prefix of the reference stack's names for the settings of one view, such as
// CLICKHOUSE_FLOW_MV_BY_EDGE_AS_5M_TTL. The file has the rest in lower case: edge_as_5m_ttl.
const viewEnvPrefix = "CLICKHOUSE_FLOW_MV_BY_"

var viewKinds = []schema.Kind{schema.ByEdgeAS, schema.ByInterface, schema.ByIPVersion}

// windows are the windows of one kind of view.
func (c *Config) windows(kind schema.Kind) field {
	return field{kind: list,
		get: func() value { return value{kind: list, list: c.views[kind]} },
		set: func(v value) error {
			c.views[kind] = nil
			for _, window := range v.items() { // one that stands twice is one view
				if !slices.ContainsFunc(c.views[kind], func(w string) bool { return strings.EqualFold(w, window) }) {
					c.views[kind] = append(c.views[kind], window)
				}
			}
			return nil
		},
	}
}

// eachView has the settings of single views.
func (c *Config) eachView() field {
	return field{kind: mapping,
		get: func() value { return value{kind: mapping, pairs: c.viewSettings} },
		set: func(v value) error {
			if v.kind != mapping {
				return fmt.Errorf("is not a mapping such as {edge_as_5m_ttl: 1 YEAR}")
			}
			c.viewSettings = append(c.viewSettings, v.pairs...)
			return nil
		},
	}
}

// rollupTTLs are the TTLs of rollups by step.
func (c *Config) rollupTTLs() field {
	return field{kind: mapping,
		get: func() value {
			v := value{kind: mapping}
			for _, step := range schema.RollupSteps() {
				if ttl, given := c.Schema.RollupTTLs[step]; given {
					v.pairs = append(v.pairs, pair{key: step, text: ttl})
				}
			}
			return v
		},
		set: func(v value) error {
			if v.kind != mapping {
				return fmt.Errorf("is not a mapping such as {5m: 1 YEAR}")
			}
			c.Schema.RollupTTLs = map[string]string{}
			for _, p := range v.pairs {
				if !slices.Contains(schema.RollupSteps(), p.key) {
					return fmt.Errorf("%s is none of %s", p.key, strings.Join(schema.RollupSteps(), ", "))
				}
				c.Schema.RollupTTLs[p.key] = schema.Interval(p.text)
			}
			return nil
		},
	}
}

// viewSettingsOf returns the settings of views in an environment, with the file's names.
func viewSettingsOf(env environ) []pair {
	var pairs []pair
	for name, text := range env.text {
		rest, found := strings.CutPrefix(name, viewEnvPrefix)
		if found && !isViewList(rest) {
			pairs = append(pairs, pair{key: strings.ToLower(rest), text: text, env: name, where: env.where[name]})
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

// buildViews makes the views of the configured windows with their settings. A setting of a view that does not exist is
// a problem.
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
		err := c.setView(byName, setting)
		if err != nil && setting.env != "" {
			// The reference stack ignores settings of a view that is not configured.
			c.warnings = append(c.warnings, Problem{Where: setting.where, Key: setting.env, Value: setting.text,
				Why: err.Error()})
			continue
		}
		if err != nil {
			key := "flow.view_settings." + setting.key
			problems = append(problems, Problem{Where: c.places[key], Key: key, Value: setting.text, Why: err.Error()})
		}
	}
	return problems
}

// settle sets what depends on several settings, and removes what the reference stack accepts although it has no effect
// here.
func (c *Config) settle() {
	drop := func(path string, list *[]string, known func(string) bool) {
		if !c.given[path].env {
			return
		}
		*list = slices.DeleteFunc(slices.Clone(*list), func(name string) bool {
			if !known(name) {
				origin := c.origins[path]
				c.warnings = append(c.warnings, Problem{Where: origin.Where, Key: origin.name(path), Value: name,
					Why: "there is no such extension here: it has no effect"})
			}
			return !known(name)
		})
	}
	drop("flow.extensions", &c.Schema.FlowExtensions, schema.KnowsFlowExtension)
	drop("tables.as_extensions", &c.Schema.ASExtensions, schema.KnowsASExtension)
	drop("tables.interface_extensions", &c.Schema.InterfaceExtensions, schema.KnowsInterfaceExtension)

	if c.debug {
		c.origins["log.level"] = c.origins["log.debug"].by("log.debug")
	}

	// In the reference stack the files are only read if the download fails. If our own configuration file names them,
	// they are meant to be used.
	names := &c.Metadata.CAIDA
	for _, path := range []string{"metadata.caida.as2org_file", "metadata.caida.peeringdb_file"} {
		v, given := c.given[path]
		_, said := c.given["metadata.caida.use_url"]
		if given && !v.env && !said {
			names.UseURL = false
			c.origins["metadata.caida.use_url"] = c.origins[path].by(path)
		}
	}
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
			view.TTL.Interval = schema.Interval(setting.text)
		case "ttl_column":
			view.TTL.Column = setting.text
		case "partition_by":
			view.PartitionBy = setting.text
		case "policy_level":
			view.PolicyLevel = setting.text
		case "policy_scope":
			view.PolicyScope = v.items()
		case "policy_override":
			return boolean(&view.PolicyOverride).set(v)
		default:
			continue
		}
		return nil
	}
	return fmt.Errorf("is no setting of a configured view (KIND_WINDOW_ and table, ttl, ttl_column, partition_by, " +
		"policy_level, policy_scope or policy_override)")
}
