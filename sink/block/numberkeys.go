package block

// numberKeys is a hash table from numbers to the indexes of the dictionary keys that are their texts: AS numbers of
// scopes, and communities with their mark byName. It uses open addressing and is at most half full. The upper 33 bits
// of a slot are the number, the lower 31 bits the index plus one; 0 is an empty slot. A thousand numbers take 16 KiB,
// which fit in the processor's cache.
type numberKeys struct {
	slots []uint64
	shift uint8 // 64 minus log2 of the number of slots
	n     int
}

const (
	keyIndexBits = 31
	keyIndexMask = 1<<keyIndexBits - 1
	// minNumberSlots is the initial size, a power of two.
	minNumberSlots, minNumberShift = 1 << 8, 64 - 8
)

// slotOf returns where the search for a number starts. The constant is 2^64 divided by the golden ratio.
func (k *numberKeys) slotOf(v uint64) int { return int(v * 0x9e3779b97f4a7c15 >> k.shift) }

// find returns the index of a number's key, and whether the table has it.
func (k *numberKeys) find(v uint64) (index uint32, known bool) {
	mask := len(k.slots) - 1
	for i := k.slotOf(v); ; i++ {
		slot := k.slots[i&mask]
		if slot>>keyIndexBits == v && slot != 0 {
			return uint32(slot&keyIndexMask) - 1, true
		}
		if slot == 0 {
			return 0, false
		}
	}
}

// add adds a number, which the table must not have yet.
func (k *numberKeys) add(v uint64, index uint32) {
	if k.n++; 2*k.n > len(k.slots) {
		old := k.slots
		k.slots, k.shift = make([]uint64, 2*len(old)), k.shift-1
		for _, slot := range old {
			if slot != 0 {
				k.put(slot)
			}
		}
	}
	k.put(v<<keyIndexBits | uint64(index) + 1)
}

func (k *numberKeys) put(slot uint64) {
	mask := len(k.slots) - 1
	i := k.slotOf(slot >> keyIndexBits)
	for k.slots[i&mask] != 0 {
		i++
	}
	k.slots[i&mask] = slot
}

// reset removes all numbers. If the table has grown large, its memory is released.
func (k *numberKeys) reset() {
	if k.n = 0; k.slots == nil || len(k.slots) > 4*keptKeys {
		k.slots, k.shift = make([]uint64, minNumberSlots), minNumberShift
		return
	}
	clear(k.slots)
}
