package check

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/testkit"
	"github.com/metranova/flow-collector/metadata"
)

// checked is what one part of a check says.
func checked(t *testing.T, cfg *config.Config, part func(*checker)) string {
	t.Helper()
	var out bytes.Buffer
	c := &checker{cfg: cfg, user: Self()}
	part(c)
	if c.conn != nil {
		t.Cleanup(func() { _ = c.conn.Close() })
	}
	if err := c.table(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// says compares what was said with a pattern.
func says(t *testing.T, said, pattern string) {
	t.Helper()
	if !regexp.MustCompile(`^(?s:` + pattern + `)\n?$`).MatchString(said) {
		t.Errorf("said %q, want %q", said, pattern)
	}
}

func TestCheck_clock(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name string
		off  time.Duration
		want string
	}{
		{"right", time.Second, `ok +clock +ours and that of ClickHouse agree`},
		{"ahead", time.Hour, `warning +clock +ours is 1h0m0s ahead of that of ClickHouse: run NTP on both`},
		{"behind", -90 * time.Second, `warning +clock +ours is 1m30s behind that of ClickHouse: run NTP on both`},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, checked(t, nil, func(c *checker) { c.clocks("ClickHouse", now.Add(test.off), now) }), test.want)
		})
	}
}

func TestCheck_asksTheServerForItsTime(t *testing.T) {
	cfg := testkit.Config(t)
	said := checked(t, cfg, func(c *checker) { c.server(t.Context(), "ClickHouse") })
	says(t, said, `ok +ClickHouse +.* answers, version .*ok +clock +ours and that of ClickHouse agree\s+`+
		`note +tables +run will do: .*`)
}

func TestCheck_receiveBuffer(t *testing.T) {
	sysctl := filepath.Join(t.TempDir(), "rmem_max")
	cfg := config.Default()
	for value, want := range map[string]string{
		"212992\n":   `warning +receive buffer +net.core.rmem_max is 212992, .*sysctl -w net.core.rmem_max=67108864`,
		"67108864\n": `ok +receive buffer +67108864 bytes`,
	} {
		if err := os.WriteFile(sysctl, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		says(t, checked(t, cfg, func(c *checker) { c.receiveBuffer(sysctl) }), want)
	}
}

func TestCheck_staleMetadata(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "caida_peeringdb.json")
	aged := func(age time.Duration) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	none := func() []string { return nil }
	download := metadata.Source{Name: "caida", Interval: 24 * time.Hour, Downloads: []string{path}, Files: none}
	given := metadata.Source{Name: "geo", Interval: 24 * time.Hour, Files: func() []string { return []string{path} }}
	once := metadata.Source{Name: "files", Files: func() []string { return []string{path} }}
	for _, test := range []struct {
		name   string
		source metadata.Source
		age    time.Duration // negative: the file is not there
		want   string
	}{
		{"never downloaded", download, -1,
			`warning +metadata +caida: .*caida_peeringdb.json was never downloaded: .*collector metadata load caida`},
		{"downloaded yesterday", download, 25 * time.Hour, ``},
		{"downloaded four days ago", download, 97 * time.Hour,
			`warning +metadata +caida: .* is stale: it was last found up to date 4 days ago, though it should be ` +
				`every 24h`},
		{"given four days ago", given, 97 * time.Hour, ``},
		{"given last year", given, 300 * 24 * time.Hour,
			`warning +metadata +geo: .* is stale: it was changed 300 days ago`},
		{"read when it changes", once, 300 * 24 * time.Hour, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _ = os.Remove(path); test.age >= 0 {
				aged(test.age)
			}
			says(t, checked(t, config.Default(), func(c *checker) { c.freshness(test.source) }), test.want)
		})
	}
}

// What is downloaded is what the source that is configured downloads.
func TestCheck_namesDownloads(t *testing.T) {
	cfg := testkit.ConfigFor(t, "CACHE_DIR=/nonexistent", "METADATA_DIR=",
		"CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL=86400",
		"MAXMIND_ACCOUNT_ID=1", "MAXMIND_LICENSE_KEY=x", "IP_GEO_CSV_CONSUMER_UPDATE_INTERVAL=86400",
		"SCIREG_HTTP_CONSUMER_URLS=https://example.net/scireg.json", "SCIREG_HTTP_CONSUMER_UPDATE_INTERVAL=3600")
	said := checked(t, cfg, func(c *checker) { c.metadata(t.Context()) })
	for _, name := range []string{"caida_as_org2info.jsonl.gz", "caida_peeringdb.json", "GeoLite2-ASN", "GeoLite2-City",
		"scireg-1.json"} {
		if !strings.Contains(said, name) {
			t.Errorf("%s is not named in:\n%s", name, said)
		}
	}
}

// The local store has one user, so questions cannot have another one.
func TestCheck_exploreUsername(t *testing.T) {
	says(t, checked(t, testkit.ConfigFor(t, "HTTP_LISTEN=off", "HTTP_EXPLORE_USERNAME=reader"), (*checker).http),
		`problem +http.explore_username +the local store has the user default alone.*ok +HTTP +off`)
	says(t, checked(t, testkit.ConfigFor(t, "HTTP_LISTEN=off", "HTTP_EXPLORE_USERNAME=reader", "CLICKHOUSE_HOST=ch"),
		(*checker).http), `ok +HTTP +off`)
}

func TestCheck_http(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, test := range []struct{ name, listen, want string }{
		{"free", "127.0.0.1:0", `ok +HTTP +127.0.0.1:0`},
		{"off", "off", `ok +HTTP +off`},
		{"in use", l.Addr().String(), `warning +HTTP +` + l.Addr().String() + ` is in use: .*http.listen.*`},
		{"not here", "192.0.2.1:80", `problem +HTTP +.*HTTP_LISTEN: 192.0.2.1:80: .*cannot assign.*`},
	} {
		t.Run(test.name, func(t *testing.T) {
			says(t, checked(t, testkit.ConfigFor(t, "HTTP_LISTEN="+test.listen), (*checker).http), test.want)
		})
	}
}

func TestSuggestAllowed(t *testing.T) {
	addr := netip.MustParseAddr
	for name, c := range map[string]struct {
		heard []heardExporter
		want  string
	}{
		"nothing":    {nil, ""},
		"no records": {[]heardExporter{{Source: addr("192.0.2.1")}}, ""},
		"a source twice": {[]heardExporter{{Source: addr("192.0.2.10"), Records: 1},
			{Source: addr("192.0.2.9"), Records: 1}, {Source: addr("192.0.2.10"), Records: 1}},
			"192.0.2.9, 192.0.2.10"},
		"an agent of its own": {[]heardExporter{{Source: addr("192.0.2.1"), Agent: addr("192.0.2.1"), Records: 1}},
			"192.0.2.1"},
		"a relay": {[]heardExporter{{Source: addr("192.0.2.1"), Agent: addr("2001:db8::2"), Records: 1},
			{Source: addr("192.0.2.1"), Agent: addr("10.0.0.3"), Counters: 1}},
			`192.0.2.1, agent 10.0.0.3, "agent 2001:db8::2"`},
	} {
		list := suggestAllowed(c.heard)
		if got := strings.Join(list, ", "); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if len(list) == 0 {
			continue
		}
		// What is suggested is a value of the setting.
		cfg := testkit.ConfigFor(t, "LISTEN_ALLOWED_EXPORTERS="+strings.ReplaceAll(strings.Join(list, ","), `"`, ""))
		if len(cfg.Listen.Allowed.Sources)+len(cfg.Listen.Allowed.Agents) != len(list) {
			t.Errorf("%s: the setting reads %+v", name, cfg.Listen.Allowed)
		}
	}
}
