package config

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The environment files of the reference stack assume its containers; here they run elsewhere.

// containerRoot is where those containers have conf and caches.
const containerRoot = "/app"

// containerPaths replaces paths in the reference stack's containers by paths here: conf below metadata.dir and caches
// below metadata.cache_dir. A note reports this.
func (c *Config) containerPaths(table []key) {
	root := c.source.Container
	if root == "" {
		root = containerRoot
	}
	m := &c.Metadata
	conf, caches := filepath.Join(root, "conf"), filepath.Join(root, "caches")
	if c.origins["metadata.dir"] == (Origin{}) && !exists(m.Dir) && exists(conf) {
		m.Dir = conf
		c.origins["metadata.dir"] = Origin{Where: conf + " is there"}
	}
	if c.origins["metadata.cache_dir"] == (Origin{}) && !exists(m.CacheDir) && exists(caches) {
		m.CacheDir = caches
		c.origins["metadata.cache_dir"] = Origin{Where: caches + " is there"}
	}
	for _, stands := range []struct{ dir, here, name string }{
		{conf, m.Dir, "metadata.dir"}, {caches, m.CacheDir, "metadata.cache_dir"},
	} {
		var moved []string
		for _, k := range table {
			if k.isPath && c.moveFiles(k, stands.dir, stands.here) {
				moved = append(moved, c.origins[k.path].name(k.path))
			}
		}
		if len(moved) > 0 {
			c.notes = append(c.notes, Problem{Key: strings.Join(moved, ", "),
				Why: fmt.Sprintf("%s is not on this host: its files are looked for in %s (%s)", stands.dir,
					stands.here, stands.name)})
		}
	}
}

// optionalFiles removes missing files that the environment names and the reference stack does not need either. A note
// reports this.
func (c *Config) optionalFiles() {
	m := &c.Metadata
	var missing []string
	if c.given["metadata.files"].env {
		m.Files = slices.DeleteFunc(slices.Clone(m.Files), func(file string) bool {
			if !exists(file) {
				missing = append(missing, file)
			}
			return !exists(file)
		})
	}
	for _, additions := range []struct{ path, file string }{
		{"metadata.caida.custom_as_file", m.CAIDA.CustomAS}, {"metadata.caida.custom_org_file", m.CAIDA.CustomOrg},
		{"metadata.geo.custom_ip_file", m.Geo.CustomIP},
	} {
		switch {
		case additions.file == "" || exists(additions.file):
		case c.given[additions.path].env:
			missing = append(missing, additions.file)
		default:
			c.warnings = append(c.warnings, Problem{Where: c.origins[additions.path].Where, Key: additions.path,
				Value: additions.file, Why: "there is no such file: nothing is added"})
		}
	}
	if len(missing) > 0 {
		c.notes = append(c.notes, Problem{Value: strings.Join(missing, ", "),
			Why: "not there, and not needed: the metadata is read without"})
	}
}

// moveFiles replaces files of dir, if they do not exist, by those of the same name in here. It reports whether it did.
// dir itself always stands for here: if it exists, it may be mounted read-only.
func (c *Config) moveFiles(k key, dir, here string) bool {
	v, changed, moved := k.get(), false, false
	move := func(file string) string {
		if filepath.Clean(file) == dir {
			changed, moved = true, moved || !exists(dir)
			return here
		}
		rest, found := strings.CutPrefix(file, dir+"/")
		if !found || exists(file) {
			return file
		}
		to := filepath.Join(here, rest)
		if exists(dir) && !exists(to) {
			return file // the file does not exist there either
		}
		changed, moved = true, true
		return to
	}
	v.text = move(v.text)
	v.list = slices.Clone(v.list)
	for i := range v.list {
		v.list[i] = move(v.list[i])
	}
	if changed {
		_ = k.set(v) // always valid, because the former path was
	}
	return moved
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// placeholder matches values in the reference stack's example files that must be replaced.
var placeholder = regexp.MustCompile(`(?i)^(CHANGE_?ME|CHANGME|YOUR_\w+_HERE|YOUR_\w+)$`)

// placeholders warns of values that are still those of an example.
func (c *Config) placeholders(table []key) {
	for _, k := range table {
		origin, given := c.origins[k.path]
		if !given || !placeholder.MatchString(k.get().text) ||
			strings.HasPrefix(k.path, "kafka.") && c.Kafka.Topic == "" {
			continue
		}
		c.warnings = append(c.warnings, Problem{Where: origin.Where, Key: origin.name(k.path), Value: k.get().text,
			Why: "is the placeholder of an example: put yours in its place"})
	}
}

// tlpLevels are the labels of the Traffic Light Protocol 2.0, and white of 1.0.
var tlpLevels = []string{"tlp:red", "tlp:amber+strict", "tlp:amber", "tlp:green", "tlp:clear", "tlp:white"}

// policyLevel warns of a level that is not a TLP label.
func (c *Config) policyLevel() {
	if level := c.Policy.Level; !slices.Contains(tlpLevels, strings.ToLower(level)) {
		origin := c.origins["policy.level"]
		c.warnings = append(c.warnings, Problem{Where: origin.Where, Key: origin.name("policy.level"), Value: level,
			Why: "is no level of the Traffic Light Protocol: " + strings.Join(tlpLevels, ", ")})
	}
	for _, p := range slices.SortedFunc(maps.Keys(c.Policy.Exporters.Level), netip.Prefix.Compare) {
		if level := c.Policy.Exporters.Level[p]; !slices.Contains(tlpLevels, strings.ToLower(level)) {
			const key = "policy.exporters.level"
			origin := c.origins[key]
			c.warnings = append(c.warnings, Problem{Where: origin.Where, Key: origin.name(key), Value: level,
				Why: "is no level of the Traffic Light Protocol: " + strings.Join(tlpLevels, ", ")})
		}
	}
}

// registryPipeline is the reference stack's pipeline file of the Science Registry.
var registryPipeline = regexp.MustCompile(`^metadata_scireg\.ya?ml$`)

// registryNames lets variables of the reference stack's HTTP consumer stand for those of the Science Registry, in a
// file for that pipeline, because HTTP_CONSUMER_ENV_PREFIX is arbitrary there.
func (e environ) registryNames() {
	if !registryPipeline.MatchString(path.Base(e.text["PIPELINE_YAML"])) {
		return
	}
	prefix := e.text["HTTP_CONSUMER_ENV_PREFIX"]
	if prefix != "" && !strings.HasSuffix(prefix, "_") {
		prefix += "_"
	}
	e.aliases["HTTP_CONSUMER_ENV_PREFIX"] = true
	for _, name := range []string{"HTTP_CONSUMER_URLS", "HTTP_CONSUMER_UPDATE_INTERVAL"} {
		ours, theirs := "SCIREG_"+name, prefix+name
		if text := e.text[theirs]; text != "" && e.text[ours] == "" {
			e.text[ours], e.where[ours], e.called[ours] = text, e.where[theirs], theirs
			e.aliases[theirs] = true
		}
	}
}

// add adds the variables of a later source, which override earlier ones.
func (e environ) add(later environ) {
	maps.Copy(e.text, later.text)
	maps.Copy(e.where, later.where)
	for name := range later.text {
		delete(e.called, name)
	}
	maps.Copy(e.called, later.called)
}
