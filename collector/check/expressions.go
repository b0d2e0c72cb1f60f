package check

import (
	"context"
	"errors"
	"os"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/collector/logging"
	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink/clickhouse"
	"github.com/metranova/flow-collector/sink/schema"
)

// expressions lets a server check the SQL in the settings.
func (c *checker) expressions(ctx context.Context, conn driver.Conn) {
	if c.asked || !c.cfg.Schema.HasExpressions() {
		return
	}
	c.asked = true
	bad := schema.CheckExpressions(ctx, conn, c.cfg.Schema)
	for _, b := range bad {
		key := config.SchemaKey(b.Setting)
		c.all = append(c.all, Finding{Level: checkProblem, Subject: "SQL", Where: c.cfg.Origin(key).Where, Key: key,
			Value: b.Text, Text: b.Setting + ": " + b.Err.Error()})
	}
	if len(bad) == 0 {
		c.say(checkOK, "SQL", "partitions and TTLs are understood")
	}
}

// scratchExpressions checks the SQL with a temporary engine in a temporary directory. It is for a local store that is
// not running, which must not be opened, and for a server that does not answer.
func (c *checker) scratchExpressions(ctx context.Context) (err error) {
	if c.asked || !c.cfg.Schema.HasExpressions() {
		return nil
	}
	dir, err := os.MkdirTemp("", "flow-collector-check-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	scratch := *c.cfg
	scratch.Server.Host, scratch.Store.Path, scratch.Store.Listen = "", dir, "127.0.0.1:0"
	store, err := setup.StartStore(ctx, &scratch, logging.Stderr("error"), false)
	if err != nil {
		return err
	}
	defer store.Stop()
	o := setup.ClickHouse(&scratch)
	o.Database, o.CreateDatabase = "", false
	conn, err := clickhouse.Open(ctx, o)
	if err != nil {
		return err
	}
	c.expressions(ctx, conn)
	return conn.Close()
}
