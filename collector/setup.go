package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store"
)

// configFlags are the flags of every command that needs the configuration.
func configFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"},
			Usage: "read settings from `FILE` (YAML; see conf.example/collector.yml)"},
		&cli.StringSliceFlag{Name: "env-file",
			Usage: "read environment variables from `FILE` too, such as the reference's conf/envs/base.env; may be given several times"},
	}
}

// loadConfig reads the configuration and prints all that is wrong with it.
func loadConfig(c *cli.Command) (*config.Config, error) {
	cfg, problems := config.Load(config.Source{
		File:     c.String("config"),
		EnvFiles: c.StringSlice("env-file"),
		Environ:  os.Environ(),
	})
	for _, w := range cfg.Warnings() {
		fmt.Fprintln(os.Stderr, "collector: warning:", w)
	}
	if len(problems) == 0 {
		return cfg, nil
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, "collector:", p)
	}
	return nil, errReported
}

// newLog writes lines for people to stderr.
func newLog(level string) *zap.Logger { return newLogTo(zapcore.Lock(os.Stderr), level) }

// newLogTo writes lines for people. out must be safe for concurrent use.
func newLogTo(out zapcore.WriteSyncer, level string) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	encoder.EncodeLevel = zapcore.CapitalLevelEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	encoder.ConsoleSeparator = " "
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), out, logLevel(level)))
}

// newStoreLog writes the lines of the store's process, to which this one adds the time.
func newStoreLog() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.TimeKey = ""
	encoder.EncodeLevel = zapcore.CapitalLevelEncoder
	encoder.EncodeDuration = zapcore.StringDurationEncoder
	encoder.ConsoleSeparator = " "
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoder), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}

// storeWait is how long a collector waits for its store to have what it needs, before it collects without. It is short,
// as nobody reads the sockets meanwhile and no signal is heard. What keeps the store from starting later ends the
// collector.
const storeWait = time.Second

// startStore runs the local store, and notes in the configuration where it answers. It is nil where a server is
// configured. With early it does not wait until the store has opened its tables.
func startStore(ctx context.Context, cfg *config.Config, log *zap.Logger, early bool) (*store.Supervisor, error) {
	if !cfg.UsesLocalStore() {
		return nil, nil
	}
	engine, err := findEngine(cfg.Store.Engine)
	if err != nil {
		return nil, err
	}
	o := store.SupervisorOptions{Early: early, Options: storeOptions(&cfg.Store, engine)}
	o.Log = log.Named("store")
	if early {
		o.StartTimeout = storeWait
	}
	s, err := store.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	cfg.Store.Listen = strings.TrimPrefix(s.URL(), "http://") // port 0 is a port now
	return s, nil
}

func storeOptions(s *config.Store, engine string) store.Options {
	return store.Options{
		Path: s.Path, Listen: s.Listen, Engine: engine, User: s.Username, Password: s.Password, Insecure: s.Insecure,
		Hosts:  s.Hosts,
		Memory: uint64(s.Memory),
	}
}

// findEngine returns the path of the engine's library: the configured one, or the first of the usual places. The
// working directory is none of them: the collector may write there, and whatever it can be made to write would be run.
func findEngine(configured string) (string, error) {
	const name = "libchdb.so"
	places := []string{configured}
	if configured == "" {
		places = []string{"/usr/lib/flow-collector/" + name}
		if self, err := os.Executable(); err == nil {
			beside := filepath.Dir(self)
			places = append([]string{filepath.Join(beside, name), filepath.Join(beside, "..", ".engine", name)},
				places...)
		}
	}
	for _, place := range places {
		if _, err := os.Stat(place); err == nil {
			return place, nil
		}
	}
	return "",
		fmt.Errorf("the local store's engine is not at %s: run `make engine`, set STORE_ENGINE, or set CLICKHOUSE_HOST to use a ClickHouse server",
			strings.Join(places, " or "))
}

// connection says how to reach the store or the server.
func connection(cfg *config.Config) clickhouse.Options {
	o := clickhouse.Options{
		Database:       cfg.Schema.Database,
		CreateDatabase: !cfg.Schema.SkipDatabaseCreate,
		Cluster:        cfg.Schema.Cluster,
	}
	if cfg.UsesLocalStore() {
		o.Addrs = []string{reachable(cfg.Store.Listen)}
		o.Username, o.Password = cfg.Store.Username, storePassword(&cfg.Store)
		return o
	}
	s := cfg.Server
	for host := range strings.SplitSeq(s.Host, ",") {
		host = strings.TrimSpace(host)
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(s.Port))
		}
		o.Addrs = append(o.Addrs, host)
	}
	o.Username, o.Password, o.Gzip = s.Username, s.Password, s.Gzip
	o.TLS = clickhouse.TLS{Enabled: s.Secure, CAFile: s.CAFile, CertFile: s.CertFile, KeyFile: s.KeyFile,
		SkipVerify: s.SkipVerify}
	return o
}

// reachable is where this host reaches what listens on an address: on loopback where that is every address.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if addr := net.ParseIP(host); err == nil && (host == "" || addr != nil && addr.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return listen
}

// storePassword is the configured password of the local store, or the one that it made. Where that cannot be read none
// is sent: the store then says where it is, unless it needs none of this process's user.
func storePassword(s *config.Store) string {
	if s.Password != "" || s.Insecure {
		return s.Password
	}
	secret, err := store.ReadSecret(s.Path)
	if err != nil {
		return ""
	}
	return secret
}

// tableSettings are the schema's settings with the dictionaries' credentials filled in. Those of the local store need
// none: its engine reads its own tables.
func tableSettings(cfg *config.Config, o clickhouse.Options) schema.Settings {
	s := cfg.Schema
	// What waits on disk is delivered once, however long it waits.
	s.DeduplicationSeconds = max(s.DeduplicationSeconds, uint((cfg.Spool.MaxAge+24*time.Hour)/time.Second))
	if !cfg.Server.Flows {
		s.MetadataOnly, s.Views = true, nil
	}
	if o.Password != "" && !cfg.UsesLocalStore() {
		s.DictionarySource = schema.DictionarySource{Username: o.Username, Password: o.Password}
	}
	return s
}
