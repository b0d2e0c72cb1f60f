package config

import (
	"fmt"
	"strings"
	"time"
)

// RPKI says where validated ROA payloads come from. Without a cache and a file, routes are not validated.
type RPKI struct {
	Caches                 []string // host:port or tls://host:port, the preferred one first
	File                   string
	CAFile                 string // of caches with tls://
	CertFile, KeyFile      string
	Refresh, Retry, Expire time.Duration
}

// On reports whether routes are validated.
func (r *RPKI) On() bool { return len(r.Caches) > 0 || r.File != "" }

// rpkiKeys are where validated ROA payloads come from.
func rpkiKeys(c *Config) []key {
	r := &c.Routing.RPKI
	return []key{
		{path: "routing.rpki.caches", env: []string{"RPKI_CACHES"}, field: caches(&r.Caches),
			help: "RPKI caches (RTR, RFC 8210 and 6810): HOST:PORT, or tls://HOST:PORT, the preferred one first. " +
				"With the flow extension rpki, rows have the state of their routes. BGP is not needed: without a " +
				"route, the prefix and AS of the flow record or of meta_ip are validated."},
		{path: "routing.rpki.file", env: []string{"RPKI_FILE"}, isPath: true, field: text(&r.File),
			help: "Validated ROA payloads as JSON, as rpki-client, routinator and stayrtr write it. It is used " +
				"while no cache has data. A change is noticed."},
		{path: "routing.rpki.ca_file", isPath: true, field: text(&r.CAFile),
			help: "Certificates of the authorities for tls:// caches. Empty: the system's."},
		{path: "routing.rpki.cert_file", isPath: true, field: text(&r.CertFile),
			help: "Our certificate for tls:// caches that ask for one."},
		{path: "routing.rpki.key_file", isPath: true, field: text(&r.KeyFile),
			help: "Key of cert_file."},
		{path: "routing.rpki.refresh", def: "1h", field: duration(&r.Refresh, time.Second),
			help: "How often a cache is asked that says nothing by itself. A shorter interval of the cache counts."},
		{path: "routing.rpki.retry", def: "10m", field: duration(&r.Retry, time.Second),
			help: "Longest wait before a cache without data is asked again."},
		{path: "routing.rpki.expire", def: "2h", field: duration(&r.Expire, time.Minute),
			help: "How long data of a cache is used that does not answer any more. A shorter time of the cache " +
				"counts. Then all routes are unknown."},
	}
}

// caches accepts HOST:PORT and tls://HOST:PORT, or off.
func caches(p *[]string) field {
	return field{kind: list, get: listOf(p), set: func(v value) error {
		items := v.items()
		if len(items) == 1 && strings.EqualFold(items[0], "off") {
			items = nil
		}
		if err := eachItem(items, func(item string) error {
			address := strings.TrimPrefix(item, "tls://")
			if err := checkTarget(address); err != nil {
				return fmt.Errorf("%q is not HOST:PORT or tls://HOST:PORT", item)
			}
			return nil
		}); err != nil {
			return err
		}
		*p = items
		return nil
	}}
}

func (r *RPKI) validate(add func(key, value, why string)) {
	checkFile("routing.rpki.ca_file", r.CAFile, add)
	checkFile("routing.rpki.cert_file", r.CertFile, add)
	checkFile("routing.rpki.key_file", r.KeyFile, add)
	if (r.CertFile == "") != (r.KeyFile == "") {
		add("routing.rpki.cert_file, routing.rpki.key_file", "", "need each other")
	}
	if r.Expire < r.Refresh {
		add("routing.rpki.expire", DurationText(r.Expire), "is shorter than routing.rpki.refresh")
	}
}
