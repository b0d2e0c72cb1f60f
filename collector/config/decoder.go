package config

import (
	"net/netip"
	"time"
)

// Decoder limits what is remembered of exporters.
type Decoder struct {
	MaxExporters    int
	HoldFor         time.Duration // how long data waits for its template
	HoldBytes       int           // and how much of it, of one exporter
	MaxRecords      int           // of one datagram; 0: all
	TemplateExpiry  time.Duration
	SamplingRates   []SamplingRate
	SaveTemplates   time.Duration             // how often templates are written to the cache directory; 0: never
	ExporterAddress string                    // which address names an exporter: the one it states, or the UDP source
	ExporterMap     map[netip.Addr]netip.Addr // other names for some of them
	DecapsulateFlow bool                      // sampled headers: the inner flow of a tunnel instead of the outer
}

// SamplingRate overrides the sampling rate that an exporter sends.
type SamplingRate struct {
	Exporter  netip.Addr
	Interface uint32 // with AnyInterface: all
	Any       bool
	Rate      uint32
}

// Policy sets the policy columns.
type Policy struct {
	Originator, Level string
	Scopes            []string
	AutoScopes        bool
	Labels            []LabelRule       // those of LabelFile
	LabelFile         string            // in the form of pmacct's pre_tag_map
	CommunityScopes   map[string]string // by the last part of the route distinguisher
	Exporters         ExporterPolicy
}

// decoderKeys are the settings of the decoder and of the policy columns.
func decoderKeys(c *Config) []key {
	return []key{
		{path: "decoder.max_exporters", def: "4096", field: number(&c.Decoder.MaxExporters, 1, 1<<20),
			help: "About how many exporters, with their observation domains, are kept. Beyond that, exporters " +
				"are evicted in this order: those without data, those of the source that has most of them, those " +
				"that gave data for the shortest time."},
		{path: "decoder.hold_for", def: "30s", field: duration(&c.Decoder.HoldFor, 0),
			help: "How long data waits for a template that has not arrived yet."},
		{path: "decoder.hold_bytes", def: "1MiB", field: size(&c.Decoder.HoldBytes, 0),
			help: "How much data of one exporter may wait for templates."},
		{path: "decoder.max_records", def: "128", field: number(&c.Decoder.MaxRecords, 0, 1<<16),
			help: "How many flow records or samples of one datagram are read. The others are counted as " +
				"record_limit. Datagrams of 1500 bytes have fewer, so only exporters that send jumbo frames need " +
				"more. 0: no limit."},
		{path: "decoder.template_expiry", def: "24h", field: duration(&c.Decoder.TemplateExpiry, time.Minute),
			help: "Templates and sampling rates expire if they are not sent again within this time."},
		{path: "decoder.save_templates", def: "1m", field: duration(&c.Decoder.SaveTemplates, 0),
			help: "How often templates and sampling rates are saved to the cache directory, so that a restart " +
				"loses no data. 0: never."},
		{path: "decoder.sampling_rates", live: true, field: samplingRates(&c.Decoder.SamplingRates),
			example: `sampling_rates: {192.0.2.1: 1000, "2001:db8::1/17": 512}`,
			help:    "Sampling rates that override what exporters say: EXPORTER: RATE, or EXPORTER/IFINDEX: RATE."},
		{path: "decoder.exporter_address", def: "stated", live: true,
			field: oneOf(&c.Decoder.ExporterAddress, "stated", "source"),
			help: "Which address names an exporter. \"stated\": the sFlow agent address, or element 130 or 131 " +
				"of NetFlow and IPFIX, else the UDP source. \"source\": always the UDP source."},
		{path: "decoder.exporter_map", live: true, field: addressMap(&c.Decoder.ExporterMap),
			example: "exporter_map: {192.0.2.1: 198.51.100.1}",
			help:    "Replaces the address of an exporter, after exporter_address: for exporters behind NAT."},
		{path: "decoder.decapsulate", field: boolean(&c.Decoder.DecapsulateFlow),
			help: "For sampled packet headers: take the flow inside a tunnel instead of the flow of the tunnel."},

		{path: "policy.originator", env: []string{"CLICKHOUSE_POLICY_ORIGINATOR"}, def: "unknown",
			field: text(&c.Policy.Originator),
			help:  "policy_originator of every row."},
		{path: "policy.level", env: []string{"CLICKHOUSE_POLICY_LEVEL"}, def: "tlp:amber",
			field: text(&c.Policy.Level),
			help:  "policy_level of every row."},
		{path: "policy.scopes", env: []string{"CLICKHOUSE_POLICY_SCOPE"}, live: true, field: texts(&c.Policy.Scopes),
			help: "Scopes that policy_scope of every row has."},
		{path: "policy.auto_scopes", env: []string{"CLICKHOUSE_FLOW_POLICY_AUTO_SCOPES"}, def: "true", live: true,
			field: boolean(&c.Policy.AutoScopes),
			help:  "Add as:<number> of both ends, and comm:<name> by the route distinguisher of the VPN."},
		{path: "policy.community_scopes", env: []string{"CLICKHOUSE_FLOW_POLICY_COMMUNITY_SCOPE_MAP"}, live: true,
			field:   textMap(&c.Policy.CommunityScopes),
			example: `community_scopes: {"64805": lhcone, "64806": lsst}`,
			help:    "Community names by the last part of the route distinguisher."},

		{path: "policy.exporters.collector_id", env: []string{"COLLECTOR_ID_BY_EXPORTER"}, live: true,
			field:   byExporter(&c.Policy.Exporters.CollectorID),
			example: `collector_id: {192.0.2.0/24: campus1, "2001:db8::/32": campus2}`,
			help: "collector_id of the rows of some exporters, as pmacct's labels: PREFIX: ID. The longest prefix " +
				"that holds the exporter's address wins. In a variable: PREFIX=ID,PREFIX=ID."},
		{path: "policy.exporters.originator", env: []string{"CLICKHOUSE_POLICY_ORIGINATOR_BY_EXPORTER"}, live: true,
			field: byExporter(&c.Policy.Exporters.Originator),
			help:  "policy_originator of the rows of some exporters, in the same form."},
		{path: "policy.exporters.level", env: []string{"CLICKHOUSE_POLICY_LEVEL_BY_EXPORTER"}, live: true,
			field:   byExporter(&c.Policy.Exporters.Level),
			example: "level: {192.0.2.0/24: tlp:green}",
			help:    "policy_level of the rows of some exporters, in the same form."},
		{path: "policy.exporters.scopes", env: []string{"CLICKHOUSE_POLICY_SCOPE_BY_EXPORTER"}, live: true,
			field:   byExporter(&c.Policy.Exporters.Scopes),
			example: `scopes: {192.0.2.0/24: "comm:re as:64500"}`,
			help: "Scopes of the rows of some exporters instead of policy.scopes, in the same form. Several are " +
				"separated by spaces; an empty text is none."},
		{path: "policy.label_file", env: []string{"PRE_TAG_MAP"}, live: true, isPath: true,
			field: text(&c.Policy.LabelFile),
			help: "A file in the form of pmacct's pre_tag_map: its set_label is the collector_id of the rows of an " +
				"exporter. It is read as pmacct reads it, with ip, label and jeq. Rules that depend on the flow (in, " +
				"filter, …) are refused. policy.exporters.collector_id overrides it."},
	}
}
