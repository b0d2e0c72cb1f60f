//go:build !race && !ribdebug

package rib

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// checked says whether every read of a record is checked, see checkRecord.
const checked = false

// maxNumbers is how many prefixes each family can have.
const maxNumbers = 1 << 24

// maxArena bounds pages and records, each, beside the budget.
const maxArena = 1 << 40

// region is reserved address space that is made usable in chunks, from its beginning. The zero value is empty.
type region struct {
	budget *budget
	memory []byte
	usable int
}

// reserve reserves address space. That takes no memory.
func reserve(b *budget, size int) (region, error) {
	size = (size + chunkBytes - 1) &^ (chunkBytes - 1)
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return region{}, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	return region{budget: b, memory: memory}, nil
}

func (r *region) pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.memory)) }

func (r *region) size() int { return len(r.memory) }

// grow makes the first n bytes usable.
func (r *region) grow(n int) error {
	n = (n + chunkBytes - 1) &^ (chunkBytes - 1)
	more := n - r.usable
	if more <= 0 {
		return nil
	}
	if n > len(r.memory) || !r.budget.take(int64(more)) {
		return errMemory
	}
	if err := unix.Mprotect(r.memory[r.usable:n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		r.budget.used -= int64(more)
		return fmt.Errorf("make %d bytes usable: %w", more, err)
	}
	r.usable = n
	return nil
}

// preferHugePages asks for huge pages. A kernel that has none leaves the small ones.
func (r *region) preferHugePages() { _ = unix.Madvise(r.memory, unix.MADV_HUGEPAGE) }

// release gives the memory back to the system.
func (r *region) release() {
	if r.memory == nil {
		return
	}
	_ = unix.Munmap(r.memory)
	r.budget.used -= int64(r.usable)
	*r = region{}
}
