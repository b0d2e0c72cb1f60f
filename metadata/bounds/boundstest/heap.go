// Package boundstest measures what reading a file takes. It is for tests only.
package boundstest

import (
	"runtime"
	"runtime/debug"
	"time"
)

// PeakHeap returns by how many bytes the heap grew at most while do ran, with garbage as the collector allows it. It
// looks every five milliseconds. Tests that call it must not run in parallel.
func PeakHeap(do func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(40)) // as the collector has it
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	before, most := s.HeapInuse, s.HeapInuse
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				most = max(most, s.HeapInuse)
			}
		}
	}()
	do()
	close(stop)
	<-stopped
	return most - before
}
