// Package config owns the collector's settings: one typed Config, filled from defaults, a YAML file, and environment
// variables under the names of the reference pipeline, and checked as a whole, so that one pass names everything wrong.
package config

import (
	"net/netip"
	"runtime"
	"time"

	"github.com/metranova/flow-collector/sink/schema"
)

// Config is everything that can be set. keys (keys.go) has the name, environment names and parser of each.
type Config struct {
	CollectorID string // collector_id of every row; "" is "unknown"

	Listen  Listen
	Forward Forward
	Decoder Decoder
	Flow    Flow
	Policy  Policy
	// LearnedNames has rows name interfaces and VRFs as the exporter does, where metadata does not.
	LearnedNames bool
	Schema       schema.Settings // tables, extensions, views: see package schema
	Server       Server          // a ClickHouse server; without Host there is the local store
	Store        Store
	Batch        Batch
	Spool        Spool
	Refused      Quarantine
	Kafka        Kafka
	Metadata     Metadata
	HTTP         HTTP
	Metrics      Metrics
	LogLevel     string // debug, info, warn or error

	// views and view settings are turned into Schema.Views at the end.
	views        map[schema.Kind][]string
	viewSettings []pair

	source   Source           // where all that came from
	given    map[string]value // what it says, by the key's path
	warnings []Problem
}

// Listen says where datagrams come in.
type Listen struct {
	Addresses     []string // host:port; an empty host is every address, IPv4 and IPv6
	Workers       int      // one socket of each address and one core each; 0: as many as there are cores
	ReceiveBuffer int      // bytes that each socket asks the kernel for
	Allowed       []netip.Prefix
}

// Forward says where datagrams are sent on to, as they came.
type Forward struct {
	To         []string // host:port of other collectors
	KeepSource bool     // with the exporter's address and port instead of ours
}

// Decoder bounds what is kept of exporters.
type Decoder struct {
	MaxExporters    int
	HoldFor         time.Duration // how long data waits for its template
	HoldBytes       int           // and how much of it, of one exporter
	TemplateExpiry  time.Duration
	SamplingRates   []SamplingRate
	SaveTemplates   time.Duration             // how often templates are written to the cache directory; 0: never
	ExporterAddress string                    // which address names an exporter: the one it states, or the UDP source
	ExporterMap     map[netip.Addr]netip.Addr // other names for some of them
	DecapsulateFlow bool                      // sampled headers: the inner flow of a tunnel instead of the outer
}

// Flow bounds the times of flows. Times beyond are replaced by the time of receipt.
type Flow struct {
	MaxAhead  time.Duration // of the time of receipt
	MaxBehind time.Duration // it; 0: the table's TTL
}

// SamplingRate overrides what an exporter says of its sampling.
type SamplingRate struct {
	Exporter  netip.Addr
	Interface uint32 // with AnyInterface: all
	Any       bool
	Rate      uint32
}

// Policy fills the policy columns.
type Policy struct {
	Originator, Level string
	Scopes            []string
	AutoScopes        bool
	CommunityScopes   map[string]string // by the last part of the route distinguisher
}

// Server is a ClickHouse server's HTTP interface.
type Server struct {
	Host               string // one host or several with commas, each optionally with its port
	Port               int
	Username, Password string
	Secure             bool // HTTPS
	CAFile             string
	CertFile, KeyFile  string
	SkipVerify         bool
	Gzip               bool
	Flows              bool // rows are inserted; otherwise only metadata is kept there
}

// Store is the local store.
type Store struct {
	Path, Listen, Engine string
	Username, Password   string   // no password: one is made and kept in Path
	Insecure             bool     // nobody needs a password
	Hosts                []string // more names of this host, for Host and Origin
	Memory               int      // bytes that the engine may use; 0: its own default
}

// Batch says when a block goes out and how much may wait.
type Batch struct {
	Rows       int
	Age        time.Duration
	QueueBytes int
	Inserters  int
	Grace      time.Duration // how long a stop may take
}

// Spool is where blocks wait on disk for a server that is down.
type Spool struct {
	Path     string // a directory; "": nowhere
	MaxBytes int    // of its files; then the oldest goes
	MaxAge   time.Duration
}

// Metrics bounds what is shown of exporters.
type Metrics struct {
	MaxExporters int // that are told apart, with each of their observation domains
}

// Quarantine is where rows are kept that the server refuses for good.
type Quarantine struct {
	Path     string // a directory; "": they are lost
	MaxBytes int
}

// Metadata says where metadata comes from.
type Metadata struct {
	Dir, CacheDir string
	Refresh       time.Duration // how often the snapshot is built anew from the tables
	ASNames       CAIDA
	Geo           Geo
	SciReg        SciReg
	Files         []string // further YAML files beside those of Dir
	HTTPTimeout   time.Duration
	ForceUpdate   bool
}

// CAIDA is the source of AS numbers and organizations.
type CAIDA struct {
	Interval                time.Duration // 0: only when asked
	UseURL                  bool          // download, and read the files only where that fails; false: the files only
	AS2OrgURL, PeeringURL   string        // with {date}, {year}, {month} and {day}; "": CAIDA's
	AS2OrgFile, PeeringFile string
	CustomAS, CustomOrg     string
}

// Geo is the source of prefixes with AS and location.
type Geo struct {
	Interval                        time.Duration
	ASNFiles, Locations, BlockFiles []string
	CustomIP                        string
	UseMaxMind                      bool // with an account: download, and read the files only where that fails
	MaxMindAccount, MaxMindKey      string
	CacheDir                        string // for the downloads; "": the collector's
}

// SciReg is the source of the Science Registry.
type SciReg struct {
	Interval time.Duration
	Sources  []string // URLs or files
}

// HTTP is where the collector says how it is.
type HTTP struct {
	Listen string // host:port; "": nowhere
	PProf  bool
	Hosts  []string // names that are answered; none: all
}

// UsesLocalStore reports whether rows go to the store of this process rather than to a server.
func (c *Config) UsesLocalStore() bool { return c.Server.Host == "" }

// Default returns the settings that hold where nobody says otherwise. They are those of the MetrANOVA stack, with
// batches and buffers of this collector's own.
func Default() *Config {
	s := schema.Default()
	s.FlowExtensions = []string{"bgp", "ipv4", "ipv6", "mpls", "vlan"}
	s.IPRefExtensions = []string{"scireg"}
	s.ASExtensions = []string{"peeringdb"}
	return &Config{
		Listen: Listen{
			Addresses:     []string{":2055", ":4739", ":6343"},
			ReceiveBuffer: 64 << 20,
		},
		Decoder: Decoder{
			MaxExporters:    4096,
			HoldFor:         30 * time.Second,
			HoldBytes:       1 << 20,
			TemplateExpiry:  24 * time.Hour,
			SaveTemplates:   time.Minute,
			ExporterAddress: "stated",
		},
		Flow:         Flow{MaxAhead: 24 * time.Hour},
		LearnedNames: true,

		Policy: Policy{Originator: "unknown", Level: "tlp:amber", AutoScopes: true},
		Schema: s,
		Server: Server{Port: 8123, Username: "default", Flows: true},
		Store:  Store{Path: "data", Listen: "127.0.0.1:8123", Username: "default"},
		Batch: Batch{
			Rows:       50_000,
			Age:        2 * time.Second,
			QueueBytes: 256 << 20,
			Inserters:  2,
			Grace:      30 * time.Second,
		},
		Spool:   Spool{Path: "spool", MaxBytes: 10 << 30, MaxAge: 7 * 24 * time.Hour},
		Refused: Quarantine{Path: "quarantine", MaxBytes: 1 << 30},
		Kafka:   defaultKafka(),
		Metadata: Metadata{
			Dir:         "conf",
			CacheDir:    "caches",
			Refresh:     10 * time.Minute,
			HTTPTimeout: 30 * time.Second,
			ASNames:     CAIDA{UseURL: true},
			Geo:         Geo{UseMaxMind: true},
		},
		HTTP:     HTTP{Listen: ":8080"},
		Metrics:  Metrics{MaxExporters: 500},
		LogLevel: "info",
		views: map[schema.Kind][]string{
			schema.ByEdgeAS: {"5m"}, schema.ByInterface: {"5m"}, schema.ByIPVersion: {"5m"},
		},
	}
}

// WorkerCount is how many workers there are.
func (l *Listen) WorkerCount() int {
	if l.Workers > 0 {
		return l.Workers
	}
	return runtime.GOMAXPROCS(0)
}
