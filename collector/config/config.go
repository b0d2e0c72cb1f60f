// Package config owns the collector's settings: one typed Config, filled from defaults, a YAML file, and environment
// variables under the names of the reference pipeline, and checked as a whole, so that one pass names everything wrong.
package config

import (
	"fmt"

	"github.com/metranova/flow-collector/sink/schema"
)

// Config is everything that can be set. The entry of each (type key) has its name, environment names,
// default and help.
type Config struct {
	CollectorID string // collector_id of every row; "" is "unknown"

	Listen  Listen
	Forward Forward
	Decoder Decoder
	Flow    Flow
	Policy  Policy
	Routing Routing
	// LearnedNames has rows name interfaces and VRFs as the exporter does, where metadata does not.
	LearnedNames bool
	Schema       schema.Settings // tables, extensions, views: see package schema
	Server       Server          // a ClickHouse server; without Host there is the local store
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

	// views and view settings are turned into Schema.Views at the end.
	views        map[schema.Kind][]string
	viewSettings []pair

	source   Source            // where all that came from
	given    map[string]value  // what it says, by the key's path
	origins  map[string]Origin // and where
	warnings []Problem
	notes    []Problem
	places   map[string]string          // of the entries of mappings in the file, by "key.entry"
	aliases  map[string]map[string]bool // by env file: variables that stand for those of settings
}

// Default returns the settings that hold where nobody says otherwise. They are those of the MetrANOVA stack, with
// batches and buffers of this collector's own.
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
