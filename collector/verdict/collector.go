package verdict

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
	"github.com/metranova/flow-collector/sink"
)

// Collector has the facts about the collector itself.
type Collector struct {
	Now, Started time.Time

	TablesMade     bool
	TablesError    string // why they could not be made at the latest attempt
	Sinks          []Sink
	StoreRestarts  uint64        // of the local store, because it had ended by itself
	StoreEnded     time.Time     // when it last did
	StoreEnd       string        // why
	MetadataLoaded bool          // every source was tried once
	Metadata       []string      // problems of the metadata in use
	Devices        int           // in the metadata in use
	StoreClock     time.Duration // the store's clock minus ours; 0 if unknown

	ShortBuffer bool // the kernel gives sockets a smaller receive buffer than asked for
	// the source of most datagrams that were dropped for OverShare; invalid: it is not known
	Largest netip.Addr

	Listen []string // the UDP addresses that exporters send to

	Refused []string // what is wrong with the configuration's files as they are now
	Pending []string // changed settings that need a restart

	Routing *Routing // nil: there are no routes; its LookUps and Window are filled in from Recent

	Streams int
	Window  time.Duration // how far Recent goes back
	Recent  CollectorCounts
}

// Sink is what is known of a destination of rows.
type Sink struct {
	sink.Info
	Down string // why it takes nothing; "": it does
	// Spool is its spool's name, for people, and SpoolKey the setting of SpoolMax.
	Spool, SpoolKey      string
	SpoolBytes, SpoolMax int64 // on disk, and how much may be there; 0: no spool
	SpoolRows            uint64
}

// downCode is the code of the verdict that a sink takes nothing.
func (s *Sink) downCode() string {
	if s.Name == "clickhouse" {
		return "store" + downSuffix
	}
	return s.Name + downSuffix
}

const downSuffix = "_down"

// CollectorCounts are what the collector counted in a while.
type CollectorCounts struct {
	Received, KernelDrops, Refused uint64 // datagrams
	// datagrams of sources that took more than their share while the collector was behind
	OverShare     uint64
	Rows, Expired uint64            // rows, and those of them that were too old for the table
	Lost          map[string]uint64 // rows, by reason
	Quarantined   uint64            // rows that the server refuses
	Connections   map[string]uint64 // refused, or closed with a loss, by reason
	Evicted       uint64            // streams that were evicted
	Unattributed  [exporter.ReasonCount]uint64
	LookUps       enrich.RouteCounts // of destinations in the routing table
}

// The thresholds: below them there is no verdict.
const (
	dropsProblem  = 0.01
	spoolWarning  = 0.5
	spoolProblem  = 0.9
	storeClockOff = 5 * time.Second
	storeEndShown = 24 * time.Hour
)

// OfCollector returns what is wrong with the collector, the worst first. A problem makes it not ready.
func OfCollector(c *Collector) []Verdict {
	var l list
	l.store(c)
	l.sockets(c)
	l.lostRows(c)
	l.configuration(c)
	if r := c.Routing; r != nil {
		r.LookUps, r.Window = c.Recent.LookUps, c.Window
		var routes list
		routes.routing(r)
		l = append(l, routes.few()...)
	}
	for _, problem := range c.Metadata {
		l.add(Warning, "metadata", "", "metadata: %s", problem)
	}
	if !c.MetadataLoaded {
		l.add(Problem, "no_metadata", "",
			"the metadata is not loaded yet: rows are written with the metadata of the last run")
	} else if c.Devices == 0 {
		l.add(Note, "no_devices", "describe your devices in meta_device.yml and meta_interface.yml",
			"meta_device is empty: rows have the exporter's address as the device")
	}
	if c.Streams == 0 && c.Now.Sub(c.Started) > settled {
		l.add(Warning, "no_exporter", "point exporters at "+c.Target()+"; tcpdump shows what comes",
			"no exporter was heard yet")
	}
	return l.sorted()
}

// Target returns where exporters should send to.
func (c *Collector) Target() string { return strings.TrimSuffix("this host, "+c.ListenText(), ", ") }

// ListenText returns the ports that exporters send to, for people; with addresses if it does not listen on all of them.
func (c *Collector) ListenText() string {
	var ports, addresses []string
	for _, address := range c.Listen {
		host, port, err := net.SplitHostPort(address)
		if addr := net.ParseIP(host); err == nil && (host == "" || addr != nil && addr.IsUnspecified()) {
			ports = append(ports, port)
		} else {
			addresses = append(addresses, address)
		}
	}
	var parts []string
	if len(ports) > 0 {
		parts = append(parts, "UDP port "+strings.Join(ports, ", "))
	}
	if len(addresses) > 0 {
		parts = append(parts, "UDP "+strings.Join(addresses, ", "))
	}
	return strings.Join(parts, ", ")
}

// Blocks reports whether a problem of the collector keeps rows from their destination; others are about losses on the
// way.
func Blocks(code string) bool {
	return code == "no_tables" || code == "no_metadata" || strings.HasSuffix(code, downSuffix)
}

func (l *list) store(c *Collector) {
	if !c.TablesMade {
		if c.TablesError != "" {
			l.add(Problem, "no_tables", "rows wait in memory, then on disk",
				"the tables are not made yet, and rows wait: %s", c.TablesError)
		} else {
			l.add(Problem, "no_tables", "the log says why", "the tables are not made yet, and rows wait")
		}
	}
	for i := range c.Sinks {
		l.sink(&c.Sinks[i])
	}
	if c.StoreRestarts > 0 && c.Now.Sub(c.StoreEnded) < storeEndShown {
		l.add(Warning, "store_restarted",
			"rows wait meanwhile and are delivered after it; where memory was short set store.memory",
			"the local store ended by itself and was started again, %s so far, the last at %s: %s",
			count(uint64(c.StoreRestarts), "time"), c.StoreEnded.UTC().Format(time.DateTime), c.StoreEnd)
	}
	if off := c.StoreClock.Abs(); off > storeClockOff {
		direction := "behind"
		if c.StoreClock > 0 {
			direction = "ahead of"
		}
		l.add(Warning, "store_clock", "run NTP on both", "the store's clock is %s %s ours", lasting(off),
			direction)
	}
}

func (l *list) sink(s *Sink) {
	if s.Down != "" {
		l.add(Problem, s.downCode(), s.Unit+" wait in memory, then on disk", "%s takes no %s: %s", s.Title, s.Unit,
			s.Down)
	}
	if s.SpoolMax == 0 || s.SpoolRows == 0 {
		return
	}
	full, severity := float64(s.SpoolBytes)/float64(s.SpoolMax), Note
	switch {
	case full >= spoolProblem:
		severity = Problem
	case full >= spoolWarning:
		severity = Warning
	}
	l.add(severity, "spool", fmt.Sprintf("beyond %s the oldest %s are dropped", s.SpoolKey, s.Unit),
		"the %s is %s full: %s on disk", s.Spool, percent(full), count(s.SpoolRows, strings.TrimSuffix(s.Unit, "s")))
}

func (l *list) configuration(c *Collector) {
	if len(c.Refused) > 0 {
		l.add(Warning, "configuration", "the earlier settings stay in use until that is fixed",
			"the configuration was changed and is refused: %s", strings.Join(c.Refused, "; "))
	}
	if len(c.Pending) > 0 {
		l.add(Note, "restart_needed", "restart the collector", "changed, but not in use before a restart: %s",
			strings.Join(c.Pending, ", "))
	}
}

// KernelDrops returns why the kernel dropped datagrams and what to do about it, for the page, the log and the summary.
// short: sockets have a smaller receive buffer than requested.
func KernelDrops(short bool) (reason, advice string) {
	if short {
		return "the receive buffer is smaller than listen.receive_buffer", "raise net.core.rmem_max in /etc/sysctl.d"
	}
	return "the workers were too slow", "raise listen.workers, on more cores"
}

func (l *list) sockets(c *Collector) {
	r := &c.Recent
	if n := r.KernelDrops; n > 0 {
		lost, severity := share(n, n+r.OverShare+r.Received), Warning
		if lost >= dropsProblem {
			severity = Problem
		}
		what, fix := KernelDrops(c.ShortBuffer)
		l.add(severity, "kernel_drops", fix, "kernel dropped %s (%s in %s): %s", percent(lost), count(n, "datagram"),
			span(c.Window), what)
	}
	if n := r.OverShare; n > 0 {
		from := ""
		if c.Largest.IsValid() {
			from = ", most of them of " + c.Largest.String()
		}
		l.add(Warning, "overload",
			"more workers or cores (listen.workers), or listen.allowed_exporters where they should not send",
			"the collector was behind: %s dropped in %s, of sources that took more than their share%s",
			count(n, "datagram"), span(c.Window), from)
	}
	if n := r.Refused; n > 0 {
		l.add(Note, "refused", "listen.allowed_exporters says who may send", "%s of exporters that may not send, in %s",
			count(n, "datagram"), span(c.Window))
	}
	l.connections(c)
	for _, reason := range exporter.Reasons() {
		n := r.Unattributed[reason]
		if n == 0 {
			continue
		}
		if reason == exporter.UnknownVersion {
			l.add(Warning, "unknown_version", "something else sends to these ports",
				"%s of no protocol that we know, in %s", count(n, "datagram"), span(c.Window))
			continue
		}
		l.add(Warning, reason.String(), "", "%s too short for a header, in %s", count(n, "datagram"), span(c.Window))
	}
	if n := r.Evicted; n > 0 {
		l.add(Warning, "evicted",
			"listen.allowed_exporters says who may send; raise decoder.max_exporters if all are yours",
			"%s evicted in %s: more exporters than are kept", count(n, "stream"), span(c.Window))
	}
}

func (l *list) connections(c *Collector) {
	total, texts := uint64(0), []string(nil)
	for _, reason := range slices.Sorted(maps.Keys(c.Recent.Connections)) {
		if n := c.Recent.Connections[reason]; n > 0 {
			total += n
			texts = append(texts, fmt.Sprintf("%d × %s", n, reason))
		}
	}
	if total > 0 {
		l.add(Warning, "connections", "the log says of which exporters, and why", "%s refused or closed in %s: %s",
			count(total, "connection"), span(c.Window), strings.Join(texts, ", "))
	}
}

func (l *list) lostRows(c *Collector) {
	r := &c.Recent
	for _, reason := range slices.Sorted(maps.Keys(r.Lost)) {
		if n := r.Lost[reason]; n > 0 {
			l.add(Problem, "rows_lost", "", "%s lost in %s: %s", count(n, "row"), span(c.Window), reason)
		}
	}
	if n := r.Quarantined; n > 0 {
		l.add(Warning, "quarantine", "`collector quarantine` shows why, and delivers them once that is fixed",
			"ClickHouse refuses %s of %s, which are kept", count(n, "row"), span(c.Window))
	}
	if n := r.Expired; n > 0 {
		l.add(Warning, "rows_expired", "an exporter's clock is wrong",
			"%s of the rows are older than the table's TTL, which drops them", percent(share(n, max(n, r.Rows))))
	}
}
