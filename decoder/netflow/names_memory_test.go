package netflow

import (
	"fmt"
	"runtime"
	"testing"
)

// What is charged for names is at least what they take of the heap, with few names of many sources, many names of few
// sources, names that changed, and after an eviction; the copy for the saved state is part of it.
func TestMemory_namesTakeWhatIsCharged(t *testing.T) {
	for _, c := range []struct {
		name                  string
		sources, names, times int
		bound                 int
	}{
		{"one name of each source", 3000, 1, 1, 64 << 20},
		{"ten names of each source", 1000, 10, 1, 64 << 20},
		{"many names of few sources", 4, 5000, 1, 64 << 20},
		{"names that change after they were saved", 4, 5000, 2, 64 << 20},
		{"names that were evicted", 40, 1500, 1, 2 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newCrowd(t, Options{NameBytes: c.bound}, 8192)
			for time := range c.times {
				for n := range c.sources {
					l.from(n)
					for i := range c.names {
						named := []item{el(10, u32(uint32(i))), el(82,
							text(fmt.Sprintf("interface %d of %d", i, time)))}
						l.received++
						l.send(ipfix(header{exportS: exportS}, set(3, optionsIPFIX(400, 1, named...)),
							set(400, dataOf(named...))))
					}
				}
				if time == 0 {
					l.d.State()
				}
			}
			l.used()
			charged := l.d.memory.names.Used()
			with := heap()
			for _, src := range l.d.sources {
				src.names, src.savedNames = nil, nil
			}
			held := with - heap()
			runtime.KeepAlive(l.d)
			t.Logf("%d KiB are held, %d KiB charged", held>>10, charged>>10)
			if held > charged+charged/8 {
				t.Errorf("names take %d bytes, %d are charged", held, charged)
			}
			if charged > c.bound {
				t.Errorf("%d bytes are charged, the bound is %d", charged, c.bound)
			}
		})
	}
}

// heap returns the bytes of the heap that are in use.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
