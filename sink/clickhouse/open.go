// Package clickhouse handles all communication with a ClickHouse server: the connection, and the delivery of encoded
// blocks with retries, deduplication tokens and bounded memory. It does not know what the blocks contain.
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

// Options say how to reach a server. Only Addrs has no usable zero value.
type Options struct {
	// Addrs are host:port of the HTTP (with TLS: HTTPS) interface. Of several, the first that responds is used until it
	// no longer does (Servers). Switched is then called with the new address and the reason; nil: not called.
	Addrs    []string
	Switched func(to string, why error)
	Database string // "": the user's default
	Username string // "": "default"
	Password string

	// CreateDatabase makes Open and CreateDatabase create a missing Database; on Cluster, if that is not empty. A
	// connection to a missing database cannot be used, not even to create it.
	CreateDatabase bool
	Cluster        string

	TLS TLS

	// DialTimeout is the time limit for the response to a connection's first query. An address where not even a
	// connection is accepted is given up after 3 s. 0: 10 s.
	DialTimeout time.Duration
	// ReadTimeout is the time limit for the response to a query or insert to begin. 0: 5 minutes.
	ReadTimeout time.Duration
	// MaxConns is how many queries can run at a time; more wait. In addition, as many inserts of blocks can run. 0: 10.
	MaxConns int
	// Gzip compresses queries, inserts and responses, for a server behind a slow line.
	Gzip bool
	// Client is the program's name in User-Agent. "": flow-collector. By this name the local store recognizes the
	// collector's own statements, which have no limits of time and rows there.
	Client string
	// Settings are sent with every query.
	Settings map[string]any
}

// TLS configures whether and how connections are encrypted.
type TLS = tlsconfig.Options

const (
	connectTimeout     = 3 * time.Second
	defaultDialTimeout = 10 * time.Second
	defaultReadTimeout = 5 * time.Minute
	defaultMaxConns    = 10
)

// New returns a connection over HTTP without contacting the server: each query does. CreateDatabase is ignored.
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

// Open connects over HTTP and returns once the server has responded. The error names the address; Classify says whether
// a retry can help.
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
		database := ""
		if o.Database != "" {
			database = fmt.Sprintf(", database %q", o.Database)
		}
		return nil, fmt.Errorf("connect to ClickHouse at %s%s, user %q: %w",
			strings.Join(o.Addrs, ","), database, options.Auth.Username, explainTLS(&o.TLS, err))
	}
	return conn, nil
}

func dial(ctx context.Context, options *chgo.Options, switched func(string, error)) (driver.Conn, error) {
	conn, err := connect(options, switched)
	if err != nil {
		return nil, err
	}
	if err := conn.Ping(ctx); err != nil {
		_ = conn.Close() // its error adds nothing to err
		return nil, cause(err)
	}
	return conn, nil
}

// cause removes the driver's description of its own steps, and the request's URL with all its settings.
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

// Error codes for a missing database, and for missing rights.
const codeUnknownDatabase, codeAccessDenied = 81, 497

// createDatabase checks whether the database exists, and creates it only if it does not, because even CREATE IF NOT
// EXISTS needs the right to create it. It uses a separate connection to the user's default database. On a cluster it
// may be missing on other nodes, so the statement is sent anyway, and may fail for lack of rights.
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
		options.TLS = encryption.Config("") // through a proxy; other connections read the files again
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

// explainTLS adds to an error about certificates which files were used.
func explainTLS(t *TLS, err error) error {
	if !t.Enabled || !tlsconfig.IsFailure(err) {
		return err
	}
	switch {
	case t.CAFile == "":
		return fmt.Errorf("%w (checked with the system's certificate authorities; set the server's with "+
			"clickhouse.ca_file)", err)
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
