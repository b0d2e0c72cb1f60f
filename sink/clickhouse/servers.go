package clickhouse

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/tlsconfig"
)

// Servers is a connection to one of several servers. It stays with a server while that is reachable; then the next
// reachable one is used for everything. It is safe for concurrent use.
type Servers struct {
	addrs    []string
	conns    []driver.Conn
	current  atomic.Int32
	switched func(to string, why error)
}

var _ driver.Conn = (*Servers)(nil)

// connect returns a connection to the server, or to the servers, in o.
func connect(options *chgo.Options, switched func(to string, why error)) (driver.Conn, error) {
	if len(options.Addr) == 1 {
		return open(options)
	}
	s := &Servers{addrs: options.Addr, switched: switched}
	for _, addr := range options.Addr {
		one := *options
		one.Addr = []string{addr}
		conn, err := open(&one)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.conns = append(s.conns, conn)
	}
	return s, nil
}

// Addr returns the address of the server in use.
func (s *Servers) Addr() string { return s.addrs[s.current.Load()] }

// index returns the index of an address; false if it is not among the servers.
func (s *Servers) index(addr string) (int, bool) {
	for i, known := range s.addrs {
		if known == addr {
			return i, true
		}
	}
	return 0, false
}

// try calls do with the server in use or, while that is unreachable, with the next ones. It returns the last error.
func (s *Servers) try(ctx context.Context, do func(driver.Conn) error) error {
	start := int(s.current.Load())
	var why, err error
	for i := range s.conns {
		at := (start + i) % len(s.conns)
		if err = do(s.conns[at]); !outOfReach(ctx, err) {
			s.use(start, at, why)
			return err
		}
		if why == nil {
			why = err
		}
	}
	return err
}

// use switches to another server.
func (s *Servers) use(before, at int, why error) {
	if at != before && s.current.CompareAndSwap(int32(before), int32(at)) && s.switched != nil {
		s.switched(s.addrs[at], cause(why))
	}
}

// outOfReach reports whether an error means that nobody answered, or only a proxy without a server behind it.
func outOfReach(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil {
		return false
	}
	var exception *chgo.Exception
	if errors.As(err, &exception) {
		return false
	}
	var status *chgo.HTTPError
	if errors.As(err, &status) {
		switch status.StatusCode {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var other *NotClickHouseError
	var network net.Error
	return errors.As(err, &other) || tlsconfig.IsFailure(err) || errors.As(err, &network) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, chgo.ErrAcquireConnTimeout)
}

// insert sends data to the server in use, or only to the server only, if that is one of them. Another server is tried
// only if nothing of the data was sent. It returns the address that was tried last.
func (s *Servers) insert(ctx context.Context, query string, data *body, only string) (addr string, err error) {
	if at, known := s.index(only); known {
		err := s.conns[at].InsertFormat(ctx, "Native", query, data)
		if outOfReach(ctx, err) {
			_ = s.Ping(ctx) // so that the others need not wait for it
		}
		return only, err
	}
	var inDoubt error
	err = s.try(ctx, func(conn driver.Conn) error {
		for i := range s.conns {
			if s.conns[i] == conn {
				addr = s.addrs[i]
			}
		}
		err := conn.InsertFormat(ctx, "Native", query, data)
		if err != nil && data.wasRead() {
			inDoubt = err // it may be stored there: neither try another server nor leave this one for it
			return nil
		}
		return err
	})
	return addr, errors.Join(err, inDoubt)
}

// Contributors implements driver.Conn, like all of the following.
func (s *Servers) Contributors() []string { return s.conns[0].Contributors() }

func (s *Servers) ServerVersion() (version *driver.ServerVersion, err error) {
	err = s.try(context.Background(), func(conn driver.Conn) (err error) {
		version, err = conn.ServerVersion()
		return err
	})
	return version, err
}

func (s *Servers) Select(ctx context.Context, dest any, query string, args ...any) error {
	return s.try(ctx, func(conn driver.Conn) error { return conn.Select(ctx, dest, query, args...) })
}

func (s *Servers) Query(ctx context.Context, query string, args ...any) (rows driver.Rows, err error) {
	err = s.try(ctx, func(conn driver.Conn) (err error) { rows, err = conn.Query(ctx, query, args...); return err })
	return rows, err
}

func (s *Servers) QueryRow(ctx context.Context, query string, args ...any) (row driver.Row) {
	// the row has the error
	_ = s.try(ctx, func(conn driver.Conn) error { row = conn.QueryRow(ctx, query, args...); return row.Err() })
	return row
}

func (s *Servers) PrepareBatch(ctx context.Context, query string,
	opts ...driver.PrepareBatchOption) (batch driver.Batch, err error) {
	err = s.try(ctx, func(conn driver.Conn) (err error) {
		batch, err = conn.PrepareBatch(ctx, query, opts...)
		return err
	})
	return batch, err
}

func (s *Servers) Exec(ctx context.Context, query string, args ...any) error {
	return s.try(ctx, func(conn driver.Conn) error { return conn.Exec(ctx, query, args...) })
}

func (s *Servers) QueryFormat(ctx context.Context, format, query string,
	args ...any) (answer io.ReadCloser, err error) {
	err = s.try(ctx, func(conn driver.Conn) (err error) {
		answer, err = conn.QueryFormat(ctx, format, query, args...)
		return err
	})
	return answer, err
}

// InsertFormat is tried at one server only, because the data cannot be read twice; insert can try several.
func (s *Servers) InsertFormat(ctx context.Context, format, query string, data io.Reader) error {
	if err := s.Ping(ctx); err != nil { // switch to a server that responds first
		return err
	}
	return s.conns[s.current.Load()].InsertFormat(ctx, format, query, data)
}

func (s *Servers) AsyncInsert(ctx context.Context, query string, wait bool, args ...any) error {
	//lint:ignore SA1019 a driver.Conn has to have it
	return s.try(ctx, func(conn driver.Conn) error { return conn.AsyncInsert(ctx, query, wait, args...) })
}

func (s *Servers) Ping(ctx context.Context) error {
	return s.try(ctx, func(conn driver.Conn) error { return conn.Ping(ctx) })
}

func (s *Servers) Stats() driver.Stats { return s.conns[s.current.Load()].Stats() }

func (s *Servers) Close() error {
	var errs []error
	for _, conn := range s.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}
