// Package config has the collector's settings: one typed Config that is filled from defaults, a YAML file, and
// environment variables with the names of the reference stack, and checked as a whole, so that one pass reports every
// problem.
package config

import (
	"fmt"

	"github.com/metranova/flow-collector/sink/schema"
)

// Config has all settings. The entry of each (type key) has its name, environment names, default and help.
type Config struct {
	CollectorID string // collector_id of every row; "" becomes "unknown"

	Listen  Listen
	Forward Forward
	Decoder Decoder
	Flow    Flow
	Policy  Policy
	Routing Routing
	// LearnedNames has rows name interfaces and VRFs as the exporter does, where metadata does not.
	LearnedNames bool
	Schema       schema.Settings // tables, extensions, views: see package schema
	Server       Server          // a ClickHouse server; with an empty Host the local store is used
	Store        Store
	Batch        Batch
	Spool        Spool
	Quarantine   Quarantine
	Kafka        Kafka
	Metadata     Metadata
	HTTP         HTTP
	Metrics      Metrics
	LogLevel     string // debug, info, warn or error
	LogFormat    string // text or json

	debug bool // log.debug

	// views and the settings of single views, from which Schema.Views is made at the end
	views        map[schema.Kind][]string
	viewSettings []pair

	source   Source            // the source of all this
	given    map[string]value  // the values given, by key path
	origins  map[string]Origin // and where each comes from
	warnings []Problem
	notes    []Problem
	// refusedTexts are values that are in no setting. They may hold secrets.
	refusedTexts []string
	wrong        map[string]bool            // paths of settings with a problem
	places       map[string]string          // places of the file's mapping entries, by "key.entry"
	aliases      map[string]map[string]bool // for each env file: variables that stand for those of settings
}

// Default returns the default settings. They are those of the MetrANOVA stack, with this collector's own batches and
// buffers.
func Default() *Config {
	c := &Config{Schema: schema.Default(), views: map[schema.Kind][]string{}}
	c.Metadata.Registries = registries()
	for _, k := range keys(c) {
		if k.def == "" {
			continue
		}
		if err := k.set(value{text: k.def}); err != nil {
			panic(fmt.Sprintf("the default of %s: %s: %s", k.path, k.def, err))
		}
	}
	return c
}
