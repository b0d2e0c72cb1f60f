package scireg

import "github.com/metranova/flow-collector/metadata/source"

// Registry describes the Science Registry. Its table is part of the data model; its prefixes are the IP reference
// extension of the same name.
func Registry() *source.Registry {
	return &source.Registry{Name: "scireg", MaxBytes: MaxBytes, Extension: ".json", Read: Read}
}
