package rib

import (
	"errors"
	"unsafe"
)

// chunkBytes is the step in which regions grow: the size of a huge page.
const chunkBytes = 2 << 20

// errMemory is the error when the budget is used up.
var errMemory = errors.New("the memory of the routing table is used up")

// budget is the total of the bytes of all regions, and their limit.
type budget struct{ used, limit int64 }

// raisedTo is up to which limit in bytes SetLimits can raise that of New, if that is lower.
const raisedTo = 16 << 30

// mostLater is the limit for which address space is reserved.
func (b *budget) mostLater() int64 { return min(max(b.limit, raisedTo), maxArena) }

func (b *budget) take(n int64) bool {
	if b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

// array is a growable array of T in a region. It never moves, so readers can keep references to elements. T must not
// contain pointers.
type array[T any] struct {
	region region
	all    []T // the whole reservation; access to an element from usable on faults
	usable int
}

// newArray reserves address space for up to most elements.
func newArray[T any](b *budget, most int) (array[T], error) {
	var zero T
	memory, err := reserve(b, most*int(unsafe.Sizeof(zero)))
	if err != nil {
		return array[T]{}, err
	}
	most = min(most, memory.size()/int(unsafe.Sizeof(zero)))
	return array[T]{region: memory, all: unsafe.Slice((*T)(memory.pointer()), most)}, nil
}

// grow makes the first n elements usable. New elements are 0.
func (a *array[T]) grow(n int) error {
	if n <= a.usable {
		return nil
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	if err := a.region.grow(n * size); err != nil {
		return err
	}
	a.usable = min(a.region.usable/size, len(a.all))
	if n > a.usable {
		return errMemory
	}
	return nil
}

func (a *array[T]) release() { a.region.release() }
