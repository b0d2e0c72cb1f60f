package setup

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"go.uber.org/zap"

	"github.com/metranova/flow-collector/collector/config"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/quarantine"
	"github.com/metranova/flow-collector/sink/schema"
	"github.com/metranova/flow-collector/sink/spool"
	"github.com/metranova/flow-collector/sink/tally"
)

// Sinks are the destinations of rows that there are, in the order in which they are shown. To add one: its folder in
// sink, its keys in collector/config, a function here that describes it, and a line in this list.
func Sinks(cfg *config.Config) []Sink {
	return []Sink{clickHouseSink(cfg), kafkaSink(cfg)}
}

// Sink is a destination of rows as the configuration has it, before it is open.
type Sink struct {
	sink.Info
	Used  bool // it is opened
	Takes bool // rows of this run go there; else what an earlier run left on disk does
	Spool SpoolDirectory
	Keys  string // begins the names of its settings: kafka.
	// Check tries what the sink needs and says what it found; "": nothing. nil: the database is checked anyway.
	Check func(ctx context.Context) (found string, err error)
	// Warnings are settings that work and are careless. nil: there are none.
	Warnings []Warning
	Open     func(Parts) (sink.Sink, error)
}

// Warning is a setting that works and is careless, and why.
type Warning struct{ Key, Text string }

// SpoolDirectory is where batches wait on disk for a sink that does not take them.
type SpoolDirectory struct {
	What     string // for people: Kafka spool
	Path     string // "": batches wait in memory only
	PathKey  string // its setting
	MaxBytes int
	Key      string // the setting of MaxBytes
	Log      string // name of its log
	// QueueBytes limits what waits in memory before it, and QueueKey is its setting.
	QueueBytes int
	QueueKey   string
}

// Parts are what a sink is opened with.
type Parts struct {
	Log   *zap.Logger
	Run   string       // begins deduplication tokens; of no other run or collector
	Spool *spool.Spool // nil: none
	Book  *tally.Book  // the spool's
	// Conn reaches the database, whose tables are as Settings say once TablesMade is closed.
	Conn       driver.Conn
	Servers    []string
	Settings   schema.Settings
	TablesMade <-chan struct{}
	// ExtType is that of clickhouse.BlocksOptions.
	ExtType *atomic.Pointer[string]
	// Attempted is told how long each attempt took, from several goroutines.
	Attempted func(took time.Duration, err error)
}

// OpenSpool opens a sink's spool; nil where none is configured or the sink is not used. What it finds and what it drops
// is written down in the book.
func (s *Sink) OpenSpool(cfg *config.Config, log *zap.Logger, book *tally.Book) (*spool.Spool, error) {
	if !s.Used || s.Spool.Path == "" {
		return nil, nil
	}
	o := spool.Options{
		Dir: s.Spool.Path, MaxBytes: int64(s.Spool.MaxBytes), MaxAge: cfg.Spool.MaxAge, Log: log.Named(s.Spool.Log),
	}
	book.Keep(&o)
	return spool.Open(o)
}

// Quarantine returns the quarantine for refused rows; nil if there is none.
func Quarantine(cfg *config.Config) *quarantine.Quarantine {
	if cfg.Quarantine.Path == "" {
		return nil
	}
	return quarantine.New(quarantine.Options{Dir: cfg.Quarantine.Path, MaxBytes: int64(cfg.Quarantine.MaxBytes)})
}

// texts are reasons as texts.
func texts[T ~string](all []T) []string {
	texts := make([]string, len(all))
	for i, s := range all {
		texts[i] = string(s)
	}
	return texts
}
