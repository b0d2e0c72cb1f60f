package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where string // file and line, or "environment"; empty if several places are involved
	Key   string // the key in the file, or the variable's name
	Value string
	Why   string
}

// String returns the problem as the line that the user sees.
func (p Problem) String() string {
	s := p.Why
	if p.Value != "" {
		s = p.Value + ": " + s
	}
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return s
}

// A Source is where settings come from. Later ones override earlier ones: defaults, File, EnvFiles in order, Environ.
type Source struct {
	File     string   // YAML; empty: none
	EnvFiles []string // NAME=value lines, as docker compose reads them
	Environ  []string // as os.Environ returns it
	// Container is where the reference stack's containers have their files; "": /app.
	Container string
}

// Load fills a Config and returns all problems. The Config is usable only if there are none.
func Load(source Source) (*Config, []Problem) {
	c := Default()
	c.source, c.given, c.origins = source, map[string]value{}, map[string]Origin{}
	c.aliases, c.places, c.wrong = map[string]map[string]bool{}, map[string]string{}, map[string]bool{}
	table := keys(c)
	env, problems := c.environment(source)
	if source.File != "" {
		problems = append(problems, c.loadFile(source.File, env, table)...)
	}
	for i := range table {
		problems = append(problems, c.fromEnvironment(&table[i], env)...)
	}
	c.settle()
	c.placeholders(table)
	c.policyLevel()
	c.containerPaths(table)
	c.optionalFiles()
	c.viewSettings = append(c.viewSettings, viewSettingsOf(env)...)
	slices.SortStableFunc(c.viewSettings, func(a, b pair) int { return cmp.Compare(a.key, b.key) })
	c.viewOrigin(env)
	problems = append(problems, c.buildViews()...)
	problems = append(problems, c.readLists()...)
	return c, c.withoutKafka(append(problems, c.validate()...))
}

// withoutKafka turns problems with the reference's variables of Kafka into warnings if nothing goes to Kafka: the
// reference reads from it with values that we do not know.
func (c *Config) withoutKafka(problems []Problem) []Problem {
	if c.Kafka.Topic != "" {
		return problems
	}
	return slices.DeleteFunc(problems, func(p Problem) bool {
		unused := strings.HasPrefix(p.Key, "KAFKA_") && !strings.HasPrefix(p.Key, "KAFKA_OUTPUT_")
		if unused {
			p.Why += ": it has no effect, as kafka.topic is not set"
			c.warnings = append(c.warnings, p)
		}
		return unused
	})
}

// Warnings are settings that have no effect here, or another one than in the reference stack.
func (c *Config) Warnings() []Problem { return c.warnings }

// Notes say how settings for another environment were interpreted.
func (c *Config) Notes() []Problem { return c.notes }

// ignored is why a value that the reference stack accepts has no effect or another one. It is a warning.
type ignored string

func (i ignored) Error() string { return string(i) }

// refused returns err as a problem, or adds it to the warnings. Secrets are not shown.
func (c *Config) refused(k *key, p Problem, err error) []Problem {
	c.refusedTexts = append(c.refusedTexts, p.Value)
	p.Value, p.Why = withoutPassword(p.Value), withoutPassword(err.Error())
	var warning ignored
	isWarning := errors.As(err, &warning)
	if k.secret && p.Value != `""` {
		p.Value, p.Why = "", "is not understood (it is not shown: it is a secret)"
		if isWarning {
			p.Why = "a part of it is not understood and left out (it is not shown: it is a secret)"
		}
	}
	if isWarning {
		c.warnings = append(c.warnings, p)
		return nil
	}
	var all []Problem
	for why := range strings.SplitSeq(p.Why, "\n") { // each item of a list has its own line
		p.Why = why
		all = append(all, p)
	}
	c.wrong[k.path] = true
	return all
}

// Wrong reports whether a setting has a problem, so that what it is for cannot be tried. A name that ends with a dot
// stands for all settings below it.
func (c *Config) Wrong(names ...string) bool {
	for _, name := range names {
		for path := range c.wrong {
			if path == name || strings.HasSuffix(name, ".") && strings.HasPrefix(path, name) {
				return true
			}
		}
	}
	return false
}

// fromEnvironment sets a key from the first of its variables that exists. An empty value means "not set", unless the
// key can be empty.
func (c *Config) fromEnvironment(k *key, env environ) []Problem {
	for n, name := range k.env {
		text, found := env.text[name]
		if !found || text == "" && n+1 < len(k.env) && env.text[k.env[n+1]] != "" {
			continue
		}
		origin := Origin{Where: env.where[name], Variable: env.name(name)}
		err := c.give(k, value{text: text, env: true}, origin)
		if err != nil && text == "" {
			err = ignored("is empty: the setting stays as it is")
		}
		for _, other := range k.env[n+1:] {
			if second := env.text[other]; second != "" && second != text && text != "" {
				c.warnings = append(c.warnings, Problem{Where: env.where[other], Key: other,
					Why: "has another value than " + name + ", which counts"})
			}
		}
		if err != nil {
			return c.refused(k, Problem{Where: origin.Where, Key: origin.Variable, Value: shown(text)}, err)
		}
		return nil
	}
	return nil
}

// shown returns a value for a problem. If a quote was closed too late, it leaves out what followed, such as the next
// line's password.
func shown(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	if rest != "" {
		first += " …"
	}
	return fmt.Sprintf("%q", first)
}

// validate checks combinations of settings.
func (c *Config) validate() []Problem {
	var problems []Problem
	refused := maps.Clone(c.wrong) // a file that a setting names can have several problems
	add := func(key, value, why string) {
		first, _, _ := strings.Cut(key, ",")
		if value == "" && refused[first] {
			return // it is missing because its value was refused, which is reported
		}
		problems = append(problems, Problem{Where: c.origins[first].Where, Key: key, Value: value, Why: why})
		for path := range strings.SplitSeq(key, ", ") {
			c.wrong[path] = true
		}
	}
	if err := c.Schema.Validate(); err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			add(SchemaKey(line), "", line)
		}
	}
	if (c.Server.CertFile == "") != (c.Server.KeyFile == "") {
		add("clickhouse.cert_file, clickhouse.key_file", "", "need each other")
	}
	checkFile("clickhouse.ca_file", c.Server.CAFile, add)
	checkFile("clickhouse.cert_file", c.Server.CertFile, add)
	checkFile("clickhouse.key_file", c.Server.KeyFile, add)
	c.Listen.TLS.validate(add)
	c.Kafka.validate(add)
	c.Routing.validate(add)
	if !c.Server.Flows && c.Kafka.Topic == "" {
		add("clickhouse.flows", "false", "rows would not be stored anywhere: set kafka.topic")
	}
	return problems
}

// schemaKeys maps package schema's names of settings to keys.
var schemaKeys = []struct{ words, key string }{
	{"flow TTL column", "flow.ttl_column"}, {"interface traffic TTL column", "tables.interface_traffic_ttl_column"},
	{"loss TTL column", "tables.loss_ttl_column"}, {"flow TTL", "flow.ttl"},
	{"interface traffic TTL", "tables.interface_traffic_ttl"},
	{"loss TTL", "tables.loss_ttl"}, {"metadata TTL", "tables.metadata_ttl"},
	{"flow partition", "flow.partition_by"},
	{"interface traffic partition", "tables.interface_traffic_partition_by"},
	{"loss partition", "tables.loss_partition_by"}, {"sharding key", "clickhouse.sharding_key"},
	{"storage policy", "clickhouse.storage_policy"}, {"database", "clickhouse.database"},
	{"distributed", "clickhouse.distributed"}, {"replication", "clickhouse.replication"},
	{"flow extension", "flow.extensions"}, {"IP reference extension", "flow.ip_ref_extensions"},
	{"AS extension", "tables.as_extensions"}, {"interface extension", "tables.interface_extensions"},
	{"flow table", "tables.flow"}, {"interface traffic table", "tables.interface_traffic"},
	{"loss table", "tables.loss"}, {"interface table", "tables.interface"}, {"device table", "tables.device"},
	{"organization table", "tables.organization"}, {"circuit table", "tables.circuit"},
	{"AS table", "tables.as"}, {"IP table", "tables.ip"}, {"application table", "tables.application"},
	{"SciReg table", "tables.scireg"}, {"application dictionary", "dictionaries.application.name"},
	{"AS dictionary", "dictionaries.as.name"}, {"view edge_as", "flow.views.edge_as"},
	{"view interface", "flow.views.interface"}, {"view ip_version", "flow.views.ip_version"},
	{"TTL of view", "flow.view_settings"}, {"partition of view", "flow.view_settings"},
	{"table of view", "flow.view_settings"},
}

// SchemaKey returns the key that a line of schema.Settings.Validate is about; "" if the line names it.
func SchemaKey(line string) string {
	for _, s := range schemaKeys {
		if strings.HasPrefix(line, s.words) {
			return s.key
		}
	}
	return ""
}

func (t *ListenTLS) validate(add func(key, value, why string)) {
	if len(t.Addresses) > 0 && (t.CertFile == "" || t.KeyFile == "") {
		add("listen.tls.addresses", "", "need listen.tls.cert_file and listen.tls.key_file")
	}
	checkFile("listen.tls.cert_file", t.CertFile, add)
	checkFile("listen.tls.key_file", t.KeyFile, add)
	checkFile("listen.tls.client_ca_file", t.ClientCAFile, add)
}

// checkFile reports a file that does not exist.
func checkFile(key, path string, add func(key, value, why string)) {
	if path == "" {
		return
	}
	if _, err := os.Stat(path); err != nil {
		add(key, path, reason(err))
	}
}

// reason returns the reason in a file error, without the path, which is shown already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// environ holds variables and the source of each.
type environ struct {
	text, where map[string]string
	called      map[string]string // the name of a variable in the operator's file, if it differs
	aliases     map[string]bool   // variables that stand for others
	repeated    []Problem         // variables with two values in one file
}

func newEnviron() environ {
	return environ{text: map[string]string{}, where: map[string]string{}, called: map[string]string{},
		aliases: map[string]bool{}}
}

// name returns the name under which a variable was set.
func (e environ) name(of string) string { return cmp.Or(e.called[of], of) }

// environment merges the env files and the process's environment.
func (c *Config) environment(source Source) (environ, []Problem) {
	env, process := newEnviron(), newEnviron()
	for _, entry := range source.Environ {
		name, text, _ := strings.Cut(entry, "=")
		process.text[name], process.where[name] = text, "environment"
	}
	process.registryNames()
	var problems []Problem
	for _, path := range source.EnvFiles {
		one, wrong := readEnvFile(path, env, process)
		problems = append(problems, wrong...)
		c.warnings = append(c.warnings, one.repeated...)
		one.registryNames()
		c.aliases[path] = one.aliases
		env.add(one)
	}
	env.add(process)
	return env, problems
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand expands ${NAME} and ${NAME:-default}. A single $ stays, because passwords contain it.
func expand(text string, lookup func(string) (string, bool)) string {
	return variable.ReplaceAllStringFunc(text, func(reference string) string {
		parts := variable.FindStringSubmatch(reference)
		if text, found := lookup(parts[1]); found && (text != "" || parts[2] == "") {
			return text
		}
		return strings.TrimPrefix(parts[2], ":-")
	})
}
