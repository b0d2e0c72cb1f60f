package clickhouse

import (
	"errors"
	"fmt"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/sink/journal"
)

// writerLog logs failures: the first of each sort at once, then at most one a minute, and when they are over.
type writerLog struct {
	log     *zap.Logger
	journal journal.Journal
}

// failed reports an attempt that failed.
func (l *writerLog) failed(class Class, ins *Insert, err error) {
	due := l.journal.Failed
	if class == Permanent {
		due = l.journal.Due
	}
	if due(fmt.Sprintf("%v %d", class, errorCode(err))) {
		l.log.Warn("ClickHouse insert failed", zap.Stringer("class", class), zap.String("query", ins.Query),
			zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// delivered reports that an attempt succeeded.
func (l *writerLog) delivered() {
	if l.journal.Recovered() {
		l.log.Info("ClickHouse takes inserts again")
	}
}

// doubtful reports an insert that goes to another server than the one that may have it.
func (l *writerLog) doubtful(ins *Insert) {
	if l.journal.Due("doubtful") {
		l.log.Error("ClickHouse insert goes to another server than the one that may have stored it: there is no spool to wait in",
			zap.String("server", ins.at), zap.Int("rows", ins.Rows))
	}
}

// lost reports an insert that was given up.
func (l *writerLog) lost(ins *Insert, reason Reason, err error) {
	if l.journal.Due("lost " + string(reason)) {
		l.log.Error("ClickHouse insert lost", zap.String("reason", string(reason)), zap.Int("rows", ins.Rows),
			zap.Int("bytes", ins.size()), zap.Error(err))
	}
}

// spooled reports an insert that went to disk.
func (l *writerLog) spooled(ins *Insert) {
	if l.journal.Due("spooled") {
		l.log.Warn("ClickHouse inserts wait on disk", zap.Int("rows", ins.Rows), zap.Int("bytes", ins.size()))
	}
}

// notSpooled reports an insert that could not go there.
func (l *writerLog) notSpooled(ins *Insert, err error) {
	if l.journal.Due("not spooled") {
		l.log.Error("ClickHouse insert cannot wait on disk", zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// quarantined reports rows that the server refused and that are kept for the operator.
func (l *writerLog) quarantined(ins *Insert, reason Reason, err error) {
	if l.journal.Due("quarantined " + string(reason)) {
		l.log.Error("ClickHouse refuses rows, they are in the quarantine", zap.String("reason", string(reason)),
			zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// withoutView reports rows that a view does not have.
func (l *writerLog) withoutView(ins *Insert) {
	if l.journal.Due("without view") {
		l.log.Error("a view of ClickHouse fails: the table has the rows, the view does not, and they are in the quarantine too",
			zap.Int("rows", ins.Rows), zap.Error(ins.viewError))
	}
}

// notKept reports rows that could not be put into the quarantine for a view.
func (l *writerLog) notKept(ins *Insert, err error) {
	if l.journal.Due("not kept") {
		l.log.Error("rows that a view of ClickHouse does not have are not kept", zap.Int("rows", ins.Rows), zap.Error(err))
	}
}

// errorCode is the server's error code, the HTTP status where there is none, else 0.
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
