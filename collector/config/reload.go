package config

import (
	"errors"
	"reflect"
	"slices"
)

// Files are the files that the settings came from.
func (c *Config) Files() []string {
	files := slices.Clone(c.source.EnvFiles)
	if c.source.File != "" {
		files = append(files, c.source.File)
	}
	return files
}

// Reload reads the settings again from where they came. The environment is still that of the start: a process has no
// other.
func (c *Config) Reload() (*Config, []Problem) { return Load(c.source) }

// Changes are the paths of settings that two configurations have differently, in the order of keys.go.
func Changes(before, after *Config) []string {
	var changed []string
	for _, k := range keys(Default()) {
		if !sameSetting(k.path, before.given, after.given) {
			changed = append(changed, k.path)
		}
	}
	const viewSettings = "flow.view_settings"
	if !slices.Contains(changed, viewSettings) && !slices.Equal(before.viewSettings, after.viewSettings) {
		changed = append(changed, viewSettings)
	}
	return changed
}

// IsLive reports whether a setting takes effect while the collector runs; the others need a restart.
func IsLive(path string) bool { return slices.Contains(livePaths(), path) }

func livePaths() []string {
	return []string{
		"listen.allowed_exporters",
		"decoder.sampling_rates", "decoder.exporter_address", "decoder.exporter_map",
		"flow.max_ahead", "flow.max_behind",
		"policy.scopes", "policy.auto_scopes", "policy.community_scopes",
		"metadata.dir", "metadata.files", "metadata.refresh", "metadata.http_timeout", "metadata.force_update",
		"metadata.caida.interval", "metadata.caida.use_url", "metadata.caida.as2org_url",
		"metadata.caida.peeringdb_url",
		"metadata.caida.as2org_file", "metadata.caida.peeringdb_file", "metadata.caida.custom_as_file",
		"metadata.caida.custom_org_file",
		"metadata.geo.interval", "metadata.geo.asn_files", "metadata.geo.location_files", "metadata.geo.block_files",
		"metadata.geo.custom_ip_file", "metadata.geo.use_maxmind", "metadata.geo.cache_dir",
		"metadata.geo.maxmind_account", "metadata.geo.maxmind_key",
		"metadata.scireg.interval", "metadata.scireg.sources",
		"log.level", "log.debug",
	}
}

// noting has every setter note what it was given, so that two configurations can be compared.
func (c *Config) noting(table []key) []key {
	for i := range table {
		path, set := table[i].path, table[i].set
		table[i].set = func(v value) error {
			err := set(v)
			var warning ignored
			if err == nil || errors.As(err, &warning) {
				c.given[path] = v
			}
			return err
		}
	}
	return table
}

// sameSetting compares what two values make of the defaults: 60s is 1m, and the default is the same whether it is
// written or not.
func sameSetting(path string, before, after map[string]value) bool {
	a, hasA := before[path]
	b, hasB := after[path]
	if reflect.DeepEqual(a, b) && hasA == hasB {
		return true
	}
	return reflect.DeepEqual(withSetting(path, a, hasA), withSetting(path, b, hasB))
}

// withSetting is the default configuration with one setting.
func withSetting(path string, v value, given bool) *Config {
	c := Default()
	if !given {
		return c
	}
	table := keys(c)
	i := slices.IndexFunc(table, func(k key) bool { return k.path == path })
	_ = table[i].set(v) // it was taken before
	return c
}
