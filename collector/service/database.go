package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cenkalti/backoff/v5"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/collector/verdict"
	"github.com/metranova/flow-collector/sink/block"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/store"
)

// database is where the tables are: a ClickHouse server, or the local store, which it starts and stops. It creates the
// tables and knows what their TTL drops. It is safe for concurrent use.
type database struct {
	conn     driver.Conn
	settings schema.Settings
	tables   chan struct{} // closed when the tables are there
	made     sync.Once     // closes tables
	// inDoubt returns how many inserts of an earlier run wait that may be stored already. New rollups wait for these.
	inDoubt func() int

	server      clickhouse.Options
	store       *store.Supervisor // nil where rows go to a server
	storePath   string
	keepsAll    bool // store.keep: as_much_as_fits
	flows       bool // the table of flows is there; else only those of metadata
	log         *zap.Logger
	life        context.Context            // ends when the service does
	tablesError atomic.Value               // string: why the tables could not be made at the latest attempt
	ttl         atomic.Pointer[schema.TTL] // of the table of flows, when it was last read
	extType     atomic.Pointer[string]     // of ext of the table of flows; nil: not known
}

// openDatabase starts the local store, if rows go there, and prepares the connection. It makes no tables and waits for
// no server. life ends what the database does in the background.
func openDatabase(life context.Context, cfg *config.Config, log *zap.Logger) (*database, error) {
	d := &database{
		tables: make(chan struct{}), storePath: cfg.Store.Path, flows: cfg.Server.Flows, log: log, life: life,
		keepsAll: cfg.UsesLocalStore() && cfg.Store.Keep == config.KeepAll, inDoubt: func() int { return 0 },
	}
	if d.keepsAll {
		log.Warn("store.keep is as_much_as_fits: when the disk is full, the oldest days are dropped before their TTL")
	}
	var err error
	// The store outlives every context of this process: blocks still go there while the rest ends.
	if d.store, err = setup.StartStore(context.Background(), cfg, log, true); err != nil {
		return nil, err
	}
	d.server = setup.ClickHouse(cfg)
	d.server.Switched = d.serverSwitched
	d.settings = setup.Tables(cfg, d.server)
	if d.conn, err = clickhouse.New(d.server); err != nil {
		d.stopStore()
		return nil, err
	}
	return d, nil
}

// close closes the connection and stops the local store.
func (d *database) close() error {
	err := d.conn.Close()
	d.stopStore()
	return err
}

func (d *database) stopStore() {
	if d.store != nil {
		d.store.Stop()
	}
}

// waitForStore waits until the local store, if rows go there, has opened its tables.
func (d *database) waitForStore(ctx context.Context) error {
	if d.store == nil {
		return nil
	}
	return d.store.WaitOpen(ctx)
}

// makeTables creates the tables or brings them up to date. Inserts wait for it. later says that it has made no new
// rollups, because inserts are in doubt.
func (d *database) makeTables(ctx context.Context) (later bool, err error) {
	if err := clickhouse.CreateDatabase(ctx, d.server); err != nil {
		return false, err
	}
	settings := d.settings
	settings.RollupsLater = d.inDoubt() > 0
	if err := setup.MakeTables(ctx, d.conn, settings, d.log); err != nil {
		return false, err
	}
	if err := d.readExtType(ctx); err != nil {
		return false, err
	}
	d.made.Do(func() { close(d.tables) })
	return settings.RollupsLater, nil
}

// readExtType reads the type of ext of the table of flows, by which blocks are written. The operator may change it at
// any time.
func (d *database) readExtType(ctx context.Context) error {
	if !d.flows {
		return nil
	}
	typ, err := schema.ExtType(ctx, d.conn, &d.settings)
	if err != nil || typ == "" {
		return err
	}
	if before := d.extType.Load(); before != nil && *before == typ {
		return nil
	}
	if err := block.CheckExtType(typ, d.settings.IPRefExtensions); err != nil {
		d.log.Warn("the server has to convert ext of each row: it costs more than the rest of an insert",
			zap.String("table", d.settings.Tables.Flow), zap.Error(err), zap.String("the settings' type",
				schema.FlowExtType(d.settings.FlowExtensions, d.settings.IPRefExtensions)))
	}
	d.extType.Store(&typ)
	return nil
}

// makeLaterRollups makes the rollups that makeTables has left out, when no insert is in doubt any more. ctx ends it.
func (d *database) makeLaterRollups(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for later := true; later; {
		for d.inDoubt() > 0 {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
		// Others may be in doubt by now, if the server was away meanwhile.
		later, _ = d.keepMakingTables(ctx) // it has logged errors
	}
}

// keepMakingTables calls makeTables until it succeeds or ctx ends. Each failure is a line of the log.
func (d *database) keepMakingTables(ctx context.Context) (later bool, err error) {
	try := func() (bool, error) { return d.makeTables(ctx) }
	return backoff.Retry(ctx, try, backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: time.Second, MaxInterval: time.Minute, Multiplier: 2, RandomizationFactor: 0.2,
	}), backoff.WithMaxElapsedTime(0), backoff.WithNotify(func(err error, wait time.Duration) {
		d.tablesError.Store(lograte.OneLine(err).Error())
		d.log.Error("rows are collected and wait", zap.Error(lograte.OneLine(err)),
			zap.Duration("next try in", wait.Round(time.Millisecond)))
	}))
}

// keepRoom drops the oldest days while the store's disk is full, until ctx ends, if the settings want that.
func (d *database) keepRoom(ctx context.Context) {
	if !d.keepsAll {
		return
	}
	r := room{conn: d.conn, settings: &d.settings, log: d.log, disk: func() (free, wanted uint64, err error) {
		free, reserved := store.DiskSpace(d.storePath)
		if reserved == 0 {
			return 0, 0, fmt.Errorf("the disk of %s cannot be looked at", d.storePath)
		}
		// Below what it reserves the engine takes no rows, below twice that queries write no files.
		return free, 3 * reserved, nil
	}}
	r.keep(ctx)
}

// serverSwitched is called when the connection switched to another server of clickhouse.host. It makes the tables
// there. Replicated tables are there already.
func (d *database) serverSwitched(to string, why error) {
	d.log.Warn("another ClickHouse server is used from now on", zap.String("server", to),
		zap.NamedError("the other", lograte.OneLine(why)))
	if d.settings.Replication.Enabled || !isClosed(d.tables) || d.life.Err() != nil {
		return
	}
	go func() {
		o := d.server
		o.Addrs, o.Switched = []string{to}, nil
		conn, err := clickhouse.New(o)
		if err == nil {
			err = clickhouse.CreateDatabase(d.life, o)
		}
		if err == nil {
			err = errors.Join(setup.MakeTables(d.life, conn, d.settings, d.log), conn.Close())
		}
		if err != nil && d.life.Err() == nil {
			d.log.Error("the tables cannot be made there", zap.String("server", to), zap.Error(lograte.OneLine(err)))
		}
	}()
}

// expiry is the time before which the TTL of the table of flows drops rows, in Unix milliseconds; 0 where no TTL goes
// by the start of flows.
func (d *database) expiry(ctx context.Context) (int64, error) {
	if !d.flows {
		return 0, nil
	}
	ttl, known, err := schema.FlowTTL(ctx, d.conn, &d.settings)
	if err != nil {
		return 0, err
	}
	d.ttl.Store(&ttl)
	if !known || !ttl.Plain() || ttl.Column != "start_time" {
		return 0, nil
	}
	var seconds int64
	if err := d.conn.QueryRow(ctx, "SELECT toInt64(toUnixTimestamp(now() - INTERVAL "+ttl.Interval+
		"))").Scan(&seconds); err != nil {
		return 0, fmt.Errorf("work out the TTL %s of %s: %w", ttl.Interval, d.settings.Tables.Flow, err)
	}
	return seconds * 1000, nil
}

// destination is where rows go, for people.
func (d *database) destination() string {
	where := "ClickHouse at " + strings.Join(d.server.Addrs, ",")
	if d.store != nil {
		where = "the local store in " + d.storePath + ", " + d.store.URL()
	}
	return fmt.Sprintf("%s, table %s.%s", where, d.settings.Database, d.settings.Tables.Flow)
}

// firstQuery is a command for people who want to see rows.
func firstQuery(cfg *config.Config) zap.Field {
	return zap.String("try", setup.QueryCommand(cfg, os.Args[0], "SELECT count() FROM "+cfg.Schema.Tables.Flow))
}

// addFacts says how the database is.
func (d *database) addFacts(facts *verdict.Collector) {
	facts.TablesMade = isClosed(d.tables)
	facts.TablesError, _ = d.tablesError.Load().(string)
	if d.store == nil {
		return
	}
	facts.StoreRestarts = d.store.Restarts()
	if end := d.store.LastEnd(); end != nil {
		facts.StoreEnded, facts.StoreEnd = end.Time, end.Reason
	}
}

// isClosed reports whether a channel on which nothing is sent is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
