package clickhouse

import (
	"context"
	"errors"
	"io"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// pools is a connection to one server with separate network connections for inserts by InsertFormat, so that these
// never wait for our own queries, such as those of the status page or of a metadata refresh. It is safe for concurrent
// use.
type pools struct {
	driver.Conn // everything else
	inserts     driver.Conn
}

// insertConnLifetime is how long a connection for inserts is kept. A new one begins with a query, which waits if the
// server is busy with others.
const insertConnLifetime = 24 * time.Hour

// open returns a connection to the one server in options.
func open(options *chgo.Options) (driver.Conn, error) {
	queries, err := chgo.Open(options)
	if err != nil {
		return nil, err
	}
	o := *options
	o.ConnMaxLifetime = insertConnLifetime
	inserts, err := chgo.Open(&o)
	if err != nil {
		return nil, errors.Join(err, queries.Close())
	}
	return &pools{queries, inserts}, nil
}

// InsertFormat implements driver.Conn.
func (p *pools) InsertFormat(ctx context.Context, format, query string, data io.Reader) error {
	return p.inserts.InsertFormat(ctx, format, query, data)
}

// Close implements driver.Conn.
func (p *pools) Close() error { return errors.Join(p.Conn.Close(), p.inserts.Close()) }
