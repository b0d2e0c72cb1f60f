// Package rpki fetches validated ROA payloads (VRPs) from RPKI caches by the RPKI-to-Router protocol (RFC 8210, RFC
// 6810), or from a JSON file. It keeps the table that rows are validated with, and needs no BGP session.
package rpki

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/logging"
	vrps "github.com/metranova/flow-collector/enrich/rpki"
)

// Options configures a Client. The intervals are upper limits: a shorter one that the cache announces is used instead.
// 0 stands for the default of RFC 8210 section 6.
type Options struct {
	Caches  []string    // host:port or tls://host:port, in order of preference
	TLS     *tls.Config // for caches with tls://; nil: the system's certificate authorities
	File    string      // JSON file, which is used while no cache has data; "": none
	Refresh time.Duration
	Retry   time.Duration
	Expire  time.Duration
	Log     *zap.Logger

	dial  func(ctx context.Context, address string) (net.Conn, error) // for tests
	pause time.Duration                                               // for tests; 0: notifyPause
}

// Intervals of RFC 8210 section 6, and of this client.
const (
	defaultRefresh, maxRefresh          = time.Hour, 24 * time.Hour
	defaultRetry                        = 10 * time.Minute
	defaultExpire, minExpire, maxExpire = 2 * time.Hour, 10 * time.Minute, 48 * time.Hour

	answerWait     = 60 * time.Second // timeout for each message of a response
	firstDelay     = time.Second      // before the first reconnection; the delay doubles with each attempt
	lastDelay      = time.Minute      // the longest delay
	tick           = time.Second
	checkFileEvery = 5 * time.Second
	notifyPause    = time.Second // from the end of a response to the query that a Serial Notify asks for, at least
	linesAMinute   = 20          // of the log with one text
)

// Client fetches VRPs and keeps the table of them. Create it with Open. Methods are safe for concurrent use.
type Client struct {
	Options
	current vrps.Current
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	sources []*source
	file    *file         // nil: none is configured
	changed chan struct{} // closed and replaced when the synced of a source changes
	used    string        // name of the source of the current table
	expired bool          // all data has expired
}

// Open starts a client. It reads the file before it returns, and connects to the caches in the background. Call Close
// to stop it.
func Open(o Options) *Client {
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{{&o.Refresh, defaultRefresh}, {&o.Retry, defaultRetry}, {&o.Expire, defaultExpire}} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	o.Log = logging.Sampled(o.Log, linesAMinute)
	o.pause = cmp.Or(o.pause, notifyPause)
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
		c.checkFile(time.Now())
	}
	for _, s := range c.sources {
		c.running.Go(func() { s.run(ctx) })
	}
	c.running.Go(func() { c.keep(ctx) })
	return c
}

// Close ends all sessions. The table stays available.
func (c *Client) Close() {
	if c != nil {
		c.stop()
		c.running.Wait()
	}
}

// Current returns the reference to the table in use. Its table is nil until a source has data, and empty when all data
// has expired.
func (c *Client) Current() *vrps.Current {
	if c == nil {
		return nil
	}
	return &c.current
}

// keep reads the file when it changes, and stops the use of data that has expired.
func (c *Client) keep(ctx context.Context) {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	var checked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if c.file != nil && now.Sub(checked) >= checkFileEvery {
				checked = now
				c.checkFile(now)
			}
			c.choose(now)
		}
	}
}

// choose selects the table to use: that of the first synced cache, else of the first cache whose data has not expired,
// else of the file.
func (c *Client) choose(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *source
	had := false
	for _, s := range c.sources {
		had = had || s.table != nil
		if s.table == nil || !now.Before(s.until) {
			if s.synced { // it has not ended a response for so long: the next caches are wanted
				s.synced = false
				close(c.changed)
				c.changed = make(chan struct{})
			}
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

// wanted reports whether the cache with a rank should be connected, which is so while no preferred one is synced. The
// channel is closed when that may have changed.
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

// Source describes a cache or the file.
type Source struct {
	Name       string    `json:"name"`
	State      string    `json:"state"`   // connecting, loading, synced, standby, down or file
	InUse      bool      `json:"in_use"`  // rows are validated with its data
	Version    uint8     `json:"version"` // of the protocol
	Session    uint16    `json:"session"`
	Serial     uint32    `json:"serial"`
	Payloads   int       `json:"payloads"` // VRPs
	Since      time.Time `json:"since"`    // when State changed
	Updated    time.Time `json:"updated"`  // when the data was sent or made; zero: no data
	Until      time.Time `json:"until"`    // when the data expires; zero: never
	Error      string    `json:"error,omitempty"`
	Errors     uint64    `json:"errors"`
	Updates    uint64    `json:"updates"`     // complete updates
	RouterKeys uint64    `json:"router_keys"` // Router Keys (BGPsec), which are ignored
	Skipped    int       `json:"skipped"`     // VRPs of the file that are invalid or have expired
}

// Up reports whether a cache is synced, or the file could be read.
func (x *Source) Up() bool { return x.State == stateSynced || x.State == stateFile && x.Error == "" }

// Stats is a snapshot of a client's state.
type Stats struct {
	Sources  []Source `json:"sources"`
	Payloads int      `json:"payloads"` // VRPs in use
	Expired  bool     `json:"expired"`  // all data has expired
	Loaded   bool     `json:"loaded"`   // there is data, or was
}

// Stats returns the state of all sources, in order of preference.
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
