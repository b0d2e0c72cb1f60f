package check

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/commandline"
	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/metadata"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/lograte"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/sqltext"
	"github.com/metranova/flow-collector/sink/store"
)

// localStore checks the engine, the settings and the directory of the local store. If the store runs it connects to it.
func (c *checker) localStore(ctx context.Context) {
	engine, err := setup.Engine(c.cfg.Store.Engine)
	if err != nil {
		c.say(checkProblem, "local store", "%v", err)
	} else {
		c.say(checkOK, "local store", "engine %s", engine)
	}
	if err := store.Check(setup.Store(&c.cfg.Store, engine)); err != nil {
		c.say(checkProblem, "local store", "%v", err)
	}
	if c.cfg.Store.Insecure && c.cfg.Store.Password == "" {
		c.say(checkWarning, "local store", "store.insecure: everybody who reaches %s can read and change all of it",
			c.cfg.Store.Listen)
	}
	if c.cfg.Store.Keep == config.KeepAll {
		c.say(checkWarning, "local store", "store.keep: %s: when the disk is full, the oldest days are dropped before "+
			"their TTL", c.cfg.Store.Keep)
	}
	c.writable("store.path", "local store", c.cfg.Store.Path)
	if setup.Answers(c.cfg.Store.Listen) {
		c.server(ctx, "local store")
		return
	}
	socket, err := net.Listen("tcp", c.cfg.Store.Listen)
	if err != nil {
		c.setting("store.listen", checkProblem, "local store", "HTTP %s: %v", c.cfg.Store.Listen, err)
		return
	}
	_ = socket.Close()
	c.say(checkOK, "local store", "HTTP %s", c.cfg.Store.Listen)
	if engine != "" {
		if err := c.scratchExpressions(ctx); err != nil {
			c.say(checkWarning, "SQL", "could not be tried: %v", err)
		}
	}
}

// withoutServer checks the SQL in the settings with the local store's engine, if it is installed and no server has.
func (c *checker) withoutServer(ctx context.Context) {
	if _, err := setup.Engine(c.cfg.Store.Engine); err != nil {
		return
	}
	if err := c.scratchExpressions(ctx); err != nil {
		c.say(checkWarning, "SQL", "could not be tried: %v", err)
	}
}

// server connects to the ClickHouse server, to each of several, or to a running local store.
func (c *checker) server(ctx context.Context, what string) {
	o := setup.ClickHouse(c.cfg)
	o.CreateDatabase, o.DialTimeout = false, 5*time.Second
	o.Database = "" // it may not exist yet
	var failed []error
	addrs := o.Addrs
	for _, addr := range addrs {
		o.Addrs = []string{addr}
		if err := c.oneServer(ctx, o, what); err != nil {
			failed = append(failed, err)
		}
	}
	level := checkWarning // another server can be used
	if len(failed) == len(addrs) {
		level = checkProblem
	}
	for _, err := range failed {
		c.say(level, what, "%v", err)
	}
}

// oneServer reports that a server answers, or returns why it does not.
func (c *checker) oneServer(ctx context.Context, o clickhouse.Options, what string) (err error) {
	conn, err := clickhouse.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || c.conn != nil {
			err = errors.Join(err, conn.Close())
			return
		}
		c.conn = conn
	}()
	version, err := conn.ServerVersion()
	if err != nil {
		return fmt.Errorf("%s: %w", o.Addrs[0], err)
	}
	c.say(checkOK, what, "%s answers, version %s", o.Addrs[0], version.Version)
	c.clock(ctx, conn, what)
	c.expressions(ctx, conn)
	c.tables(ctx, conn)
	return nil
}

// tables compares the tables of a server with the settings.
func (c *checker) tables(ctx context.Context, conn driver.Conn) {
	if c.schemaIsWrong {
		return // it was reported already
	}
	pending, warnings, err := schema.Compare(ctx, conn, setup.Tables(c.cfg, setup.ClickHouse(c.cfg)))
	if err != nil {
		c.say(checkProblem, "tables", "%v", lograte.OneLine(err))
		return
	}
	for _, warning := range warnings {
		c.say(checkWarning, "tables", "%s", warning)
	}
	missing, err := metadata.MissingExtensionTables(ctx, conn, c.cfg.Schema)
	if err != nil {
		c.say(checkProblem, "tables", "%v", lograte.OneLine(err))
		return
	}
	for _, table := range missing {
		c.say(checkWarning, "tables",
			"%s.%s of the IP reference extensions is missing: run creates it empty, if it may; another program has "+
				"to fill it",
			c.cfg.Schema.Database, table)
	}
	for _, change := range pending {
		c.say(checkNote, "tables", "run will do: %s", change)
	}
	if len(pending) == 0 && len(warnings) == 0 {
		c.say(checkOK, "tables", "those of database %s are as the settings say", c.cfg.Schema.Database)
	}
	c.countedTwice(ctx, conn)
}

// twice asks for devices of which two collectors wrote the same number of flows, give or take a tenth, lately.
const twice = `SELECT device_id, arraySort(groupArray(collector_id)) FROM (
	SELECT device_id, collector_id, count() AS flows FROM %s
	WHERE start_time > now() - INTERVAL 10 MINUTE GROUP BY device_id, collector_id
) GROUP BY device_id HAVING count() > 1 AND min(flows) >= 100 AND min(flows) > 0.9 * max(flows)
ORDER BY device_id LIMIT 1000 SETTINGS max_execution_time = 10`

// countedTwice warns of exports that two collectors write to one table. It says nothing where it cannot ask.
func (c *checker) countedTwice(ctx context.Context, conn driver.Conn) {
	s := &c.cfg.Schema
	rows, err := conn.Query(ctx, fmt.Sprintf(twice, sqltext.Name(s.Database)+"."+sqltext.Name(s.Tables.Flow)))
	if err != nil {
		return // there is no table yet, or it may not be read
	}
	defer rows.Close()
	devices, first, collectors := 0, "", []string(nil)
	for rows.Next() {
		var device string
		var ids []string
		if rows.Scan(&device, &ids) != nil {
			return
		}
		if devices++; devices == 1 {
			first, collectors = device, ids
		}
	}
	if devices == 0 || rows.Err() != nil {
		return
	}
	c.say(checkWarning, "tables",
		"traffic of %s, such as %s: collectors %s wrote as many flows each in the last 10 minutes. If "+
			"they get the same export, sums count it twice: ask with WHERE collector_id = '%s', or let one write",
		commandline.Count(devices, "device"), first, strings.Join(collectors, " and "), collectors[0])
}
