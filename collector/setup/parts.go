// Package setup turns the configuration into what the parts of the collector need: options, connections to the store,
// spools, forwarders. It starts no work. The commands and the service share it.
package setup

import (
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/decoder"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/decoder/flow"
	"github.com/metranova/flow-collector/decoder/netflow"
	"github.com/metranova/flow-collector/decoder/sflow"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/caida"
	"github.com/metranova/flow-collector/metadata/download"
	"github.com/metranova/flow-collector/metadata/geo"
)

// Decoder returns the decoder's options.
func Decoder(cfg *config.Config) decoder.Options {
	d := cfg.Decoder
	byExporter := SamplingOverrides(cfg)
	hold := d.HoldFor
	if hold == 0 {
		hold = -1 // the decoder's value for "never"
	}
	return decoder.Options{
		MaxExporters: d.MaxExporters,
		NetFlow: netflow.Options{
			HoldFor: hold, HoldBytes: d.HoldBytes, TemplateExpiry: d.TemplateExpiry, Overrides: byExporter,
			Inner: d.DecapsulateFlow,
		},
		SFlow: sflow.Options{Overrides: byExporter, Inner: d.DecapsulateFlow},
	}
}

// SamplingOverrides returns the operator's sampling rates.
func SamplingOverrides(cfg *config.Config) exporter.Overrides {
	rates := cfg.Decoder.SamplingRates
	overrides := make([]exporter.Override, len(rates))
	for i, r := range rates {
		overrides[i] = exporter.Override{Exporter: flow.AddrFrom(r.Exporter), Interface: r.Interface,
			AnyInterface: r.Any, Rate: r.Rate}
	}
	return exporter.NewOverrides(overrides)
}

// ExporterNames returns the exporters whose address the configuration replaces.
func ExporterNames(cfg *config.Config) map[flow.Addr]flow.Addr {
	names := make(map[flow.Addr]flow.Addr, len(cfg.Decoder.ExporterMap))
	for from, to := range cfg.Decoder.ExporterMap {
		names[flow.AddrFrom(from)] = flow.AddrFrom(to)
	}
	return names
}

// Sources returns the options of metadata sources.
func Sources(cfg *config.Config) metadata.SourceOptions {
	m := cfg.Metadata
	return metadata.SourceOptions{
		Dir: m.Dir, Files: m.Files, CacheDir: m.CacheDir,
		Client: download.New(download.Options{Timeout: m.HTTPTimeout}),
		CAIDA: caida.Files{
			AS2Org: m.CAIDA.AS2OrgFile, PeeringDB: m.CAIDA.PeeringFile, CustomAS: m.CAIDA.CustomAS,
			CustomOrg: m.CAIDA.CustomOrg,
		},
		CAIDAInterval: m.CAIDA.Interval,
		CAIDADownload: m.CAIDA.Interval > 0 && m.CAIDA.UseURL,
		CAIDAFallback: m.CAIDA.UseURL,
		AS2OrgURL:     m.CAIDA.AS2OrgURL,
		PeeringDBURL:  m.CAIDA.PeeringURL,
		Geo: geo.Files{ASN: m.Geo.ASNFiles, Locations: m.Geo.Locations, Blocks: m.Geo.BlockFiles,
			CustomIP: m.Geo.CustomIP},
		MaxMind:     maxMind(&m.Geo),
		GeoInterval: m.Geo.Interval,
		GeoCacheDir: m.Geo.CacheDir,
		GeoFallback: true,
		Registries:  registries(m.Registries),
	}
}

// registries are the settings of the registries by name.
func registries(all []config.Registry) map[string]metadata.RegistrySettings {
	settings := map[string]metadata.RegistrySettings{}
	for _, r := range all {
		settings[r.Name] = metadata.RegistrySettings{
			Interval: r.Interval, Places: r.Sources,
			Requests: download.Requests{Headers: r.Headers, CAFile: r.CAFile, SkipVerify: !r.Verify},
		}
	}
	return settings
}

// maxMind are the credentials to download with; none where the files are to be read.
func maxMind(g *config.Geo) download.Auth {
	if !g.UseMaxMind {
		return download.Auth{}
	}
	return download.Auth{Username: g.MaxMindAccount, Password: g.MaxMindKey}
}
