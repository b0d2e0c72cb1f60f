package rib

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// unit is the granularity of the arena in bytes. The number of a record is its offset in units.
const unit = 16

// maxUnits is the maximum size of the arena in units: a slot has 30 bits for a record's number.
const maxUnits = 1 << 30

// linearClasses is the number of units up to which each size has its own size class. Above, there are four classes for
// each power of two.
const linearClasses = 32

// arenaClasses is the number of size classes, which reach up to 4 MiB.
const arenaClasses = linearClasses + 1 + 4*13

// firstUnit is where the first record is: at a cache line, so that records of two lines are in two.
const firstUnit = 64 / unit

// arena allocates records and sets. It reuses freed memory within a size class.
type arena struct {
	array[[unit]byte]
	next  uint32               // first unit that was never used; 0 is not a valid number
	free  [arenaClasses]uint32 // heads of the free lists; hash[0] of a free record is the next one
	inUse int64                // bytes

	records, sets int
}

func (a *arena) reserve(b *budget) (err error) {
	a.array, err = newArray[[unit]byte](b, int(min(b.mostLater()/unit, maxUnits)))
	a.next = firstUnit
	return err
}

// header is the start of each record and set.
type header struct {
	hash   [2]uint64
	refs   uint32
	tag    uint32 // for checkRecord: 0 in use, freed, or the epoch in which it was retired
	value  uint32 // of a record: LOCAL_PREF; of a set: the number of its routes
	set    bool
	class  uint8 // size class
	flags  uint8 // of a record: hasLocalPref, hasMED, internal
	origin uint8 // of a record
}

// freed is the tag of a record that is free.
const freed = ^uint32(0)

// at returns the memory of a record.
func (a *arena) at(n uint32) unsafe.Pointer { return unsafe.Pointer(&a.all[n]) }

func (a *arena) header(n uint32) *header { return (*header)(a.at(n)) }

// touched is how many units of a record touch reads at most: the record of a route with some ten AS numbers and
// communities is not longer. So many units behind each record are usable.
const touched = 9

// touch reads the first cache line of what is in slots, and of those whose number in of is odd the lines behind it too.
// It does not wait for what a record says of its length, so that all these reads overlap. They can reach into a record
// that the writer changes: the sum means nothing, it only keeps the compiler from removing the reads.
func (a *arena) touch(slots, of []uint32) (sum uint32) {
	for i, slot := range slots {
		units := a.all[slot&slotNumber:][:touched]
		if sum += uint32(units[0][0]); of[i]%2 != 0 {
			sum += uint32(units[4][0]) + uint32(units[touched-1][0])
		}
	}
	return sum
}

// classOf returns the size class of a size in units, and the size of its records in units.
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

// take allocates a record of at least that many bytes. It clears the header but for the size class, and nothing else.
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
		if err := a.grow(int(n+size) + touched); err != nil {
			return 0, err
		}
		a.next += size
	}
	h := a.header(n)
	if checked && h.tag != 0 && atomic.LoadUint32(&h.tag) != freed {
		panic(fmt.Sprintf("rib: record %d is allocated twice", n))
	}
	atomic.StoreUint32(&h.tag, 0)
	h.hash, h.refs, h.set, h.class, h.flags, h.origin = [2]uint64{}, 0, false, class, 0, 0
	a.inUse += int64(size) * unit
	return n, nil
}

// size returns the bytes that a record takes.
func (a *arena) size(n uint32) int64 { return int64(classSize(a.header(n).class)) * unit }

func classSize(class uint8) uint32 {
	if class <= linearClasses {
		return uint32(class)
	}
	step := uint32(class - linearClasses - 1)
	base := uint32(linearClasses) << (step / 4)
	return base + base/4*(step%4+1)
}

// put frees a record, which no reader may still use.
func (a *arena) put(n uint32) {
	h := a.header(n)
	if checked {
		atomic.StoreUint32(&h.tag, freed)
	}
	a.inUse -= a.size(n)
	h.hash[0] = uint64(a.free[h.class])
	a.free[h.class] = n
}
