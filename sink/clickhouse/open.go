// Package clickhouse owns the conversation with a ClickHouse server: the connection, and the delivery of encoded
// blocks with retries, deduplication tokens and bounded memory. It knows nothing of what the blocks hold.
package clickhouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/metranova/flow-collector/sink/sqltext"
	"github.com/metranova/flow-collector/sink/tlsconfig"
)

// Options say how to reach a server. Only Addrs has no useful zero value.
type Options struct {
	// Addrs are host:port of the server's HTTP (with TLS, HTTPS) interface; of several the first that answers is used,
	// until it does not any more (Servers). Switched is told which one is used from then on, and why; nil: nobody.
	Addrs    []string
	Switched func(to string, why error)
	Database string // empty: the user's default
	Username string // empty: "default"
	Password string

	// CreateDatabase makes Open and CreateDatabase create Database where it is missing, on Cluster if that is not
	// empty. A connection whose database does not exist cannot be used, not even to create it.
	CreateDatabase bool
	Cluster        string

	TLS TLS

	// DialTimeout is how long it may take until a server has answered the first query of a connection; an address where
	// nobody even takes the connection is given up after 3 s. 0: 10 s.
	DialTimeout time.Duration
	// ReadTimeout is how long the answer to a query or insert may take to begin. 0: 5 minutes.
	ReadTimeout time.Duration
	// MaxConns is how many queries may run at a time; more wait. As many inserts of blocks may run beside them. 0: 10.
	MaxConns int
	// Gzip compresses queries, inserts and answers on the wire: for a server at the end of a thin line.
	Gzip bool
	// Client is how the connections call themselves in User-Agent. Empty: flow-collector. The local store knows the
	// collector's own statements, which have no bounds of time and rows there, by that name.
	Client string
	// Settings are sent with every query.
	Settings map[string]any
}

// TLS says whether and how connections are encrypted.
type TLS = tlsconfig.Options

const (
	connectTimeout     = 3 * time.Second
	defaultDialTimeout = 10 * time.Second
	defaultReadTimeout = 5 * time.Minute
	defaultMaxConns    = 10
)

// New returns a connection over HTTP that nobody has answered on yet: each query finds out for itself. CreateDatabase
// is not looked at.
func New(o Options) (driver.Conn, error) {
	options, err := o.driverOptions()
	if err != nil {
		return nil, err
	}
	return connect(options, o.Switched)
}

// CreateDatabase creates the database if it is missing and CreateDatabase is set.
func CreateDatabase(ctx context.Context, o Options) error {
	if !o.CreateDatabase || o.Database == "" {
		return nil
	}
	options, err := o.driverOptions()
	if err != nil {
		return err
	}
	return createDatabase(ctx, o, *options)
}

// Open connects over HTTP and returns the connection once the server has answered. The error names the address;
// Classify tells whether trying again can help.
func Open(ctx context.Context, o Options) (driver.Conn, error) {
	options, err := o.driverOptions()
	if err != nil {
		return nil, err
	}
	if err := CreateDatabase(ctx, o); err != nil {
		return nil, err
	}
	conn, err := dial(ctx, options, o.Switched)
	if err != nil {
		return nil, fmt.Errorf("connect to ClickHouse at %s, database %q, user %q: %w",
			strings.Join(o.Addrs, ","), o.Database, options.Auth.Username, explainTLS(&o.TLS, err))
	}
	return conn, nil
}

func dial(ctx context.Context, options *chgo.Options, switched func(string, error)) (driver.Conn, error) {
	conn, err := connect(options, switched)
	if err != nil {
		return nil, err
	}
	if err := conn.Ping(ctx); err != nil {
		_ = conn.Close() // says nothing that err does not
		return nil, cause(err)
	}
	return conn, nil
}

// cause cuts off what the driver says of its own steps, and the URL of the request with all its settings.
func cause(err error) error {
	var status *chgo.HTTPError
	if errors.As(err, &status) {
		return status
	}
	var request *url.Error
	if errors.As(err, &request) {
		return request.Err
	}
	return err
}

// Error codes for a database that is not there, and for what the user may not do.
const codeUnknownDatabase, codeAccessDenied = 81, 497

// createDatabase looks whether the database is there, and only then creates it, with a connection of its own to the
// user's default database: to create what is there takes the right to create it too. On a cluster it may be missing
// elsewhere, so the statement is sent, and need not be allowed.
func createDatabase(ctx context.Context, o Options, options chgo.Options) (err error) {
	where := fmt.Sprintf("create database %q at %s as user %q", o.Database, strings.Join(o.Addrs, ","),
		options.Auth.Username)
	there, err := dial(ctx, &options, nil)
	exists := err == nil
	if exists {
		if err := there.Close(); err != nil || o.Cluster == "" {
			return err
		}
	} else if errorCode(err) != codeUnknownDatabase {
		return fmt.Errorf("%s: %w", where, explainTLS(&o.TLS, err))
	}
	options.Auth.Database = ""
	conn, err := dial(ctx, &options, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", where, explainTLS(&o.TLS, err))
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	query := "CREATE DATABASE IF NOT EXISTS " + sqltext.Name(o.Database)
	if o.Cluster != "" {
		query += " ON CLUSTER " + sqltext.Name(o.Cluster)
	}
	if err := conn.Exec(ctx, query); err != nil && !(exists && errorCode(err) == codeAccessDenied) {
		return fmt.Errorf("%s: %w", where, cause(err))
	}
	return nil
}

func (o *Options) driverOptions() (*chgo.Options, error) {
	if len(o.Addrs) == 0 {
		return nil, errors.New("connect to ClickHouse: no address given")
	}
	encryption, err := tlsconfig.New(o.TLS, "ClickHouse")
	if err != nil {
		return nil, err
	}
	options := &chgo.Options{
		Protocol:     chgo.HTTP,
		Addr:         o.Addrs,
		Auth:         chgo.Auth{Database: o.Database, Username: o.Username, Password: o.Password},
		DialTimeout:  orDefault(o.DialTimeout, defaultDialTimeout),
		ReadTimeout:  orDefault(o.ReadTimeout, defaultReadTimeout),
		MaxOpenConns: orDefault(o.MaxConns, defaultMaxConns),
		MaxIdleConns: orDefault(o.MaxConns, defaultMaxConns),
		Settings:     chgo.Settings{},
		ClientInfo: chgo.ClientInfo{Products: []struct {
			Name,
			Version string
		}{{Name: cmp.Or(o.Client, "flow-collector")}}},
	}
	dialer := &net.Dialer{Timeout: min(connectTimeout, options.DialTimeout)}
	options.DialContext = func(ctx context.Context, addr string) (net.Conn,
		error) {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	if encryption != nil {
		options.TLS = encryption.Config("") // through a proxy; else each connection reads the files again
	}
	options.TransportFunc = func(t *http.Transport) (http.RoundTripper, error) {
		if encryption != nil {
			t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				raw, err := dialer.DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				ctx, cancel := context.WithTimeout(ctx, options.DialTimeout)
				defer cancel()
				return encryption.Handshake(ctx, raw, address)
			}
		}
		return strictTransport{t}, nil
	}
	if options.Auth.Username == "" {
		options.Auth.Username = "default"
	}
	for name, value := range o.Settings {
		options.Settings[name] = value
	}
	if o.Gzip {
		options.Compression = &chgo.Compression{Method: chgo.CompressionGZIP, Level: 1}
	}
	return options, nil
}

// explainTLS adds to an error about certificates which files they are checked with.
func explainTLS(t *TLS, err error) error {
	if !t.Enabled || !isCertificateError(err) {
		return err
	}
	switch {
	case t.CAFile == "":
		return fmt.Errorf("%w (checked with the system's authorities; give the server's with clickhouse.ca_file)", err)
	case t.CertFile == "":
		return fmt.Errorf("%w (checked with %s)", err, t.CAFile)
	}
	if end, ok := t.NotAfter(); ok && time.Now().After(end) {
		return fmt.Errorf("%w (our certificate %s has expired at %s)", err, t.CertFile, end.UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("%w (checked with %s; our certificate is %s)", err, t.CAFile, t.CertFile)
}

func orDefault[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
