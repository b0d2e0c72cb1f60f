package config

import (
	"net/netip"
	"strings"
)

// HTTP is where the collector says how it is.
type HTTP struct {
	Listen string // host:port; "": off
	PProf  bool
	Hosts  []string // names that are answered; none: all
	// Explore says who may look at the traffic: local, users, all or off.
	Explore    string
	Users      string // file of names and bcrypt hashes
	UserHeader string // that a proxy sets to the user's name; "": none is trusted
	Proxies    []netip.Prefix
	// ExploreUsername and ExplorePassword are of the server's user that asks what /explore shows; "": that of
	// clickhouse.username.
	ExploreUsername, ExplorePassword string
}

// Metrics limits what is shown of exporters.
type Metrics struct {
	MaxExporters int // that have series of their own; each observation domain counts
}

// operationKeys are the settings of the page, metrics and logs.
func operationKeys(c *Config) []key {
	return []key{
		{path: "http.listen", env: []string{"HTTP_LISTEN"}, def: ":8080", field: addressOrOff(&c.HTTP.Listen),
			help: "Address of the page, /metrics, /healthz, /readyz and /exporters. off: no HTTP. Everybody who " +
				"reaches it can read operational data; saved views of /explore are all that can be changed there."},
		{path: "http.pprof", field: boolean(&c.HTTP.PProf),
			help: "Serve Go's profiler at /debug/pprof/ too."},
		{path: "http.hosts", env: []string{"HTTP_HOSTS"}, field: texts(&c.HTTP.Hosts),
			help: "Host names that requests may use, besides localhost and addresses. Empty: all."},

		{path: "http.explore", env: []string{"HTTP_EXPLORE"}, def: "local",
			field: oneOf(&c.HTTP.Explore, "local", "users", "all", "off"),
			help: "Who may look at the traffic itself on /explore. local: this host, through an SSH tunnel too; " +
				"users: " +
				"those of http.users and http.user_header; all: everybody who reaches http.listen; off: nobody."},
		{path: "http.users", env: []string{"HTTP_USERS"}, isPath: true, field: text(&c.HTTP.Users),
			help: "File of names and bcrypt hashes of passwords, as htpasswd -B writes it. A changed file holds at " +
				"once."},
		{path: "http.user_header", env: []string{"HTTP_USER_HEADER"}, field: text(&c.HTTP.UserHeader),
			help: "Header in which a proxy of http.proxies names the user whom it knows, such as X-Forwarded-User."},
		{path: "http.proxies", env: []string{"HTTP_PROXIES"}, field: prefixes(&c.HTTP.Proxies),
			help: "Prefixes of the proxies whose http.user_header is believed."},
		{path: "http.explore_username", env: []string{"HTTP_EXPLORE_USERNAME"}, field: text(&c.HTTP.ExploreUsername),
			help: "User of the ClickHouse server that asks what /explore shows: one that may only read. It needs " +
				"SELECT on the database. Empty: clickhouse.username, whose questions are sent with readonly."},
		{path: "http.explore_password", env: []string{"HTTP_EXPLORE_PASSWORD"}, secret: true,
			field: text(&c.HTTP.ExplorePassword),
			help:  "Password of that user."},

		{path: "metrics.max_exporters", def: "500", field: number(&c.Metrics.MaxExporters, 1, 1<<20),
			help: "How many exporters, with each of their observation domains, have series of their own in " +
				"/metrics and rows of their own in collector_loss. All others together are \"other\". A stream " +
				"that never gave data gives way at the next minute; any other after a silence as long as its " +
				"activity, at most ten minutes."},

		{path: "log.level", env: []string{"LOG_LEVEL"}, def: "info", live: true,
			field: logLevel(&c.LogLevel),
			help:  "debug, info, warn or error."},
		{path: "log.format", env: []string{"LOG_FORMAT"}, def: "text", field: oneOf(&c.LogFormat, "text", "json"),
			help: "text or json: a JSON object on each line. Text has colors on a terminal (not with NO_COLOR)."},
		{path: "log.debug", env: []string{"DEBUG"}, live: true, field: debug(c),
			help: "The reference's switch for level debug."},
	}
}

// debug is the reference stack's DEBUG=true.
func debug(c *Config) field {
	return field{get: printed(&c.debug), set: func(v value) error {
		err := boolean(&c.debug).set(v)
		if c.debug {
			c.LogLevel = "debug" // whatever log.level is
		}
		return err
	}}
}

// logLevel accepts the names of Python's levels too, which the reference stack's operators know.
func logLevel(p *string) field {
	levels := oneOf(p, "debug", "info", "warn", "error")
	return field{get: levels.get, set: func(v value) error {
		switch strings.ToLower(strings.TrimSpace(v.text)) {
		case "warning":
			v.text = "warn"
		case "critical", "fatal":
			v.text = "error"
		}
		return levels.set(v)
	}}
}
