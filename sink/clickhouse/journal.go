package clickhouse

import (
	"errors"
	"fmt"
	"sync"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"go.uber.org/zap"
)

// journal logs failures: the first of each sort at once, then at most one a minute, and when they are over.
type journal struct {
	log *zap.Logger

	mu      sync.Mutex
	last    map[string]time.Time // when each sort was last logged
	failing bool
}

const logInterval = time.Minute

func newJournal(log *zap.Logger) journal {
	return journal{log: log, last: map[string]time.Time{}}
}

// failed reports an attempt that failed.
func (j *journal) failed(class Class, ins *Insert, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if class != Permanent {
		j.failing = true
	}
	if !j.due(fmt.Sprintf("%v %d", class, errorCode(err))) {
		return
	}
	j.log.Warn("ClickHouse insert failed", zap.Stringer("class", class), zap.String("query", ins.Query),
		zap.Int("rows", ins.Rows), zap.Error(err))
}

// delivered reports that an attempt succeeded.
func (j *journal) delivered() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.failing {
		return
	}
	j.failing = false
	clear(j.last)
	j.log.Info("ClickHouse takes inserts again")
}

// lost reports an insert that was given up.
func (j *journal) lost(ins *Insert, reason Reason, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.due("lost " + string(reason)) {
		return
	}
	j.log.Error("ClickHouse insert lost", zap.String("reason", string(reason)), zap.Int("rows", ins.Rows),
		zap.Int("bytes", len(ins.Data)), zap.Error(err))
}

// due reports whether that sort of line may be logged now.
func (j *journal) due(sort string) bool {
	now := time.Now()
	if last, ok := j.last[sort]; ok && now.Sub(last) < logInterval {
		return false
	}
	j.last[sort] = now
	return true
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
