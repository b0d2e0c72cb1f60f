package tally

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/metranova/flow-collector/decoder/flow"
)

// Account is what happened to one stream's rows at one sink. At any time Taken + Found = Delivered + Waiting + OnDisk +
// all Lost + all Quarantined.
type Account struct {
	Generation uint64 // distinguishes the account from an earlier one of the same stream

	Taken uint64 // passed to the sink in this run
	Found uint64 // left on disk by earlier runs

	Waiting   uint64 // now, in memory or in transit
	OnDisk    uint64 // now, on disk
	Delivered uint64 // confirmed by the sink

	Spooled     uint64            // written to disk so far; not part of the balance
	Lost        map[string]uint64 // by reason
	Quarantined map[string]uint64 // kept on disk for the operator, by reason
}

// Out is the sum of all rows that came to an end or wait.
func (a *Account) Out() uint64 {
	return a.Delivered + a.Waiting + a.OnDisk + sum(a.Lost) + sum(a.Quarantined)
}

// settled reports whether none of the account's rows waits, so that nothing can change any more.
func (a *Account) settled() bool { return a.Waiting == 0 && a.OnDisk == 0 }

func (a *Account) clone() Account {
	c := *a
	c.Lost, c.Quarantined = maps.Clone(a.Lost), maps.Clone(a.Quarantined)
	return c
}

// Add adds another account. Generation is not changed.
func (a *Account) Add(b *Account) {
	a.Taken += b.Taken
	a.Found += b.Found
	a.Waiting += b.Waiting
	a.OnDisk += b.OnDisk
	a.Delivered += b.Delivered
	a.Spooled += b.Spooled
	for reason, n := range b.Lost {
		count(&a.Lost, reason, n)
	}
	for reason, n := range b.Quarantined {
		count(&a.Quarantined, reason, n)
	}
}

func count(to *map[string]uint64, reason string, n uint64) {
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[reason] += n
}

func sum(by map[string]uint64) (n uint64) {
	for _, v := range by {
		n += v
	}
	return n
}

// maxAccounts limits the accounts. Beyond it the settled accounts of streams that were silent longest are evicted.
const maxAccounts = 1 << 14

// Book keeps the accounts of one sink. It is called once for every block that moves, so a lock is cheap enough. The
// zero value is empty.
type Book struct {
	mu       sync.Mutex
	accounts map[flow.StreamKey]*entry
	moves    uint64
	limit    int   // 0: maxAccounts
	other    entry // of streams that were evicted, or arrived when the book was full
}

type entry struct {
	Account
	moved uint64 // value of moves at the latest change
}

// Take counts rows that were passed to the sink.
func (b *Book) Take(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Taken += n; a.Waiting += n })
}

// Find counts rows that an earlier run left on disk.
func (b *Book) Find(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Found += n; a.OnDisk += n })
}

// ToDisk counts rows that are about to be written to disk, before anyone can take them from there. Then Spooled or
// NotToDisk must follow.
func (b *Book) ToDisk(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Waiting -= n; a.OnDisk += n })
}

// NotToDisk reverses ToDisk.
func (b *Book) NotToDisk(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Waiting += n; a.OnDisk -= n })
}

// Spooled counts rows that were written to disk.
func (b *Book) Spooled(shares []Share) {
	b.each(shares, func(a *Account, n uint64) { a.Spooled += n })
}

// Deliver counts rows that the sink has stored.
func (b *Book) Deliver(shares []Share, fromDisk bool) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); a.Delivered += n })
}

// Lose counts lost rows.
func (b *Book) Lose(shares []Share, fromDisk bool, reason string) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); count(&a.Lost, reason, n) })
}

// Quarantine counts rows that were put into the quarantine.
func (b *Book) Quarantine(shares []Share, fromDisk bool, reason string) {
	b.each(shares, func(a *Account, n uint64) { a.leave(n, fromDisk); count(&a.Quarantined, reason, n) })
}

func (a *Account) leave(n uint64, fromDisk bool) {
	if fromDisk {
		a.OnDisk -= n
	} else {
		a.Waiting -= n
	}
}

func (b *Book) each(shares []Share, move func(*Account, uint64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moves++
	for i := range shares {
		e := b.of(shares[i].Stream)
		e.moved = b.moves
		move(&e.Account, shares[i].Rows)
	}
}

// of returns the account of a stream. A stream that arrives when the book is full is counted in other until other has
// no outstanding rows: a separate account earlier would split its balance.
func (b *Book) of(key flow.StreamKey) *entry {
	if e := b.accounts[key]; e != nil {
		return e
	}
	if !b.other.settled() {
		return &b.other
	}
	if limit := cmp.Or(b.limit, maxAccounts); len(b.accounts) >= limit && !b.evict(limit) {
		return &b.other
	}
	if b.accounts == nil {
		b.accounts = map[flow.StreamKey]*entry{}
	}
	e := &entry{Account: Account{Generation: b.moves}}
	b.accounts[key] = e
	return e
}

// evict moves one sixteenth of the accounts, those settled longest, into other.
func (b *Book) evict(limit int) bool {
	var settled []flow.StreamKey
	for key, e := range b.accounts {
		if e.settled() && e.moved != b.moves {
			settled = append(settled, key)
		}
	}
	slices.SortFunc(settled,
		func(x, y flow.StreamKey) int { return cmp.Compare(b.accounts[x].moved, b.accounts[y].moved) })
	for _, key := range settled[:min(len(settled), max(1, limit/16))] {
		b.other.Add(&b.accounts[key].Account)
		delete(b.accounts, key)
	}
	return len(settled) > 0
}

// Accounts returns a copy of all accounts, and the sum of those without an account of their own.
func (b *Book) Accounts() (byStream map[flow.StreamKey]Account, other Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	byStream = make(map[flow.StreamKey]Account, len(b.accounts))
	for key, e := range b.accounts {
		byStream[key] = e.clone()
	}
	return byStream, b.other.clone()
}

// LostBy returns the lost rows of each stream that lost any, by reason. Streams without an account of their own are not
// there.
func (b *Book) LostBy() map[flow.StreamKey]map[string]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[flow.StreamKey]map[string]uint64{}
	for key, e := range b.accounts {
		if len(e.Lost) > 0 {
			all[key] = maps.Clone(e.Lost)
		}
	}
	return all
}

// Total returns the sum of all accounts.
func (b *Book) Total() Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	total := b.other.clone()
	for _, e := range b.accounts {
		total.Add(&e.Account)
	}
	return total
}
