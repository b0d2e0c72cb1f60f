package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/sink/schema"
)

// A key is one setting. Its entry, beside the struct that holds its value, is the only place that describes it: Load
// reads the file and the environment by it, `check` suggests its name, a reload knows whether it may change, and
// conf.example/collector.yml and the tables of conf.example/README.md are generated from it.
//
// To add a setting: a field of its struct and an entry in that file, then go test ./collector/config -run
// 'ExampleIsGenerated|ReadmeHasEverySetting' -update.
type key struct {
	path    string   // its name in the file: section.name
	env     []string // variables that set it; names without a prefix of ours are the reference stack's
	def     string   // the default, in the form of a variable; "": what the field holds before anything is read
	live    bool     // takes effect at a reload; the others need a restart
	secret  bool     // its value must never be shown
	isPath  bool     // its value is a path: see containerPaths
	help    string   // for the example and the reference: what it does, its unit, what empty or 0 means
	example string   // a line of the file that shows the form, if the default does not
	field
}

// keys returns every setting of c, in the order of the example.
func keys(c *Config) []key {
	all := []key{{path: "collector_id", env: []string{"COLLECTOR_ID"}, field: text(&c.CollectorID),
		help: "The name of this collector in every row. Empty is \"unknown\"."}}
	for _, section := range []func(*Config) []key{listenKeys, decoderKeys, clickhouseKeys, storeKeys, kafkaKeys,
		flowKeys, routingKeys, routeRuleKeys, rpkiKeys,
		tableKeys, metadataKeys, operationKeys} {
		all = append(all, section(c)...)
	}
	return all
}

// sectionHelp describes sections that their keys do not describe.
func sectionHelp(path string) string {
	switch path {
	case "flow.columns":
		return "Columns of data_flow that the reference pipeline does not have. false: the table is made without the " +
			"column, an existing column stays empty, and Kafka messages of format json and protobuf leave it out. " +
			"DESCRIBE TABLE data_flow explains each column."
	case "flow.views":
		return "Rollups of data_flow, each with a list of windows: 5m, 1h, 1d, 1w, 1mo, 1y."
	}
	return ""
}

// columnKeys has a key for each column of data_flow that can be left out: flow.columns.tcp_flags, in the environment
// CLICKHOUSE_FLOW_COLUMN_TCP_FLAGS.
func columnKeys(s *schema.Settings) []key {
	var all []key
	for _, c := range schema.FlowColumns() {
		if !c.Optional {
			continue
		}
		all = append(all, key{path: "flow.columns." + c.Name,
			env:   []string{"CLICKHOUSE_FLOW_COLUMN_" + strings.ToUpper(c.Name)},
			field: column(s, c.Name), help: c.Comment})
	}
	return all
}

// column is true if data_flow has the column.
func column(s *schema.Settings, name string) field {
	return field{
		set: func(v value) error {
			var on bool
			if err := boolean(&on).set(v); err != nil {
				return err
			}
			s.WithoutColumns = slices.DeleteFunc(s.WithoutColumns, func(c string) bool { return c == name })
			if !on {
				s.WithoutColumns = append(s.WithoutColumns, name)
			}
			return nil
		},
		get: func() value { return value{text: fmt.Sprint(!slices.Contains(s.WithoutColumns, name))} },
	}
}
