package rib

import (
	"errors"
	"unsafe"
)

// chunkBytes is the piece in which regions grow: a huge page.
const chunkBytes = 2 << 20

// errMemory says that the budget is used up.
var errMemory = errors.New("the memory of the routing table is used up")

// budget counts the bytes of all regions exactly.
type budget struct{ used, limit int64 }

func (b *budget) take(n int64) bool {
	if b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

// array is a growable array of T in a region: growing never moves it, so readers may hold on to it. T must not have
// pointers.
type array[T any] struct {
	region region
	all    []T // the whole reservation; only the part below usable may be touched
	usable int
}

// newArray reserves address space for so many elements.
func newArray[T any](b *budget, most int) (array[T], error) {
	var zero T
	memory, err := reserve(b, most*int(unsafe.Sizeof(zero)))
	if err != nil {
		return array[T]{}, err
	}
	most = min(most, memory.size()/int(unsafe.Sizeof(zero)))
	return array[T]{region: memory, all: unsafe.Slice((*T)(memory.pointer()), most)}, nil
}

// grow makes the first n elements usable; new ones are 0.
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
