package metadata

import (
	"github.com/metranova/flow-collector/metadata/scireg"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/schema"
)

// Registries are the sources that are lists of files and URLs. A new one is a package of its own and a line here: its
// settings, its table, its schedule and its place in the snapshot come from the description.
func Registries() []*source.Registry {
	return []*source.Registry{
		scireg.Registry(),
	}
}

// SourceTables are the registries' own tables, for schema.Settings.
func SourceTables() []schema.MetadataTable {
	var all []schema.MetadataTable
	for _, r := range Registries() {
		if r.Table != nil {
			all = append(all, *r.Table)
		}
	}
	return all
}

// SourceNames are the names of all sources, whatever the settings are, in the order in which they are loaded.
func SourceNames() []string {
	names := []string{"caida", "geo"}
	for _, r := range Registries() {
		names = append(names, r.Name)
	}
	return append(names, "files")
}

func registryKinds() []source.Kind {
	var all []source.Kind
	for _, r := range Registries() {
		all = append(all, r.Kinds...)
	}
	return all
}
