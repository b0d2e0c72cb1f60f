package config

import (
	"strings"
	"time"

	"github.com/metranova/flow-collector/metadata"
)

// Metadata is where metadata comes from.
type Metadata struct {
	Dir, CacheDir string
	Refresh       time.Duration // how often the snapshot is rebuilt from the tables
	CAIDA         CAIDA
	Geo           Geo
	Registries    []Registry // those of metadata.Registries, in their order
	Files         []string   // further YAML files beside those of Dir
	HTTPTimeout   time.Duration
	ForceUpdate   bool
}

// CAIDA is the source of AS numbers and organizations.
type CAIDA struct {
	Interval                time.Duration // 0: only on request
	UseURL                  bool          // download, and read the files only if that fails; false: only the files
	AS2OrgURL, PeeringURL   string        // with {date}, {year}, {month} and {day}; "": CAIDA's
	AS2OrgFile, PeeringFile string
	CustomAS, CustomOrg     string
}

// Geo is the source of prefixes with AS and location.
type Geo struct {
	Interval                        time.Duration
	ASNFiles, Locations, BlockFiles []string
	CustomIP                        string
	UseMaxMind                      bool // with an account: download, and read the files only if that fails
	MaxMindAccount, MaxMindKey      string
	CacheDir                        string // for downloads; "": the collector's
}

// Registry has the settings of a registry.
type Registry struct {
	Name, Title string
	Interval    time.Duration
	Sources     []string          // URLs or files
	Headers     map[string]string // of each request
	Verify      bool              // the servers' certificates
	CAFile      string            // PEM; "": the system's authorities

	Env map[string]string // variables, by the last part of the setting's name
}

// registries are the registries that there are, without settings.
func registries() (all []Registry) {
	for _, r := range metadata.Registries() {
		all = append(all, Registry{Name: r.Name, Title: r.Title, Env: r.Env})
	}
	return all
}

// Key returns the name of a setting of the registry, and EnvName its environment variable.
func (r *Registry) Key(name string) string { return "metadata." + r.Name + "." + name }

// EnvName returns the environment variable of a setting of the registry.
func (r *Registry) EnvName(name string) string {
	if variable := r.Env[name]; variable != "" {
		return variable
	}
	return strings.ToUpper(r.Name + "_" + name)
}

// registryKeys are the settings of a registry.
func registryKeys(r *Registry) []key {
	setting := func(name string, k key) key {
		k.path, k.env, k.live = r.Key(name), []string{r.EnvName(name)}, true
		return k
	}
	return []key{
		setting("interval", key{field: duration(&r.Interval, 0),
			help: "How often the " + r.Title + " is loaded. 0: at the start and by `collector metadata load`."}),
		setting("sources", key{isPath: true, field: texts(&r.Sources), help: "URLs or files of the " + r.Title + "."}),
		setting("headers", key{secret: true, field: textMap(&r.Headers),
			example: `headers: {Authorization: "Bearer ${REGISTRY_TOKEN}"}`,
			help: "HTTP headers of requests to these URLs, such as a token. A redirect to another host loses " +
				"them."}),
		setting("ca_file", key{isPath: true, field: text(&r.CAFile),
			help: "PEM file of the authorities that sign the certificates of these servers. Empty: those of the " +
				"system."}),
		setting("verify", key{def: "true", field: boolean(&r.Verify),
			help: "Verify the certificates of these servers. false: others can change what they answer. The " +
				"reference does not verify unless it is set."}),
	}
}

// metadataKeys are the settings of metadata sources.
func metadataKeys(c *Config) []key {
	m := &c.Metadata
	all := []key{
		{path: "metadata.dir", env: []string{"METADATA_DIR"}, def: "conf", live: true, field: text(&m.Dir),
			help: "Directory that meta_*.yml and custom_*_additions.yml are read from."},
		{path: "metadata.cache_dir", env: []string{"CACHE_DIR"}, def: "caches", field: text(&m.CacheDir),
			help: "Directory of caches: templates, downloads, the metadata snapshot."},
		{path: "metadata.files", env: []string{"FILE_CONSUMER_PATHS", "FILE_CONSUMER_FILE_PATHS"}, live: true,
			isPath: true, field: texts(&m.Files),
			help: "Further YAML files. Those of the directory are not read twice."},
		{path: "metadata.refresh", env: []string{"CLICKHOUSE_CACHER_REFRESH_INTERVAL"}, def: "10m", live: true,
			field: duration(&m.Refresh, 0),
			help:  "How often the collector looks for what other programs wrote into the meta tables. 0: never."},
		{path: "metadata.http_timeout", env: []string{"HTTP_TIMEOUT"}, def: "30s", live: true,
			field: duration(&m.HTTPTimeout, 10*time.Millisecond),
			help:  "How long a download may be silent."},
		{path: "metadata.force_update", env: []string{"CLICKHOUSE_METADATA_FORCE_UPDATE"}, live: true,
			field: boolean(&m.ForceUpdate),
			help:  "Write a new version of every record at every load."},
		{path: "metadata.caida.interval", env: []string{"CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL"}, live: true,
			field: duration(&m.CAIDA.Interval, 0),
			help: "How often AS numbers and organizations are loaded: CAIDA's as-org2info and PeeringDB's dump. " +
				"0: files at the start and when they change, downloads by `collector metadata load`."},
		{path: "metadata.caida.use_url", env: []string{"CAIDA_ORG_AS_CONSUMER_USE_URL"}, def: "true", live: true,
			field: boolean(&m.CAIDA.UseURL),
			help: "Download them, and read the files only if that fails. false: read the files only, which is " +
				"the default if this file names one of them."},
		{path: "metadata.caida.as2org_url", env: []string{"CAIDA_ORG_AS_CONSUMER_AS2ORG_URL"}, live: true,
			field: urlTemplate(&m.CAIDA.AS2OrgURL),
			help: "URL of as-org2info. {date}, {year}, {month} and {day} become those of the newest file. Empty: " +
				"CAIDA's URL."},
		{path: "metadata.caida.peeringdb_url", env: []string{"CAIDA_ORG_AS_CONSUMER_PEERINGDB_URL"}, live: true,
			field: urlTemplate(&m.CAIDA.PeeringURL),
			help:  "URL of the PeeringDB dump, with the same placeholders. Empty: CAIDA's URL."},
		{path: "metadata.caida.as2org_file", env: []string{"CAIDA_ORG_AS_CONSUMER_AS2ORG_FILE"}, live: true,
			isPath: true,
			field:  text(&m.CAIDA.AS2OrgFile),
			help:   "File of as-org2info."},
		{path: "metadata.caida.peeringdb_file", env: []string{"CAIDA_ORG_AS_CONSUMER_PEERINGDB_FILE"}, live: true,
			isPath: true,
			field:  text(&m.CAIDA.PeeringFile),
			help:   "File of the PeeringDB dump."},
		{path: "metadata.caida.custom_as_file", env: []string{"CAIDA_ORG_AS_CONSUMER_CUSTOM_AS_FILE"}, live: true,
			isPath: true,
			field:  text(&m.CAIDA.CustomAS),
			help:   "Additions to AS numbers. Empty: custom_as_additions.yml of the directory."},
		{path: "metadata.caida.custom_org_file", env: []string{"CAIDA_ORG_AS_CONSUMER_CUSTOM_ORG_FILE"}, live: true,
			isPath: true,
			field:  text(&m.CAIDA.CustomOrg),
			help:   "Additions to organizations. Empty: custom_org_additions.yml of the directory."},
		{path: "metadata.geo.interval", env: []string{"IP_GEO_CSV_CONSUMER_UPDATE_INTERVAL"}, live: true,
			field: duration(&m.Geo.Interval, 0),
			help: "How often prefixes with AS and location are loaded. 0: at the start, when a file changes, and " +
				"by `collector metadata load`."},
		{path: "metadata.geo.asn_files", env: []string{"IP_GEO_CSV_CONSUMER_ASN_FILES"}, live: true, isPath: true,
			field: texts(&m.Geo.ASNFiles),
			help:  "Files of AS numbers by prefix: CSV, zipped CSV or mmdb."},
		{path: "metadata.geo.location_files", env: []string{"IP_GEO_CSV_CONSUMER_LOCATION_FILES"}, live: true,
			isPath: true,
			field:  texts(&m.Geo.Locations),
			help:   "Files of locations: CSV or zipped CSV."},
		{path: "metadata.geo.block_files", env: []string{"IP_GEO_CSV_CONSUMER_IP_BLOCK_FILES"}, live: true,
			isPath: true,
			field:  texts(&m.Geo.BlockFiles),
			help:   "Files of locations by prefix: CSV, zipped CSV or mmdb."},
		{path: "metadata.geo.custom_ip_file", env: []string{"IP_GEO_CSV_CONSUMER_CUSTOM_IP_FILE"}, live: true,
			isPath: true,
			field:  text(&m.Geo.CustomIP),
			help:   "Additions to prefixes. Empty: custom_ip_additions.yml of the directory."},
		{path: "metadata.geo.use_maxmind", env: []string{"IP_GEO_CSV_CONSUMER_USE_MAXMIND_DOWNLOAD"}, def: "true",
			live: true, field: boolean(&m.Geo.UseMaxMind),
			help: "Download GeoLite2 if an account is set, and read the files only if that fails. false: read " +
				"the files only."},
		{path: "metadata.geo.cache_dir", env: []string{"IP_GEO_CSV_CONSUMER_CACHE_DIR"}, live: true,
			isPath: true,
			field:  text(&m.Geo.CacheDir),
			help:   "Directory of these downloads. Empty: metadata.cache_dir."},
		{path: "metadata.geo.maxmind_account",
			env: []string{"MAXMIND_ACCOUNT_ID", "IP_GEO_CSV_CONSUMER_MAXMIND_ACCOUNT_ID"}, live: true,
			field: text(&m.Geo.MaxMindAccount),
			help:  "Account number at MaxMind."},
		{path: "metadata.geo.maxmind_key",
			env: []string{"MAXMIND_LICENSE_KEY", "IP_GEO_CSV_CONSUMER_MAXMIND_LICENSE_KEY"}, live: true,
			secret: true, field: text(&m.Geo.MaxMindKey),
			help: "License key of that account."},
	}
	for i := range m.Registries {
		all = append(all, registryKeys(&m.Registries[i])...)
	}
	return all
}
