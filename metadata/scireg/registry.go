package scireg

import "github.com/metranova/flow-collector/metadata/source"

// Registry describes the Science Registry. Its table is one of the data model, and its prefixes are looked up as the IP
// reference extension of the same name.
func Registry() *source.Registry {
	return &source.Registry{Name: "scireg", MaxBytes: MaxBytes, Extension: ".json", Read: Read}
}
