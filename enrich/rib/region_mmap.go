//go:build !race && !ribdebug

package rib

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// checked says whether look-ups check each record, see checkRecord.
const checked = false

// maxNumbers is the maximum number of prefixes of a family.
const maxNumbers = 1 << 24

// maxArena is the maximum size of pages and of records in bytes. The budget is the real limit.
const maxArena = 1 << 40

// region is reserved address space, of which a growing part from its start is usable memory. The zero value is empty.
type region struct {
	budget *budget
	mapped []byte // what the system has given
	memory []byte // of it, from a huge page on
	usable int
}

// reserve reserves size bytes of address space, which takes no memory yet. It starts at a huge page and asks for huge
// pages, so that each chunk is one: look-ups read all over the tables, and with small pages most of them would also
// miss the TLB. A kernel without huge pages ignores it.
func reserve(b *budget, size int) (region, error) {
	size = (size + chunkBytes - 1) &^ (chunkBytes - 1)
	mapped, err := unix.Mmap(-1, 0, size+chunkBytes, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return region{}, fmt.Errorf("reserve %d bytes of address space: %w", size, err)
	}
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mapped))) & (chunkBytes - 1))
	memory := mapped[skip : skip+size : skip+size]
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
	return region{budget: b, mapped: mapped, memory: memory}, nil
}

func (r *region) pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(r.memory)) }

func (r *region) size() int { return len(r.memory) }

// grow makes at least the first n bytes usable.
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

// release returns the memory to the system.
func (r *region) release() {
	if r.memory == nil {
		return
	}
	_ = unix.Munmap(r.mapped)
	r.budget.used -= int64(r.usable)
	*r = region{}
}
