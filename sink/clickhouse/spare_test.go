package clickhouse

import (
	"testing"

	"github.com/metranova/flow-collector/sink/native"
)

// Memory of large blocks is not kept beyond the limit, that of usual ones is, and what is taken out makes place.
func TestSink_spareMemoryIsBounded(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, want int
	}{
		{"usual", 1 << 20, spareBuffers},
		{"large", 6 << 20, 2},
		{"larger than the limit", spareBytes + 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Sink{spare: make(chan native.Packed, spareBuffers)}
			for range 2 { // the second time, after all were taken out
				for range 2 * spareBuffers {
					s.keep(native.Packed{Data: make([]byte, 0, c.size), Fills: make([]native.Fill, 0, 8)})
				}
				if n := len(s.spare); n != c.want {
					t.Fatalf("%d buffers are kept, want %d", n, c.want)
				}
				for range c.want {
					s.buffer()
				}
				if n := s.held.Load(); n != 0 {
					t.Fatalf("%d bytes are counted, and nothing is kept", n)
				}
			}
		})
	}
}
