package config

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Setting is one key of the configuration with its current value.
type Setting struct {
	Key    string   // its name in the file: section.name
	Env    []string // the variables that set it, in order of precedence
	Value  string   // in the file's form, on one line; secrets, also in URLs, are replaced by Hidden
	Origin Origin   // the source of the value
	Live   bool     // a change takes effect at a reload; otherwise at a restart
	Secret bool     // a password or a key
	Help   string   // one or several sentences
}

// Hidden is shown instead of a secret.
const Hidden = "(hidden)"

// An Origin is the source of a value. The zero Origin is the default.
type Origin struct {
	// "collector.yml:12", "base.env:3", or "environment" (the process's own); several are separated by commas
	Where    string
	Variable string // the variable's name, for the last two
	Because  string // another key that determines this one, which is not set itself
}

// String returns "default", "collector.yml:12", "CLICKHOUSE_HOST (base.env:3)" or "KAFKA_PORT (environment)".
func (o Origin) String() string {
	where := o.Where
	switch {
	case where == "":
		return "default"
	case o.Variable != "":
		where = o.Variable + " (" + where + ")"
	}
	if o.Because != "" {
		where += ", by " + o.Because
	}
	return where
}

// name returns the variable that a value comes from, else the key.
func (o Origin) name(key string) string { return cmp.Or(o.Variable, key) }

// by returns the origin of a value that another key determines.
func (o Origin) by(key string) Origin {
	o.Because = key
	return o
}

// Origin returns the source of a key's value.
func (c *Config) Origin(key string) Origin { return c.origins[key] }

// Settings returns every setting in the order of conf.example/collector.yml. If the Config has problems, they are what
// could be read.
func (c *Config) Settings() []Setting {
	var all []Setting
	for _, k := range keys(c) {
		all = append(all, Setting{Key: k.path, Env: slices.Clone(k.env), Value: k.shown(), Origin: c.origins[k.path],
			Live: k.live, Secret: k.secret, Help: k.help})
	}
	return all
}

// Secrets are the passwords, keys and headers that are set, and those in URLs, to be left out of what is shown.
func (c *Config) Secrets() []string {
	var all []string
	given := slices.Clone(c.refusedTexts)
	for _, k := range keys(c) {
		v := k.get()
		texts := append([]string{v.text}, v.list...)
		given = append(given, texts...)
		for _, p := range v.pairs {
			texts = append(texts, p.text)
		}
		for _, text := range texts {
			if k.secret && text != "" {
				all = append(all, text)
			}
			if u, err := url.Parse(text); err == nil && u.User != nil {
				if password, set := u.User.Password(); set {
					all = append(all, password)
				}
			}
		}
	}
	for _, text := range given {
		for _, m := range anyUserInfo.FindAllStringSubmatch(text, -1) {
			all = append(all, m[2], url.PathEscape(m[2])) // errors about it may have it escaped
		}
	}
	return all
}

// shown is the value without secrets.
func (k *key) shown() string {
	v := k.get()
	if k.secret && (v.text != "" || len(v.pairs) > 0) {
		return Hidden
	}
	v.text = withoutPassword(v.text)
	v.list = slices.Clone(v.list)
	for i, item := range v.list {
		v.list[i] = withoutPassword(item)
	}
	v.pairs = slices.Clone(v.pairs)
	for i, p := range v.pairs {
		v.pairs[i].text = withoutPassword(p.text)
	}
	return v.yaml()
}

// Secrets in URLs: user and password, and parameters with names of secrets.
var (
	userInfo = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]*://)[^/?#]*@`)
	// The same in any text, also where somebody wrote it before a host without a scheme.
	anyUserInfo = regexp.MustCompile(`((?:^|[\s"',\[])(?:[A-Za-z][A-Za-z0-9+.-]*://)?)[^/?#@:\s"',\[]*:([^/?#\s"]*)@`)
	secretParam = regexp.MustCompile(`([?&][^=&]*(?i:key|token|secret|pass|auth|sig)[^=&]*=)[^&#]*`)
)

// withoutPassword hides the secrets in a URL, and in user:password@host. Other text is unchanged.
func withoutPassword(text string) string {
	text = anyUserInfo.ReplaceAllString(text, "${1}"+Hidden+"@")
	if !strings.Contains(text, "://") {
		return text
	}
	return secretParam.ReplaceAllString(userInfo.ReplaceAllString(text, "${1}"+Hidden+"@"), "${1}"+Hidden)
}

// viewOrigin adds the variables for settings of single views.
func (c *Config) viewOrigin(env environ) {
	const key = "flow.view_settings"
	for _, p := range c.viewSettings {
		if p.env == "" {
			continue
		}
		o := Origin{Where: env.where[p.env], Variable: p.env}
		if before := c.origins[key]; before != (Origin{}) {
			o = Origin{Where: before.String() + ", " + o.String()}
		}
		c.origins[key] = o
	}
}
