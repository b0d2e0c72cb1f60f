package stages

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/metranova/flow-collector/bench/hostile"
	"github.com/metranova/flow-collector/decoder/exporter"
	"github.com/metranova/flow-collector/enrich"
)

func snapshotOfNothing(t testing.TB) *atomic.Pointer[enrich.Snapshot] {
	t.Helper()
	built, err := enrich.NewBuilder().Build()
	if err != nil {
		t.Fatal(err)
	}
	snapshot := new(atomic.Pointer[enrich.Snapshot])
	snapshot.Store(built)
	return snapshot
}

// BenchmarkFlood is what a datagram of each kind takes of a worker.
func BenchmarkFlood(b *testing.B) {
	for _, kind := range hostile.Kinds() {
		b.Run(kind.Name, func(b *testing.B) {
			c, f := NewChain(Encode, snapshotOfNothing(b)), kind.Flood(1, time.Now())
			var list []exporter.Datagram
			for range 50 {
				source, payload := f.Next(netip.AddrFrom4([4]byte{127, 66, 0, 1}))
				list = append(list, exporter.Datagram{
					Source: netip.AddrPortFrom(source, 4000), Received: time.Now().UnixNano(),
					Payload: append([]byte(nil), payload...),
				})
			}
			for i := 0; b.Loop(); i++ {
				c.Process(list[i%len(list):][:1], time.Now())
			}
			b.ReportMetric(float64(c.Records())/float64(b.N), "rows")
		})
	}
}
