package scireg

import "github.com/metranova/flow-collector/metadata/source"

// Registry describes the Science Registry. Its table is part of the data model; its prefixes are the IP reference
// extension of the same name.
func Registry() *source.Registry {
	return &source.Registry{
		Name: "scireg", Title: "Science Registry", MaxBytes: MaxBytes, Extension: ".json", Read: Read,
		Env: map[string]string{
			"interval": "SCIREG_HTTP_CONSUMER_UPDATE_INTERVAL", "sources": "SCIREG_HTTP_CONSUMER_URLS",
			"headers": "HTTP_HEADERS", "verify": "HTTP_SSL_VERIFY",
		},
	}
}
