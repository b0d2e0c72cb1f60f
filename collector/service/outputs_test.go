package service

import (
	"testing"

	"github.com/metranova/flow-collector/collector/setup"
	"github.com/metranova/flow-collector/sink"
	"github.com/metranova/flow-collector/sink/spool"
)

// waiting is a sink of which only its figures are known.
type waiting struct {
	sink.Sink
	stats sink.Stats
}

func (w waiting) Stats() sink.Stats { return w.stats }

// Connections wait for a sink, ClickHouse and Kafka alike, whose queue is more than half full or whose spool is full to
// more than 95 %.
func TestOutputIsBehind(t *testing.T) {
	const queue, most = 1 << 20, 100 << 20
	onDisk := func(n int64) *spool.Stats { return &spool.Stats{DiskBytes: n} }
	for _, test := range []struct {
		name   string
		stats  sink.Stats
		behind bool
	}{
		{"nothing waits", sink.Stats{QueueLimit: queue, Spool: onDisk(0)}, false},
		{"half of the queue", sink.Stats{QueuedBytes: queue / 2, QueueLimit: queue}, false},
		{"more than half of the queue", sink.Stats{QueuedBytes: queue/2 + 1, QueueLimit: queue}, true},
		{"95 % of the spool", sink.Stats{QueueLimit: queue, Spool: onDisk(95 << 20)}, false},
		{"more than 95 % of the spool", sink.Stats{QueueLimit: queue, Spool: onDisk(95<<20 + 1)}, true},
		{"more than the spool may have", sink.Stats{QueueLimit: queue, Spool: onDisk(2 * most)}, true},
		{"without a spool", sink.Stats{QueueLimit: queue}, false},
	} {
		o := output{Sink: setup.Sink{Spool: setup.SpoolDirectory{MaxBytes: most}}, sink: waiting{stats: test.stats}}
		if got := o.behind(); got != test.behind {
			t.Errorf("%s: %t, want %t", test.name, got, test.behind)
		}
	}
}
