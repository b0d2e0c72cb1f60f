package metadata

import (
	"github.com/metranova/flow-collector/metadata/scireg"
	"github.com/metranova/flow-collector/metadata/source"
	"github.com/metranova/flow-collector/sink/schema"
)

// Registries returns the sources that are lists of files and URLs. A new one is a package of its own and one line here:
// its settings, table, schedule and kinds come from its description.
func Registries() []*source.Registry {
	return []*source.Registry{
		scireg.Registry(),
	}
}

// SourceTables returns the registries' own tables, for schema.Settings.
func SourceTables() []schema.MetadataTable {
	var all []schema.MetadataTable
	for _, r := range Registries() {
		if r.Table != nil {
			all = append(all, *r.Table)
		}
	}
	return all
}

// SourceNames returns the names of all sources, whatever the settings are, in loading order.
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
