// Package check reports what is wrong with a configuration, its files, ports, directories and connections. It changes
// nothing.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"golang.org/x/sys/unix"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/forward"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/metadata/record"
	"github.com/metranova/flow-collector/sink/quarantine"
)

// Options configure a check.
type Options struct {
	Strict bool // warnings count as problems
	JSON   bool // print JSON instead of a table
	User   User // the user that run would have
}

// checker checks one configuration.
type checker struct {
	findings
	cfg           *config.Config
	user          User
	schemaIsWrong bool // comparing the tables with it is useless
	asked         bool // a server has checked the SQL in the settings
	conn          driver.Conn
}

// serverSettings are those that a connection to a ClickHouse server needs.
var serverSettings = []string{"clickhouse.host", "clickhouse.port", "clickhouse.ca_file", "clickhouse.cert_file",
	"clickhouse.key_file"}

// Run tries everything that run needs and prints what it finds: all problems in one pass. problems are those of the
// configuration; a setting with a problem is then checked with its former value. Run returns ErrProblems if something
// would not work.
func Run(ctx context.Context, cfg *config.Config, problems []config.Problem, o Options, out io.Writer) error {
	c := &checker{cfg: cfg, user: o.User}
	c.configuration(problems)
	c.unused()
	for _, address := range cfg.Listen.Addresses {
		socket, err := net.ListenPacket("udp", address)
		c.port("listen.addresses", "listen", "UDP "+address, socket, err)
	}
	c.streams()
	c.routing(ctx)
	c.http()
	c.forward()
	c.receiveBuffer("/proc/sys/net/core/rmem_max")
	if cfg.UsesLocalStore() {
		c.localStore(ctx)
	} else {
		if !c.cfg.Wrong(serverSettings...) {
			c.server(ctx, "ClickHouse")
		}
		c.withoutServer(ctx)
	}
	c.directories()
	for _, w := range warnings(cfg) {
		c.say(checkWarning, "security", "%s: %s", w.key, w.text)
	}
	c.heard(ctx)
	c.sinks(ctx)
	c.quarantine()
	c.metadata(ctx)
	if c.conn != nil {
		if err := c.conn.Close(); err != nil {
			return err
		}
	}
	return c.print(out, o)
}

// configuration reports what follows from the settings alone.
func (c *checker) configuration(problems []config.Problem) {
	for _, p := range problems {
		c.about(checkProblem, p)
	}
	for _, w := range c.cfg.Warnings() {
		c.about(checkWarning, w)
	}
	for _, n := range c.cfg.Notes() {
		c.about(checkNote, n)
	}
	for _, file := range c.cfg.Files() {
		if exists := isThere(file); exists && !c.user.may(file, unix.R_OK) {
			c.say(checkProblem, "configuration", "%s: %s may not read it", file, c.user)
		}
	}
	c.schemaIsWrong = c.cfg.Schema.Validate() != nil
	if len(problems) == 0 {
		c.say(checkOK, "configuration", "every key and value is understood")
	}
}

// directories checks those that the collector writes to.
func (c *checker) directories() {
	c.writable("metadata.cache_dir", "cache directory", c.cfg.Metadata.CacheDir)
	for _, d := range ownDirectories(c.cfg) {
		if err := d.check(c.user.UID); err != nil {
			c.say(checkProblem, d.what, "%v", err)
		}
	}
}

// unused reports variables of the env files that have no effect, and kinds of metadata without a source.
func (c *checker) unused() {
	for _, u := range c.cfg.Unused() {
		level := checkWarning
		if u.Known {
			level = checkOK
		}
		c.say(level, "environment", "%s", u.Problem)
	}
	m := &c.cfg.Metadata
	type feed struct {
		off              bool
		what, key, names string
	}
	feeds := []feed{
		{m.CAIDA.Interval == 0, "AS names", "metadata.caida.interval", "CAIDA_ORG_AS_CONSUMER_UPDATE_INTERVAL"},
		{m.Geo.Interval == 0, "places and AS of prefixes", "metadata.geo.interval",
			"IP_GEO_CSV_CONSUMER_UPDATE_INTERVAL"},
	}
	for _, r := range m.Registries {
		feeds = append(feeds, feed{r.Interval == 0, r.Title, r.Key("interval"), r.EnvName("interval")})
	}
	for _, feed := range feeds {
		if feed.off {
			level := checkNote
			if c.cfg.HasEnvFiles() { // the reference stack's files set each interval separately
				level = checkWarning
			}
			c.say(level, "metadata", "nothing keeps the %s up to date: set %s (%s)", feed.what, feed.key,
				feed.names)
		}
	}
}

// tcpPort reports whether a TCP address of a setting can be bound.
func (c *checker) tcpPort(key, subject, protocol, address string) {
	socket, err := net.Listen("tcp", address)
	c.port(key, subject, protocol+" "+address, socket, err)
}

// port reports whether a socket could be bound, and closes it. name is its protocol and address.
func (c *checker) port(key, subject, name string, socket io.Closer, err error) {
	switch {
	case err == nil:
		_ = socket.Close()
		c.say(checkOK, subject, "%s", name)
	case errors.Is(err, syscall.EADDRINUSE):
		c.say(checkWarning, subject, "%s is in use: by a collector that runs already?", name)
	case errors.Is(err, os.ErrPermission):
		c.setting(key, checkProblem, subject, "%s: %v: ports below 1024 need CAP_NET_BIND_SERVICE", name, err)
	default:
		c.setting(key, checkProblem, subject, "%s: %v", name, err)
	}
}

// forward opens the sockets to other collectors. Whether anybody listens there cannot be known without sending.
func (c *checker) forward() {
	forwarders, err := setup.Forwarders(c.cfg, 1)
	if err != nil {
		c.say(checkProblem, "forward", "%v", err)
		return
	}
	setup.CloseForwarders(forwarders)
	for _, s := range forward.Sum(forwarders) {
		c.say(checkOK, "forward", "UDP %s", s.Target)
	}
}

// receiveBuffer compares what sockets request with what the kernel grants without privileges.
func (c *checker) receiveBuffer(sysctl string) {
	data, err := os.ReadFile(sysctl)
	if err != nil {
		return
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err == nil && most < c.cfg.Listen.ReceiveBuffer {
		c.say(checkWarning, "receive buffer",
			"net.core.rmem_max is %d, less than listen.receive_buffer %d: bursts may be dropped; sysctl -w "+
				"net.core.rmem_max=%d",
			most, c.cfg.Listen.ReceiveBuffer, c.cfg.Listen.ReceiveBuffer)
		return
	}
	c.say(checkOK, "receive buffer", "%d bytes", c.cfg.Listen.ReceiveBuffer)
}

// sinks tries what the destinations of rows need.
func (c *checker) sinks(ctx context.Context) {
	for _, sink := range setup.Sinks(c.cfg) {
		if sink.Check != nil && !c.cfg.Wrong(sink.Keys) {
			found, err := sink.Check(ctx)
			switch {
			case err != nil:
				c.say(checkProblem, sink.Title, "%v", err)
			case found != "":
				c.say(checkOK, sink.Title, "%s", found)
			}
		}
		if sink.Used && sink.Spool.Path != "" {
			c.writable(sink.Spool.PathKey, sink.Spool.What, sink.Spool.Path)
		}
	}
}

// writable reports whether a directory can be written to, or created.
func (c *checker) writable(key, what, dir string) {
	path, err := filepath.Abs(dir)
	if err != nil {
		c.setting(key, checkProblem, what, "%s: %v", dir, err)
		return
	}
	existing := path
	info, err := os.Stat(existing)
	for errors.Is(err, os.ErrNotExist) && existing != filepath.Dir(existing) {
		existing = filepath.Dir(existing)
		info, err = os.Stat(existing)
	}
	switch {
	case err != nil:
		c.setting(key, checkProblem, what, "%v", err)
	case strings.HasPrefix(dir, "~"):
		c.setting(key, checkProblem, what, "%s: ~ is part of the name here: write the whole path", dir)
	case !info.IsDir():
		c.setting(key, checkProblem, what, "%s is not a directory", existing)
	case !c.user.may(existing, unix.W_OK|unix.X_OK) || !holdsFiles(existing):
		c.setting(key, checkProblem, what, "%s: no permission to write to %s", dir, existing)
	case existing != path:
		c.say(checkOK, what, "%s will be made", dir)
	default:
		c.say(checkOK, what, "%s", dir)
	}
}

// holdsFiles returns false for the kernel's own file systems, which root may write to, but where no file can be
// created.
func holdsFiles(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return true // the later write will report the error
	}
	switch int64(fs.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC:
		return false
	}
	return true
}

// metadata reads every file that run would read. It downloads nothing.
func (c *checker) metadata(ctx context.Context) {
	if dir := c.cfg.Metadata.Dir; dir != "" {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			err = fmt.Errorf("%s is not a directory", dir)
		}
		if err != nil {
			c.say(checkWarning, "metadata", "%v: rows will have no devices, interfaces and so on", err)
		}
	}
	all := newRecords(c)
	for _, source := range metadata.Sources(setup.Sources(c.cfg)) {
		c.freshness(source)
		if source.Remote {
			c.say(checkOK, "metadata", "%s is downloaded, every %s; not tried", source.Name,
				config.DurationText(source.Interval))
			for _, file := range source.Files() {
				if _, err := os.Stat(file); err != nil {
					c.say(checkWarning, "metadata", "%v: it would be read where the download fails", err)
				}
			}
			continue
		}
		for _, file := range source.Files() {
			if isThere(file) && !c.user.may(file, unix.R_OK) {
				c.say(checkProblem, "metadata", "%s: %s may not read it", file, c.user)
			}
		}
		sets, err := source.Read(ctx)
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				c.say(checkProblem, "metadata", "%s", line)
			}
		}
		for _, set := range sets {
			all.set(set)
			all.complete[set.Table] = true
		}
	}
	// AS numbers and organizations can also come from downloads.
	for _, table := range []string{record.Device, record.Interface, record.Circuit} {
		all.complete[table] = true
	}
	for _, table := range []string{record.AS, record.Organization} {
		all.complete[table] = false
	}
	all.references(ctx, c.conn)
}

// quarantine reports problems with the directory, and its contents.
func (c *checker) quarantine() {
	dir := c.cfg.Quarantine.Path
	if dir == "" {
		c.say(checkWarning, "quarantine", "none: rows that the server refuses are lost")
		return
	}
	c.writable("quarantine.path", "quarantine", dir)
	files, err := quarantine.Read(dir)
	if err != nil {
		c.say(checkProblem, "quarantine", "%v", err)
	}
	rows := 0
	for _, f := range files {
		for _, r := range f.Records {
			rows += r.Rows
		}
	}
	if rows > 0 {
		c.say(checkWarning, "quarantine", "%s in it: `collector quarantine` says why", commandline.Count(rows, "row"))
	}
}
