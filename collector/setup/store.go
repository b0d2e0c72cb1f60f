package setup

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/store"
)

// OpenForQuery connects to an existing store or server; it creates nothing. A configured local store is started if none
// is running; done ends both.
func OpenForQuery(ctx context.Context, cfg *config.Config) (conn driver.Conn, done func() error, err error) {
	return openAs(ctx, cfg, "")
}

// openAs is OpenForQuery with a client name.
func openAs(ctx context.Context, cfg *config.Config, client string) (conn driver.Conn, done func() error, err error) {
	if err := HasStore(cfg); err != nil {
		return nil, nil, err
	}
	stop, err := OpenStore(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	o := ClickHouse(cfg)
	o.CreateDatabase, o.Client = false, client
	if conn, err = clickhouse.Open(ctx, o); err != nil {
		stop()
		return nil, nil, err
	}
	return conn, func() error {
		defer stop()
		return conn.Close()
	}, nil
}

// HasStore reports that there is a store to ask: a server, or a local store that runs or can be opened. Without it,
// OpenStore makes one.
func HasStore(cfg *config.Config) error {
	if !cfg.UsesLocalStore() || Answers(cfg.Store.Listen) {
		return nil
	}
	if _, err := os.Stat(cfg.Store.Path); err != nil {
		return fmt.Errorf("no store answers at %s and there is none in %s: is the collector running?", cfg.Store.Listen,
			cfg.Store.Path)
	}
	return nil
}

// OpenStore starts a configured local store if none is running.
func OpenStore(ctx context.Context, cfg *config.Config) (stop func(), err error) {
	if !cfg.UsesLocalStore() || Answers(cfg.Store.Listen) {
		return func() {}, nil
	}
	s, err := StartStore(ctx, cfg, logging.Stderr("error"), false)
	if err != nil {
		return nil, err
	}
	return s.Stop, nil
}

func Answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// storeWait is how long a collector waits for its store before it receives without it. It is short, because meanwhile
// nobody reads the sockets and no signal is handled. If the store later turns out not to start, the collector ends.
const storeWait = time.Second

// StartStore runs the local store, and sets its actual address in the configuration. It returns nil if a server is
// configured. With early it does not wait until the store has opened its tables.
func StartStore(ctx context.Context, cfg *config.Config, log *zap.Logger, early bool) (*store.Supervisor, error) {
	if !cfg.UsesLocalStore() {
		return nil, nil
	}
	engine, err := Engine(cfg.Store.Engine)
	if err != nil {
		return nil, err
	}
	o := store.SupervisorOptions{Early: early, Options: Store(&cfg.Store, engine)}
	o.Log = log.Named("store")
	if early {
		o.StartTimeout = storeWait
	}
	s, err := store.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	cfg.Store.Listen = strings.TrimPrefix(s.URL(), "http://") // port 0 has become an actual port
	return s, nil
}

func Store(s *config.Store, engine string) store.Options {
	return store.Options{
		Path: s.Path, Listen: s.Listen, Engine: engine, User: s.Username, Password: s.Password, Insecure: s.Insecure,
		Hosts:  s.Hosts,
		Memory: uint64(s.Memory), Queries: s.Queries, QueryMemory: uint64(s.QueryMemory),
		QueryTime: s.QueryTime, QueryRows: uint64(s.QueryRows),
	}
}

// Engine returns the path of the engine's library: the configured one, or the first of the usual places. The working
// directory is not one of them: the collector may write there, and anything that it can be tricked into writing would
// be executed.
func Engine(configured string) (string, error) { return engineFor(runtime.GOARCH, configured) }

// engineFor is Engine for an architecture.
func engineFor(arch, configured string) (string, error) {
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
	if arch != "amd64" && configured == "" {
		return "", fmt.Errorf("the local store has no engine for %s: set CLICKHOUSE_HOST to use a ClickHouse server",
			arch)
	}
	return "",
		fmt.Errorf("the local store's engine is not at %s: install the package flow-collector-engine, or run "+
			"`make engine` in a clone, or set STORE_ENGINE to a libchdb.so, or set CLICKHOUSE_HOST to use a "+
			"ClickHouse server",
			strings.Join(places, " or "))
}

// storePassword returns the configured password of the local store, or the one that the store generated. If that cannot
// be read, none is sent: the store then accepts this process's user, or says where the password is.
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

// ServeStore is the local store's process. It returns when a signal or its parent ends it.
func ServeStore(ctx context.Context, o store.Options) error {
	o.Log = logging.ForStore()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return store.RunChild(ctx, o)
}
