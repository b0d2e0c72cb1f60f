// Package store is the local ClickHouse of a collector that has no other: the ClickHouse engine (libchdb), in a child
// process of its own, behind ClickHouse's HTTP interface. Any ClickHouse client that speaks HTTP can use it.
//
// Serve is the child: it owns the data directory and answers. Start is the parent: it keeps the child running. The rest
// of the program talks to the store as it talks to any ClickHouse server, so of it the package imports sink/sqltext and
// sink/connlimit alone.
//
// Statements stay within the database: the door (door.go) says who may send one, the engine's grants (users.go) and the
// guard (guard.go) what it may do, and the process has given up every file, program and connection outside
// (confine.go).
package store

import (
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Options say what to serve, and where. The zero value of a field means its default.
type Options struct {
	Path   string // the data directory; made when it is not there
	Listen string // host:port, 127.0.0.1:8123 by default; port 0 picks a free one
	Engine string // path of libchdb.so
	User   string // "default" by default
	// Password is what requests need. Empty: one is made and kept in the data directory (Secret), and processes of this
	// process's user need none.
	Password string
	// Insecure lets everybody in who reaches the store, without a password. A store on another address than loopback
	// needs a password or this.
	Insecure bool
	// Hosts are names of this host, besides its own, localhost and Listen, that requests may have in Host and Origin.
	Hosts []string
	// Memory bounds what the engine may allocate, in bytes (max_server_memory_usage). By default half of what this
	// process may use: of the machine's memory or of its control group's.
	Memory uint64
	// Queries bounds how many statements run at once; more wait for their turn. 8 by default, fewer where Memory is
	// below 4 GiB. Inserts of data and the collector's own statements have places of their own, so that they do not
	// wait for dashboards.
	Queries int
	// QueryMemory bounds what one query may allocate, in bytes, unless its request has a max_memory_usage. By default
	// all queries together may use half of Memory, and each at least 256 MiB. It also bounds results that have to be
	// built as a whole (JSON, Parquet and others); formats that are sent block by block have no bound. The collector's
	// own statements and inserts may each use a quarter of Memory, if that is more.
	QueryMemory uint64
	// QueryTime and QueryRows bound how long a query may take and how many rows it may read, unless its request has a
	// max_execution_time or max_rows_to_read. 10 minutes and 10^10 by default. The collector's own statements have no
	// such bounds.
	QueryTime time.Duration
	QueryRows uint64
	// Settings are the engine's server settings by name (a dot goes into a section:
	// "merge_tree.parts_to_throw_insert"); they go over the defaults of this package.
	Settings map[string]string
	// Grace is how long running statements may go on after a stop is asked for. 10 s by default.
	Grace time.Duration
	// NoLandlock leaves out the kernel's part of confining the process, for tests of the rest.
	NoLandlock bool
	// Log takes what the store has to say; nil is silence.
	Log *zap.Logger
}

// DefaultListen is where the store listens unless told otherwise.
const DefaultListen = "127.0.0.1:8123"

// withDefaults fills in what is not given.
func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.User == "" {
		o.User = "default"
	}
	o = o.withBounds()
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// validate refuses what cannot be served safely.
func (o Options) validate() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("store address %s: %w", o.Listen, err)
	}
	if o.Password == "" && !o.Insecure && !isLoopbackName(host) {
		return fmt.Errorf("store.listen %s can be reached from other hosts and has no password: set store.password "+
			"(STORE_PASSWORD), "+
			"or store.insecure: true to let everybody in", o.Listen)
	}
	return nil
}

// passwordEnv carries the password to the child, so that it does not show in the process list.
const passwordEnv = "STORE_PASSWORD"

// Arguments are the command line of the child for these options; OptionsFromArguments reads them back. The password is
// not among them.
func (o Options) Arguments() []string {
	args := []string{"-path", o.Path, "-listen", o.Listen, "-engine", o.Engine, "-user", o.User,
		"-queries", fmt.Sprint(o.Queries), "-memory", fmt.Sprint(o.Memory), "-query-memory", fmt.Sprint(o.QueryMemory),
		"-query-time", o.QueryTime.String(), "-query-rows", fmt.Sprint(o.QueryRows),
		"-grace", o.Grace.String()}
	if o.Insecure {
		args = append(args, "-insecure")
	}
	if o.NoLandlock {
		args = append(args, "-no-landlock")
	}
	for _, host := range o.Hosts {
		args = append(args, "-host", host)
	}
	for name, value := range o.Settings {
		args = append(args, "-set", name+"="+value)
	}
	return args
}

// OptionsFromArguments reads the command line of the child (what follows the subcommand) and, through getenv, the
// password from STORE_PASSWORD. Errors name the argument.
func OptionsFromArguments(args []string, getenv func(string) string) (Options, error) {
	o := Options{Settings: map[string]string{}, Password: getenv(passwordEnv)}
	f := flag.NewFlagSet("store", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.Path, "path", "", "")
	f.StringVar(&o.Listen, "listen", DefaultListen, "")
	f.StringVar(&o.Engine, "engine", "", "")
	f.StringVar(&o.User, "user", "", "")
	f.IntVar(&o.Queries, "queries", 0, "")
	f.Uint64Var(&o.Memory, "memory", 0, "")
	f.Uint64Var(&o.QueryMemory, "query-memory", 0, "")
	f.DurationVar(&o.QueryTime, "query-time", 0, "")
	f.Uint64Var(&o.QueryRows, "query-rows", 0, "")
	f.DurationVar(&o.Grace, "grace", 0, "")
	f.BoolVar(&o.Insecure, "insecure", false, "")
	f.BoolVar(&o.NoLandlock, "no-landlock", false, "")
	f.Func("host", "", func(s string) error {
		o.Hosts = append(o.Hosts, s)
		return nil
	})
	f.Func("set", "", func(s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return fmt.Errorf("%q is not name=value", s)
		}
		o.Settings[name] = value
		return nil
	})
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("store: %w", err)
	}
	if o.Path == "" {
		return o, fmt.Errorf("store: -path is missing")
	}
	return o, nil
}
