package rib

import (
	"sync/atomic"
)

// direct finds the longest IPv4 prefix that contains an address, by direct indexing (DIR-24-8): it has a word for each
// /24. The word is the number of a prefix, or of a page with a word for each address of the /24.
type direct struct {
	array[uint32]
	pages    *pages
	prefixes *prefixes
	long     map[uint32]int // number of prefixes longer than /24, by page
}

// inPage is the flag of a word that is the number of a page.
const inPage = 1 << 31

func newDirect(b *budget, p *pages, x *prefixes) (*direct, error) {
	d := &direct{pages: p, prefixes: x, long: map[uint32]int{}}
	var err error
	if d.array, err = newArray[uint32](b, 1<<24); err != nil {
		return d, err
	}
	return d, d.grow(1 << 24)
}

// find returns the number of the longest prefix that contains an address. 0: only 0.0.0.0/0 does, or none.
func (d *direct) find(a uint32) uint32 {
	n := atomic.LoadUint32(&d.all[a>>8])
	if n&inPage != 0 {
		n = d.pages.load(n&^inPage, a&0xff)
	}
	return n
}

// findAll replaces addresses by the numbers of their prefixes, as find does. It first reads the words of all, so that
// their cache misses overlap.
func (d *direct) findAll(addresses []uint32) {
	var words [MaxAddresses]uint32
	for i, a := range addresses {
		words[i] = atomic.LoadUint32(&d.all[a>>8])
	}
	for i, a := range addresses {
		if n := words[i]; n&inPage == 0 {
			addresses[i] = n
		} else {
			addresses[i] = d.pages.load(n&^inPage, a&0xff)
		}
	}
}

// insert makes a new prefix visible to readers.
func (d *direct) insert(n uint32) error {
	x := d.prefixes.at(n)
	first := uint32(x.Hi >> 32)
	d.prefixes.setParent(n, d.prefixes.shorter(d.find(first), x.Bits))
	if x.Bits > 24 {
		page, err := d.ensurePage(first >> 8)
		if err != nil {
			return err
		}
		d.long[page]++
		d.enterPage(page, first&0xff, 1<<(32-x.Bits), n, x.Bits)
		return nil
	}
	was, becomes := uint32(inPage), uint32(0) // neighbouring words are mostly equal: compute each once
	for at, end := first>>8, first>>8+1<<(24-x.Bits); at != end; at++ {
		e := d.all[at]
		if e&inPage != 0 {
			d.enterPage(e&^inPage, 0, pageSlots, n, x.Bits)
			continue
		}
		if e != was {
			was, becomes = e, d.enter(e, n, x.Bits)
		}
		if becomes != e {
			atomic.StoreUint32(&d.all[at], becomes)
		}
	}
	return nil
}

// enter inserts prefix n into the chain that starts with word e, and returns the new word.
func (d *direct) enter(e, n uint32, bits uint8) uint32 {
	child := d.prefixes.last(e, bits)
	if child == 0 {
		return n
	}
	if child != n && d.prefixes.parentOf(child) != n {
		d.prefixes.setParent(child, n)
	}
	return e
}

func (d *direct) enterPage(page, from, count, n uint32, bits uint8) {
	for i := from; i < from+count; i++ {
		e := d.pages.all[page][i]
		if becomes := d.enter(e, n, bits); becomes != e {
			d.pages.store(page, i, becomes)
		}
	}
}

// ensurePage returns the page of a /24, and adds one if it has none.
func (d *direct) ensurePage(block uint32) (uint32, error) {
	e := d.all[block]
	if e&inPage != 0 {
		return e &^ inPage, nil
	}
	page, err := d.pages.take()
	if err != nil {
		return 0, err
	}
	for i := range d.pages.all[page] {
		d.pages.all[page][i] = e
	}
	atomic.StoreUint32(&d.all[block], page|inPage)
	return page, nil
}

// remove hides a prefix from readers. It returns the page that is then unused, or 0.
func (d *direct) remove(n uint32) (page uint32) {
	x := d.prefixes.at(n)
	first, parent := uint32(x.Hi>>32), d.prefixes.parentOf(n)
	if x.Bits > 24 {
		page = d.all[first>>8] &^ inPage
		d.leavePage(page, first&0xff, 1<<(32-x.Bits), n, x.Bits, parent)
		if d.long[page]--; d.long[page] > 0 {
			return 0
		}
		delete(d.long, page)
		atomic.StoreUint32(&d.all[first>>8], d.pages.all[page][0])
		return page
	}
	was, becomes := uint32(inPage), uint32(0)
	for at, end := first>>8, first>>8+1<<(24-x.Bits); at != end; at++ {
		e := d.all[at]
		if e&inPage != 0 {
			d.leavePage(e&^inPage, 0, pageSlots, n, x.Bits, parent)
			continue
		}
		if e != was {
			was, becomes = e, d.leave(e, n, x.Bits, parent)
		}
		if becomes != e {
			atomic.StoreUint32(&d.all[at], becomes)
		}
	}
	return 0
}

// leave removes prefix n from the chain that starts with word e, and returns the new word.
func (d *direct) leave(e, n uint32, bits uint8, parent uint32) uint32 {
	if e == n {
		return parent
	}
	if child := d.prefixes.last(e, bits); child != 0 && d.prefixes.parentOf(child) == n {
		d.prefixes.setParent(child, parent)
	}
	return e
}

func (d *direct) leavePage(page, from, count, n uint32, bits uint8, parent uint32) {
	for i := from; i < from+count; i++ {
		e := d.pages.all[page][i]
		if becomes := d.leave(e, n, bits, parent); becomes != e {
			d.pages.store(page, i, becomes)
		}
	}
}
