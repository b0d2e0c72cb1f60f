package rib

import (
	"math/bits"
)

// index is a hash table of numbers, by the hash of what they stand for. It uses open addressing with linear probing, in
// memory outside Go's heap. Only the writer uses it.
type index struct {
	budget  *budget
	entries array[uint64] // hash<<32 | number; 0: free
	mask    uint32
	count   int
}

const firstIndexSize = chunkBytes / 8

func (x *index) init(b *budget) (err error) {
	x.budget = b
	x.entries, err = x.make(firstIndexSize)
	x.mask = firstIndexSize - 1
	return err
}

func (x *index) make(size int) (array[uint64], error) {
	entries, err := newArray[uint64](x.budget, size)
	if err != nil {
		return entries, err
	}
	if err := entries.grow(size); err != nil {
		entries.release()
		return array[uint64]{}, err
	}
	return entries, nil
}

func (x *index) release() { x.entries.release() }

// find returns the number with that hash for which equal returns true, or 0.
func (x *index) find(hash uint32, equal func(n uint32) bool) uint32 {
	for at := hash & x.mask; ; at = (at + 1) & x.mask {
		e := x.entries.all[at]
		if e == 0 {
			return 0
		}
		if uint32(e>>32) == hash && equal(uint32(e)) {
			return uint32(e)
		}
	}
}

// reserve grows the table if one more number would fill it by more than three quarters.
func (x *index) reserve() error {
	if uint64(x.count+1)*4 <= (uint64(x.mask)+1)*3 {
		return nil
	}
	size := 2 * (int(x.mask) + 1)
	larger, err := x.make(size)
	if err != nil {
		return err
	}
	smaller := x.entries
	x.entries, x.mask = larger, uint32(size-1)
	for _, e := range smaller.all {
		if e != 0 {
			x.place(e)
		}
	}
	smaller.release()
	return nil
}

// add adds a number. Call reserve before.
func (x *index) add(hash, n uint32) {
	x.place(uint64(hash)<<32 | uint64(n))
	x.count++
}

func (x *index) place(e uint64) {
	at := uint32(e>>32) & x.mask
	for x.entries.all[at] != 0 {
		at = (at + 1) & x.mask
	}
	x.entries.all[at] = e
}

// remove removes a number and moves later entries of its probe sequence up.
func (x *index) remove(hash, n uint32) {
	at := hash & x.mask
	for want := uint64(hash)<<32 | uint64(n); x.entries.all[at] != want; at = (at + 1) & x.mask {
		if x.entries.all[at] == 0 {
			return
		}
	}
	x.count--
	gap := at
	for {
		at = (at + 1) & x.mask
		e := x.entries.all[at]
		if e == 0 {
			break
		}
		// The entry can move to the gap unless its probe sequence starts after the gap.
		if (at-uint32(e>>32))&x.mask >= (at-gap)&x.mask {
			x.entries.all[gap] = e
			gap = at
		}
	}
	x.entries.all[gap] = 0
}

// mix hashes two words. The random seed prevents a peer from constructing collisions.
func mix(seed, a, b uint64) uint32 {
	high, low := bits.Mul64(a^seed, 0x9e3779b97f4a7c15)
	high, low = bits.Mul64(high^low^b, seed|1)
	high, low = bits.Mul64(high^low, 0xd6e8feb86659fd93)
	return uint32(high ^ low)
}
