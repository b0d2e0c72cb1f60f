package clickhouse

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/lograte"
)

// writerLog logs failures: the first of each kind at once, then at most one a minute, and when they are over. A failure
// of one table is over when that table takes an insert, any other failure when any table does.
type writerLog struct {
	log     *zap.Logger
	now     func() time.Time
	limiter lograte.Limiter // for lines about what does not end

	mu     sync.Mutex
	states map[scope]*failure
}

// scope is what a failure concerns.
type scope struct {
	class sink.Class
	query string // the statement of the inserts that fail; "": all inserts
}

// failure is what was logged for a scope.
type failure struct {
	logged   map[int]time.Time // the time of the latest line for each error code
	latest   time.Time         // the latest of these
	reported bool              // the failure goes on, and a line has been written
}

// logInterval is the least time between two lines about the same error.
const logInterval = time.Minute

// scopeOf distinguishes a failure of one table from one of the connection or the server.
func scopeOf(class sink.Class, ins *Insert, err error) scope {
	var exception *chgo.Exception
	if !errors.As(err, &exception) || slices.Contains(serverWide, exception.Code) {
		return scope{class, ""}
	}
	return scope{class, ins.Query}
}

// serverWide are error codes that are not about one table: credentials, the database, an overloaded server.
var serverWide = []int32{81, 159, 164, 180, 192, 193, 194, 195, 201, 202, 203, 209, 210, 241, 243, 452, 472, 516, 745,
	749, 762, 776}

// failed reports an attempt that failed.
func (l *writerLog) failed(class sink.Class, ins *Insert, err error) {
	if class == sink.Permanent { // it is about these rows, so it does not end
		if l.limiter.Allow(fmt.Sprintf("%v %d", class, errorCode(err))) {
			l.warn(class, ins, err)
		}
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at, code, now := scopeOf(class, ins, err), errorCode(err), l.now()
	state := l.states[at]
	if state == nil {
		if l.states == nil {
			l.states = map[scope]*failure{}
		}
		state = &failure{logged: map[int]time.Time{}}
		l.states[at] = state
	}
	if logged, ok := state.logged[code]; !ok || now.Sub(logged) >= logInterval {
		l.warn(class, ins, err)
		state.logged[code], state.latest, state.reported = now, now, true
	}
}

func (l *writerLog) warn(class sink.Class, ins *Insert, err error) {
	l.log.Warn("ClickHouse insert failed", zap.Stringer("class", class), zap.String("query", ins.Query),
		zap.Int("rows", ins.Rows), zap.Error(err))
}

// delivered reports that an insert was stored. The end of a failure is logged once, if its beginning was.
func (l *writerLog) delivered(ins *Insert) {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := false
	for at, state := range l.states {
		if at.query != "" && at.query != ins.Query {
			continue
		}
		over = over || state.reported
		state.reported = false
		if l.now().Sub(state.latest) >= logInterval {
			delete(l.states, at)
		}
	}
	if over {
		l.log.Info("ClickHouse takes inserts again", zap.String("query", ins.Query))
	}
}

// without reports a setting that is left to the server's profile.
func (l *writerLog) without(name string, err error) {
	l.log.Warn("ClickHouse does not let us change a setting: inserts go without it", zap.String("setting", name),
		zap.String("effect", dispensable[name]), zap.Error(err))
}

// notOurs reports an entry of the spool whose statement this program does not write.
func (l *writerLog) notOurs(rows int) {
	if l.limiter.Allow("not ours") {
		l.log.Error("an entry of the spool has a statement that is not the collector's; it is not executed: who "+
			"wrote to spool.path?",
			zap.Int("rows", rows),
			zap.Error(errStatement))
	}
}

// doubtful reports an insert that is sent to another server than the one that may have stored it.
func (l *writerLog) doubtful(ins *Insert) {
	if l.limiter.Allow("doubtful") {
		l.log.Error("ClickHouse insert goes to another server than the one that may have stored it: there is no "+
			"spool to wait in",
			zap.String("server", ins.at), zap.Int("rows", ins.Rows))
	}
}

// lost reports a lost insert.
func (l *writerLog) lost(ins *Insert, reason sink.Reason, err error) {
	if l.limiter.Allow("lost " + string(reason)) {
		l.log.Error("ClickHouse insert lost", zap.String("reason", string(reason)), zap.Int("rows", ins.Rows),
			zap.Int("bytes", ins.size()), zap.Error(err))
	}
}

// spooled reports an insert that went to disk.
func (l *writerLog) spooled(ins *Insert) {
	if l.limiter.Allow("spooled") {
		l.log.Warn("ClickHouse inserts wait on disk", zap.Int("rows", ins.Rows), zap.Int("bytes", ins.size()))
	}
}

// notRead reports an insert on disk that could not be read.
func (l *writerLog) notRead(ins *Insert, err error) {
	if l.limiter.Allow("not read") {
		l.log.Error("ClickHouse insert on disk cannot be read", zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// notSpooled reports an insert that could not be written to disk.
func (l *writerLog) notSpooled(ins *Insert, err error) {
	if l.limiter.Allow("not spooled") {
		l.log.Error("ClickHouse insert cannot wait on disk", zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// quarantined reports rows that the server refused and that are kept for the operator.
func (l *writerLog) quarantined(ins *Insert, reason sink.Reason, err error) {
	if l.limiter.Allow("quarantined " + string(reason)) {
		l.log.Error("ClickHouse refuses rows, they are in the quarantine", zap.String("reason", string(reason)),
			zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// withoutView reports rows that a view lacks.
func (l *writerLog) withoutView(ins *Insert) {
	if l.limiter.Allow("without view") {
		l.log.Error("a view of ClickHouse fails: the table has the rows, the view does not, and they are in the "+
			"quarantine too",
			zap.Int("rows", ins.Rows), zap.Error(ins.viewError))
	}
}

// notKept reports rows that a view lacks and that could not be put into the quarantine.
func (l *writerLog) notKept(ins *Insert, err error) {
	if l.limiter.Allow("not kept") {
		l.log.Error("rows that a view of ClickHouse does not have are not kept", zap.Int("rows", ins.Rows),
			zap.Error(err))
	}
}

// errorCode returns the server's error code, else the HTTP status, else 0.
func errorCode(err error) int {
	var exception *chgo.Exception
	if errors.As(err, &exception) {
		return int(exception.Code)
	}
	var status *chgo.HTTPError
	if errors.As(err, &status) {
		return status.StatusCode
	}
	return 0
}
