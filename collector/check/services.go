package check

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/metranova/flow-collector/collector/web"
	"github.com/metranova/flow-collector/collector/web/access"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/download"
)

// clockTolerance is how far our clock and the server's may differ.
const clockTolerance = 2 * time.Second

// clock compares our clock with the server's: with a wrong one rows have wrong times, or are too old for the table
// immediately.
func (c *checker) clock(ctx context.Context, conn driver.Conn, what string) {
	asked := time.Now()
	var theirs time.Time
	if err := conn.QueryRow(ctx, "SELECT now64(3, 'UTC')").Scan(&theirs); err != nil {
		c.say(checkProblem, what, "ask for its time: %v", err)
		return
	}
	c.clocks(what, asked.Add(time.Since(asked)/2), theirs)
}

func (c *checker) clocks(what string, ours, theirs time.Time) {
	ahead := ours.Sub(theirs)
	switch {
	case ahead > clockTolerance:
		c.say(checkWarning, "clock", "ours is %s ahead of that of %s: run NTP on both", ahead.Round(time.Second), what)
	case ahead < -clockTolerance:
		c.say(checkWarning, "clock", "ours is %s behind that of %s: run NTP on both", (-ahead).Round(time.Second), what)
	default:
		c.say(checkOK, "clock", "ours and that of %s agree", what)
	}
}

// staleIntervals is the number of intervals after which a download counts as stale. staleFile is the age at which a
// local file does: CAIDA publishes four times a year.
const (
	staleIntervals = 3
	staleFile      = 200 * 24 * time.Hour
)

// freshness warns of metadata that was not updated for a long time.
func (c *checker) freshness(source metadata.Source) {
	if source.Interval <= 0 {
		return
	}
	for _, path := range source.Downloads {
		confirmed, err := download.Confirmed(path)
		age := time.Since(confirmed)
		switch {
		case errors.Is(err, os.ErrNotExist):
			c.say(checkWarning, "metadata", "%s: %s was never downloaded: run does it, or collector metadata load %s",
				source.Name, path, source.Name)
		case err != nil:
			c.say(checkWarning, "metadata", "%s: %v", source.Name, err)
		case age > staleIntervals*source.Interval:
			c.say(checkWarning, "metadata",
				"%s: %s is stale: it was last found up to date %s, though it should be every %s",
				source.Name, path, verdict.Ago(age), config.DurationText(source.Interval))
		}
	}
	for _, path := range source.Files() {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > staleFile {
			c.say(checkWarning, "metadata", "%s: %s is stale: it was changed %s", source.Name, path,
				verdict.Ago(time.Since(info.ModTime())))
		}
	}
}

// http tries to listen on http.listen.
func (c *checker) http() {
	if path := c.cfg.HTTP.Users; path != "" {
		if _, err := access.LoadUsers(path); err != nil {
			c.say(checkProblem, "http.users", "%v", err)
		}
	} else if c.cfg.HTTP.Explore == "users" && c.cfg.HTTP.UserHeader == "" {
		c.say(checkWarning, "http.explore",
			"nobody can look at the traffic: there is neither http.users nor http.user_header")
	}
	if name := c.cfg.HTTP.ExploreUsername; name != "" && c.cfg.UsesLocalStore() && name != c.cfg.Store.Username {
		c.say(checkProblem, "http.explore_username",
			"the local store has the user %s alone: leave it empty, or set clickhouse.host to a server that has %s",
			c.cfg.Store.Username, name)
	}
	address := c.cfg.HTTP.Listen
	if address == "" {
		c.say(checkOK, "HTTP", "off")
		return
	}
	socket, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		_ = socket.Close()
		c.say(checkOK, "HTTP", "%s", address)
	case errors.Is(err, syscall.EADDRINUSE):
		c.say(checkWarning, "HTTP",
			"%s is in use: by a collector that runs already? Else set http.listen to another port, or to off", address)
	default:
		c.setting("http.listen", checkProblem, "HTTP", "%s: %v", address, err)
	}
}

// heard suggests listen.allowed_exporters from what a running collector has received. It reports nothing if none is
// running.
func (c *checker) heard(ctx context.Context) {
	if len(c.cfg.Listen.Allowed.Sources) > 0 || c.cfg.HTTP.Listen == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	text, err := web.Get(ctx, "http://"+web.Reachable(c.cfg.HTTP.Listen), "/exporters.json")
	if err != nil {
		return
	}
	var report struct {
		Exporters []heardExporter `json:"exporters"`
	}
	if json.Unmarshal(text, &report) != nil {
		return
	}
	list := suggestAllowed(report.Exporters)
	switch n := len(list); {
	case n == 0:
	case n > 50:
		c.say(checkOK, "exporters",
			"%d sources and agents were heard and all may send: listen.allowed_exporters takes prefixes too", n)
	default:
		c.say(checkOK, "exporters", "these were heard; to let no others send: listen: {allowed_exporters: [%s]}",
			strings.Join(list, ", "))
	}
}

// heardExporter is an exporter as a running collector reports it.
type heardExporter struct {
	Source   netip.Addr `json:"source"`
	Agent    netip.Addr `json:"agent"` // sFlow: what the datagrams state
	Records  uint64     `json:"records"`
	Counters uint64     `json:"counter_samples"`
}

// suggestAllowed is a value of listen.allowed_exporters with all that sent records: the sources, and the sFlow agents
// that other addresses send for.
func suggestAllowed(heard []heardExporter) []string {
	var sources, agents []netip.Addr
	for _, x := range heard {
		if x.Records == 0 && x.Counters == 0 {
			continue
		}
		sources = append(sources, x.Source)
		if x.Agent.IsValid() && x.Agent != x.Source {
			agents = append(agents, x.Agent)
		}
	}
	var list []string
	for _, group := range []struct {
		word  string
		addrs []netip.Addr
	}{{"", sources}, {"agent ", agents}} {
		slices.SortFunc(group.addrs, netip.Addr.Compare)
		for _, addr := range slices.Compact(group.addrs) {
			text := group.word + addr.String()
			if addr.Is6() {
				text = strconv.Quote(text) // a colon has a meaning in YAML
			}
			list = append(list, text)
		}
	}
	return list
}

// isLoopback reports whether an address can only be reached from this host.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
