//go:build race || ribdebug

package rib

import "unsafe"

// checked says whether every read of a record is checked, see checkRecord.
const checked = true

// maxNumbers is how many prefixes each family can have. It is small here, as this memory is taken at once.
const maxNumbers = 1 << 18

// maxArena bounds pages and records, each, beside the budget.
const maxArena = 16 << 20

// region is memory of Go's heap here, because the race detector does not watch any other.
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

func (r *region) preferHugePages() {}

func (r *region) release() {
	if r.memory == nil {
		return
	}
	r.budget.used -= int64(r.usable)
	*r = region{}
}
