//go:build race || ribdebug

package rib

import "unsafe"

// checked says whether look-ups check each record, see checkRecord.
const checked = true

// maxNumbers is the maximum number of prefixes of a family. It is small in these builds, which take the memory at once.
const maxNumbers = 1 << 18

// maxArena is the maximum size of pages and of records in bytes.
const maxArena = 16 << 20

// region is memory in Go's heap in these builds, because the race detector does not watch other memory.
type region struct {
	budget *budget
	memory []uint64
	usable int
}

func reserve(b *budget, size int) (region, error) {
	size = (size + chunkBytes - 1) &^ (chunkBytes - 1)
	return region{budget: b, memory: make([]uint64, size/8)}, nil
}

func (r *region) pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.memory)) }

func (r *region) size() int { return len(r.memory) * 8 }

func (r *region) grow(n int) error {
	n = (n + chunkBytes - 1) &^ (chunkBytes - 1)
	more := n - r.usable
	if more <= 0 {
		return nil
	}
	if n > len(r.memory)*8 || !r.budget.take(int64(more)) {
		return errMemory
	}
	r.usable = n
	return nil
}

func (r *region) release() {
	if r.memory == nil {
		return
	}
	r.budget.used -= int64(r.usable)
	*r = region{}
}
