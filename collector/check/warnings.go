package check

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink"
)

// A configWarning is about a setting that works but is careless.
type configWarning struct{ key, text string }

// warnings returns the warnings of a configuration. `check` prints them, and `run` logs them at the start.
func warnings(cfg *config.Config) []configWarning {
	var all []configWarning
	add := func(key, format string, args ...any) {
		all = append(all, configWarning{key, fmt.Sprintf(format, args...)})
	}
	if cfg.UsesLocalStore() && cfg.Store.Password == "" && !isLoopback(cfg.Store.Listen) {
		add("store.listen",
			"the local store answers SQL at %s without a password: set STORE_PASSWORD, or listen on 127.0.0.1",
			cfg.Store.Listen)
	}
	if len(cfg.Listen.Allowed.Sources) == 0 {
		for _, address := range cfg.Listen.Addresses {
			if isPublic(address) {
				add("listen.allowed_exporters",
					"whoever reaches UDP %s may send flows, and UDP sources can be forged: "+
						"list your exporters, and let only their network reach the port", address)
				break
			}
		}
		streamWarnings(cfg, add)
	}
	if cfg.HTTP.PProf && cfg.HTTP.Listen != "" && !isLoopback(cfg.HTTP.Listen) {
		add("http.pprof", "whoever reaches %s can profile the collector", cfg.HTTP.Listen)
	}
	if cfg.HTTP.Listen != "" && !isLoopback(cfg.HTTP.Listen) {
		switch {
		case cfg.HTTP.Explore == "all":
			add("http.explore", "whoever reaches %s can see who talks to whom: set http.explore to users or local",
				cfg.HTTP.Listen)
		case cfg.HTTP.Explore == "users" && cfg.HTTP.Users != "":
			add("http.users", "passwords for %s go over the network in the clear: put a proxy with TLS before it, "+
				"and listen on 127.0.0.1", cfg.HTTP.Listen)
		}
	}
	serverWarnings(cfg, add)
	for _, s := range setup.Sinks(cfg) {
		for _, w := range s.Warnings {
			add(w.Key, "%s", w.Text)
		}
		if d := &s.Spool; s.Used && d.Path != "" && d.MaxBytes/sink.LeastSpool < d.QueueBytes {
			add(d.Key, "it is less than %d times %s: when it is full under a flood, rows of exporters that behave are "+
				"dropped with the flood's", sink.LeastSpool, d.QueueKey)
		}
	}
	for i := range cfg.Metadata.Registries {
		registryWarnings(&cfg.Metadata.Registries[i], add)
	}
	for _, path := range cfg.Files() {
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o004 != 0 && hasSecrets(path) {
			add(path, "the file holds a password and every user of this host may read it: chmod o-r %s", path)
		}
	}
	return all
}

// registryWarnings are those of the way to a registry.
func registryWarnings(r *config.Registry, add func(key, format string, args ...any)) {
	if !r.Verify && slices.ContainsFunc(r.Sources, func(source string) bool {
		return strings.HasPrefix(source, "https:")
	}) {
		add(r.Key("verify"), "what these servers answer can be changed on its way: set %s instead", r.Key("ca_file"))
	}
	for _, source := range r.Sources {
		u, err := url.Parse(source)
		switch {
		case err != nil || u.Scheme != "http" || setup.IsThisHost(u.Hostname()):
		case u.User != nil:
			add(r.Key("sources"), "the password for %s goes over the network in the clear: use https", u.Host)
		default:
			add(r.Key("sources"), "what %s answers can be changed on its way: use https", u.Host)
		}
	}
}

// streamWarnings are those of connections that everybody may open.
func streamWarnings(cfg *config.Config, add func(key, format string, args ...any)) {
	open := slices.Clone(cfg.Listen.TCP)
	if cfg.Listen.TLS.ClientCAFile == "" {
		open = append(open, cfg.Listen.TLS.Addresses...)
	}
	if i := slices.IndexFunc(open, isPublic); i >= 0 {
		add("listen.allowed_exporters", "whoever reaches TCP %s may send flows: list your exporters, "+
			"or set listen.tls.client_ca_file and use TLS alone", open[i])
	}
}

// serverWarnings is about the connection to ClickHouse.
func serverWarnings(cfg *config.Config, add func(key, format string, args ...any)) {
	s := &cfg.Server
	if cfg.UsesLocalStore() {
		return
	}
	for host := range strings.SplitSeq(s.Host, ",") {
		host = strings.TrimSpace(host)
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if !s.Secure && s.Password != "" && !setup.IsThisHost(strings.Trim(host, "[]")) {
			add("clickhouse.secure", "the password for %s goes over the network in the clear: set clickhouse.secure",
				host)
		}
	}
	if s.Secure && s.SkipVerify {
		add("clickhouse.skip_verify",
			"anyone between here and the server can read the password and the rows: set clickhouse.ca_file instead")
	}
}

// isPublic reports whether an address to listen on can be reached from the Internet: it is a global one, or stands for
// all of a host that has a global one.
func isPublic(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil && !ip.IsUnspecified() {
		return isGlobal(ip)
	}
	if host != "" && host != "0.0.0.0" && host != "::" {
		return false // a name
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range own {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && isGlobal(prefix.Addr()) {
			return true
		}
	}
	return false
}

// isGlobal reports whether an address is routed on the internet. 100.64.0.0/10 is shared address space (RFC 6598).
func isGlobal(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(ip)
}

// secretNames are parts of names of settings that are secrets, in files of both kinds.
func secretNames() []string { return []string{"password", "license_key", "maxmind_key", "secret"} }

// hasSecrets reports whether a settings file contains a secret itself, rather than a reference to one.
func hasSecrets(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		if colon := strings.IndexByte(line, ':'); !found || colon >= 0 && colon < len(name) {
			name, value, found = strings.Cut(line, ":")
		}
		value, _, _ = strings.Cut(value, " #")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if !found || strings.HasPrefix(line, "#") || value == "" || strings.HasPrefix(value, "${") {
			continue
		}
		for _, secret := range secretNames() {
			if strings.Contains(strings.ToLower(name), secret) {
				return true
			}
		}
	}
	return false
}
