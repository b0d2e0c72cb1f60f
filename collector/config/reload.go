package config

import (
	"errors"
	"reflect"
	"slices"
)

// Files are the files that the settings came from, lists of labels and ports included.
func (c *Config) Files() []string {
	files := slices.Clone(c.source.EnvFiles)
	if c.source.File != "" {
		files = append(files, c.source.File)
	}
	for _, list := range []string{c.Policy.LabelFile, c.Flow.PortsFile} {
		if list != "" {
			files = append(files, list)
		}
	}
	return files
}

// HasEnvFiles reports whether env files were read.
func (c *Config) HasEnvFiles() bool { return len(c.source.EnvFiles) > 0 }

// Flags returns the flags of the files that the settings come from.
func (c *Config) Flags() []string {
	var flags []string
	if c.source.File != "" {
		flags = append(flags, "--config", c.source.File)
	}
	for _, file := range c.source.EnvFiles {
		flags = append(flags, "--env-file", file)
	}
	return flags
}

// Reload reads the settings again from the same sources. The environment is that of the start, as a process has no
// other.
func (c *Config) Reload() (*Config, []Problem) { return Load(c.source) }

// Changes returns the paths of settings that differ between two configurations, in the order of the example.
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
	for path, same := range map[string]bool{
		"policy.label_file": reflect.DeepEqual(before.Policy.Labels, after.Policy.Labels),
		"flow.ports_file":   slices.Equal(before.Flow.Ports, after.Flow.Ports),
	} {
		if !same && !slices.Contains(changed, path) {
			changed = append(changed, path)
		}
	}
	return changed
}

// IsLive reports whether a setting can change while the collector runs; the others need a restart.
func IsLive(path string) bool {
	return slices.ContainsFunc(keys(Default()), func(k key) bool { return k.path == path && k.live })
}

// give sets a key and notes its value, so that two configurations can be compared, and its origin.
func (c *Config) give(k *key, v value, origin Origin) error {
	err := k.set(v)
	var warning ignored
	if err == nil || errors.As(err, &warning) {
		c.given[k.path], c.origins[k.path] = v, origin
	}
	return err
}

// sameSetting compares the effect of two values: 60s is 1m, and an explicit default is no change.
func sameSetting(path string, before, after map[string]value) bool {
	a, hasA := before[path]
	b, hasB := after[path]
	if reflect.DeepEqual(a, b) && hasA == hasB {
		return true
	}
	return reflect.DeepEqual(withSetting(path, a, hasA), withSetting(path, b, hasB))
}

// withSetting returns the default configuration with one setting.
func withSetting(path string, v value, given bool) *Config {
	c := Default()
	if !given {
		return c
	}
	table := keys(c)
	i := slices.IndexFunc(table, func(k key) bool { return k.path == path })
	_ = table[i].set(v) // it was valid before
	return c
}
