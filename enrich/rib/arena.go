package rib

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// unit is the granularity of the arena, in bytes: a record's number is its offset in units.
const unit = 16

// maxUnits bounds the arena: numbers of records have 30 bits in a slot.
const maxUnits = 1 << 30

// linearClasses is up to how many units each size has a class of its own. Above, a class is a quarter of a power of
// two.
const linearClasses = 32

// arenaClasses is how many classes of sizes there are: up to 4 MiB.
const arenaClasses = linearClasses + 1 + 4*13

// arena gives out records. Freed ones are used again for records of the same class of size.
type arena struct {
	array[[unit]byte]
	next  uint32               // first unit that was never used; number 0 is none
	free  [arenaClasses]uint32 // first free record; its first word is the next one's number
	inUse int64                // bytes

	records, sets int
}

func (a *arena) reserve(b *budget) (err error) {
	a.array, err = newArray[[unit]byte](b, int(min(min(b.limit, maxArena)/unit, maxUnits)))
	a.next = 1
	return err
}

// header begins each record and each set.
type header struct {
	hash  [2]uint64
	refs  uint32
	tag   uint32 // in checked builds: 0 in use, freed, or the epoch of the record's removal
	set   bool
	class uint8
	// Of records of routes.
	flags  uint8
	origin uint8
}

// freed is the tag of a record that is free.
const freed = ^uint32(0)

// at is the memory of a record.
func (a *arena) at(n uint32) unsafe.Pointer { return unsafe.Pointer(&a.all[n]) }

func (a *arena) header(n uint32) *header { return (*header)(a.at(n)) }

// classOf is the class of a size in units, and the units that records of the class have.
func classOf(units uint32) (class uint8, size uint32) {
	if units <= linearClasses {
		return uint8(units), units
	}
	// Above 32 units: 40, 48, 56, 64, 80, ...
	base, class := uint32(linearClasses), uint8(linearClasses)
	for ; ; base *= 2 {
		for quarter := uint32(1); quarter <= 4; quarter++ {
			class++
			if size = base + base/4*quarter; units <= size {
				return class, size
			}
		}
	}
}

// maxRecord is the size of the largest class, in bytes.
const maxRecord = (linearClasses << 13) * unit

// take returns memory of at least so many bytes. Its header is empty but for the class; the rest is not cleared.
func (a *arena) take(bytes int) (uint32, error) {
	if bytes > maxRecord {
		return 0, errMemory
	}
	class, size := classOf(uint32((bytes + unit - 1) / unit))
	n := a.free[class]
	if n != 0 {
		a.free[class] = uint32(a.header(n).hash[0])
	} else {
		n = a.next
		if err := a.grow(int(n + size)); err != nil {
			return 0, err
		}
		a.next += size
	}
	h := a.header(n)
	if checked && h.tag != 0 && atomic.LoadUint32(&h.tag) != freed {
		panic(fmt.Sprintf("rib: record %d is given out although it is in use", n))
	}
	atomic.StoreUint32(&h.tag, 0)
	h.hash, h.refs, h.set, h.class, h.flags, h.origin = [2]uint64{}, 0, false, class, 0, 0
	a.inUse += int64(size) * unit
	return n, nil
}

// size is how many bytes a record takes.
func (a *arena) size(n uint32) int64 { return int64(classSize(a.header(n).class)) * unit }

func classSize(class uint8) uint32 {
	if class <= linearClasses {
		return uint32(class)
	}
	step := uint32(class - linearClasses - 1)
	base := uint32(linearClasses) << (step / 4)
	return base + base/4*(step%4+1)
}

// put takes a record back that no reader can see any more.
func (a *arena) put(n uint32) {
	h := a.header(n)
	if checked {
		atomic.StoreUint32(&h.tag, freed)
	}
	a.inUse -= a.size(n)
	h.hash[0] = uint64(a.free[h.class])
	a.free[h.class] = n
}
