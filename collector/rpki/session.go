package rpki

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/metranova/flow-collector/decoder/rtr"
	vrps "github.com/metranova/flow-collector/enrich/rpki"
)

// source is a cache. Its goroutine writes the fields. Client.mu guards those after version, which others read.
type source struct {
	client  *Client
	rank    int // place in Options.Caches; 0 is preferred
	address string
	version uint8 // protocol version to start the next session with

	state      string
	since      time.Time // when state changed
	synced     bool      // connected with complete data
	known      bool      // session and serial belong to table, so a Serial Query can be used
	table      *vrps.Table
	session    uint16
	serial     uint32
	spoken     uint8     // protocol version of the last session
	updated    time.Time // when table was complete
	until      time.Time // when table expires
	refresh    time.Duration
	err        string
	errors     uint64
	updates    uint64
	routerKeys uint64
}

func (s *source) report() Source {
	x := Source{Name: s.address, State: s.state, Version: s.spoken, Session: s.session, Serial: s.serial,
		Since: s.since, Updated: s.updated, Until: s.until, Error: s.err, Errors: s.errors, Updates: s.updates,
		RouterKeys: s.routerKeys}
	if s.table != nil {
		x.Payloads = s.table.Len()
	}
	return x
}

// setState changes the state and counts an error.
func (s *source) setState(state string, err error) {
	c := s.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != state {
		s.state, s.since = state, time.Now()
	}
	if err != nil {
		s.err = err.Error()
		s.errors++
	} else if state == stateSynced {
		s.err = ""
	}
	if synced := state == stateSynced; synced != s.synced {
		s.synced = synced
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

// States of a source.
const (
	stateConnecting = "connecting"
	stateLoading    = "loading"
	stateSynced     = "synced"
	stateStandby    = "standby"
	stateDown       = "down"
	stateFile       = "file"
)

// forget has the next query ask for all data. With flush the old data is no longer used at once.
func (s *source) forget(flush bool) {
	s.client.mu.Lock()
	s.known = false
	if flush {
		s.table, s.updated, s.until = nil, time.Time{}, time.Time{}
	}
	s.client.mu.Unlock()
	if flush {
		s.client.choose(time.Now())
	}
}

// errStandby ends a session because a preferred cache is synced.
var errStandby = errors.New("a preferred cache is in use")

// run keeps a session with the cache while it is wanted, and reconnects.
func (s *source) run(ctx context.Context) {
	delay := firstDelay
	for ctx.Err() == nil {
		wanted, changed := s.client.wanted(s.rank)
		if !wanted {
			s.setState(stateStandby, nil)
			s.forget(true)
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		s.setState(stateConnecting, nil)
		started := time.Now()
		worked, err := s.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errStandby), errors.Is(err, errVersion):
			continue
		case worked && time.Since(started) > lastDelay: // one that ends each time after its data is waited for too
			delay = firstDelay
		}
		s.client.Log.Warn("an RPKI cache cannot be used", zap.String("cache", s.address), zap.Error(err),
			zap.Duration("next attempt in", delay))
		s.setState(stateDown, err)
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay, max(s.client.Retry, firstDelay))
	}
}

// errVersion ends a session that is to be restarted at once with an older protocol version.
var errVersion = errors.New("the cache speaks an older version")

// arrival is a received message, or the error that ends the session.
type arrival struct {
	message rtr.Message
	raw     []byte // of a malformed message
	err     error
}

// exchange is one session. Only the source's goroutine uses it.
type exchange struct {
	*source
	conn       net.Conn
	version    uint8
	negotiated bool
	query      rtr.Type      // the query that is not answered completely; noQuery: none
	builder    *vrps.Builder // of the response that is being received; nil: none is
	notified   bool          // a Serial Notify came that no query has followed yet
	heard      bool          // a message came
	done       bool          // data was complete once
}

const noQuery = rtr.SerialNotify

// connect runs one session until it ends. worked reports whether data was complete once.
func (s *source) connect(ctx context.Context) (worked bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.client.dial(ctx, s.address)
	if err != nil {
		return false, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	arrivals := make(chan arrival, 64)
	go receive(ctx, conn, arrivals)
	x := &exchange{source: s, conn: conn, version: s.version, query: noQuery}
	err = x.talk(ctx, arrivals)
	if x.query == rtr.SerialQuery && x.builder == nil && ctx.Err() == nil && !errors.Is(err, errStandby) {
		// A cache that restarted may close the connection at the session number of before. Its Error Report can get
		// lost then, as data that it has not read has the kernel reset the connection.
		s.forget(false)
	}
	switch {
	case x.heard && x.negotiated:
		s.version = x.version
	case !x.heard && errors.Is(err, io.EOF) && x.query == rtr.ResetQuery:
		s.version = 1 - s.version // a cache without RFC 8210 may close the connection without a message
	}
	return x.done, err
}

// receive reads messages until the connection ends.
func receive(ctx context.Context, conn net.Conn, to chan<- arrival) {
	r := rtr.NewReader(bufio.NewReaderSize(conn, 64<<10))
	for {
		var a arrival
		if a.message, a.err = r.Read(); a.err != nil {
			a.raw = append(a.raw, r.Raw()...)
		}
		select {
		case to <- a:
		case <-ctx.Done():
			return
		}
		if a.err != nil {
			return
		}
	}
}

// talk sends queries and processes messages until the session ends.
func (x *exchange) talk(ctx context.Context, arrivals <-chan arrival) error {
	if err := x.ask(); err != nil {
		return err
	}
	timer := time.NewTimer(answerWait)
	defer timer.Stop()
	for {
		wanted, changed := x.client.wanted(x.rank)
		if !wanted {
			return errStandby
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			continue
		case <-timer.C:
			if x.query != noQuery {
				return fmt.Errorf("no answer within %s", answerWait)
			}
			if err := x.ask(); err != nil {
				return err
			}
		case a := <-arrivals:
			if err := x.take(&a); err != nil {
				return err
			}
		}
		wait := answerWait
		if x.query == noQuery {
			wait = x.wait()
		}
		timer.Reset(wait)
	}
}

// wait returns the time until the next query.
func (x *exchange) wait() time.Duration {
	if !x.known {
		return min(x.client.Retry, lastDelay) // the cache has no data yet
	}
	if x.notified {
		return max(time.Until(x.updated.Add(x.client.pause)), 0)
	}
	return max(time.Until(x.updated.Add(x.refresh)), firstDelay)
}

// ask sends a Serial Query if possible, and otherwise a Reset Query.
func (x *exchange) ask() error {
	x.notified = false
	if x.known && time.Now().Before(x.until) {
		x.query = rtr.SerialQuery
		return x.send(rtr.QuerySince(x.version, x.session, x.serial))
	}
	return x.askForAll()
}

func (x *exchange) askForAll() error {
	x.query = rtr.ResetQuery
	if !x.synced {
		x.setState(stateLoading, nil)
	}
	return x.send(rtr.Query(x.version))
}

func (x *exchange) send(p []byte) error {
	_ = x.conn.SetWriteDeadline(time.Now().Add(answerWait))
	if _, err := x.conn.Write(p); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// take processes an arrival. It reports a faulty message to the cache, unless that is an Error Report itself.
func (x *exchange) take(a *arrival) error {
	err, raw := a.err, a.raw
	if err == nil {
		x.heard = true
		err, raw = x.handle(&a.message), a.message.Append(nil)
	}
	var fault *rtr.Error
	if errors.As(err, &fault) && !(len(raw) > 1 && rtr.Type(raw[1]) == rtr.ErrorReport) {
		_ = x.send(rtr.Report(x.version, fault.Code, raw, fault.Why))
		x.forget(false) // the next session starts with a Reset Query
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the cache has closed the connection: %w", io.EOF)
	}
	return err
}

// protocolError returns an error that take reports to the cache.
func protocolError(code rtr.ErrorCode, format string, a ...any) error {
	return &rtr.Error{Code: code, Why: fmt.Sprintf(format, a...)}
}

// handle processes a message that could be parsed.
func (x *exchange) handle(m *rtr.Message) error {
	if m.Type == rtr.ErrorReport {
		return x.errorReport(m)
	}
	if !x.negotiated {
		if m.Type == rtr.SerialNotify {
			return nil // ignored until the version is negotiated (RFC 8210 section 7)
		}
		if m.Version > x.version {
			return protocolError(rtr.UnexpectedVersion, "version %d in answer to %d", m.Version, x.version)
		}
		x.version, x.negotiated = m.Version, true
	}
	if m.Version != x.version {
		return protocolError(rtr.UnexpectedVersion, "version %d in a session of version %d", m.Version, x.version)
	}
	switch m.Type {
	case rtr.SerialNotify:
		return x.serialNotify(m)
	case rtr.CacheResponse:
		return x.cacheResponse(m)
	case rtr.IPv4Prefix, rtr.IPv6Prefix:
		return x.prefix(m)
	case rtr.RouterKey:
		x.client.mu.Lock()
		x.routerKeys++
		x.client.mu.Unlock()
		return nil
	case rtr.EndOfData:
		return x.endOfData(m)
	case rtr.CacheReset:
		if x.query != rtr.SerialQuery || x.builder != nil {
			return protocolError(rtr.CorruptData, "unexpected Cache Reset")
		}
		return x.askForAll()
	}
	return protocolError(rtr.InvalidRequest, "a cache must not send queries")
}

// errorReport processes an Error Report.
func (x *exchange) errorReport(m *rtr.Message) error {
	switch m.Code {
	case rtr.NoDataAvailable:
		x.query, x.builder = noQuery, nil
		x.forget(false)
		x.setState(stateLoading, fmt.Errorf("the cache reports: %s %s", m.Code, m.Text))
		return nil
	case rtr.UnsupportedVersion:
		if x.source.version > 0 && !x.negotiated {
			x.source.version = 0
			return errVersion
		}
	}
	x.forget(false)
	return fmt.Errorf("the cache reports: %s %q", m.Code, m.Text)
}

// serialNotify processes a Serial Notify, which announces a new serial number.
func (x *exchange) serialNotify(m *rtr.Message) error {
	switch {
	case x.query != noQuery:
		x.notified = true
		return nil
	case x.known && m.Session != x.session:
		// The data of the old session must be flushed (RFC 8210 section 5.1).
		x.forget(true)
		return protocolError(rtr.CorruptData, "session %d instead of %d", m.Session, x.session)
	case x.known && m.Serial == x.serial:
		return nil
	case x.known && time.Since(x.updated) < x.client.pause:
		x.notified = true
		return nil
	}
	return x.ask()
}

// cacheResponse processes a Cache Response, which starts the response to a query.
func (x *exchange) cacheResponse(m *rtr.Message) error {
	switch {
	case x.query == noQuery || x.builder != nil:
		return protocolError(rtr.CorruptData, "unexpected Cache Response")
	case x.query == rtr.ResetQuery:
		x.builder = vrps.NewBuilder(nil)
	case m.Session != x.session:
		x.forget(true)
		return protocolError(rtr.CorruptData, "session %d instead of %d", m.Session, x.session)
	default:
		x.builder = vrps.NewBuilder(x.table)
	}
	x.client.mu.Lock()
	x.session = m.Session
	x.client.mu.Unlock()
	return nil
}

// prefix processes an IPv4 or IPv6 Prefix, which announces or withdraws a VRP.
func (x *exchange) prefix(m *rtr.Message) error {
	if x.builder == nil {
		return protocolError(rtr.CorruptData, "prefix outside a response")
	}
	v := vrps.VRP{Prefix: m.Prefix, MaxLength: m.MaxLength, AS: m.AS}
	if !m.Announce {
		if !x.builder.Remove(v) {
			return protocolError(rtr.WithdrawalOfUnknown, "%s", v)
		}
		return nil
	}
	added, err := x.builder.Add(v)
	switch {
	case err != nil:
		return protocolError(rtr.InternalError, "more than %d payloads", vrps.Max)
	case !added:
		return protocolError(rtr.DuplicateAnnounced, "%s", v)
	}
	return nil
}

// endOfData processes an End of Data, which completes a response: its data is used from now on.
func (x *exchange) endOfData(m *rtr.Message) error {
	if x.builder == nil {
		return protocolError(rtr.CorruptData, "End of Data outside a response")
	}
	if m.Session != x.session {
		x.forget(true)
		return protocolError(rtr.CorruptData, "session %d instead of %d", m.Session, x.session)
	}
	now, c := time.Now(), x.client
	table := x.builder.Table()
	c.mu.Lock()
	x.table, x.serial, x.known, x.spoken = table, m.Serial, true, x.version
	x.updated, x.updates = now, x.updates+1
	x.refresh = interval(m.Refresh, time.Second, maxRefresh, c.Refresh)
	x.until = now.Add(interval(m.Expire, minExpire, maxExpire, c.Expire))
	c.mu.Unlock()
	x.builder, x.query, x.done = nil, noQuery, true
	x.setState(stateSynced, nil)
	c.choose(now)
	return nil
}

// interval returns the interval that a cache announces, but at most ours. One outside the limits of RFC 8210 section 6
// is ignored.
func interval(announced, least, most, ours time.Duration) time.Duration {
	if announced < least || announced > most {
		return ours
	}
	return min(announced, ours)
}
