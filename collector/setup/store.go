package setup

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
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

// OpenForQuery connects to what is there: nothing is created. The local store is started where it is configured and
// nothing answers in its place; done ends both.
func OpenForQuery(ctx context.Context, cfg *config.Config) (conn driver.Conn, done func() error, err error) {
	return openAs(ctx, cfg, "")
}

// openAs is OpenForQuery with a name of the client.
func openAs(ctx context.Context, cfg *config.Config, client string) (conn driver.Conn, done func() error, err error) {
	if cfg.UsesLocalStore() && !Answers(cfg.Store.Listen) {
		if _, err := os.Stat(cfg.Store.Path); err != nil {
			return nil, nil, fmt.Errorf("no store answers at %s and there is none in %s: is the collector running?",
				cfg.Store.Listen, cfg.Store.Path)
		}
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

// OpenStore starts the local store where it is configured and nothing answers in its place.
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

// storeWait is how long a collector waits for its store to have what it needs, before it collects without. It is short,
// as nobody reads the sockets meanwhile and no signal is heard. What keeps the store from starting later ends the
// collector.
const storeWait = time.Second

// StartStore runs the local store, and notes in the configuration where it answers. It is nil where a server is
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
	cfg.Store.Listen = strings.TrimPrefix(s.URL(), "http://") // port 0 is a port now
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

// Engine returns the path of the engine's library: the configured one, or the first of the usual places. The
// working directory is none of them: the collector may write there, and whatever it can be made to write would be run.
func Engine(configured string) (string, error) {
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

// ServeStore is the local store's process. It returns when a signal or its parent ends it.
func ServeStore(ctx context.Context, o store.Options) error {
	o.Log = logging.ForStore()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return store.RunChild(ctx, o)
}
