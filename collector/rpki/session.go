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

// source is a cache. The client's mutex guards what Stats and choose read.
type source struct {
	client  *Client
	rank    int // 0 is preferred
	address string
	version uint8 // to begin the next session with; of its goroutine

	state      string
	since      time.Time
	synced     bool // connected, and its data is complete
	known      bool // session and serial say what the table is
	table      *vrps.Table
	session    uint16
	serial     uint32
	spoken     uint8 // version of the latest session
	updated    time.Time
	until      time.Time
	refresh    time.Duration
	retry      time.Duration
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

// become changes the state. Only in state synced is a source in step.
func (s *source) become(state string, err error) {
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

// The states of a source.
const (
	stateConnecting = "connecting"
	stateLoading    = "loading"
	stateSynced     = "synced"
	stateStandby    = "standby"
	stateDown       = "down"
	stateFile       = "file"
)

// forget drops the data, and with flush at once.
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

// errStandby ends a session because a preferred cache is in step.
var errStandby = errors.New("a preferred cache is in use")

// run has sessions with the cache, one after the other.
func (s *source) run(ctx context.Context) {
	delay := firstDelay
	for ctx.Err() == nil {
		wanted, changed := s.client.wanted(s.rank)
		if !wanted {
			s.become(stateStandby, nil)
			s.forget(true)
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		s.become(stateConnecting, nil)
		worked, err := s.connect(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errStandby), errors.Is(err, errVersion):
			continue
		case worked:
			delay = firstDelay
		}
		s.client.Log.Warn("an RPKI cache cannot be used", zap.String("cache", s.address), zap.Error(err),
			zap.Duration("next attempt in", delay))
		s.become(stateDown, err)
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay, max(s.client.Retry, firstDelay))
	}
}

// errVersion asks for another session in an older version, at once.
var errVersion = errors.New("the cache speaks an older version")

// arrival is a message, or why there are no more.
type arrival struct {
	message rtr.Message
	raw     []byte // of a message that is wrong
	err     error
}

// exchange is one session. It belongs to the source's goroutine.
type exchange struct {
	*source
	conn       net.Conn
	version    uint8
	negotiated bool
	asked      rtr.Type      // the query that has no answer yet; SerialNotify is none
	builder    *vrps.Builder // within an answer
	again      bool          // a notify came within an answer
	heard      bool          // any message
	done       bool          // data was complete once
}

const nothing = rtr.SerialNotify

// connect is one session, until it ends. worked says that data was complete.
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
	x := &exchange{source: s, conn: conn, version: s.version, asked: nothing}
	err = x.talk(ctx, arrivals)
	switch {
	case x.heard && x.negotiated:
		s.version = x.version
	case !x.heard && errors.Is(err, io.EOF):
		s.version = 1 - s.version // a cache of before RFC 8210 may just close the connection
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

// talk queries the cache, and takes what it says until the session ends.
func (x *exchange) talk(ctx context.Context, arrivals <-chan arrival) error {
	if err := x.query(); err != nil {
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
			if x.asked != nothing {
				return fmt.Errorf("no answer within %s", answerWait)
			}
			if err := x.query(); err != nil {
				return err
			}
		case a := <-arrivals:
			if err := x.take(&a); err != nil {
				return err
			}
		}
		wait := answerWait
		if x.asked == nothing {
			wait = x.wait()
		}
		timer.Reset(wait)
	}
}

// wait is how long to wait before the next query.
func (x *exchange) wait() time.Duration {
	if !x.known {
		return min(x.client.Retry, lastDelay) // the cache has no data yet
	}
	return max(time.Until(x.updated.Add(x.refresh)), firstDelay)
}

// query asks for what changed, or for everything.
func (x *exchange) query() error {
	if x.known && time.Now().Before(x.until) {
		x.asked = rtr.SerialQuery
		return x.send(rtr.QuerySince(x.version, x.session, x.serial))
	}
	return x.queryAll()
}

func (x *exchange) queryAll() error {
	x.asked = rtr.ResetQuery
	if !x.synced {
		x.become(stateLoading, nil)
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

// take takes a message. What is wrong with it is reported to the cache, unless it is a report itself.
func (x *exchange) take(a *arrival) error {
	err, raw := a.err, a.raw
	if err == nil {
		x.heard = true
		err, raw = x.handle(&a.message), a.message.Append(nil)
	}
	var wrong *rtr.Error
	if errors.As(err, &wrong) && !(len(raw) > 1 && rtr.Type(raw[1]) == rtr.ErrorReport) {
		_ = x.send(rtr.Report(x.version, wrong.Code, raw, wrong.Why))
		x.forget(false) // the next session begins with everything
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the cache has closed the connection: %w", io.EOF)
	}
	return err
}

func wrong(code rtr.ErrorCode, format string, a ...any) error {
	return &rtr.Error{Code: code, Why: fmt.Sprintf(format, a...)}
}

// handle takes a message that could be read.
func (x *exchange) handle(m *rtr.Message) error {
	if m.Type == rtr.ErrorReport {
		return x.reported(m)
	}
	if !x.negotiated {
		if m.Type == rtr.SerialNotify {
			return nil // RFC 8210 section 7: its version is not known to be right
		}
		if m.Version > x.version {
			return wrong(rtr.UnexpectedVersion, "version %d in answer to %d", m.Version, x.version)
		}
		x.version, x.negotiated = m.Version, true
	}
	if m.Version != x.version {
		return wrong(rtr.UnexpectedVersion, "version %d in a session of version %d", m.Version, x.version)
	}
	switch m.Type {
	case rtr.SerialNotify:
		return x.notified(m)
	case rtr.CacheResponse:
		return x.begin(m)
	case rtr.IPv4Prefix, rtr.IPv6Prefix:
		return x.payload(m)
	case rtr.RouterKey:
		x.client.mu.Lock()
		x.routerKeys++
		x.client.mu.Unlock()
		return nil
	case rtr.EndOfData:
		return x.end(m)
	case rtr.CacheReset:
		if x.asked != rtr.SerialQuery || x.builder != nil {
			return wrong(rtr.CorruptData, "a cache reset that nobody asked for")
		}
		return x.queryAll()
	}
	return wrong(rtr.InvalidRequest, "a query from a cache")
}

// reported takes an error report.
func (x *exchange) reported(m *rtr.Message) error {
	switch m.Code {
	case rtr.NoDataAvailable:
		x.asked, x.builder = nothing, nil
		x.forget(false)
		x.become(stateLoading, fmt.Errorf("the cache says: %s %s", m.Code, m.Text))
		return nil
	case rtr.UnsupportedVersion:
		if x.source.version > 0 && !x.negotiated {
			x.source.version = 0
			return errVersion
		}
	}
	x.forget(false)
	return fmt.Errorf("the cache says: %s %q", m.Code, m.Text)
}

// notified takes the news that there is a new serial number.
func (x *exchange) notified(m *rtr.Message) error {
	switch {
	case x.asked != nothing:
		x.again = true
		return nil
	case x.known && m.Session != x.session:
		// RFC 8210 section 5.1 has the data go at once.
		x.forget(true)
		return wrong(rtr.CorruptData, "session %d, not %d", m.Session, x.session)
	case x.known && m.Serial == x.serial:
		return nil
	}
	return x.query()
}

// begin takes the beginning of an answer.
func (x *exchange) begin(m *rtr.Message) error {
	switch {
	case x.asked == nothing || x.builder != nil:
		return wrong(rtr.CorruptData, "a cache response that nobody asked for")
	case x.asked == rtr.ResetQuery:
		x.builder = vrps.NewBuilder(nil)
	case m.Session != x.session:
		x.forget(true)
		return wrong(rtr.CorruptData, "session %d, not %d", m.Session, x.session)
	default:
		x.builder = vrps.NewBuilder(x.table)
	}
	x.client.mu.Lock()
	x.session = m.Session
	x.client.mu.Unlock()
	return nil
}

// payload takes one announcement or withdrawal.
func (x *exchange) payload(m *rtr.Message) error {
	if x.builder == nil {
		return wrong(rtr.CorruptData, "a prefix outside an answer")
	}
	v := vrps.VRP{Prefix: m.Prefix, MaxLength: m.MaxLength, AS: m.AS}
	if !m.Announce {
		if !x.builder.Remove(v) {
			return wrong(rtr.WithdrawalOfUnknown, "%s", v)
		}
		return nil
	}
	added, err := x.builder.Add(v)
	switch {
	case err != nil:
		return wrong(rtr.InternalError, "more than %d payloads", vrps.Max)
	case !added:
		return wrong(rtr.DuplicateAnnounced, "%s", v)
	}
	return nil
}

// end takes the end of an answer: its data counts from now on.
func (x *exchange) end(m *rtr.Message) error {
	if x.builder == nil {
		return wrong(rtr.CorruptData, "an end of data outside an answer")
	}
	if m.Session != x.session {
		x.forget(true)
		return wrong(rtr.CorruptData, "session %d, not %d", m.Session, x.session)
	}
	now, c := time.Now(), x.client
	table := x.builder.Table()
	c.mu.Lock()
	x.table, x.serial, x.known, x.spoken = table, m.Serial, true, x.version
	x.updated, x.updates = now, x.updates+1
	x.refresh = within(m.Refresh, time.Second, maxRefresh, c.Refresh)
	x.retry = within(m.Retry, time.Second, maxRetry, c.Retry)
	x.until = now.Add(within(m.Expire, minExpire, longExpire, c.Expire))
	c.mu.Unlock()
	x.builder, x.asked, x.done = nil, nothing, true
	x.become(stateSynced, nil)
	c.choose(now)
	if x.again {
		x.again = false
		return x.query()
	}
	return nil
}

// within is the interval that a cache says, if it is one that RFC 8210 section 6 allows, and at most ours.
func within(said, least, most, ours time.Duration) time.Duration {
	if said < least || said > most {
		return ours
	}
	return min(said, ours)
}
