package rib

import "sync/atomic"

const (
	pageSlots = 256
	pageBytes = pageSlots * 4
)

// page is an array of 256 words: slots of a tree, numbers of the tree's lower pages, or the addresses of a /24.
type page [pageSlots]uint32

// pages allocates pages. The number 0 stands for no page.
type pages struct {
	array[page]
	entries array[uint16] // number of words of a page in use; trees maintain it
	next    uint32
	free    []uint32
	inUse   int
}

func (p *pages) reserve(b *budget) (err error) {
	most := int(b.mostLater()/pageBytes) + 1
	if p.array, err = newArray[page](b, most); err != nil {
		return err
	}
	p.entries, err = newArray[uint16](b, most)
	p.next = 1
	return err
}

func (p *pages) release() {
	p.array.release()
	p.entries.release()
}

// take allocates a page of zeros.
func (p *pages) take() (uint32, error) {
	var n uint32
	if last := len(p.free) - 1; last >= 0 {
		n, p.free = p.free[last], p.free[:last]
		p.all[n] = page{}
	} else {
		n = p.next
		if err := p.grow(int(n) + 1); err != nil {
			return 0, err
		}
		if err := p.entries.grow(int(n) + 1); err != nil {
			return 0, err
		}
		p.next++
	}
	p.entries.all[n] = 0
	p.inUse++
	return n, nil
}

// put frees a page, which no reader may still use.
func (p *pages) put(n uint32) {
	p.free = append(p.free, n)
	p.inUse--
}

func (p *pages) load(n, i uint32) uint32 { return atomic.LoadUint32(&p.all[n][i]) }

func (p *pages) store(n, i, v uint32) { atomic.StoreUint32(&p.all[n][i], v) }
