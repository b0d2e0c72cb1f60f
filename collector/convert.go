package main

import (
	"errors"
	"strings"

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

// decoderOptions are the decoder's part of the configuration.
func decoderOptions(cfg *config.Config) decoder.Options {
	d := cfg.Decoder
	overrides := make([]exporter.Override, len(d.SamplingRates))
	for i, r := range d.SamplingRates {
		overrides[i] = exporter.Override{Exporter: flow.AddrFrom(r.Exporter), Interface: r.Interface, AnyInterface: r.Any, Rate: r.Rate}
	}
	byExporter := exporter.NewOverrides(overrides)
	hold := d.HoldFor
	if hold == 0 {
		hold = -1 // the decoder's word for not at all
	}
	return decoder.Options{
		MaxExporters: d.MaxExporters,
		NetFlow: netflow.Options{
			HoldFor: hold, HoldBytes: d.HoldBytes, TemplateExpiry: d.TemplateExpiry, Overrides: byExporter, Inner: d.DecapsulateFlow,
		},
		SFlow: sflow.Options{Overrides: byExporter, Inner: d.DecapsulateFlow},
	}
}

// exporterNames are the exporters that the configuration gives another address.
func exporterNames(cfg *config.Config) map[flow.Addr]flow.Addr {
	names := make(map[flow.Addr]flow.Addr, len(cfg.Decoder.ExporterMap))
	for from, to := range cfg.Decoder.ExporterMap {
		names[flow.AddrFrom(from)] = flow.AddrFrom(to)
	}
	return names
}

// sourceOptions are the metadata's part of the configuration.
func sourceOptions(cfg *config.Config) metadata.SourceOptions {
	m := cfg.Metadata
	return metadata.SourceOptions{
		Dir: m.Dir, Files: m.Files, CacheDir: m.CacheDir,
		Client: download.New(download.Options{Timeout: m.HTTPTimeout}),
		CAIDA: caida.Files{
			AS2Org: m.ASNames.AS2OrgFile, PeeringDB: m.ASNames.PeeringFile, CustomAS: m.ASNames.CustomAS, CustomOrg: m.ASNames.CustomOrg,
		},
		CAIDAInterval: m.ASNames.Interval,
		CAIDADownload: m.ASNames.Interval > 0,
		Geo:           geo.Files{ASN: m.Geo.ASNFiles, Locations: m.Geo.Locations, Blocks: m.Geo.BlockFiles, CustomIP: m.Geo.CustomIP},
		MaxMind:       download.Auth{Username: m.Geo.MaxMindAccount, Password: m.Geo.MaxMindKey},
		GeoInterval:   m.Geo.Interval,

		SciReg: m.SciReg.Sources, SciRegInterval: m.SciReg.Interval,
	}
}

// oneLine joins the lines of an error, for logs.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}
