// Package rpki fetches validated ROA payloads from caches by the RPKI-to-Router protocol (RFC 8210, RFC 6810), or from
// a JSON file, and keeps the table that rows are validated with. It needs no BGP.
package rpki

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	vrps "github.com/metranova/flow-collector/enrich/rpki"
)

// Options say where payloads come from. Intervals are upper bounds: what a cache says counts if it is shorter. 0 is the
// default of RFC 8210 section 6.
type Options struct {
	Caches  []string    // host:port, or tls://host:port; the preferred one first
	TLS     *tls.Config // of caches with tls://; nil: the system's authorities
	File    string      // JSON; used where no cache has data
	Refresh time.Duration
	Retry   time.Duration
	Expire  time.Duration
	Log     *zap.Logger

	dial func(ctx context.Context, address string) (net.Conn, error) // for tests
}

// Intervals of RFC 8210 section 6, and of this client.
const (
	defaultRefresh, maxRefresh           = time.Hour, 24 * time.Hour
	defaultRetry, maxRetry               = 10 * time.Minute, 2 * time.Hour
	defaultExpire, minExpire, longExpire = 2 * time.Hour, 10 * time.Minute, 48 * time.Hour

	answerWait = 60 * time.Second // for each message of an answer
	firstDelay = time.Second      // before the first new attempt; each further one waits twice as long
	lastDelay  = time.Minute
	tick       = time.Second
	lookEvery  = 5 * time.Second // at the file
)

// Client keeps the table. Use Open. Methods are safe for concurrent use.
type Client struct {
	Options
	current vrps.Current
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	sources []*source
	file    *file         // nil: there is none
	changed chan struct{} // closed when a source's synced changes
	used    string        // the source of the current table
	expired bool          // there was a table, and it is too old
}

// Open begins to fetch. A file is read before Open returns. Close ends it.
func Open(o Options) *Client {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.Refresh, defaultRefresh}, {&o.Retry, defaultRetry}, {&o.Expire, defaultExpire}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	c := &Client{Options: o, changed: make(chan struct{})}
	if c.dial == nil {
		c.dial = c.dialTCP
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	for i, address := range o.Caches {
		c.sources = append(c.sources, &source{client: c, rank: i, address: address, version: 1, since: time.Now()})
	}
	if o.File != "" {
		c.file = &file{path: o.File}
		c.look(time.Now())
	}
	for _, s := range c.sources {
		c.running.Go(func() { s.run(ctx) })
	}
	c.running.Go(func() { c.keep(ctx) })
	return c
}

// Close ends all sessions. The table stays.
func (c *Client) Close() {
	if c != nil {
		c.stop()
		c.running.Wait()
	}
}

// Current is where the table in use is. nil means that no source had data yet; an empty one, that all data is too old.
func (c *Client) Current() *vrps.Current {
	if c == nil {
		return nil
	}
	return &c.current
}

// keep looks at the file, and takes data away that is too old.
func (c *Client) keep(ctx context.Context) {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if c.file != nil && now.Sub(looked) >= lookEvery {
				looked = now
				c.look(now)
			}
			c.choose(now)
		}
	}
}

// choose takes the table of the first cache that is in step, else of the first whose data is not too old, else of the
// file.
func (c *Client) choose(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *source
	had := false
	for _, s := range c.sources {
		had = had || s.table != nil
		if s.table == nil || !now.Before(s.until) {
			continue
		}
		if best == nil || s.synced && !best.synced {
			best = s
		}
	}
	table, name := (*vrps.Table)(nil), ""
	switch {
	case best != nil:
		table, name = best.table, best.address
	case c.file != nil && c.file.table != nil:
		table, name = c.file.table, c.file.path
	case had || c.current.Table() != nil:
		table = vrps.Empty
	}
	expired := table == vrps.Empty && name == ""
	switch {
	case table == c.current.Table() && name == c.used:
		return
	case expired && !c.expired:
		c.Log.Warn("RPKI data has expired: routes are not validated until a cache answers")
	case name != c.used && name != "":
		c.Log.Info("RPKI data in use", zap.String("source", name), zap.Int("payloads", table.Len()))
	}
	c.used, c.expired = name, expired
	c.current.Set(table)
}

// wanted reports whether a cache has to be connected: no preferred one is in step. The channel is closed when that may
// have changed.
func (c *Client) wanted(rank int) (bool, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sources[:rank] {
		if s.synced {
			return false, c.changed
		}
	}
	return true, c.changed
}

// dialTCP connects to host:port or tls://host:port.
func (c *Client) dialTCP(ctx context.Context, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	plain, encrypted := strings.CutPrefix(address, tlsScheme)
	if !encrypted {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: c.TLS}).DialContext(ctx, "tcp", plain)
}

const tlsScheme = "tls://"

// Source is what is known of a cache or of the file.
type Source struct {
	Name  string `json:"name"`
	State string `json:"state"` // connecting, loading, synced, standby, down or file
	// InUse says that rows are validated with its data.
	InUse      bool      `json:"in_use"`
	Version    uint8     `json:"version"`
	Session    uint16    `json:"session"`
	Serial     uint32    `json:"serial"`
	Payloads   int       `json:"payloads"`
	Since      time.Time `json:"since"`   // of State
	Updated    time.Time `json:"updated"` // the data is of then; zero: there is none
	Until      time.Time `json:"until"`   // the data is used; zero: for ever
	Error      string    `json:"error,omitempty"`
	Errors     uint64    `json:"errors"`
	Updates    uint64    `json:"updates"` // ends of data
	RouterKeys uint64    `json:"router_keys"`
	Skipped    int       `json:"skipped"` // payloads of the file that cannot be used
}

// Up reports whether a cache is connected and its data complete, or a file could be read.
func (x *Source) Up() bool { return x.State == stateSynced || x.State == stateFile && x.Error == "" }

// Stats are what a client knows.
type Stats struct {
	Sources  []Source `json:"sources"`
	Payloads int      `json:"payloads"` // in use
	// Expired says that there was data, and all of it is too old now.
	Expired bool `json:"expired"`
	Loaded  bool `json:"loaded"` // there is data, or was
}

// Stats returns what is known of all sources, the preferred one first.
func (c *Client) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var all Stats
	for _, s := range c.sources {
		all.Sources = append(all.Sources, s.report())
	}
	if c.file != nil {
		all.Sources = append(all.Sources, c.file.report())
	}
	if table := c.current.Table(); table != nil {
		all.Payloads, all.Loaded, all.Expired = table.Len(), true, c.expired
	}
	if i := slices.IndexFunc(all.Sources, func(x Source) bool { return x.Name == c.used }); i >= 0 {
		all.Sources[i].InUse = true
	}
	return all
}
